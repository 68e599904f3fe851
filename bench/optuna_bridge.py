"""A bridge to Optuna, for larger budgets and for stopping early: an objective for a study.

Optuna is no dependency: `pip install optuna`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.analysis.tuning import TRIAL_SEED, accuracy_of
from bench.config import Config
from bench.errors import Refused, TrialFailed
from bench.records.records import DatasetFacts, Epoch, TuningRole
from bench.runner.plan import Plan, make_plan
from bench.runner.run import run
from bench.search_spaces import SEARCH_SPACES
from bench.settings import space_of

if TYPE_CHECKING:
    import optuna


def optuna_objective(config: Config) -> Callable[["optuna.Trial"], float]:
    """An objective to be maximised: validation accuracy after the last epoch.

    Each call asks Optuna for a point of the search space of the configuration's optimizer, as
    `--tune` tries them, trains one trial there, and reports its validation accuracy after every
    epoch. The test images are not touched. Nothing is kept but what the study keeps: train the best
    values with `run`.

    Args:
        config: one model, trained in one way, with `validation`. Seeds, searches, reports and
            `output` are of no concern here: without a search, a batch size of `auto` is 128
            at most.

    Raises:
        Refused: the configuration is of several trials, keeps no validation images, or takes a
            search for its batch.
        optuna.TrialPruned: the study's pruner stopped the trial, or its loss diverged.
        TrialFailed: it failed for another reason, such as memory; a study ends there, unless its
            `optimize` is told to `catch` that.
    """
    if not config.validation:
        raise Refused("an objective needs validation images; give validation=0.1.")
    if config.tune is not None:
        raise Refused("--tune chooses its own points; leave it out where Optuna does.")
    if "max" in config.batch_size:
        raise Refused("an objective searches for no largest batch; give batch_size a number.")

    def objective(asked: "optuna.Trial") -> float:
        return _trained(config, asked)

    return objective


def _trained(config: Config, asked: "optuna.Trial") -> float:
    import optuna

    def plan(given: Config, models: Any, data: DatasetFacts, tuning: Any = None) -> Plan:
        return _one_trial(make_plan(given, models, data), asked)

    def listen(message: Any) -> None:
        if isinstance(message, Epoch):
            asked.report(message.accuracy, message.epoch)
            if asked.should_prune():
                raise optuna.TrialPruned(f"pruned after epoch {message.epoch}")

    with TemporaryDirectory(prefix="archbench-optuna-") as folder:
        only = {"max_batch": False, "sweep_batch": False, "inspect": False, "card": ()}
        only |= {"seeds": 1, "dry_run": False}
        place = {"output": Path(folder) / "run", "resume": None}
        result = run(Config(**config.to_dict() | only | place), listen, plan)
    (trial,) = result.trials
    if trial.status == "done":
        return accuracy_of(trial)
    reason = (trial.ended.reason if trial.ended else None) or "it broke off"
    if trial.ended and trial.ended.diverged:
        raise optuna.TrialPruned(reason)
    raise TrialFailed(reason)


def _one_trial(plan: Plan, asked: "optuna.Trial") -> Plan:
    """The only trial of a plan, at a point that Optuna suggests."""
    if len(plan.trials) != 1:
        raise Refused(
            f"an objective trains one trial, and this configuration has {len(plan.trials)}: give "
            "one model and one value of every option."
        )
    (trial,) = plan.trials
    space = SEARCH_SPACES[space_of(trial.setting)]
    values: dict[str, Any] = {
        d.name: asked.suggest_float(d.name, d.low, d.high, log=d.log) for d in space
    }
    setting, role = replace(trial.setting, **values), TuningRole("point", trial.setting, 1)
    return Plan((replace(trial, seed=TRIAL_SEED, setting=setting, tuning=role),))
