"""What the verb `fit` shows: a table of models by cards, and records for other programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.analysis.formatting import MISSING
from bench.records.records import Predicted, Setting
from bench.report.tables import Cell, Table, prediction_text
from bench.runner.max_batch import FitOptions, Measured


def predicted_table(predictions: Sequence[Predicted]) -> Table:
    """A row per model and setting, a column per card."""
    cards = list(dict.fromkeys(p.card for p in predictions))
    rows = []
    for model, setting in dict.fromkeys((p.model, p.setting) for p in predictions):
        mine = {p.card: p for p in predictions if (p.model, p.setting) == (model, setting)}
        first = next(iter(mine.values()))
        texts = (
            model,
            *_traits(setting),
            f"{first.bytes_per_image / 2**20:.2f}",
            *(prediction_text(mine.get(card)) for card in cards),
        )
        rows.append(tuple(Cell(text) for text in texts))
    return Table((*_HEADERS, "An image (MiB)", *(f"{c} (predicted)" for c in cards)), tuple(rows))


def measured_table(found: Sequence[Measured]) -> Table:
    """A row per model and setting, with the probes it took and why one image more failed."""
    rows = []
    for one in found:
        fit, proof = one.largest_batch, one.largest_batch.certificate
        texts = (
            fit.model,
            *_traits(fit.setting),
            f"{fit.max_batch:,}",
            str(len(one.probes)),
            (proof.failed_because if proof and proof.failed_because else MISSING),
        )
        rows.append(tuple(Cell(text) for text in texts))
    return Table(
        (*_HEADERS, "Largest batch (measured)", "Probes", "One more fails with"), tuple(rows)
    )


def predicted_records(
    predictions: Sequence[Predicted], options: FitOptions
) -> list[dict[str, Any]]:
    """Plain values, one mapping per prediction."""
    more = {"channels_last": options.channels_last, "reserve_bytes": options.reserve_bytes}
    return [_flat(asdict(p)) | more for p in predictions]


def measured_records(found: Sequence[Measured], options: FitOptions) -> list[dict[str, Any]]:
    """Plain values, one mapping per search, with the same names as predictions have."""
    records = []
    for one in found:
        fit = one.largest_batch
        base, per_image = _line(one)
        row = _flat(asdict(fit)) | {
            "card": options.device,
            "num_classes": options.classes,
            "usable_bytes": fit.budget_bytes,
            "max_batch_low": fit.max_batch,
            "max_batch_high": fit.max_batch,
            "base_bytes": base,
            "bytes_per_image": per_image,
            "channels_last": options.channels_last,
            "probes": len(one.probes),
        }
        records.append(row)
    return records


_HEADERS = ("Model", "Image size (px)", "Optimizer", "Precision")


def _traits(setting: Setting) -> tuple[str, str, str]:
    return str(setting.image_size), setting.optimizer, setting.precision


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    setting = row.pop("setting")
    setting.pop("learning_rate")
    flat: dict[str, Any] = {"model": row.pop("model")} | setting | row
    return flat


def _line(one: Measured) -> tuple[int | None, int | None]:
    """Fixed bytes and bytes per image, through the smallest and the largest batch that fitted."""
    known = sorted((p.batch_size, p.peak_memory_bytes) for p in one.probes if p.peak_memory_bytes)
    if len(known) < 2:
        return None, None
    (small, low), (large, high) = known[0], known[-1]
    per_image = (high - low) // (large - small)
    return low - per_image * small, per_image
