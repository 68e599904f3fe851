"""The tables of a run as pandas frames, and as CSV files in its folder.

Values are raw: times in seconds, sizes in bytes, accuracies as fractions, nothing rounded. Columns
are only ever added, never renamed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import pandas as pd

from bench.analysis.expected import expected
from bench.analysis.formatting import listed
from bench.analysis.intervals import median
from bench.analysis.metrics import METRICS, training_flop
from bench.analysis.references import Reference
from bench.analysis.time_to_accuracy import reached, targets_of
from bench.analysis.trial_group import results_of, trial_groups
from bench.analysis.tuning import CHOSEN, accuracy_of, contestants, point_of, tried
from bench.records.files import write_atomic
from bench.records.records import Epoch, Predicted, Setting, Surroundings, Telemetry
from bench.records.run import Run, TrialResult
from bench.settings import decay_of

EPOCH_COLUMNS = (
    *("model", "seed", "epoch", "train_seconds", "test_seconds", "images_per_second"),
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "peak_memory_bytes"),
)
SWEEP_COLUMNS = ("model", "batch_size", "images_per_second", "peak_memory_bytes")
PREDICTION_COLUMNS = ("model", "card", "max_batch", "max_batch_low", "max_batch_high", "source")
SPEED_COLUMNS = (
    *("images_per_second", "images_per_second_low", "images_per_second_high"),
    *("step_seconds", "epoch_seconds", "limit"),
)
TUNING_COLUMNS = ("model", "optimizer", "point", *CHOSEN, "validation_accuracy", "chosen")
CLASS_COLUMNS = (
    *("model", "seed", "class", "images", "right", "accuracy", "accuracy_low", "accuracy_high"),
    *("answered", "confused_with", "confused"),
)
REFERENCE_COLUMNS = (
    *("model", "recipe", "seeds", "final_test_accuracy", "expected_low", "expected_high"),
    *("verdict", "differences"),
)
_USUAL = Setting(0, "", 0.0, "")
_LATER = {f.name for f in fields(Setting)} - {
    "image_size",
    "optimizer",
    "learning_rate",
    "precision",
}
_ALWAYS = {"augment", "channels_last", "pretrained"}
"""What settings were given later, and which of it `models.csv` had before they were."""

PROBE_COLUMNS = ("model", "batch_size", "fits", "peak_memory_bytes", "seconds")


def models_frame(run: Run) -> pd.DataFrame:
    """A row per trial, but for the points of tuning, which have a table of their own."""
    compared = results_of(run)
    absent = _LATER - _added(run) - _ALWAYS
    kept = [m for m in METRICS if m.name not in absent]
    rows = [{metric.name: metric.value(result) for metric in kept} for result in compared]
    empty = {m.name for m in kept if m.optional and all(row[m.name] is None for row in rows)}
    rows = [{name: row[name] for name in row if name not in empty} for row in rows]
    return _frame(run, rows, [metric.name for metric in kept if metric.name not in empty])


def epochs_frame(run: Run) -> pd.DataFrame:
    """A row per epoch of every trial."""
    added = _added(run)
    rows = [_epoch_row(result, epoch, added) for result in run.trials for epoch in result.epochs]
    return _frame(run, rows, EPOCH_COLUMNS)


def probes_frame(run: Run) -> pd.DataFrame:
    """A row per attempt at a batch size, in the order they were made."""
    rows, added = [], _added(run)
    for probe in run.all_probes:
        row = asdict(replace(probe, step_seconds=()))
        _, steps, _ = (row.pop(name) for name in ("setting", "steps", "step_seconds"))
        first, last = _setting_cells(probe.setting, added)
        rows.append(row | first | {"steps": steps} | last)
    return _frame(run, rows, PROBE_COLUMNS)


def sweep_frame(run: Run) -> pd.DataFrame:
    """A row per batch size that was timed, ascending within a model and setting."""
    rows = [
        {
            "model": point.model,
            "batch_size": point.batch_size,
            "images_per_second": point.batch_size / median(point.step_seconds),
            "step_milliseconds": median(point.step_seconds) * 1e3,
            "peak_memory_bytes": point.peak_memory_bytes,
            "timed_steps": len(point.step_seconds),
        }
        | asdict(point.setting)
        | {"weight_decay": decay_of(point.setting)}
        for point in run.sweep_points
    ]
    return _frame(run, rows, SWEEP_COLUMNS)


def predictions_frame(run: Run) -> pd.DataFrame:
    """A row per model, setting and card."""
    rows, added = [], _added(run)
    for prediction in run.all_predictions:
        row = asdict(prediction)
        del row["setting"], row["speeds"]
        first, last = _setting_cells(prediction.setting, added)
        if any(p.speeds for p in run.all_predictions):
            last |= speed_columns(prediction)
        rows.append({name: row.pop(name) for name in ("model", "card")} | first | row | last)
    return _frame(run, rows, PREDICTION_COLUMNS)


def speed_columns(prediction: Predicted) -> dict[str, Any]:
    """The predicted speed at the largest batch, None in every column where there is no figure."""
    if not prediction.speeds:
        return dict.fromkeys(SPEED_COLUMNS)
    speed = prediction.speeds[0]
    values = (speed.images_per_second, *speed.images_per_second_range, speed.step_seconds)
    return dict(zip(SPEED_COLUMNS, (*values, speed.epoch_seconds, speed.limit), strict=True))


def layers_frame(run: Run) -> pd.DataFrame:
    """A row per layer with weights, in forward order: of every trial that was looked at after
    training, with what training did to it; else of the model alone."""
    rows, added = [], _added(run)
    for described in run.described.values():
        looks = [
            (
                _trial_columns(t),
                {change.layer: asdict(change) for change in t.inspected.layers},
                _later(t, added),
            )
            for t in run.trials
            if t.inspected and t.described == described
        ]
        for first, changes, last in looks or [({}, {}, {})]:
            for layer in described.layers:
                row = {"model": described.model, "image_size": described.image_size}
                row |= asdict(layer) | {"output_shape": "x".join(map(str, layer.output_shape))}
                rows.append(row | first | changes.get(layer.layer, {}) | last)
    return _frame(run, rows, ("model", "image_size", "layer", "type", "params", "gmacs"))


def evaluation_modes_frame(run: Run) -> pd.DataFrame:
    """A row per trial and way to evaluate it: batch norm's mode and the batches' composition."""
    added = _added(run)
    rows = [
        _trial_columns(result) | _evaluated(run, asdict(mode)) | _later(result, added)
        for result in run.trials
        if result.inspected
        for mode in result.inspected.evaluation_modes
    ]
    return _frame(
        run, rows, ("model", "image_size", "seed", "mode", "composition", "test_accuracy")
    )


def time_to_accuracy_frame(run: Run) -> pd.DataFrame:
    """A row per trial and target accuracy: when it was first reached, and since when it was held;
    empty where it was not."""
    added = _added(run)
    rows = [
        _trial_columns(result)
        | {"status": result.status}
        | asdict(reached(result.epochs, target))
        | ({"evaluated_on": on} if (on := run.dataset.evaluated_on) != "test" else {})
        | _later(result, added)
        for result in run.trials
        if result.epochs and result.epochs[-1].evaluated and not result.trial.is_point
        for target in targets_of(result)
    ]
    return _frame(run, rows, ("model", "seed", "target", "first_epoch", "first_seconds"))


def tuning_frame(run: Run) -> pd.DataFrame:
    """A row per point that a contestant tried, `chosen` or not; accuracy is empty where its trial
    came to nothing."""
    rows, added = [], _added(run)
    for contestant in contestants(run):
        choice = run.chosen.get(contestant)
        for result in tried(run, contestant):
            setting, point = result.trial.setting, point_of(result.trial)
            done = result.status == "done" and result.epochs
            row = _trial_columns(result) | {"batch_choice": contestant.batch_choice}
            row |= {"recipe": setting.recipe, "point": point}
            row |= {name: getattr(setting, name) for name in CHOSEN} | {
                "status": result.status,
                "validation_accuracy": accuracy_of(result) if done else None,
                "chosen": choice is not None and choice.point == point,
                "epochs": len(result.epochs),
                "seconds": result.seconds,
                "training_flop": training_flop(result),
                "reason": result.ended.reason if result.ended else None,
            }
            rows.append(row | (_later(result, added) | row))
    return _frame(run, rows, TUNING_COLUMNS)


def classes_frame(run: Run) -> pd.DataFrame:
    """A row per class of every trial whose test logits were kept: how it was answered after the
    last epoch."""
    rows, added = [], _added(run)
    for result in run.trials:
        if result.logits is None:
            continue
        # Arrays are for those runs alone that have any.
        from bench.analysis.classified import class_rows

        first, _ = _setting_cells(result.trial.setting, added)
        trial = {"model": result.trial.model, "seed": result.trial.seed}
        more = first | {"trained_batch_size": result.trial.batch_size} | _later(result, added)
        rows += [trial | row | more for row in class_rows(result)]
    return _frame(run, rows, CLASS_COLUMNS)


def reference_frame(run: Run, references: Sequence[Reference] | None = None) -> pd.DataFrame:
    """A row per group of trials that has a reference (the project's own if None): the mean over its
    seeds, beside what was expected of it."""
    rows, added = [], _added(run)
    for one in expected(trial_groups(run), references):
        first, (low, high) = one.group.trained[0], one.interval
        row = _trial_columns(first) | {
            "recipe": first.trial.setting.recipe,
            "epochs": len(first.epochs),
            "seeds": one.seeds,
            "final_test_accuracy": one.expectation.got,
            "expected_low": low,
            "expected_high": high,
            "verdict": one.expectation.verdict,
            "differences": listed(one.differences) or None,
            "reference_accuracy": one.reference.mean,
            "reference_deviation": one.reference.deviation,
            "reference_seeds": one.reference.seeds,
            "reference_device": one.reference.device,
        }
        del row["seed"]
        rows.append(row | _later(first, added))
    return _frame(run, rows, REFERENCE_COLUMNS)


def steps_frame(run: Run) -> pd.DataFrame:
    """A row per step whose time was kept."""
    rows = [
        {"model": epoch.model, "trial": epoch.trial, "seed": epoch.seed, "epoch": epoch.epoch}
        | {"step": 1 + i * epoch.step_times_every, "seconds": seconds}
        for result in run.trials
        for epoch in result.epochs
        for i, seconds in enumerate(epoch.step_times)
    ]
    return _frame(run, rows, ("model", "trial", "seed", "epoch", "step", "seconds"))


def _evaluated(run: Run, row: dict[str, Any]) -> dict[str, Any]:
    """A row, with figures of validation images only in a run that has some."""
    kept = run.dataset.validation_images
    return {name: value for name, value in row.items() if kept or "validation_" not in name}


def _trial_columns(result: TrialResult) -> dict[str, Any]:
    trial = result.trial
    return {
        "model": trial.model,
        "image_size": trial.setting.image_size,
        "seed": trial.seed,
        "optimizer": trial.setting.optimizer,
        "precision": trial.setting.precision,
        "trained_batch_size": trial.batch_size,
    }


def _later(result: TrialResult, added: set[str]) -> dict[str, Any]:
    """What else tells a trial from the others of its run: columns that came later, at the end."""
    setting, tuning = result.trial.setting, result.trial.tuning
    row = {"learning_rate": setting.learning_rate} | _setting_cells(setting, added)[1]
    return row if tuning is None else row | {"tuning": tuning.text}


TABLES: dict[str, Callable[[Run], pd.DataFrame]] = {
    "models": models_frame,
    "epochs": epochs_frame,
    "probes": probes_frame,
    "layers": layers_frame,
    "sweep": sweep_frame,
    "predictions": predictions_frame,
    "evaluation_modes": evaluation_modes_frame,
    "time_to_accuracy": time_to_accuracy_frame,
    "tuning": tuning_frame,
    "classes": classes_frame,
    "reference": reference_frame,
}
"""Each CSV file of a run folder, by its name."""

OPTIONAL = (
    *("sweep", "predictions", "evaluation_modes", "time_to_accuracy", "tuning", "classes"),
    "reference",
)
"""Tables that are written only if they have rows."""


class RunTables(Run):
    """A run whose tables are attributes, as pandas frames: the columns of the CSV files, and
    `steps`, a row per step whose time was kept."""

    models = property(models_frame)
    epochs = property(epochs_frame)
    probes = property(probes_frame)
    layers = property(layers_frame)
    sweep = property(sweep_frame)
    predictions = property(predictions_frame)
    evaluation_modes = property(evaluation_modes_frame)
    time_to_accuracy = property(time_to_accuracy_frame)
    tuning = property(tuning_frame)
    classes = property(classes_frame)
    reference = property(reference_frame)
    steps = property(steps_frame)


def write_tables(run: Run) -> None:
    """Replace the CSV files of the run's folder; raises BenchError if that fails."""
    for name, table in TABLES.items():
        frame = table(run)
        if not frame.empty or name not in OPTIONAL:
            write_atomic(run.path / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))


