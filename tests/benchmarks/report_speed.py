"""Seconds that a large report takes: 20 models, 5 seeds, 100 epochs, as made-up records.

`python tests/benchmarks/report_speed.py` in the repository's root, on one core
(`taskset -c 0`). The limit is 15 seconds; the time of reading the log and of the parts is shown.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.analysis.tables import load_run, write_tables
from bench.records.records import Epoch, Record
from bench.records.run_folder import LOG, line_of
from bench.report.write import write_report
from tests.builders import some_records

MODELS, SEEDS, EPOCHS, LIMIT_SECONDS = 20, 5, 100, 15
STEPS = 391
"""Of an epoch: all of CIFAR-10 in batches of 128."""


def with_steps(record: Record) -> Record:
    """An epoch with the raw times of all its steps, which vary a little."""
    if not isinstance(record, Epoch):
        return record
    times = tuple(0.175 * (1 + 0.01 * ((31 * n + record.epoch) % 7)) for n in range(STEPS))
    return replace(record, step_times=times, steps=STEPS)


def main() -> int:
    """Print the seconds of each part; exit code 1 if the report is slower than its limit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = [
            with_steps(record)
            for record in some_records([f"model{n}" for n in range(MODELS)], SEEDS, EPOCHS)
        ]
        (folder / LOG).write_bytes(b"".join(map(line_of, records)))
        start = perf_counter()
        run = load_run(folder)
        loaded = perf_counter()
        write_tables(run)
        tabled = perf_counter()
        write_report(run)
        reported = perf_counter()
        size = (folder / "report.html").stat().st_size
    print(f"log    {loaded - start:6.2f} s for {len(records):,} records")
    print(f"tables {tabled - loaded:6.2f} s")
    print(f"report {reported - tabled:6.2f} s, report.html {size / 1e6:.1f} MB")
    return int(reported - tabled > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
