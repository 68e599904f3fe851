"""The verb `report`: everything that is derived from a run folder's log, made again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from tyro.conf import Positional

from bench.cli.parsing import parse
from bench.options import File, Help


@dataclass(frozen=True)
class ReportOptions:
    """Make tables, plots and report again from the log of a run folder and what lies beside it."""

    run: Annotated[Positional[Path], Meta(title="RUN")]
    """The run folder."""

    claims: Annotated[File | None, Help(default="those that it was checked against before")] = None
    """Statements to check the results against; a CSV file with a row per claim."""

    lecture_bundle: Annotated[Path, Meta(title="FILE.zip")] | None = None
    """Also put tables, plots and reports into this zip file, to hand out."""


def main(arguments: Sequence[str], prog: str) -> int:
    """Write tables, plots and report into the run folder, and print where they are."""
    options = parse(ReportOptions, arguments, prog)
    from bench.analysis.claims.reader import keep_claims
    from bench.analysis.tables import write_tables
    from bench.cli.console import open_console, print_path
    from bench.records.run import load_run
    from bench.report.render.bundle import check_bundle, write_bundle
    from bench.report.write import write_report

    if options.lecture_bundle is not None:
        check_bundle(options.lecture_bundle)
    result = load_run(options.run)
    result.check_begun()
    if options.claims is not None:
        keep_claims(options.claims, options.run)
    write_tables(result)
    write_report(result)
    console = open_console()
    print_path(console, "report", options.run / "report.md")
    print_path(console, "page  ", options.run / "report.html")
    if options.lecture_bundle is not None:
        write_bundle(options.run, options.lecture_bundle)
        print_path(console, "bundle", options.lecture_bundle)
    return 0
