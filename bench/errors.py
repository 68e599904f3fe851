"""Everything that can go wrong, as a tree; printed in one place, `bench.cli.main.guarded`.

BenchError                 reported as one sentence, without a traceback
├── Refused                bad input, found before any work starts          exit code 2
├── Interrupted            Ctrl-C, SIGTERM, SIGHUP; results so far are kept  128 + signal
├── NodeLost               a node of a cluster no longer answers; its trials go to others
└── TrialFailed            one trial failed; the other trials still run     exit code 1
    ├── Diverged           the loss is no longer finite
    ├── TimedOut           the trial exceeded its time limit
    ├── Unsaved            its checkpoint could not be written
    └── WorkerDied         its process ended without reporting a reason
        ├── OutOfMemoryKilled   killed by SIGKILL, as the system does when memory runs out
        ├── Crashed             ended by another signal, such as SIGSEGV
        └── RankDied            one of several processes that train together did
"""

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """An error whose message is one sentence that says what is wrong and how to fix it."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: no traceback there either."""
        return [f"{type(self).__name__}: {self}"]


class Refused(BenchError):
    """The input cannot work; raised before anything is measured."""

    exit_code = 2


class Interrupted(BenchError):
    """A signal ended the run; as in shells, the exit code is 128 plus its number."""

    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class NodeLost(BenchError):
    """A node of a cluster no longer answers."""


class TrialFailed(BenchError):
    """One trial failed; a failed trial does not stop the others."""


class Diverged(TrialFailed):
    """Training produced a loss that is not finite."""


class TimedOut(TrialFailed):
    """A trial exceeded its time limit."""


class Unsaved(TrialFailed):
    """A checkpoint could not be written, most likely because the disk is full."""


class WorkerDied(TrialFailed):
    """A worker process ended without reporting a reason."""


class OutOfMemoryKilled(WorkerDied):
    """A process was killed by SIGKILL, as the system does when memory runs out."""


class Crashed(WorkerDied):
    """A process was ended by another signal: a bug in a library, or an unchecked allocation."""


class RankDied(WorkerDied):
    """One of the processes that train a trial together ended without reporting a reason; `killed`
    if SIGKILL ended it, as Linux does where memory runs out."""

    def __init__(self, message: str, *, killed: bool = False) -> None:
        super().__init__(message)
        self.killed = killed


def first_line(error: BaseException) -> str:
    """The first line of an error's message; libraries append stack traces and advice."""
    return next(iter(str(error).splitlines()), "")


def did_you_mean(word: str, known: Iterable[str], most: int = 3, cutoff: float = 0.5) -> str:
    """The known words that are most like one that is not: `did you mean adam or adamw?`; empty if
    none is at least that much like it (0 to 1, see `difflib`)."""
    near = difflib.get_close_matches(word, list(known), most, cutoff)
    return f"did you mean {' or '.join(near)}?" if near else ""
