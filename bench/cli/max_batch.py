"""The verb `max-batch`: a table of models by cards, records for other programs, a picture."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.analysis.formatting import MISSING
from bench.analysis.tables import speed_columns
from bench.cli.console import open_console, print_path, rich_table
from bench.cli.parsing import parse
from bench.prediction.memory import ERROR
from bench.records.files import write_atomic
from bench.records.records import LargestBatch, MemoryBreakdown, Predicted, Setting
from bench.records.run_folder import check_output, new_folder
from bench.report.cost import cost_columns, cost_table
from bench.report.tables import Table, prediction_text, speed_table, text_table
from bench.runner.max_batch import MaxBatchOptions, Measured, measure_batches, predict_batches

Records = list[dict[str, Any]]
"""Plain values, a mapping per model, setting and card; with the same names however measured."""


def main(arguments: Sequence[str], prog: str) -> int:
    """Parse, and predict or measure."""
    return show_batches(parse(MaxBatchOptions, arguments, prog))


def show_batches(options: MaxBatchOptions) -> int:
    """Predict the largest batch of models on cards, or measure it here with --device; print and
    write the answers. The exit code is 1 if some model has none."""
    if options.output is not None:
        check_output(options.output)
    breakdowns: Sequence[MemoryBreakdown] = ()
    predicted: Sequence[Predicted] = ()
    speeds: Table | None = None
    costs: Table | None = None
    if options.device is None:
        predictions = predict_batches(options)
        predicted, breakdowns = predictions.largest, predictions.breakdowns
        problems = list(predictions.problems)
        table, speeds = predicted_table(predicted), speed_table(predicted)
        if options.costs:
            costs = cost_table(predicted, options.prices)
        records = predicted_records(predicted, options)
        note = (
            "Largest batch, predicted from a simulated training step: nothing was measured. "
            f"In brackets, the range that the known error of {ERROR:.0%} allows."
        )
    else:
        measured, problems = measure_batches(options)
        table, records = measured_table(measured), measured_records(measured, options)
        note = "Largest batch, measured: real training steps and an evaluation ran at it."
    if options.json:
        print(json.dumps(records, indent=2))
    else:
        open_console().print(rich_table(table))
        print(note)
        if speeds is not None and speeds.rows:
            open_console().print(rich_table(speeds))
            print(
                "Training speed, predicted from the kernels of the same step: nothing was measured."
                " In brackets, the range that the known errors allow."
            )
        if costs is not None and costs.rows:
            open_console().print(rich_table(costs))
            print(
                f"Training alone, of {options.epoch_images:,} images; predicted, not measured. "
                "Energy is at most the board's power for the longest time."
            )
    shown = dict.fromkeys((record["model"], record["image_size"]) for record in records)
    notes = [options.other_size(model, pixels) for model, pixels in shown]
    unknown = {p.model: ", ".join(p.speeds[0].unknown) for p in predicted if p.speeds}
    notes += [
        f"{model}: operators without a rule are counted as memory traffic: {names}."
        for model, names in unknown.items()
        if names
    ]
    for sentence in (*filter(None, notes), *problems):
        print(f"archbench: {sentence}", file=sys.stderr)
    if options.output is not None or not options.json:
        folder = options.output or new_folder("max-batch")
        _write(folder, records, breakdowns, [p for p in predicted if p.speeds])
        if not options.json:
            print_path(open_console(), "table  ", folder / "max_batch.csv")
            for picture in sorted(folder.glob("*_breakdown.png")):
                print_path(open_console(), "picture", picture)
    return 1 if problems else 0


def _write(
    folder: Path,
    records: Records,
    breakdowns: Sequence[MemoryBreakdown],
    timed: Sequence[Predicted],
) -> None:
    """Write `max_batch.json`, `max_batch.csv` and pictures of what fills the memory and where the
    time goes."""
    import pandas as pd

    from bench.report.sections.memory import memory_breakdown, time_breakdown
    from bench.report.style import save

    flat = [{k: v for k, v in record.items() if k != "speeds"} for record in records]
    csv = pd.DataFrame(flat).to_csv(index=False, lineterminator="\n")
    write_atomic(folder / "max_batch.json", json.dumps(records, indent=2) + "\n")
    write_atomic(folder / "max_batch.csv", csv)
    if breakdowns:
        save(memory_breakdown(breakdowns), folder / "memory_breakdown")
    if timed:
        first = [p for p in timed if p.card == timed[0].card]
        save(time_breakdown(first), folder / "time_breakdown")


def predicted_table(predictions: Sequence[Predicted]) -> Table:
    """A row per model and setting, a column per card."""
    cards = list(dict.fromkeys(p.card for p in predictions))
    shapes: dict[tuple[str, Setting], dict[str, Predicted]] = {}
    for p in predictions:
        shapes.setdefault((p.model, p.setting), {})[p.card] = p
    rows = [
        (
            *_traits(model, setting),
            f"{next(iter(by_card.values())).bytes_per_image / 2**20:.2f}",
            *(prediction_text(by_card.get(card)) for card in cards),
        )
        for (model, setting), by_card in shapes.items()
    ]
    return text_table((*_HEADERS, "An image (MiB)", *(f"{c} (predicted)" for c in cards)), rows)


def measured_table(measured: Sequence[Measured]) -> Table:
    """A row per model and setting, with the probes it took and why one image more failed."""
    rows = [
        (
            *_traits(answer.model, answer.setting),
            f"{answer.max_batch:,}",
            str(len(search.probes)),
            (answer.certificate and answer.certificate.failed_because) or MISSING,
        )
        for search in measured
        for answer in (search.largest_batch,)
    ]
    headers = (*_HEADERS, "Largest batch (measured)", "Probes", "One more fails with")
    return text_table(headers, rows)


def predicted_records(predictions: Sequence[Predicted], options: MaxBatchOptions) -> Records:
    """A record per prediction."""
    more = {"channels_last": options.channels_last, "reserve_bytes": options.reserve_bytes}
    prices = options.prices if options.costs else None
    return [
        _flat(p) | more | speed_columns(p) | ({} if prices is None else cost_columns(p, prices))
        for p in predictions
    ]


def measured_records(measured: Sequence[Measured], options: MaxBatchOptions) -> Records:
    """A record per search."""
    return [
        _flat(answer)
        | {
            "card": options.measured_on,
            "num_classes": options.classes,
            "usable_bytes": answer.budget_bytes,
            "max_batch_low": answer.max_batch,
            "max_batch_high": answer.max_batch,
            **_line(search),
            "channels_last": options.channels_last,
            "probes": len(search.probes),
        }
        for search in measured
        for answer in (search.largest_batch,)
    ]


_HEADERS = ("Model", "Image size (px)", "Optimizer", "Precision")


def _traits(model: str, setting: Setting) -> tuple[str, str, str, str]:
    return model, str(setting.image_size), setting.optimizer, setting.precision


def _flat(answer: Predicted | LargestBatch) -> dict[str, Any]:
    record = asdict(answer)
    setting = record.pop("setting")
    traits = {name: setting[name] for name in ("image_size", "optimizer", "precision")}
    return {"model": record.pop("model"), **traits, **record}


def _line(search: Measured) -> dict[str, int | None]:
    """Fixed bytes and bytes per image, through the smallest and the largest batch that fitted."""
    peaks = {p.batch_size: p.peak_memory_bytes for p in search.probes if p.peak_memory_bytes}
    known = sorted(peaks.items())
    if len(known) < 2:
        return {"base_bytes": None, "bytes_per_image": None}
    (small, low), (large, high) = known[0], known[-1]
    per_image = (high - low) // (large - small)
    return {"base_bytes": low - per_image * small, "bytes_per_image": per_image}
