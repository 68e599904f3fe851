"""The reference of options, made from the dataclasses that the command line is made from.

The help of an option is the docstring below its field, which only the source has.
"""

import ast
import dataclasses
import importlib
import inspect
import typing
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from docs.code_reference import inside, plain

UNGROUPED = "Options"
"""What `--help` calls options that belong to no group."""


MODULES = {
    **{verb: f"bench.cli.{verb}" for verb in ("compare", "history", "data", "pack", "collect")},
    **{verb: f"bench.runner.{verb}" for verb in ("choose", "settle", "selfcheck")},
    "run": "bench.config",
    "max-batch": "bench.runner.max_batch",
    "report": "bench.cli.report",
}
"""Where each verb's dataclass of options is."""


def verb_options(verb: str) -> str:
    """The options of a verb; LookupError if its module defines none."""
    module = importlib.import_module(MODULES[verb])
    for name, value in vars(module).items():
        if name.endswith("Options") and value.__module__ == module.__name__:
            return option_sections(value, verb)
    raise LookupError(f"no options in {module.__name__}")


def option_sections(kind: type[Any], verb: str) -> str:
    """A section per field of a dataclass of options, in groups where the options have groups."""
    hints = typing.get_type_hints(kind, include_extras=True)
    helps = _field_docstrings(kind)
    groups: dict[str, list[str]] = {}
    for field in dataclasses.fields(kind):
        hint = list(inside(hints[field.name]))
        section = _option(field, hint, verb, helps.get(field.name, ""))
        groups.setdefault(str(_remark(hint, "group") or UNGROUPED), []).append(section)
    sections = []
    for group, options in groups.items():
        sections += options if group == UNGROUPED else [f"### {group}", *options]
    return "\n\n".join(sections)


def _option(field: dataclasses.Field[Any], hint: Sequence[Any], verb: str, text: str) -> str:
    """A section: how the option is written, what it does, its default.

    `hint` is its type with everything within, the remarks of an `Annotated` among it.
    """
    flag = "--" + field.name.replace("_", "-")
    anchor = f"{verb}-{flag[2:]}"
    values = _remark(hint, "metavar", "title") or _choices(hint)
    if any("Positional" in str(part) for part in hint):
        flag = written = values or field.name.upper()
    elif bool in hint:
        written = f"{flag} / --no-{flag[2:]}"
    else:
        written = f"{flag} {values}{_more(hint, values)}".strip()
    heading = f'#### `{written}` {{ #{anchor} data-toc-label="{flag}" }}'
    aliases = " ".join(f"Also `{alias}`." for alias in _remark(hint, "aliases") or ())
    words = _remark(hint, "help_behavior_hint", "default") or _default(field.default)
    default = plain(words if words[0] == "(" else f"(default: {words})")
    return f"{heading}\n\n{plain(text)} {aliases} *{default}*".replace("  ", " ")


def _remark(hint: Sequence[Any], *names: str) -> Any:
    """What the type's remarks say under one of the names; None if they say nothing."""
    # A type passes attributes on: Annotated[str, ...].title is a method of str.
    remarks = [p for p in hint if not isinstance(p, (type, str)) and not typing.get_origin(p)]
    values = (getattr(remark, name, None) for name in names for remark in remarks)
    return next((value for value in values if value and isinstance(value, (str, tuple))), None)


def _more(hint: Sequence[Any], values: str) -> str:
    """What says that an option takes several values at once."""
    several = any(typing.get_origin(part) is tuple for part in hint)
    appended = any("Append" in str(part) for part in hint)
    return " ..." if several and not appended and not values.endswith("...") else ""


def _choices(hint: Sequence[Any]) -> str:
    """The values of a `Literal`, as `--help` writes them."""
    literals = [part for part in hint if typing.get_origin(part) is typing.Literal]
    return "|".join(str(value) for part in literals for value in typing.get_args(part))


def _default(value: Any) -> str:
    match value:
        case dataclasses.MISSING:
            return "(required)"
        case bool():
            return "on" if value else "off"
        case None | ():
            return "none"
        case tuple():
            return " ".join(map(str, value))
    return str(value)


def _field_docstrings(kind: type[Any]) -> dict[str, str]:
    """The docstrings below the fields of a dataclass and of its bases, by field."""
    docstrings: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        (definition,) = ast.parse(inspect.getsource(base)).body
        for field, below in pairwise(getattr(definition, "body", ())):
            match field, below:
                case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    docstrings[name] = text
    return docstrings
