"""The verb `collect`: many people's runs in one comparison."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from tyro.conf import Positional

from bench.cli.parsing import parse
from bench.errors import Refused
from bench.options import File, Folder, Help
from bench.records.run_folder import check_output, new_folder

LEFT_OUT = 1
"""The exit code where something could not be used."""

MOST_LISTED = 20
"""Reasons that are printed; the page has all."""


@dataclass(frozen=True)
class CollectOptions:
    """Make one comparison of many people's runs: packs, lecture bundles, run folders, and folders
    of them.

    Exit code 0; 1 if some could not be used; 2 if there is nothing to compare.
    """

    paths: Annotated[Positional[tuple[Path, ...]], Meta(title="PATH")]
    """Run folders, zip files, or folders full of either."""

    output: Annotated[Folder | None, Help(default="a new folder in results")] = None
    """A new folder for the page, its pictures and collected.csv."""

    claims: Annotated[File | None, Help(default="those of the lecture")] = None
    """Statements to check against all runs together; a CSV file with a row per claim."""


def main(arguments: Sequence[str], prog: str) -> int:
    """Read everything, write the page and print what it found."""
    options = parse(CollectOptions, arguments, prog)
    if not options.paths:
        raise Refused(f"{prog} needs PATH; see {prog} --help.")
    output = new_folder("class") if options.output is None else options.output
    check_output(output)
    from bench.analysis.claims.reader import lecture_claims, read_claims
    from bench.analysis.collected.collection import Collector
    from bench.cli.console import open_console, print_path
    from bench.records.pack import read_sent
    from bench.report.collected.write import write_class

    statements = read_claims(options.claims) if options.claims else lecture_claims()
    collector = Collector(statements)
    for sent in read_sent(options.paths):
        collector.add(sent)
    collected = collector.finish()
    for left_out in collected.left_out[:MOST_LISTED]:
        print(f"archbench: {left_out.where}: {left_out.reason}", file=sys.stderr)
    more = len(collected.left_out) - MOST_LISTED
    if more > 0:
        print(f"archbench: {more:,} more were left out; see the page.", file=sys.stderr)
    if not collected.cohorts:
        raise Refused("nothing that was found could be used; there is nothing to compare.")
    page = write_class(collected, statements, output)
    console = open_console()
    for answer in page.answers:
        console.print(f"{answer.title}: {answer.finding}", markup=False, highlight=False)
    print_path(console, "page ", output / "report.html")
    print_path(console, "table", output / "collected.csv")
    return LEFT_OUT if collected.left_out else 0
