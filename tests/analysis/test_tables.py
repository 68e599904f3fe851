import csv
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.tables import SPEED_COLUMNS, RunTables, write_tables
from bench.records.records import Record, Telemetry
from tests.builders import (
    MIB,
    NOTE,
    a_description,
    a_done_trial,
    a_failed_trial,
    a_largest_batch,
    a_prediction,
    a_probe,
    a_refused_trial,
    a_run,
    a_setting,
    a_speed,
    a_sweep_point,
    a_trial,
    an_epoch,
    run_start,
    some_facts,
    some_records,
    tables_of,
    validated,
)
from tests.report.rich import a_look

# People's scripts read these: columns are only ever added, at the end, never renamed or moved.
MODELS = [
    "model",
    "seed",
    "status",
    "dataset",
    "device",
    "preset",
    "image_size",
    "precision",
    "optimizer",
    "batch_size",
    "max_batch",
    "max_batch_source",
    "params",
    "params_imagenet",
    "params_aux",
    "gmacs",
    "epochs",
    "epoch_seconds",
    "test_seconds",
    "images_per_second",
    "step_milliseconds",
    "peak_memory_bytes",
    "final_test_accuracy",
    "best_test_accuracy",
    "train_samples_per_sec",
    "train_step_time",
    "train_batch_size",
    "train_img_size",
    "param_count",
]
EPOCHS = [
    "model",
    "seed",
    "epoch",
    "train_seconds",
    "test_seconds",
    "images_per_second",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "peak_memory_bytes",
]
PROBES = ["model", "batch_size", "fits", "peak_memory_bytes", "seconds"]
LAYERS = ["model", "image_size", "layer", "type", "params", "gmacs"]


def run_of(folder: Path, *records: Record) -> RunTables:
    return tables_of(folder, [*run_start(), *records])


def rows(run: RunTables, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file as text, as anybody's program would find them."""
    write_tables(run)
    with (run.path / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "columns"),
    [("models", MODELS), ("epochs", EPOCHS), ("probes", PROBES), ("layers", LAYERS)],
)
def test_the_first_columns_are_frozen(tmp_path: Path, name: str, columns: list[str]) -> None:
    run = a_run(tmp_path)
    assert list(getattr(run, name).columns)[: len(columns)] == columns


@pytest.mark.parametrize(
    ("name", "columns"),
    [("models", MODELS), ("epochs", EPOCHS), ("probes", PROBES), ("layers", LAYERS)],
)
def test_a_table_without_rows_has_its_columns(
    tmp_path: Path, name: str, columns: list[str]
) -> None:
    frame = getattr(run_of(tmp_path), name)
    assert len(frame) == 0
    assert list(frame.columns)[: len(columns)] == columns


def test_a_row_per_trial(tmp_path: Path) -> None:
    frame = a_run(tmp_path, seeds=2).models
    assert frame.model.tolist() == ["resnet18", "googlenet"] * 2
    assert frame.seed.tolist() == [0, 0, 1, 1]
    assert frame.epoch_seconds.tolist() == [10.0, 20.0] * 2
    assert frame.final_test_accuracy.tolist() == pytest.approx([0.6, 0.65, 0.62, 0.67])


def test_a_row_per_epoch(tmp_path: Path) -> None:
    frame = a_run(tmp_path, seeds=2).epochs
    assert len(frame) == 12
    first = frame.iloc[0]
    assert (first.model, first.epoch, first.train_seconds) == ("resnet18", 1, 15.0)
    assert (first.batch_size, first.dataset, first.learning_rate) == (64, "shapes10", 0.001)
    assert first.backward_seconds == 10.5


def test_the_epochs_of_a_model_can_be_grouped(tmp_path: Path) -> None:
    last = a_run(tmp_path).epochs.groupby("model").test_accuracy.last()
    assert last.to_dict() == pytest.approx({"googlenet": 0.65, "resnet18": 0.6})


def test_a_row_per_probe(tmp_path: Path) -> None:
    run = run_of(tmp_path, a_probe(), a_probe(batch_size=128, fits=False, peak_memory_bytes=None))
    frame = run.probes
    assert frame.fits.tolist() == [True, False]
    assert frame.batch_size.tolist() == [64, 128]
    assert frame.optimizer.tolist() == ["adam", "adam"]
    assert "setting" not in frame
    assert [row["peak_memory_bytes"] for row in rows(run, "probes")] == [str(300 * MIB), ""]


def test_a_row_per_layer(tmp_path: Path) -> None:
    frame = run_of(tmp_path, a_description()).layers
    assert frame.layer.tolist() == ["conv1", "fc"]
    assert frame.output_shape.tolist() == ["64x16x16", "10"]


def test_auxiliary_losses_have_columns_of_their_own(tmp_path: Path) -> None:
    started, *_ = a_done_trial(a_trial())
    heads = {"aux_logits1": 1.5, "aux_logits2": 1.25}
    frame = run_of(tmp_path, started, an_epoch(a_trial(), aux_losses=heads)).epochs
    assert frame.train_loss_aux_logits1.tolist() == [1.5]
    assert frame.train_loss_aux_logits2.tolist() == [1.25]


