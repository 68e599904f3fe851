"""The verb `selfcheck`: whether this tool keeps its promises on this machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.analysis.selfcheck import broken, checks_csv, speeds_csv
from bench.cli.console import Reporter, open_console, print_path, rich_table
from bench.cli.parsing import parse
from bench.records.files import write_atomic
from bench.records.measurement import measurements_csv
from bench.records.messages import Progress
from bench.records.run_folder import check_output, new_folder
from bench.report.tables import text_table
from bench.runner import selfcheck as runner
from bench.runner.selfcheck import SelfCheck, SelfCheckOptions
from bench.units import duration_text

FORMAT = 1
"""Of the folder; tables only ever get more rows and columns."""

HEADERS = ("Promised", "Found", "Verdict")


def main(arguments: Sequence[str], prog: str) -> int:
    """Measure, show and write; 1 if a promise is broken, 130 after Ctrl-C, else 0. Raises Refused
    if there is no such device, or the folder cannot be written to."""
    options = parse(SelfCheckOptions, arguments, prog)
    folder = options.output or new_folder("selfcheck")
    check_output(folder)
    reporter = Reporter(open_console())

    def show(message: Any) -> None:
        reporter.show(message)
        if isinstance(message, Progress) and not reporter.console.is_terminal:
            print(f"{message.done + 1} of {message.total}: {message.phase}", flush=True)

    try:
        found = runner.selfcheck(options, show)
    finally:
        reporter.close()
    console = reporter.console
    rows = [(one.check.promised, one.found, one.verdict) for one in found.checked]
    console.print(rich_table(text_table(HEADERS, rows), text=HEADERS[:2]))
    write(found, folder)
    console.print(
        f"{len(found.measurements):,} figures in {duration_text(found.seconds)}; the folder names "
        "neither folders nor hosts, and can be sent as it is.",
        soft_wrap=True,
    )
    print_path(console, "checks", folder / "checks.csv")
    return 130 if found.interrupted else int(broken(found.checked))


def write(found: SelfCheck, folder: Path) -> None:
    """Write checks, measurements, speeds and surroundings."""
    device = found.device
    surroundings = {
        "format": FORMAT,
        "device_kind": device.kind,
        "seconds": round(found.seconds, 1),
        **found.environment,
    }
    write_atomic(folder / "checks.csv", checks_csv(found.checked))
    write_atomic(folder / "measurements.csv", measurements_csv(found.measurements))
    write_atomic(folder / "speeds.csv", speeds_csv(found.measurements, device.name))
    write_atomic(folder / "environment.json", json.dumps(surroundings, indent=2) + "\n")
