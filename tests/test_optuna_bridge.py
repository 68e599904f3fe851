from typing import Any

import pytest

from bench import Config, optuna_objective
from bench.errors import Refused

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
