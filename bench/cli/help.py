"""`--help`, made from a dataclass of options: a heading per group, a row per option."""

import ast
import inspect
import shutil
from collections.abc import Mapping
from dataclasses import MISSING
from itertools import pairwise

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from bench.options import Group, Option, options_of, shown

MOST_COLUMNS = 110
"""Longer lines are hard to read."""


def print_help(kind: type, prog: str) -> None:
    """Print usage, purpose and options of a command to standard output."""
    console, options, docs = _console(), options_of(kind).values(), docs_of(kind)
    places = [
        option.metavar if option.default is MISSING else f"[{option.metavar}]"
        for option in options
        if not option.flags
    ]
    console.print(f"usage: {escape(' '.join((prog, *places, '[OPTIONS]')))}")
    purpose, *_ = inspect.cleandoc(kind.__doc__ or "").partition("\nRaises:")
    for paragraph in purpose.split("\n\n"):
        console.print(f"\n{escape(' '.join(paragraph.split()))}")
    for group in Group:
        rows = {
            usage_of(option): " ".join((docs[option.name], *_remark(option))).strip()
            for option in options
            if option.help.group == group
        }
        if rows:
            console.print(f"\n[bold]{group}[/]", _table(rows), sep="\n")


def print_verbs(verbs: Mapping[str, str], prog: str) -> None:
    """Print the verbs, each with its purpose."""
    usage = f"usage: {prog} VERB {escape('[OPTIONS]')}\n"
    _console().print(usage, _table(verbs), f"\n{prog} VERB --help shows options.", sep="\n")


def _console() -> Console:
    return Console(width=min(MOST_COLUMNS, shutil.get_terminal_size().columns), highlight=False)


def usage_of(option: Option) -> str:
    """How an option is written: its flags, and what stands for its values."""
    if len(option.flags) > 1:
        return ", ".join(option.flags)
    return " ".join((*option.flags, option.metavar)) + (" ..." if option.several else "")


def default_of(option: Option) -> str:
    """An option's default in words; empty if it has none."""
    text, value = option.help.default, option.default
    if text is None and isinstance(value, bool):
        text = "yes" if value else "no"
    elif text is None and value not in (MISSING, None, ()):
        text = shown(value)
    return text or ""


def _remark(option: Option) -> list[str]:
    default = default_of(option)
    return [f"(default: {default})"] if default else []


def _table(rows: Mapping[str, str]) -> Padding:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=40)
    for row in rows.items():
        table.add_row(*map(escape, row))
    return Padding(table, (0, 0, 0, 2))


def docs_of(kind: type) -> dict[str, str]:
    """The docstrings of a dataclass's fields, its own and inherited: Python does not keep them."""
    docs = dict.fromkeys(options_of(kind), "")
    bodies = [ast.parse(inspect.getsource(base)).body[0] for base in reversed(kind.__mro__[:-1])]
    for field, doc in pairwise(node for body in bodies for node in ast.iter_child_nodes(body)):
        match field, doc:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=text)):
                docs[name] = " ".join(str(text).split())
    return docs
