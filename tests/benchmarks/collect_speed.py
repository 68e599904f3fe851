"""Seconds and peak memory that a class takes: made-up packs of 2 models, 3 seeds and 10 epochs.

`python tests/benchmarks/collect_speed.py [COUNT ...]` in the repository's root, on one core
(`taskset -c 0`): 60 and 1,000 packs, each count in a process of its own. The limits are 10 seconds
and 3 minutes; memory must hardly grow from one to the other.
"""

import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.analysis.claims.reader import lecture_claims
from bench.analysis.collected.collection import Collector
from bench.records.pack import MANIFEST, log_of, manifest, read_sent
from bench.records.records import DeviceFacts, Epoch, LargestBatch, Record, RunStarted
from bench.records.run_folder import LOG
from bench.records.zip_file import write_zip
from bench.report.collected.write import write_class
from tests.builders import MIB, a_prediction, some_records

LIMITS = {60: 10.0, 1_000: 180.0}
SEEDS, EPOCHS, STEPS = 3, 10, 391


def a_log(person: int) -> Iterator[Record]:
    """A run of one person's: other times and other accuracies than everybody else's, with the raw
    times of all steps."""
    chance = random.Random(person)
    speed = chance.uniform(0.3, 3)
    records = some_records(["resnet18", "googlenet"], SEEDS, EPOCHS)
    for record in [*records[:3], a_prediction(), *records[3:]]:
        match record:
            case RunStarted():
                time = f"2026-01-02T{person // 60:02}:{person % 60:02}:00+00:00"
                yield replace(record, started_at=time)
            case DeviceFacts():
                yield replace(record, name=f"CPU {person % 12}", threads=1 + person % 8)
            case LargestBatch():
                memory = chance.randrange(500, 4_000)
                yield replace(record, budget_bytes=memory * MIB, max_batch=memory // 12)
            case Epoch():
                seconds = record.train_seconds * speed * chance.uniform(0.95, 1.05)
                steps = tuple(seconds / STEPS * chance.uniform(0.9, 1.1) for _ in range(STEPS))
                yield replace(
                    record,
                    train_seconds=seconds,
                    images_per_second=640 / seconds,
                    step_times=steps,
                    steps=STEPS,
                    test_accuracy=min(1.0, record.test_accuracy * chance.uniform(0.4, 0.6)),
                    test_loss=record.test_loss * chance.uniform(0.9, 1.1),
                )
            case _:
                yield record


def collect(folder: Path) -> None:
    """Collect a folder of packs, and print what that took."""
    start, claims = perf_counter(), lecture_claims()
    collector = Collector(claims)
    for sent in read_sent([folder]):
        collector.add(sent)
    read = perf_counter()
    collected = collector.finish()
    write_class(collected, claims, folder / "class")
    done = perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(collected.submissions):5} packs: read in {read - start:6.1f} s, compared and drawn "
        f"in {done - read:5.1f} s, {process_time():6.1f} s of a processor, "
        f"peak memory {peak:5.0f} MiB",
        flush=True,
    )
    count = len(collected.submissions)
    if done - start > LIMITS.get(count, float("inf")):
        sys.exit(f"above the limit of {LIMITS[count]:g} s")


def main(counts: list[int]) -> int:
    """Make the packs and collect them; exit code 1 if that took longer than its limit."""
    worst = 0
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            for person in range(count):
                files = {MANIFEST: manifest(f"person {person}"), LOG: log_of(a_log(person))}
                write_zip(Path(name) / f"{person}.zip", files)
            worst |= subprocess.run([sys.executable, __file__, "--of", name]).returncode
    return worst


if __name__ == "__main__":
    if sys.argv[1:2] == ["--of"]:
        collect(Path(sys.argv[2]))
    else:
        sys.exit(main([int(word) for word in sys.argv[1:]] or list(LIMITS)))
