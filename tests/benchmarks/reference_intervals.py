"""Rows of `bench/analysis/references.csv` from runs: what a recipe reached, over its seeds.

    python tests/benchmarks/reference_intervals.py --data "CIFAR-10 as JPEG" RUN ... \\
        >> bench/analysis/references.csv

`RUN` is a run folder, or one that has only `models.csv` and `environment.json`; of the latter,
`--date` says when it was measured. A setting is a row, over the seeds that are done.
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.analysis.compare.side import read_side
from bench.analysis.expected import FINAL
from bench.analysis.references import COLUMNS
from bench.analysis.trial_group import TrialGroup
from bench.errors import Refused


def row_of(group: TrialGroup, data: str, environment: dict[str, Any], date: str) -> dict[str, str]:
    """A row of the file.

    Args:
        group: trials that are done.
        data: what its images are, in words.
        environment: what the run recorded of its machine and versions.
        date: when it was measured, where no log says so.

    Raises:
        Refused: the day is not known.
    """
    first, values = group.rows[0], list(group.values(FINAL).values())
    if first.result is not None:
        date = first.result.run.started.started_at[:10]
    if not date:
        raise Refused(f"{first.where}: no log says when it was measured; give --date YYYY-MM-DD.")
    threads = first.text("threads")
    more = {
        "data": data,
        "seeds": str(len(values)),
        "mean_percent": f"{100 * fmean(values):.3f}",
        "deviation_points": f"{100 * stdev(values):.3f}" if len(values) > 1 else "",
        "device": first.text("device_name") + (f", {threads} threads" if threads else ""),
        "torch": environment["packages"]["torch"],
        "date": date,
    }
    return {name: more[name] if name in more else first.text(name) for name in COLUMNS}


def main() -> int:
    """Print the rows of the runs that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", required=True, help="what the images are, in words")
    parser.add_argument("--date", default="", help="YYYY-MM-DD, where there is no log")
    options = parser.parse_args()
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    try:
        for run in options.runs:
            environment = json.loads((run / "environment.json").read_text("utf-8"))
            for group in read_side(run).groups:
                writer.writerow(row_of(group, options.data, environment, options.date))
    except (Refused, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
