"""Who is first at an accuracy: seconds to it by seed, compared like any other metric."""

from collections.abc import Sequence

from bench.analysis.compare.ranking import Ranking, rank
from bench.analysis.metrics import Metric
from bench.analysis.time_to_accuracy import reached
from bench.analysis.trial_group import TrialGroup, Values
from bench.records.run import TrialResult


def common_accuracy(groups: Sequence[TrialGroup]) -> float | None:
    """The highest accuracy that every seed of every group reaches."""
    trained = [trial for group in groups for trial in group.evaluated]
    return min((max(e.accuracy for e in trial.epochs) for trial in trained), default=None)


def seconds_to(target: float, group: TrialGroup) -> Values:
    """Wall-clock seconds, training and evaluation, until an accuracy was first reached, by
    seed; of the seeds that got there, as far as their epochs were evaluated."""

    def seconds(trial: TrialResult) -> float | None:
        epochs = trial.epochs
        if not epochs or not epochs[-1].evaluated:
            return None
        return reached(epochs, target).first_seconds

    return group.by_seed(seconds)


def arrivals(target: float, groups: Sequence[TrialGroup]) -> Ranking | None:
    """The groups ranked by when they reached an accuracy; None if fewer than two did."""
    metric = Metric(
        "seconds_to_accuracy",
        "Time to accuracy",
        "s",
        lambda result: reached(result.epochs, target).first_seconds,
        "Wall-clock seconds until an accuracy was first reached.",
        "lower",
    )
    return rank(metric, groups, values_of=lambda group: seconds_to(target, group))
