"""Accuracy and loss over epochs: the lecture's two pictures."""

from operator import attrgetter

from matplotlib.figure import Figure

from bench.analysis.formatting import listed
from bench.records.records import HeldOut
from bench.report.context import Context
from bench.report.sections.base import (
    Picture,
    Section,
    certainty,
    leaders,
    metrics_of_trained,
    value,
)
from bench.report.style import canvas, draw_legend, draw_line, percent_axis, whole_numbers

FINAL = "final_test_accuracy"
TESTED = {"accuracy": FINAL, "loss": "final_test_loss"}


def _finding(context: Context) -> str | None:
    ranking = context.standings.ranking(FINAL)
    if ranking is None:
        return _alone(context)
    (first, a), (second, b), over = leaders(ranking)
    sure = certainty(ranking.places[1].difference)
    if a and b and a.mean == b.mean:
        names = listed([first.label, second.label])
        return f"{names} both end at {value(FINAL, a)} test accuracy{over}; {sure}."
    return (
        f"{first.label} ends highest, at {value(FINAL, a)} test accuracy{over}, before "
        f"{second.label} at {value(FINAL, b)}; {sure}."
    )


def _alone(context: Context) -> str | None:
    if context.trained and not any(group.finished for group in context.groups):
        return "No trial has come to its end; the curves show the epochs until then."
    for group in context.finished:
        if not group.trained or not group.has(FINAL):
            continue
        epochs = min(len(trial.epochs) for trial in group.trained)
        lowest = group.metric("first_test_accuracy")
        rose = f", from {value('first_test_accuracy', lowest)} after the first" if lowest else ""
        after = f"{epochs} epochs{rose}" if epochs > 1 else "1 epoch"
        at = value(FINAL, group.metric(FINAL))
        return f"{group.label} ends at {at} test accuracy after {after}."
    return None


def _pictures(context: Context) -> tuple[Picture, ...]:
    on: HeldOut = context.groups[0].evaluated_on if context.groups else "test"
    diamonds = ""
    if any(trial.final_test for group in context.trained for trial in group.trained):
        diamonds = " A diamond is of the test images: evaluated once, after the last epoch."
    return (
        _curves(
            on,
            "accuracy",
            "Accuracy",
            f"Training accuracy is a running mean while the weights change; {on} accuracy is "
            f"measured after the epoch, with batch norm in inference mode.{diamonds}",
        ),
        _curves(
            on,
            "loss",
            "Loss, main head (nats)",
            f"Of the main head alone; auxiliary losses are in epochs.csv.{diamonds}",
        ),
    )


def _curves(on: HeldOut, what: str, label: str, caption: str) -> Picture:
    """Training and evaluation side by side, a curve per group."""
    title = f"{label.partition(',')[0]} over epochs"

    def draw(context: Context) -> Figure:
        with canvas(context.run, title, columns=2) as (figure, axes):
            for ax, part in zip(axes, ("train", on), strict=True):
                for group in context.trained:
                    look = context.looks[group.label]
                    drawn = part == "train" or group.evaluated
                    curve = group.curve(attrgetter(f"{part}_{what}")) if drawn else []
                    draw_line(ax, group, look, range(1, len(curve) + 1), curve)
                    tested = part != "train" and any(trial.final_test for trial in group.trained)
                    if tested and (mean := group.metric(TESTED[what])):
                        last = max(len(trial.epochs) for trial in group.trained)
                        ax.plot(last, mean.mean, "D", color=look.colour, mfc="white", ms=8)
                heading = "Training" if part == "train" else part.capitalize()
                ax.set(xlabel="Epoch", ylabel=label, title=heading)
                whole_numbers(ax.xaxis)
                if what == "accuracy":
                    percent_axis(ax)
            axes[1].set_xlim(axes[0].get_xlim())
            limits = [ax.get_ylim() for ax in axes]
            for ax in axes:
                ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
            draw_legend(axes[0])
        return figure

    return Picture(what, f"{title}, training and {on}, a curve per model", caption, draw)


SECTIONS = (
    Section(
        20,
        "accuracy",
        "Accuracy over epochs",
        _finding,
        metrics_of_trained(
            *("first_test_accuracy", FINAL, "tta_test_accuracy", "best_test_accuracy"),
            *("first_validation_accuracy", "final_validation_accuracy", "best_validation_accuracy"),
            *("final_train_loss", "final_validation_loss", "final_test_loss"),
        ),
        gallery=_pictures,
    ),
)
