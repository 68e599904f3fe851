from pathlib import Path
from typing import Any

import pytest

from bench import Config, optuna_objective
from bench.errors import Refused, TrialFailed
from bench.records.records import TrialEnded, TrialStarted
from bench.records.run import collect
from tests.builders import a_trial, run_start

NOW = "2026-01-02T03:05:00+00:00"

TINY: dict[str, Any] = {
    **{"models": "lenet", "device": "cpu", "dataset": "shapes10", "preset": "smoke"},
    **{"train_limit": 64, "test_limit": 32, "batch_size": 16, "validation": 0.2},
}


def test_a_configuration_without_validation_is_refused() -> None:
    with pytest.raises(Refused, match="needs validation images"):
        optuna_objective(Config(**TINY | {"validation": None}))


def test_a_configuration_that_tunes_is_refused() -> None:
    with pytest.raises(Refused, match="leave it out where Optuna"):
        optuna_objective(Config(**TINY, tune=2))


def test_a_batch_that_takes_a_search_is_refused() -> None:
    with pytest.raises(Refused, match="give batch_size a number"):
        optuna_objective(Config(**TINY | {"batch_size": "max"}))


@pytest.mark.parametrize("diverged", [True, False])
def test_a_loss_that_diverges_is_pruned_and_any_other_failure_is_one(
    diverged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = a_trial()

    def run(config: Config, listener: Any, plan: Any) -> Any:
        ended = TrialEnded(trial, "failed", "it went wrong.", 1.0, diverged=diverged)
        return collect(Path("run"), [*run_start(), TrialStarted(trial, NOW), ended])

    monkeypatch.setattr("bench.optuna_bridge.run", run)
    objective = optuna_objective(Config(**TINY))
    kind = optuna.TrialPruned if diverged else TrialFailed
    with pytest.raises(kind, match="it went wrong"):
        objective(optuna.create_study().ask())


@pytest.mark.thorough
def test_a_study_is_told_every_epoch_and_prunes() -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    class Second(optuna.pruners.BasePruner):  # type: ignore[misc]
        def prune(self, study: Any, trial: Any) -> bool:
            return bool(trial.number == 1)

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=Second())
    study.optimize(optuna_objective(Config(**TINY)), n_trials=2)
    whole, pruned = study.trials
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED"]
    assert list(whole.intermediate_values) == [1, 2]
    assert whole.value == whole.intermediate_values[2] <= 1
    assert list(pruned.intermediate_values) == [1]
    assert set(whole.params) == {"learning_rate", "weight_decay", "warmup", "label_smoothing"}
    with pytest.raises(
        Refused, match="an objective trains one trial, and this configuration has 2"
    ):
        optuna_objective(Config(**TINY, optimizer=("adam", "sgd")))(study.ask())
