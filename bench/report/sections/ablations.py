"""What a run varies besides the model: how it is trained, batch size, depth, stem, heads."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.ablations import (
    ACCUMULATION,
    AUGMENTATION,
    BATCH,
    DEPTH,
    FROZEN,
    HEADS,
    LAYOUT,
    LEARNING_RATE,
    OPTIMIZER,
    RECIPE,
    SMOOTHING,
    STEM,
    WARMUP,
    WEIGHT_DECAY,
    WEIGHTS,
    Ablation,
    Trait,
    ablations,
)
from bench.analysis.compare.arrival import common_accuracy
from bench.analysis.formatting import MISSING, against, header_of, listed, ratio, shortened
from bench.analysis.intervals import Estimate
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import TrialGroup
from bench.report.context import Context
from bench.report.sections.base import (
    Picture,
    Section,
    certainty,
    ends,
    known_table,
    sorted_by,
    value,
    verdict_clause,
)
from bench.report.sections.diagnostics import gradients_finding
from bench.report.sections.time_to_accuracy import after_equal_seconds, until
from bench.report.style import canvas, draw_legend, percent_axis
from bench.report.tables import Cell, Table
from bench.settings import decay_of

FINAL, EPOCH, STEP = "final_test_accuracy", "epoch_seconds", "step_milliseconds"


def _optimizers(context: Context, ablation: Ablation) -> str | None:
    """The slowest and the fastest step of one model, and where each optimizer ends."""
    steps = sorted_by(ablation.groups, STEP, highest=True)
    accuracies = sorted_by(ablation.groups, FINAL, highest=True)
    if len(steps) < 2 or len(accuracies) < 2:
        return None
    (slow, _), (fast, _) = steps[0], steps[-1]
    many, few, over = ends(STEP, slow, fast)
    longer = ratio(many.mean, few.mean) if many and few else MISSING
    return (
        f"With {ablation.name}, a step of {slow.setting.optimizer} takes {longer} as long as one "
        f"of {fast.setting.optimizer}{over}: "
        f"{certainty(context.standings.between(STEP, fast, slow))}; "
        f"{_order(context, accuracies, lambda group: group.setting.optimizer)}."
    )


def _order(
    context: Context,
    accuracies: Sequence[tuple[TrialGroup, Estimate]],
    called: Callable[[TrialGroup], str],
) -> str:
    """Where groups end, highest first, and whether the first is apart from the last."""
    order = listed([f"{called(group)} at {value(FINAL, mean)}" for group, mean in accuracies])
    (best, _), (worst, _) = accuracies[0], accuracies[-1]
    pair, several = ((best, called(best)), (worst, called(worst))), len(accuracies) > 2
    return f"test accuracy ends with {order}; {verdict_clause(context, FINAL, *pair, several)}"


def _ends_of(trait: Trait) -> Callable[[Context, Ablation], str | None]:
    """Where each value of a trait ends, and whether the best is apart from the worst."""

    def find(context: Context, ablation: Ablation) -> str | None:
        accuracies = sorted_by(ablation.groups, FINAL, highest=True)
        if len(accuracies) < 2:
            return None
        order = _order(context, accuracies, lambda group: str(trait.value(group)))
        return f"{trait.label} of {ablation.name}: {order}."

    return find


def _batch_sizes(context: Context, ablation: Ablation) -> str | None:
    """The epoch at the smallest batch against that at the largest."""
    known = _ends(ablation, EPOCH)
    if known is None:
        return None
    slow, fast, over = known
    small, *_, large = ablation.values
    first, last = ablation.groups[0], ablation.groups[-1]
    many, few = (group.metric("updates_per_epoch") for group in (first, last))
    updates = f", with {ratio(many.mean, few.mean)} the updates" if many and few else ""
    return (
        f"An epoch of {ablation.name} takes {value(EPOCH, slow)} at batch {small} and "
        f"{value(EPOCH, fast)} at batch {large}{over}: {ratio(slow.mean, fast.mean)} as long at "
        f"the smaller one{updates}; {certainty(context.standings.between(EPOCH, last, first))}."
    )


def _depth(context: Context, ablation: Ablation) -> str | None:
    """The shallowest network of a family against its deepest."""
    first, last = ablation.groups[0], ablation.groups[-1]
    parts = []
    for metric, name in (("max_batch", "largest batch"), (EPOCH, "epoch")):
        if known := _ends(ablation, metric):
            a, b, over = known
            verb = "grows" if b.mean > a.mean else "falls" if b.mean < a.mean else "stays"
            sure = ""
            if not BY_NAME[metric].exact:
                sure = f" ({certainty(context.standings.between(metric, first, last))})"
            span = f"from {value(metric, a)} to {value(metric, b)}{over}"
            parts.append(f"the {name} {verb} {span}{sure}")
    shallow, *_, deep = ablation.values
    layers = f"From {shallow} to {deep} layers of {ablation.name}"
    return f"{layers}, {' and '.join(parts)}." if parts else None


def _heads(context: Context, ablation: Ablation) -> str | None:
    """What training with auxiliary heads brings, and what it takes."""
    heads, bare = (ablation.groups[ablation.values.index(v)] for v in ("with", "without"))
    accuracy, time = (context.standings.between(name, bare, heads) for name in (FINAL, EPOCH))
    if accuracy is None or time is None:
        return None
    gap = against(accuracy.effect, "without").partition(" (")[0]
    ends = "as high as without" if round(accuracy.effect.change, 3) == 0 else gap
    return (
        f"With its auxiliary heads {ablation.name} ends {ends}: {certainty(accuracy)}; its epoch "
        f"takes {time.effect.change:.2f} times as long: {certainty(time)}."
    )


def _ends(ablation: Ablation, metric: str) -> tuple[Estimate, Estimate, str] | None:
    """The metric at the first and the last value, and over which seeds, if both are known."""
    first, last, over = ends(metric, ablation.groups[0], ablation.groups[-1])
    return (first, last, over) if first and last and last.mean else None


def _section(
    order: int,
    name: str,
    trait: Trait,
    finding: Callable[[Context, Ablation], str | None],
    panels: tuple[str, str],
    columns: tuple[str, ...],
    more: Callable[[Sequence[TrialGroup]], dict[str, list[Cell]]] = lambda groups: {},
    remarks: Callable[[Context], Iterable[str]] = lambda context: (),
) -> Section:
    """The section of a trait: the first ablation's finding, a table each, two metrics drawn."""
    title = name.replace("-", " ").capitalize()
    metrics = " and ".join(BY_NAME[metric].label for metric in panels)
    what = f"{metrics} against {trait.label.partition(' (')[0]}".capitalize()

    def find(context: Context) -> str | None:
        made = (finding(context, a) for a in ablations(context.finished, trait))
        return next((sentence for sentence in made if sentence), None)

    def tables(context: Context) -> Iterable[Table]:
        for ablation in ablations(context.groups, trait):
            yield known_table(ablation.groups, columns, more(ablation.groups))

    drawn = Picture(name.replace("-", "_"), what, "", partial(_figure, title, trait, panels))
    return Section(order, name, title, find, tables, (drawn,), remarks)


