"""The reference of options, made from the dataclasses that the command line is made from.

The help of an option is the docstring below its field, which only the source has.
"""

import ast
import dataclasses
import importlib
import inspect
import typing
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from docs.code_reference import inside, plain

UNGROUPED = "Options"
"""What `--help` calls options that belong to no group."""


def run_options() -> str:
    """The options of a run."""
    module = importlib.import_module("bench.config")
    # `Config` is what `Options` becomes once a preset has filled it in.
    return option_sections(getattr(module, "Options", module.Config), "run")


def max_batch_options() -> str:
    """The options of the verb `max-batch`."""
    return option_sections(
        _dataclass_in("bench.cli.max_batch", "bench.runner.max_batch"), "max-batch"
    )


def choose_options() -> str:
    """The options of the verb `choose`."""
    return option_sections(_dataclass_in("bench.runner.choose"), "choose")


def compare_options() -> str:
    """The options of the verb `compare`."""
    return option_sections(
        _dataclass_in("bench.cli.compare", "bench.cli.compare_options"), "compare"
    )


def history_options() -> str:
    """The options of the verb `history`."""
    return option_sections(_dataclass_in("bench.cli.history"), "history")


def settle_options() -> str:
    """The options of the verb `settle`."""
    return option_sections(_dataclass_in("bench.runner.settle"), "settle")


def selfcheck_options() -> str:
    """The options of the verb `selfcheck`."""
    return option_sections(_dataclass_in("bench.runner.selfcheck"), "selfcheck")


def data_options() -> str:
    """The options of the verb `data`."""
    return option_sections(_dataclass_in("bench.cli.data"), "data")


def pack_options() -> str:
    """The options of the verb `pack`."""
    return option_sections(_dataclass_in("bench.cli.pack"), "pack")


def collect_options() -> str:
    """The options of the verb `collect`."""
    return option_sections(_dataclass_in("bench.cli.collect"), "collect")


def _dataclass_in(*modules: str) -> type[Any]:
    """The dataclass `…Options` that one of the modules defines; LookupError if none does."""
    for module in map(importlib.import_module, filter(find_spec, modules)):
        for name, value in vars(module).items():
            if name.endswith("Options") and value.__module__ == module.__name__:
                return typing.cast("type[Any]", value)
    raise LookupError(f"no options in {' or '.join(modules)}")


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
