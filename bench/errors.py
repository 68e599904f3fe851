"""What can go wrong, as a tree; caught and printed in one place, `bench.console.guarded`.

BenchError                 anything the harness says in one sentence, without a traceback
├── Refused                bad input, found before any work starts           exit code 2
├── Interrupted            Ctrl-C; what was measured is on disk              exit code 130
└── TrialFailed            one trial's failure; the other trials run on      exit code 1
    ├── Diverged           the loss is no longer a finite number
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
    """Somebody pressed Ctrl-C; 130 is what shells make of that."""

    exit_code = 130


class TrialFailed(BenchError):
    """One trial failed; it costs that trial alone."""


class Diverged(TrialFailed):
    """Training produced a loss that is not a finite number."""


class WorkerDied(TrialFailed):
    """A worker process ended without reporting why."""


class OutOfMemoryKilled(WorkerDied):
    """A process was killed by SIGKILL, which is how the system ends one when memory runs out."""


class Crashed(WorkerDied):
    """A process ended by another signal: a library's fault, or memory that it did not check for."""