def _figure(title: str, trait: Trait, panels: tuple[str, str], context: Context) -> Figure | None:
    """Two metrics against the values of a trait, a line per ablation; bars are 95 % intervals."""
    made = ablations(context.groups, trait)
    if not made:
        return None
    values = list(dict.fromkeys(value for ablation in made for value in ablation.values))
    if all(isinstance(value, (int, float)) for value in values):
        values.sort()
    with canvas(context.run, title, columns=2) as (figure, axes):
        for ax, metric in zip(axes, panels, strict=True):
            highest = 0.0
            for i, ablation in enumerate(made):
                # To the side, so that the intervals of several are not drawn on each other.
                shift = 0.08 * (i - (len(made) - 1) / 2) / max(1, len(made) / 6)
                places = [values.index(value) + shift for value in ablation.values]
                highest = max(highest, _draw(context, ax, ablation, places, metric))
            # Equal steps: batch sizes and depths are compared one with the next.
            ax.set_xticks(range(len(values)), [f"{value}" for value in values])
            ax.set_xlim(-0.5, len(values) - 0.5)
            ax.set(xlabel=trait.label, ylabel=header_of(metric))
            if BY_NAME[metric].unit == "fraction":
                percent_axis(ax)
                ax.set(ylabel=BY_NAME[metric].label)
            elif highest > 0:
                ax.set_ylim(0, 1.1 * highest)
        draw_legend(axes[0])
    return figure


