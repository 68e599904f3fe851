"""The other verbs: `python -m bench run|fit|list|report|compare`.

run [OPTIONS]     what `run_bench.py` does
fit [OPTIONS]     the largest batch alone: predicted for cards, or measured on a device
list [PATTERN]    the registry as a table
report RUN        everything derived again from a run folder's log
compare A [B]     two runs against each other, or the models of one
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from bench.cli.compare_options import CompareOptions
from bench.cli.console import guarded, open_console, print_path, rich_table
from bench.config import Config
from bench.prediction.memory import ERROR
from bench.records.records import MemoryBreakdown
from bench.records.run import Run, load_run
from bench.records.run_folder import check_output, new_folder, write_atomic
from bench.report.tables import Cell, Table
from bench.runner.max_batch import FitOptions, measure_fits, predict_fits


def run_command(arguments: Sequence[str]) -> int:
    """Parse the options of `run_bench.py`, and run or go on with a run."""
    config = tyro.cli(Config, args=arguments, prog="run_bench.py")
    if config.resume is None:
        return run_config(config)
    from bench.runner.run import resume

    path, given = config.resume, given_options(config, arguments)
    return _shown(lambda listener: resume(path, listener, given))


def given_options(config: Config, arguments: Sequence[str]) -> dict[str, Any]:
    """The options that a command line names, with their values."""
    words = {word.partition("=")[0].removeprefix("--") for word in arguments if word[:2] == "--"}
    names = {word.removeprefix("no-").replace("-", "_") for word in words}
    return {name: value for name, value in config.to_dict().items() if name in names}


def run_config(config: tyro.conf.OmitArgPrefixes[Config]) -> int:
    """Run a comparison and write its report; the exit code says whether every trial is done."""
    from bench.runner.run import run

    return _shown(lambda listener: run(config, listener))


def _shown(walk: Callable[[Callable[[Any], None]], Run]) -> int:
    from bench.cli.console import Reporter
    from bench.report.write import write_report
    from bench.runner.session import exit_code

    reporter = Reporter(open_console())
    try:
        result = walk(reporter.show)
    finally:
        reporter.close()
    write_report(result)
    reporter.finish(result)
    return exit_code(result)


def fit_command(options: tyro.conf.OmitArgPrefixes[FitOptions]) -> int:
    """Predict the largest batch of models on cards, or measure it here with --device."""
    from bench.cli.max_batch import (
        measured_records,
        measured_table,
        predicted_records,
        predicted_table,
    )

    if options.output is not None:
        check_output(options.output)
    breakdowns: Sequence[MemoryBreakdown] = ()
    if options.device is None:
        found = predict_fits(options)
        breakdowns, problems = found.breakdowns, list(found.problems)
        table = predicted_table(found.largest)
        records = predicted_records(found.largest, options)
        words = (
            "Largest batch, predicted from a simulated training step: nothing was measured. "
            f"In brackets, the range that the known error of {ERROR:.0%} allows."
        )
    else:
        measured, problems = measure_fits(options)
        table, records = measured_table(measured), measured_records(measured, options)
        words = "Largest batch, measured: real training steps and an evaluation ran at it."
    if options.json:
        print(json.dumps(records, indent=2))
    else:
        open_console().print(rich_table(table))
        print(words)
    shown = dict.fromkeys((record["model"], record["image_size"]) for record in records)
    for model, pixels in shown:
        if note := options.too_small(model, pixels):
            print(f"archbench: {note}", file=sys.stderr)
    for problem in problems:
        print(f"archbench: {problem}", file=sys.stderr)
    if options.output is not None or not options.json:
        folder = options.output or new_folder("fit")
        write_fits(folder, records, breakdowns, quiet=options.json)
    return 1 if problems else 0


def write_fits(
    folder: Path,
    records: list[dict[str, Any]],
    breakdowns: Sequence[MemoryBreakdown],
    *,
    quiet: bool,
) -> None:
    """Write `fit.json`, `fit.csv` and the picture of what fills the memory."""
    import pandas as pd

    from bench.report.sections.memory import memory_breakdown
    from bench.report.style import save

    write_atomic(folder / "fit.json", json.dumps(records, indent=2) + "\n")
    write_atomic(folder / "fit.csv", pd.DataFrame(records).to_csv(index=False, lineterminator="\n"))
    if breakdowns:
        save(memory_breakdown(breakdowns), folder / "memory_breakdown")
    if not quiet:
        print_path(open_console(), "table  ", folder / "fit.csv")
        if breakdowns:
            print_path(open_console(), "picture", folder / "memory_breakdown.png")


def list_command(pattern: Annotated[str, tyro.conf.Positional] = "*") -> int:
    """Show the models that --models takes.

    Args:
        pattern: name or wildcard; '*:*' shows the variants.
    """
    from models import REGISTRY

    headers = (
        "Name",
        "Native px",
        "Smallest px",
        "Parameters (10⁶)",
        "GMACs",
        "Auxiliary",
        "Paper",
    )
    rows = []
    for name in REGISTRY.match(pattern):
        facts = REGISTRY.get(name).facts
        millions = "–" if facts.params_imagenet is None else f"{facts.params_imagenet / 1e6:.2f}"
        texts = (
            name,
            str(facts.native_size),
            str(facts.smallest_size),
            millions,
            f"{facts.gmacs:.3f}",
            " ".join(f"{weight:g}" for weight in facts.aux_weights.values()) or "–",
            facts.paper,
        )
        rows.append(tuple(Cell(text) for text in texts))
    open_console().print(rich_table(Table(headers, tuple(rows))))
    print("Parameters for 1,000 classes and GMACs at native size, as published.")
    print("Also torchvision:NAME, and timm:NAME where timm is installed.")
    return 0


def report_command(
    run: Annotated[Path, tyro.conf.Positional],
    claims: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    lecture_bundle: Annotated[Path | None, tyro.conf.arg(metavar="FILE.zip")] = None,
) -> int:
    """Make tables, plots and report again from a run folder's log alone.

    Args:
        run: the run folder.
        claims: statements to check the results against, instead of those it was checked against
            before; a CSV file with a row per claim.
        lecture_bundle: also put tables, plots and reports into this zip file, to hand out.
    """
    from bench.analysis.claims.reader import keep_claims
    from bench.analysis.tables import write_tables
    from bench.report.render.bundle import check_bundle, write_bundle
    from bench.report.write import write_report

    if lecture_bundle is not None:
        check_bundle(lecture_bundle)
    result = load_run(run)
    result.check_begun()
    if claims is not None:
        keep_claims(claims, run)
    write_tables(result)
    write_report(result)
    print_path(open_console(), "report", run / "report.md")
    print_path(open_console(), "page  ", run / "report.html")
    if lecture_bundle is not None:
        write_bundle(run, lecture_bundle)
        print_path(open_console(), "bundle", lecture_bundle)
    return 0


def compare_command(options: tyro.conf.OmitArgPrefixes[CompareOptions]) -> int:
    """Which should I use, and how sure is that? Two runs against each other, or one's models."""
    from bench.cli.compare import run_comparison

    return run_comparison(options)


VERBS: dict[str, Callable[..., int]] = {
    "run": run_config,
    "fit": fit_command,
    "list": list_command,
    "report": report_command,
    "compare": compare_command,
}


def main() -> int:
    """Run one verb."""
    return guarded(lambda: int(tyro.extras.subcommand_cli_from_dict(VERBS, prog="python -m bench")))
