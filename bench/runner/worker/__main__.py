"""A worker process: reads one job, does it, and sends the results.

Its real standard input and output are the pipes to the parent. What code prints goes to standard
error, it can read nothing, and a child that it forks has no pipe to the parent.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable

from bench.records import messages
from bench.records.records import Probe
from bench.runner.worker.parent import Parent, failure_of


def main() -> int:
    """Do one job; the exit code is 0 even if it failed, because the reason was sent."""
    # The parent decides what a signal means, and sends STOP; without a parent, the input ends.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    requests, replies, nothing = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    # Line by line: of one that is killed, what it had printed is not lost. No code fails because it
    # prints what an encoding does not have, such as that of Windows.
    sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: os.dup2(nothing, replies, inheritable=False))
    parent = Parent(open(requests, "rb", buffering=0), os.fdopen(replies, "wb"))  # noqa: SIM115
    try:
        work(parent.receive(), parent)
    except Exception as error:
        parent.send(failure_of(error))
    return 0


def work(job: messages.Job, parent: Parent) -> None:
    """Do one job of `bench.runner.worker.jobs`."""
    from bench.runner.worker import jobs

    gc.freeze()  # a fresh process, too, collects without looking through its imports
    match job:
        case messages.ExamineJob():
            parent.send(jobs.examine_own(job))
        case messages.PrepareJob():
            parent.send(jobs.prepare(job, parent.send))
        case messages.SearchJob():
            parent.send(jobs.describe(job))
            ready, probe = _open_search(job)
            parent.send(ready)
            while True:
                parent.send(probe(parent.receive()))
        case messages.ResolveJob():
            parent.send(jobs.resolve_all(job))
        case messages.AbilitiesJob():
            parent.send(jobs.abilities(job))
        case messages.SelfCheckJob():
            from bench.runner.worker import selfcheck_jobs

            parent.send(selfcheck_jobs.measure(job))
        case messages.SimulateJob():
            for simulated in jobs.simulate_all(job):
                parent.send(simulated)
        case messages.TrainJob() if job.trial.setting.ranks > 1:
            from bench.runner.worker import ranks

            ranks.train(job, parent)
        case messages.TrainJob():
            for message in jobs.train(job, parent.progress, parent.stopping):
                parent.report(message)


def _open_search(
    job: messages.SearchJob,
) -> tuple[messages.Ready, Callable[[messages.ProbeRequest], Probe]]:
    if job.setting.ranks > 1:
        # torch's launcher is for them alone: importing it takes time and memory.
        from bench.runner.worker import ranks

        return ranks.open_search(job)
    from bench.runner.worker import jobs

    return jobs.open_search(job)


if __name__ == "__main__":
    sys.exit(main())