def _draw(
    context: Context, ax: Axes, ablation: Ablation, places: Sequence[float], metric: str
) -> float:
    """One ablation's points, joined where there is something between them; returns the highest."""
    pairs = zip(places, ablation.groups, strict=True)
    drawn = [(x, mean) for x, group in pairs if (mean := group.metric(metric))]
    look = context.looks[ablation.groups[0].label]
    ax.errorbar(
        [x for x, _ in drawn],
        [e.mean for _, e in drawn],
        [e.half_width or 0.0 for _, e in drawn],
        marker="o",
        linestyle=look.line_style if isinstance(ablation.values[0], (int, float)) else "none",
        color=look.colour,
        capsize=3,
        label=shortened(ablation.name),
    )
    return max((e.mean + (e.half_width or 0.0) for _, e in drawn), default=0.0)


def _heads_and_gradients(context: Context) -> list[str]:
    """What heads bring to the gradient, where networks were looked at."""
    fields = [a.groups for a in ablations(context.groups, HEADS)]
    seen = [[g for g in groups if any(t.inspected for t in g.trained)] for groups in fields]
    return [sentence for groups in seen if (sentence := gradients_finding(groups))]


def _settings(groups: Sequence[TrialGroup]) -> dict[str, list[Cell]]:
    """What each group was trained with, where they differ."""
    columns = {
        "Optimizer": [group.setting.optimizer for group in groups],
        "Learning rate": [f"{group.setting.learning_rate:g}" for group in groups],
        "Weight decay": [f"{decay_of(group.setting):g}" for group in groups],
        "Augmentation": [group.setting.augment for group in groups],
    }
    return {name: [*map(Cell, cells)] for name, cells in columns.items() if len({*cells}) > 1}


def _outcome(order: int, name: str, trait: Trait, *columns: str) -> Section:
    """The section of a trait whose finding is where each of its values ends."""
    figures = (*columns, EPOCH, "final_train_loss", FINAL)
    return _section(order, name, trait, _ends_of(trait), (FINAL, EPOCH), figures, _settings)


SECTIONS = (
    _outcome(95, "recipes", RECIPE),
    _outcome(102, "learning-rates", LEARNING_RATE),
    _outcome(103, "weight-decay", WEIGHT_DECAY),
    _outcome(104, "augmentation", AUGMENTATION),
    _outcome(101, "warm-up", WARMUP),
    _outcome(109, "label-smoothing", SMOOTHING),
    _outcome(105, "initial-weights", WEIGHTS),
    _outcome(107, "frozen", FROZEN, "peak_memory_bytes", STEP),
    _outcome(108, "accumulation", ACCUMULATION, "max_batch", "peak_memory_bytes", STEP),
    _outcome(106, "memory-layout", LAYOUT, "peak_memory_bytes", STEP),
    _outcome(125, "stems", STEM, "params", "gmacs", "max_batch", "peak_memory_bytes"),
    _section(
        100,
        "optimizers",
        OPTIMIZER,
        _optimizers,
        (FINAL, STEP),
        (STEP, EPOCH, "total_seconds", "final_train_loss", FINAL),
        lambda groups: until(groups, common_accuracy(groups)),
    ),
    _section(
        110,
        "batch-sizes",
        BATCH,
        _batch_sizes,
        (FINAL, EPOCH),
        ("batch_size", "updates_per_epoch", EPOCH, "images_per_second", FINAL),
        after_equal_seconds,
    ),
    _section(
        120,
        "depth",
        DEPTH,
        _depth,
        ("max_batch", EPOCH),
        ("params", "gmacs", "max_batch", EPOCH, FINAL),
    ),
    _section(
        130,
        "auxiliary-heads",
        HEADS,
        _heads,
        (FINAL, EPOCH),
        ("params", "params_aux", "max_batch", "peak_memory_bytes", STEP, EPOCH, FINAL),
        remarks=_heads_and_gradients,
    ),
)