def test_telemetry_has_columns_with_and_without_it(tmp_path: Path) -> None:
    started, *_ = a_done_trial(a_trial())
    known = Telemetry(75.0, 900.0, 0.9, 1e9, 60.0, 1500.0, 9)
    epochs = [an_epoch(a_trial(), 1), an_epoch(a_trial(), 2, telemetry=known)]
    watts = [row["power_watts"] for row in rows(run_of(tmp_path, started, *epochs), "epochs")]
    assert [float(w) if w else None for w in watts] == [None, 75.0]


def test_what_is_not_known_is_an_empty_cell(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        a_description(),
        a_largest_batch(max_batch=100),
        *a_done_trial(a_trial()),
        *a_failed_trial(a_trial("broken"), reason="it broke, badly."),
        *a_refused_trial(a_trial("refused")),
    )
    done, broken, refused = rows(run, "models")
    assert [row["status"] for row in (done, broken, refused)] == ["done", "failed", "refused"]
    assert broken["reason"] == "it broke, badly."
    for name in (
        "epoch_seconds",
        "final_test_accuracy",
        "params",
        "max_batch",
        "peak_memory_bytes",
    ):
        assert done[name] != ""
        assert broken[name] == ""
        assert refused[name] == ""
    assert refused["batch_size"] == ""
    texts = {text.lower() for row in (done, broken, refused) for text in row.values()}
    assert texts.isdisjoint({"nan", "none", "<na>", "inf"})


def test_counts_stay_whole_numbers_beside_gaps(tmp_path: Path) -> None:
    run = run_of(
        tmp_path, a_description(), *a_done_trial(a_trial()), *a_refused_trial(a_trial("b"))
    )
    first, second = rows(run, "models")
    assert (first["params"], first["batch_size"], first["best_epoch"]) == ("1000000", "64", "3")
    assert (second["params"], second["epochs"]) == ("", "0")


def test_a_run_that_trains_as_usual_has_the_columns_it_always_had(tmp_path: Path) -> None:
    run = run_of(tmp_path, a_probe(), *a_done_trial(a_trial()))
    for name in ("models", "epochs", "probes"):
        assert {"recipe", "weight_decay"}.isdisjoint(rows(run, name)[0])
    assert {"augment", "channels_last", "pretrained"}.isdisjoint(rows(run, "epochs")[0])


def test_what_a_run_sets_otherwise_has_columns_at_the_end(tmp_path: Path) -> None:
    setting = a_setting(recipe="onecycle", optimizer="sgd", weight_decay=5e-4, augment="crop")
    changed = a_trial(setting=setting, variant="recipe=onecycle")
    run = run_of(
        tmp_path, a_probe(setting=setting), *a_done_trial(a_trial()), *a_done_trial(changed)
    )
    assert list(run.models.columns)[-2:] == ["recipe", "weight_decay"]
    assert run.models.recipe.tolist() == ["constant", "onecycle"]
    assert run.models.weight_decay.tolist() == [0.0, 5e-4]
    for frame in (run.epochs, run.probes):
        assert list(frame.columns)[-3:] == ["recipe", "weight_decay", "augment"]
        assert frame.iloc[-1][["recipe", "augment"]].tolist() == ["onecycle", "crop"]


def test_trials_that_differ_only_in_their_recipe_are_told_apart_in_every_table(
    tmp_path: Path,
) -> None:
    records: list[Record] = [a_description()]
    for recipe in ("constant", "lecture"):
        trial = a_trial(setting=a_setting(recipe=recipe), variant=f"recipe={recipe}")
        started, *epochs, ended = a_done_trial(trial)
        records += [started, *epochs, a_look(trial.id), ended]
    run = run_of(tmp_path, *records)
    for frame in (run.time_to_accuracy, run.evaluation_modes, run.layers):
        assert list(frame.columns)[-2:] == ["learning_rate", "recipe"]
        assert frame.recipe.value_counts().to_dict() == {
            "constant": len(frame) // 2,
            "lecture": len(frame) // 2,
        }


def test_a_sweep_has_the_weight_decay_that_was_used(tmp_path: Path) -> None:
    decayed = a_sweep_point(setting=a_setting(optimizer="adamw"))
    frame = run_of(tmp_path, a_sweep_point(), decayed).sweep
    assert frame.weight_decay.tolist() == [0.0, 0.01]


def test_validation_has_columns_at_the_end(tmp_path: Path) -> None:
    plain, kept = (
        tables_of(tmp_path, made) for made in (some_records(), validated(some_records()))
    )
    assert "evaluated_on" not in plain.time_to_accuracy
    assert not [name for name in [*plain.models, *plain.epochs] if "validation" in name]
    added = [name for name in kept.models if name not in plain.models]
    assert list(kept.models.columns)[-len(added) :] == added
    assert set(added) == {
        *("validation_images", "validation_sha256", "best_validation_epoch"),
        *("first_validation_accuracy", "final_validation_accuracy", "best_validation_accuracy"),
        "final_validation_loss",
    }
    epochs = kept.epochs
    assert epochs.validation_accuracy.tolist() == plain.epochs.test_accuracy.tolist()
    assert epochs.test_accuracy.isna().all()
    assert set(kept.time_to_accuracy.evaluated_on) == {"validation"}
    first = kept.time_to_accuracy.drop(columns="evaluated_on")
    assert first.equals(plain.time_to_accuracy)