def _added(run: Run) -> set[str]:
    """What settings of a run have that those of older ones do not: a table without it says that it
    is as usual, so that older runs keep their tables."""
    usual = asdict(replace(_USUAL, **run.older))
    settings = {result.trial.setting for result in run.trials}
    settings |= {probe.setting for probe in run.all_probes}
    settings |= {prediction.setting for prediction in run.all_predictions}
    return {n for setting in settings for n in _LATER if getattr(setting, n) != usual[n]}


def _setting_cells(setting: Setting, added: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns that settings have always had, and those that only some runs have."""
    cells = asdict(setting) | {"weight_decay": decay_of(setting)}
    first = {name: value for name, value in cells.items() if name not in _LATER}
    return first, {name: value for name, value in cells.items() if name in added}


def _epoch_row(result: TrialResult, epoch: Epoch, added: set[str]) -> dict[str, Any]:
    plain = asdict(replace(epoch, step_times=()))  # thousands of them, and in no row
    kept = {name: plain.pop(name) for name in ("validation_loss", "validation_accuracy")}
    budget: dict[str, Any] = plain.pop("time_budget")
    aux = {f"train_loss_{head}": loss for head, loss in plain.pop("aux_losses").items()}
    telemetry = plain.pop("telemetry") or dict.fromkeys(Telemetry.__annotations__)
    telemetry["throttled_by"] = ", ".join(telemetry["throttled_by"] or ()) or None
    around = plain.pop("surroundings") or dict.fromkeys(Surroundings.__annotations__)
    views = ("tta_test_accuracy", "tta_seconds")
    for name in ("trial", "step_times", "step_times_every", "logits", *views):
        plain.pop(name)
    ranks = {
        f"rank{number}_{name}": value
        for number, facts in enumerate(plain.pop("ranks"))
        for name, value in facts.items()
    }
    first = {name: plain.pop(name) for name in EPOCH_COLUMNS}
    setting, last = _setting_cells(result.trial.setting, added)
    more = {"batch_size": result.trial.batch_size, "dataset": result.run.dataset.name}
    row = first | setting | more | aux | plain | budget | telemetry | around | last | kept | ranks
    if result.trial.tuning is not None:
        row["tuning"] = result.trial.tuning.text
    return _evaluated(result.run, row)


def _frame(run: Run, rows: Iterable[dict[str, Any]], columns: Iterable[str]) -> pd.DataFrame:
    """A frame that has its columns even without rows, and counts as whole numbers despite gaps;
    with the hash of each model's file, if any is of the user's own."""
    rows = list(rows)
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(columns))
    for name in frame.columns:
        known = [row[name] for row in rows if row.get(name) is not None]
        if known and all(type(value) is int for value in known):
            frame[name] = frame[name].astype("Int64")
    hashes = {f.name: f.source_sha256 for f in run.facts.values() if f.source_sha256}
    return frame.assign(source_sha256=frame["model"].map(hashes)) if hashes else frame
