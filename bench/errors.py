"""What can go wrong, as a tree; caught and printed in one place, `bench.cli.console.guarded`.

BenchError                 anything the harness says in one sentence, without a traceback
├── Refused                bad input, found before any work starts           exit code 2
├── Interrupted            Ctrl-C, SIGTERM, SIGHUP; what was measured is on disk     128 + signal
└── TrialFailed            one trial's failure; the other trials run on      exit code 1
    ├── Diverged           the loss is no longer a finite number
    ├── TimedOut           it took longer than it was given
    ├── Unsaved            its checkpoint could not be written
    └── WorkerDied         the process of a trial ended without a word (a signal, a crash)
        ├── OutOfMemoryKilled   by SIGKILL, as the system kills when memory runs out
        └── Crashed             by another signal, such as SIGSEGV
"""


class BenchError(Exception):
    """An error whose message is one sentence that names the culprit and the mend."""

    exit_code = 1


class Refused(BenchError):
    """The input cannot work: said before anything is measured."""

    exit_code = 2


class Interrupted(BenchError):
    """A signal asked for the end; shells make 128 and its number of that, 130 for Ctrl-C."""

    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class TrialFailed(BenchError):
    """One trial failed; it costs that trial alone."""


class Diverged(TrialFailed):
    """Training produced a loss that is not a finite number."""


class TimedOut(TrialFailed):
    """A trial took longer than it was given."""


class Unsaved(TrialFailed):
    """What a trial has done could not be written: a full disk, most likely."""


class WorkerDied(TrialFailed):
    """A worker process ended without reporting why."""


class OutOfMemoryKilled(WorkerDied):
    """A process was killed by SIGKILL, which is how the system ends one when memory runs out."""


class Crashed(WorkerDied):
    """A process ended by another signal: a library's fault, or memory that it did not check for."""
