"""The other verbs: `python -m bench run|list|report`.

run [OPTIONS]     what `run_bench.py` does
list [PATTERN]    the registry as a table
report RUN        everything derived again from a run folder's log
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from bench.config import Config
from bench.console import guarded, open_console, print_path, rich_table
from bench.report.tables import Cell, Table
from bench.results import load_run


def run_command(arguments: Sequence[str]) -> int:
    """Parse the options of `run_bench.py` and run."""
    return run_config(tyro.cli(Config, args=arguments, prog="run_bench.py"))


def run_config(config: tyro.conf.OmitArgPrefixes[Config]) -> int:
    """Run a comparison and write its report; the exit code says whether every trial is done."""
    from bench.console import Reporter
    from bench.report.page import write_report
    from bench.runner import exit_code, run

    reporter = Reporter(open_console())
    try:
        result = run(config, reporter.show)
    finally:
        reporter.close()
    write_report(result)
    reporter.finish(result)
    return exit_code(result)


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


def report_command(run: Annotated[Path, tyro.conf.Positional]) -> int:
    """Make tables, plots and report again from a run folder's log alone.

    Args:
        run: the run folder.
    """
    from bench.frames import write_tables
    from bench.report.page import write_report

    result = load_run(run)
    write_tables(result)
    write_report(result)
    print_path(open_console(), "report", run / "report.md")
    return 0


VERBS: dict[str, Callable[..., int]] = {
    "run": run_config,
    "list": list_command,
    "report": report_command,
}


def main() -> int:
    """Run one verb."""
    return guarded(lambda: int(tyro.extras.subcommand_cli_from_dict(VERBS, prog="python -m bench")))


if __name__ == "__main__":
    sys.exit(main())
