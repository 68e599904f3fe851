"""A process that has imported what every job needs, and forks a child for each one.

A child starts in milliseconds where a fresh process imports torch for seconds. A fork has none of
its parent's threads, and CUDA does not survive one: so this process only imports. It starts no
thread pool and no CUDA, and ends when its parent does; a child that crashes leaves it alive. What
it has imported is no garbage: a child that collects does not look through it, for that would take
0.2 s each time and copy all of its memory.

For each job the control socket brings a folder and four descriptors: the child's standard input,
output and error, and a pipe that takes its process number and, once it has ended, its exit code.
"""

import contextlib
import gc
import os
import selectors
import socket
import sys
from collections.abc import Iterator

READY = b"ready"


def main() -> None:
    """Fork children until the parent closes the control socket."""
    control = socket.socket(fileno=int(sys.argv[1]))
    with _without_threads():
        # All that any job imports: torch, torchvision, and the code of jobs.
        import torchvision  # noqa: F401

        import bench.runner.worker.jobs  # noqa: F401
    gc.freeze()
    control.send(READY)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not control:
                selector.unregister(key.fd)
                _report_end(key.fd, *key.data)
                continue
            folder, descriptors, _, _ = socket.recv_fds(control, 4096, 4)
            if not folder:
                return
            *standard, status = descriptors
            child = os.fork()
            if child == 0:
                others = [entry.data[1] for entry in selector.get_map().values() if entry.data]
                for other in (control.fileno(), status, *others):
                    os.close(other)
                _work(os.fsdecode(folder), standard)
            os.write(status, b"%d\n" % child)
            for descriptor in standard:
                os.close(descriptor)
            selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, status))


@contextlib.contextmanager
def _without_threads() -> Iterator[None]:
    """Keep numpy's matrix library from starting threads while it is loaded, which would be lost in
    a fork; children have the environment that the parent gave."""
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    yield
    if before is None:
        del os.environ["OPENBLAS_NUM_THREADS"]
    else:
        os.environ["OPENBLAS_NUM_THREADS"] = before


def _work(folder: str, standard: list[int]) -> None:
    """Be the worker that a fresh process would be; never returns."""
    code = 1
    try:
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(folder)
        from bench.runner.worker.__main__ import main as work

        code = work()
    finally:
        # Not sys.exit: what the template would do at its end is not the child's to do.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _report_end(watch: int, child: int, status: int) -> None:
    """Tell the parent how a child ended; it may have stopped listening."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(watch)
    with contextlib.suppress(OSError):
        os.write(status, b"%d\n" % code)
    os.close(status)


if __name__ == "__main__":
    main()
