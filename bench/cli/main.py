"""The command `archbench`: a verb and its options, `bench.cli.VERB` each. See `VERBS`."""

import importlib
import io
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence

from bench.cli.help import print_verbs
from bench.cli.parsing import nearest
from bench.errors import BenchError, Refused

VERBS = {
    "run": "compare models: largest batch, timed epochs, accuracy curves, and a report",
    "max-batch": "the largest batch alone: predicted for cards, or measured on a device",
    "choose": "which card to take for a plan: predicted hours, money and energy, within bounds",
    "list": "the models that --models takes, as a table",
    "data": "fetch a data set ahead, see what is kept on disk, or remove prepared images",
    "report": "make tables, plots and report again from a run folder",
    "settle": "decide published claims: train what decides most of them per minute",
    "compare": "which to use, and how sure that is: two runs, or the models of one",
    "history": "runs over time: lines per model and metric, and where they changed",
    "selfcheck": "whether this tool keeps its promises on this machine",
    "pack": "a run as one small file, to send to whoever collects",
    "collect": "many people's runs in one comparison",
}
"""What there is to do. A verb is a module of this package with a function `main`."""

ALIASES = {"fit": "max-batch"}
"""Verbs by the names that they had before."""


def main(prog: str = "archbench", verb: str | None = None) -> int:
    """Run this process's command line, `prog` as the user typed it, and return its exit code; the
    first word is the verb where none is given."""
    return guarded(lambda: _run(prog, sys.argv[1:], verb))


def _run(prog: str, words: Sequence[str], verb: str | None) -> int:
    if verb is None:
        if not words:
            raise Refused(f"name a verb: {', '.join(VERBS)}; see {prog} --help.")
        word, *words = words
        if word in ("-h", "--help"):
            print_verbs(VERBS, prog)
            return 0
        verb = ALIASES.get(word, word)
        if verb not in VERBS:
            raise Refused(f"unknown verb {word!r}{nearest(word, VERBS, prog)}")
        prog = f"{prog} {word}"
    module = importlib.import_module(f"bench.cli.{verb.replace('-', '_')}")
    return int(module.main(words, prog))


def guarded(command: Callable[[], int]) -> int:
    """Run a command; its errors become one line on standard error and an exit code:
    130 after Ctrl-C, as shells have it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        return command()
    except BenchError as error:
        print(f"archbench: {visible(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("archbench: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; what was measured is on disk.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = visible(error.filename or "a file")[:200]
        print(f"archbench: {where} cannot be used: {error.strerror or error}.", file=sys.stderr)
        return 2


def visible(text: object) -> str:
    """A text whose control characters are written out: a terminal would obey those of a file's
    name."""
    return "".join(
        c.encode("unicode_escape").decode()
        if unicodedata.category(c).startswith("C") and c != "\n"
        else c
        for c in str(text)
    )
