"""`--help`, made from a dataclass of options: a heading per group, a row per option."""

import ast
import inspect
import shutil
import textwrap
from dataclasses import MISSING, fields
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from tyro.conf import Positional, UseAppendAction

from bench.options import Group, Option, options_of

MOST_COLUMNS = 110
"""Longer lines are hard to read."""


def print_help(kind: type, prog: str) -> None:
    """Print usage, purpose and options of a command to standard output."""
    options = options_of(kind).values()
    docs, defaults = _docs(kind), {field.name: field.default for field in fields(kind)}
    places = [
        option.metavar if defaults[option.name] is MISSING else f"[{option.metavar}]"
        for option in options
        if is_positional(option)
    ]
    purpose = inspect.cleandoc(kind.__doc__ or "").partition("\nRaises:")[0].split("\n\n")
    width = min(MOST_COLUMNS, shutil.get_terminal_size().columns)
    console = Console(width=width, highlight=False)
    console.print(f"usage: {escape(' '.join((prog, *places, '[OPTIONS]')))}")
    for paragraph in purpose:
        console.print(f"\n{escape(' '.join(paragraph.split()))}")
    for group in Group:
        rows = [option for option in options if option.help.group == group]
        if rows:
            console.print(f"\n[bold]{group}[/]")
            console.print(_table({_usage(o): docs[o.name] + _default(o, defaults) for o in rows}))


def print_verbs(verbs: dict[str, str], prog: str) -> None:
    """Print the verbs, each with its purpose."""
    console = Console(highlight=False)
    console.print(f"usage: {prog} VERB {escape('[OPTIONS]')}\n")
    console.print(_table(verbs))
    console.print(f"\n{prog} VERB --help shows the options of a verb.")


def is_positional(option: Option) -> bool:
    """Whether an option is given by its place on the command line, without a flag."""
    return Positional in option.marks


def flags_of(option: Option) -> tuple[str, ...]:
    """What the command line calls an option; a switch has a flag for each of its two values."""
    if is_positional(option):
        return ()
    return (option.flag, f"--no-{option.flag[2:]}") if option.is_switch else (option.flag,)


def _usage(option: Option) -> str:
    flags = ", ".join(flags_of(option))
    if option.is_switch:
        return flags
    more = " ..." if option.several and UseAppendAction not in option.marks else ""
    return f"{flags} {option.metavar}{more}".strip()


def _default(option: Option, defaults: dict[str, Any]) -> str:
    value = defaults[option.name]
    text = option.help.default
    if text is None and isinstance(value, bool):
        text = "yes" if value else "no"
    elif text is None and value not in (MISSING, None, ()):
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f" (default: {text})" if text else ""


def _table(rows: dict[str, str]) -> Padding:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=40)
    table.add_column()
    for name, text in rows.items():
        table.add_row(escape(name), escape(text))
    return Padding(table, (0, 0, 0, 2))


def _docs(kind: type) -> dict[str, str]:
    """The docstrings of a dataclass's fields, which Python itself does not keep."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    [body] = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    docs = dict.fromkeys(options_of(kind), "")
    for field, doc in pairwise(body):
        match field, doc:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(text))
            ):
                docs[name] = " ".join(text.split())
    return docs