def test_predicted_speeds_have_columns_at_the_end_if_there_are_any(tmp_path: Path) -> None:
    slow, fast = a_prediction(), a_prediction("googlenet", speeds=(a_speed(1000), a_speed(32)))
    before = tables_of(tmp_path, [*some_records(), slow]).predictions
    after = tables_of(tmp_path, [*some_records(), slow, fast]).predictions
    assert list(after) == [*before, *SPEED_COLUMNS]
    assert after.loc[0, list(SPEED_COLUMNS)].isna().all()
    some = after.loc[1]
    assert (some["step_seconds"], some["epoch_seconds"], some["limit"]) == (1, 60, "arithmetic")
    rates = [some[f"images_per_second{end}"] for end in ("_low", "", "_high")]
    assert rates == pytest.approx([1000 / 1.5, 1000, 1500])


def test_fractions_are_not_rounded(tmp_path: Path) -> None:
    started, *_ = a_done_trial(a_trial())
    run = run_of(tmp_path, started, an_epoch(a_trial(), test_accuracy=1 / 3))
    assert rows(run, "epochs")[0]["test_accuracy"] == "0.3333333333333333"


def test_text_with_commas_and_quotes_survives(tmp_path: Path) -> None:
    reason = 'ValueError: "a", b'
    run = run_of(tmp_path, *a_failed_trial(a_trial(), reason=reason))
    assert rows(run, "models")[0]["reason"] == reason


def test_tables_replace_older_ones(tmp_path: Path) -> None:
    records = a_done_trial(a_trial())
    assert len(rows(run_of(tmp_path, *records[:2]), "epochs")) == 1
    assert len(rows(run_of(tmp_path, *records), "epochs")) == 3
    assert {p.name for p in tmp_path.iterdir()} == {
        "models.csv",
        "epochs.csv",
        "probes.csv",
        "layers.csv",
        "time_to_accuracy.csv",
    }


def test_the_hash_of_an_own_network_is_in_every_row_that_names_it(tmp_path: Path) -> None:
    known = some_records(("resnet18", "mynet.py:Net"))
    plain = run_of(tmp_path, *known)
    own = run_of(tmp_path, *known, some_facts("mynet.py:Net", source_sha256="ab" * 32))
    for name in ("models", "epochs", "probes", "layers", "time_to_accuracy"):
        assert "source_sha256" not in rows(plain, name)[0]
        hashes = {(row["model"], row["source_sha256"]) for row in rows(own, name)}
        assert hashes == {("resnet18", ""), ("mynet.py:Net", "ab" * 32)}


def test_notes_of_a_trial_reach_its_row_and_no_other(tmp_path: Path) -> None:
    started, *rest = a_done_trial(a_trial())
    noted = replace(started, notes=("Smaller batch.",))
    run = run_of(tmp_path, noted, *rest, *a_done_trial(a_trial("b")))
    assert [row["notes"] for row in rows(run, "models")] == ["Smaller batch.", ""]
    assert run.dataset.notes == (NOTE,)


def test_a_row_per_trial_and_target(tmp_path: Path) -> None:
    """Test accuracies of 40, 50 and 60 % after 16, 27 and 38 seconds."""
    run = run_of(tmp_path, *a_done_trial(a_trial()))
    frame = run.time_to_accuracy.set_index("target")
    assert frame.index.tolist() == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert frame.first_seconds[0.5] == frame.held_seconds[0.5] == 27.0
    assert (frame.first_epoch[0.5], frame.held_epoch[0.5]) == (2, 2)
    assert rows(run, "time_to_accuracy")[4]["first_seconds"] == ""


def test_a_row_per_step_that_was_kept(tmp_path: Path) -> None:
    started, *_ = a_done_trial(a_trial())
    thinned = an_epoch(a_trial(), 1, step_times=(0.5, 0.25), step_times_every=3)
    frame = run_of(tmp_path, started, thinned).steps
    assert frame.step.tolist() == [1, 4]
    assert frame.seconds.tolist() == [0.5, 0.25]


def test_raw_steps_are_in_no_table_of_epochs(tmp_path: Path) -> None:
    frame = a_run(tmp_path).epochs
    assert "step_times" not in frame
    assert frame.other_busy_cores.tolist() == [0.01] * 6


def test_reasons_of_a_slow_card_are_text(tmp_path: Path) -> None:
    started, *_ = a_done_trial(a_trial())
    hot = Telemetry(75.0, 900.0, 0.9, 1e9, 90.0, 1500.0, 9, ("power cap", "heat (driver)"), 1)
    epochs = [an_epoch(a_trial(), 1), an_epoch(a_trial(), 2, telemetry=hot)]
    found = rows(run_of(tmp_path, started, *epochs), "epochs")
    assert [row["throttled_by"] for row in found] == ["", "power cap, heat (driver)"]
