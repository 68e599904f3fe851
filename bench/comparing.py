"""The `compare` verb: from two paths to a table, a few sentences, and whether a bound broke."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from bench.compare.bounds import Bound, metric_of, parse_bound
from bench.compare.lines import Line, broken, compare
from bench.compare.matching import Matches, match
from bench.compare.sides import Side, read_side
from bench.compare.verdicts import Margins
from bench.console import open_console, print_path, rich_table
from bench.errors import Refused
from bench.report.comparison import (
    comparison_figure,
    comparison_records,
    comparison_table,
    sentences,
)
from bench.report.ranking import ranking_finding, ranking_remarks, ranking_tables
from bench.report.series import series
from bench.report.tables import markdown
from bench.results import load_run
from bench.store import LOG


@dataclass(frozen=True)
class Asked:
    """The options of a comparison, as they were given."""

    run_a: Path
    run_b: Path
    across: tuple[str, ...]
    metrics: tuple[str, ...]
    same_within: tuple[str, str]
    fail_on: tuple[str, ...]
    format: str
    plot: Path | None


def compare_runs(asked: Asked) -> bool:
    """Print the comparison; returns whether it breaks a bound.

    Raises:
        Refused: an option cannot be understood, or the two sides do not compare.
    """
    margins = parse_margins(asked.same_within)
    bounds = [parse_bound(text) for text in asked.fail_on]
    names = [metric_of(name, "--metrics") for name in asked.metrics]
    metrics = list(dict.fromkeys([*names, *(bound.metric for bound in bounds)]))
    if asked.plot is not None and asked.plot.suffix not in (".png", ".svg"):
        raise Refused(f"--plot {asked.plot} must end in .png or .svg.")
    a, b = read_side(asked.run_a), read_side(asked.run_b)
    matches = match(a, b, asked.across)
    lines = compare(matches.found, metrics, margins)
    if not lines:
        raise Refused(f"{a.name} and {b.name} have none of these figures in common.")
    failed = [(line, bound) for line in lines if (bound := broken(line, bounds))]
    _print(asked.format, lines, a, b, matches, margins, failed)
    if asked.plot is not None:
        from bench.report.canvas import save

        save(comparison_figure(lines, (a.name, b.name), margins), asked.plot.with_suffix(""))
        if asked.format == "table":
            print_path(open_console(), "picture", asked.plot)
    return bool(failed)


def rank_run(path: Path) -> int:
    """Print the models of one run in order, ties as ties; returns the exit code.

    Raises:
        Refused: it is not a run folder.
    """
    if not (path / LOG).is_file():
        raise Refused(f"{path} is not a run folder; to compare tables, name two of them.")
    run = load_run(path)
    run.check_begun()
    found = series(run)
    console = open_console()
    for table in ranking_tables(run, found):
        if table.rows:
            console.print(rich_table(table))
    for sentence in (ranking_finding(found) or "One model: there is nothing to rank.",):
        print(sentence)
    for remark in ranking_remarks(run):
        console.print(remark, style="dim", highlight=False)
    return 0


_MARGIN = re.compile(r"(\d+(?:\.\d+)?)(%|pt)")


def parse_margins(given: tuple[str, str]) -> Margins:
    """What `5% 1pt` means, in any order.

    Raises:
        Refused: it is not a share and points, once each.
    """
    sizes = {}
    for text in given:
        parts = _MARGIN.fullmatch(text)
        if parts is None or float(parts[1]) <= 0:
            raise Refused(f"--same-within {text!r} is not a size such as 5% or 1pt.")
        sizes[parts[2]] = float(parts[1]) / 100
    if len(sizes) < 2:
        raise Refused("--same-within needs a share and points, such as 5% 1pt.")
    return Margins(sizes["%"], sizes["pt"])


def _print(
    how: str,
    lines: list[Line],
    a: Side,
    b: Side,
    matches: Matches,
    margins: Margins,
    failed: list[tuple[Line, Bound]],
) -> None:
    """Programs get their format and nothing else; people also get what it means."""
    if how in ("json", "csv"):
        records = comparison_records(lines)
        for record, line in zip(records, lines, strict=True):
            record["fails"] = next((bound.text for bad, bound in failed if bad is line), None)
        if how == "json":
            print(json.dumps(records, indent=2))
        else:
            import pandas as pd

            print(pd.DataFrame(records).to_csv(index=False, lineterminator="\n"), end="")
        return
    said = [*_about(a, b, matches), *sentences(lines, margins), *_failures(failed)]
    table = comparison_table(lines)
    if how == "markdown":
        print("\n".join([markdown(table), "", *said]))
        return
    open_console().print(rich_table(table))
    for sentence in said:
        print(sentence)


def _about(a: Side, b: Side, matches: Matches) -> list[str]:
    said = [f"A is {a.name} ({len(a.rows)} trials), B is {b.name} ({len(b.rows)} trials)."]
    for name, labels in ((a.name, matches.only_a), (b.name, matches.only_b)):
        if labels:
            said.append(f"Only in {name}, and not compared: {', '.join(labels)}.")
    for side in (a, b):
        if side.left_out:
            said.append(f"{side.left_out} trials of {side.name} are not done and do not count.")
    return said


def _failures(failed: list[tuple[Line, Bound]]) -> list[str]:
    return [
        f"FAILED {bound.text}: {line.label} is {line.verdict.word} beyond it, and that is no noise."
        for line, bound in failed
    ]
