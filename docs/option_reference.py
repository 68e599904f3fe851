"""The reference of options, made from the dataclasses that the command line is made from.

The help of an option is the docstring below its field, which only the source has.
"""

import ast
import dataclasses
import enum
import importlib
import inspect
import typing
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from docs.code_reference import inside, plain


def run_options() -> str:
    """The options of a run."""
    module = importlib.import_module("bench.config")
    # `Config` is what `Options` becomes once a preset has filled it in.
    return _options(getattr(module, "Options", module.Config), "run")


def max_batch_options() -> str:
    """The options of the verb `max-batch`."""
    return _options(_dataclass_in("bench.cli.max_batch", "bench.runner.max_batch"), "max-batch")


def compare_options() -> str:
    """The options of the verb `compare`."""
    return _options(_dataclass_in("bench.cli.compare", "bench.cli.compare_options"), "compare")


def _dataclass_in(*modules: str) -> type[Any]:
    """The dataclass `…Options` that one of the modules defines; LookupError if none does."""
    for module in map(importlib.import_module, filter(find_spec, modules)):
        for name, value in vars(module).items():
            if name.endswith("Options") and value.__module__ == module.__name__:
                return typing.cast("type[Any]", value)
    raise LookupError(f"no options in {' or '.join(modules)}")


def _options(kind: type[Any], verb: str) -> str:
    """A section per option, in groups where the options have groups."""
    hints = typing.get_type_hints(kind, include_extras=True)
    helps = _field_docstrings(kind)
    groups: dict[str, list[str]] = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        extras = getattr(hint, "__metadata__", ())
        group = next((str(extra.value) for extra in extras if isinstance(extra, enum.Enum)), "")
        section = _option(field, hint, extras, verb, helps.get(field.name, ""))
        groups.setdefault(group, []).append(section)
    sections = []
    for group, options in groups.items():
        sections += [f"### {group[0].upper()}{group[1:]}", *options] if group else options
    return "\n\n".join(sections)


def _option(
    field: dataclasses.Field[Any], hint: Any, extras: Iterable[Any], verb: str, text: str
) -> str:
    """A section: how the option is written, what it does, its default."""
    flag = "--" + field.name.replace("_", "-")
    anchor = f"{verb}-{flag[2:]}"
    values = next((e.metavar for e in extras if getattr(e, "metavar", None)), "") or _choices(hint)
    if any("Positional" in str(extra) for extra in (*extras, hint)):
        flag = written = values or field.name.upper()
    elif bool in inside(hint):
        written = f"{flag} / --no-{flag[2:]}"
    else:
        written = f"{flag} {values}".strip()
    heading = f'#### `{written}` {{ #{anchor} data-toc-label="{flag}" }}'
    return f"{heading}\n\n{plain(text)} *{plain(_default(field, extras))}*"


def _choices(hint: Any) -> str:
    """The values of a `Literal`, as `--help` writes them."""
    literals = [part for part in inside(hint) if typing.get_origin(part) is typing.Literal]
    return "|".join(str(value) for part in literals for value in typing.get_args(part))


def _default(field: dataclasses.Field[Any], extras: Iterable[Any]) -> str:
    """The default as `--help` words it, or else its value."""
    hints = (getattr(extra, "help_behavior_hint", None) for extra in extras)
    value = field.default
    match next(filter(None, hints), None), value:
        case str(words), _:
            return words
        case _, dataclasses.MISSING:
            return "(required)"
        case _, bool():
            return f"(default: {'on' if value else 'off'})"
        case _, None | ():
            return "(default: none)"
        case _, tuple():
            return f"(default: {' '.join(map(str, value))})"
    return f"(default: {value})"


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
