"""What `--help` shows: a heading per group, a row per option, from the dataclass alone."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta
from tyro.conf import Positional, UseAppendAction

from bench.cli.compare import CompareOptions
from bench.cli.data import DataOptions
from bench.cli.help import print_help
from bench.cli.list import ListOptions
from bench.cli.main import VERBS, main
from bench.cli.report import ReportOptions
from bench.config import Options
from bench.options import Count, Group, Help, options_of
from bench.runner.choose import ChooseOptions
from bench.runner.max_batch import MaxBatchOptions


@dataclass(frozen=True)
class Some:
    """Does something
    with [brackets].

    Raises:
        Refused: never.
    """

    place: Annotated[Positional[Path], Meta(title="PLACE")]
    """Where."""

    other: Annotated[Positional[str | None], Meta(title="OTHER")] = None
    """Where
    else."""

    count: Annotated[Count | None, Help(Group.LENGTH, "as many as there are")] = None
    """How many."""

    sizes: Annotated[tuple[Count, ...], Help(Group.LENGTH)] = (1, 2)
    """How large."""

    kind: Literal["a", "b"] = "a"
    """Which [a or b]."""

    words: UseAppendAction[tuple[Annotated[str, Meta(title="WORD")], ...]] = ()
    """A word each time."""

    loud: Annotated[bool, Help(Group.OUTPUT)] = True
    """Whether."""


SHOWN = """\
usage: some PLACE [OTHER] [OPTIONS]

Does something with [brackets].

How long it takes
  --count N      How many. (default: as many as there are)
  --sizes N ...  How large. (default: 1 2)

What is written
  --loud, --no-loud  Whether. (default: yes)

Options
  PLACE         Where.
  OTHER         Where else.
  --kind a|b    Which [a or b]. (default: a)
  --words WORD  A word each time.
"""


def test_everything_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_help(Some, "some")
    shown = capsys.readouterr().out
    assert "\n".join(line.rstrip() for line in shown.splitlines()) + "\n" == SHOWN


def test_a_run_has_its_options_in_groups(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setattr(sys, "argv", ["run_bench.py", "--seeds", "3", "--help"])
    with pytest.raises(SystemExit) as ended:
        main("run_bench.py", "run")
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert re.findall(r"^[A-Z].*$(?=\n  --)", shown, re.MULTILINE) == [
        "What is compared",
        "How it is trained",
        "How long it takes",
        "Memory and cards",
        "Where it runs",
        "What is written",
    ]
    for before, after in (("--models", "--optimizer"), ("--optimizer", "--epochs")):
        assert shown.index(f"  {before}") < shown.index(f"  {after}")
    assert "(default: smoke 2, quick 10, lecture 10)" in shown


@pytest.mark.parametrize(
    "kind",
    [
        *(Options, MaxBatchOptions, ChooseOptions, ListOptions, ReportOptions, CompareOptions),
        DataOptions,
    ],
)
@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_every_option_of_every_verb_is_described(
    kind: type, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_help(kind, "some")
    shown = capsys.readouterr().out
    words = [word for o in options_of(kind).values() for word in (*o.flags, o.metavar)[:1]]
    assert [word for word in words if word not in shown] == []
    assert max(map(len, shown.splitlines())) <= min(110, int(columns))


def test_verbs_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["archbench", "--help"])
    assert main() == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^  ([a-z-]+) ", shown, re.MULTILINE) == list(VERBS)


def test_options_that_verbs_share_are_described_in_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    for kind in (MaxBatchOptions, ChooseOptions):
        print_help(kind, "some")
        shown = capsys.readouterr().out
        assert re.search(r"--models NAME \.\.\. +Models by name or wildcard", shown)
        assert re.search(r"--price CARD=PRICE \.\.\. +What an hour on a card costs you", shown)
