"""Accuracy and loss over epochs: the lecture's two pictures."""

from operator import attrgetter

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.report.context import Context
from bench.report.sections.base import Picture, Section, certainty, metrics_of_trained, value
from bench.report.style import canvas, draw_legend, draw_line, percent_axis

FINAL = "final_test_accuracy"


def _finding(context: Context) -> str | None:
    ranking = context.standings.ranking(FINAL)
    if ranking is None:
        return _alone(context)
    (first, a), (second, b) = ((p.group, p.group.metric(FINAL)) for p in ranking.places[:2])
    difference = ranking.places[1].difference
    if a and b and a.mean == b.mean:
        return f"{first.label} and {second.label} end equal, at {value(FINAL, a)} test accuracy."
    return (
        f"{first.label} ends highest, at {value(FINAL, a)} test accuracy, before {second.label} "
        f"at {value(FINAL, b)}; {certainty(difference)}."
    )


def _alone(context: Context) -> str | None:
    for group in context.finished:
        if not group.trained:
            continue
        epochs = min(len(trial.epochs) for trial in group.trained)
        lowest = group.metric("first_test_accuracy")
        rose = f", from {value('first_test_accuracy', lowest)} after the first" if lowest else ""
        after = f"{epochs} epochs{rose}" if epochs > 1 else "1 epoch"
        at = value(FINAL, group.metric(FINAL))
        return f"{group.label} ends at {at} test accuracy after {after}."
    return None


def _curves(what: str, label: str, caption: str) -> Picture:
    """Train and test side by side, a curve per group."""
    title = f"{label.partition(',')[0]} over epochs"

    def draw(context: Context) -> Figure:
        with canvas(context.run, title, columns=2) as (figure, axes):
            for ax, part in zip(axes, ("train", "test"), strict=True):
                for group in context.trained:
                    curve = group.curve(attrgetter(f"{part}_{what}"))
                    epochs = range(1, len(curve) + 1)
                    draw_line(ax, group, context.looks[group.label], epochs, curve)
                ax.set(xlabel="Epoch", ylabel=label, title={"train": "Training"}.get(part, "Test"))
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
                if what == "accuracy":
                    percent_axis(ax)
            limits = [ax.get_ylim() for ax in axes]
            for ax in axes:
                ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
            draw_legend(axes[0])
        return figure

    return Picture(what, f"{title}, training and test, a curve per model", caption, draw)


SECTIONS = (
    Section(
        20,
        "accuracy",
        "Accuracy over epochs",
        _finding,
        metrics_of_trained(
            "first_test_accuracy",
            FINAL,
            "tta_test_accuracy",
            "best_test_accuracy",
            "final_train_loss",
            "final_test_loss",
        ),
        (
            _curves(
                "accuracy",
                "Accuracy",
                "Training accuracy is a running mean while the weights change; test accuracy is "
                "measured after the epoch, with batch norm in inference mode.",
            ),
            _curves(
                "loss",
                "Loss, main head (nats)",
                "Of the main head alone; auxiliary losses are in epochs.csv.",
            ),
        ),
    ),
)
