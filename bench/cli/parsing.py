"""From the words of a command line to a dataclass of options, or one sentence.

tyro parses; what it finds wrong is told here in the words of `bench.options`. tyro's hook for that
is not a public interface: if it changes, the sentence is only less precise.
"""

import contextlib
import difflib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import tyro

from bench.cli.help import flags_of, print_help
from bench.errors import Refused
from bench.options import Option, options_of

T = TypeVar("T")


def parse(kind: type[T], arguments: Sequence[str], prog: str) -> T:
    """The options that a command line gives; `prog` is the command as the user typed it.

    Raises:
        Refused: a word cannot be understood.
        SystemExit: help was asked for, and shown.
    """
    if not {"-h", "--help"}.isdisjoint(arguments):
        print_help(kind, prog)
        raise SystemExit(0)
    try:
        with _explained(kind, arguments, prog), contextlib.redirect_stderr(io.StringIO()):
            return tyro.cli(kind, args=arguments, prog=prog, console_outputs=False, add_help=False)
    except SystemExit as ended:
        if not ended.code:
            raise
        raise Refused(f"these options cannot be read; see {prog} --help.") from None


def nearest(word: str, known: Iterable[str], prog: str) -> str:
    """Where to look after a word that is not known: the one that was meant, if one is like it."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f": did you mean {near[0]}? See {prog} --help." if near else f"; see {prog} --help."


@contextlib.contextmanager
def _explained(kind: type, arguments: Sequence[str], prog: str) -> Iterator[None]:
    """Within this, a mistake that tyro finds is raised as Refused."""
    try:
        from tyro._errors import (
            BadValue,
            InstantiationFailure,
            InvalidChoice,
            MissingArgs,
            UnrecognizedArgs,
            on_parse_error,
        )
    except ImportError:
        yield
        return

    options = options_of(kind)

    def explain(event: Any) -> None:
        _refuse_unknown(arguments, options.values(), prog)
        match event:
            case UnrecognizedArgs(tokens=[word, *_]) | MissingArgs(unrecognized_tokens=[word, *_]):
                raise Refused(f"{word!r} belongs to no option; see {prog} --help.")
            case MissingArgs(missing_arguments=[missing, *_]):
                metavar = options[missing.arg.field.intern_name].metavar
                raise Refused(f"{prog} needs {metavar}; see {prog} --help.")
            case BadValue(argument=argument):
                option = options[argument.field.intern_name]
                raise Refused(f"{option.flag} needs a value: {option.metavar}.")
            case InstantiationFailure(argument=argument) | InvalidChoice(argument=argument) if (
                argument
            ):
                option = options[argument.field.intern_name]
                raise Refused(option.must_be(_wrong_word(option, arguments)))

    def explain_if_known(event: Any) -> None:
        with contextlib.suppress(AttributeError, LookupError):
            explain(event)

    with on_parse_error(explain_if_known):
        yield


def _refuse_unknown(arguments: Sequence[str], options: Iterable[Option], prog: str) -> None:
    known = [flag for option in options for flag in flags_of(option)]
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag.removeprefix("--") not in ("", flag) and flag.replace("_", "-") not in known:
            raise Refused(f"unknown option {flag}{nearest(flag, known, prog)}")


def _wrong_word(option: Option, arguments: Sequence[str]) -> str:
    """The first of an option's words that is no value for it."""
    words: list[str] = []
    inside = False
    for argument in arguments:
        if argument.startswith("--"):
            flag, equals, value = argument.partition("=")
            inside = flag.replace("_", "-") == option.flag
            words += [value] if inside and equals else []
        elif inside:
            words.append(argument)
    return next((word for word in words if not option.allows(_value(word))), words[-1])


def _value(word: str) -> int | float | str:
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(word)
    return word
