"""The report of a run: plots, and `report.md` that puts them together with tables and words."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.report.inspection import write_kernels
from bench.report.lecture import beside
from bench.report.plots import write_plots
from bench.report.series import Series, series
from bench.report.tables import headline, markdown, prediction_text
from bench.results import Run
from bench.store import write_atomic

PICTURES: tuple[tuple[str, str, str], ...] = (
    (
        "accuracy",
        "Accuracy over epochs",
        "Training accuracy is a running mean while the weights change; test accuracy is measured "
        "after the epoch, with batch norm in inference mode.",
    ),
    (
        "loss",
        "Loss over epochs",
        "Of the main head alone; auxiliary losses are in epochs.csv.",
    ),
    (
        "accuracy_over_time",
        "Accuracy over wall-clock time",
        "Training and evaluation: which model gets there sooner on this machine.",
    ),
    (
        "accuracy_over_updates",
        "Accuracy over updates",
        "A larger batch means fewer updates an epoch.",
    ),
    (
        "epoch_time",
        "Time of one epoch",
        "Median over the epochs after the first.",
    ),
    (
        "time_budget",
        "Where an epoch's time goes",
        "Sampled on some steps, and scaled to the epoch's wall-clock time.",
    ),
    (
        "parameters_accuracy",
        "Parameters against accuracy",
        "Accuracy of the last epoch.",
    ),
    (
        "layer_changes",
        "How far training moved each layer",
        "Of layers with weights, in the order of the model; a weight counts as changed if it moved "
        "by more than 1 % of its layer's initial root mean square.",
    ),
    (
        "gradient_flow",
        "Gradient flow",
        "The gradient of the training loss on one batch, auxiliary heads included, at the initial "
        "weights and at the final ones.",
    ),
    (
        "evaluation_modes",
        "Why evaluation switches batch norm to inference",
        "The same test images (at most 1,000); in training mode an image's class depends on the "
        "other images of its batch.",
    ),
    (
        "memory",
        "Memory against batch size",
        "The probes of the search; crosses ran out of memory.",
    ),
    (
        "batch_sweep",
        "Speed and memory against batch size",
        "The fastest batch is not always the largest.",
    ),
    (
        "memory_breakdown",
        "What fills the memory (predicted)",
        "A training step on a CUDA card, simulated. Only activations and data grow with the batch "
        "and with the image: at 224 px they take most of it, at 32 px little.",
    ),
)
"""File name, title and caption of each picture, in the report's order."""

KERNELS_CAPTION = "Before and after training, and the change, of the first seed; on one scale."

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """A picture of the report that was drawn."""

    file: str
    title: str
    caption: str


def write_report(run: Run) -> None:
    """Replace plots and `report.md` in the run's folder; raises BenchError if that fails."""
    drawn = write_plots(run)
    sections = [Section(*picture) for picture in PICTURES if picture[0] in drawn]
    for name, title in write_kernels(run, series(run)):
        sections.append(Section(name, title, KERNELS_CAPTION))
    write_atomic(run.path / "report.md", render(run, sections))


def render(run: Run, sections: list[Section]) -> str:
    """The text of the report, in Markdown."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown; `safe` below escapes what comes from outside
    )
    environment.filters |= {"safe_text": safe, "grouped": lambda number: f"{number:,}"}
    found = series(run)
    return environment.get_template("report.md.jinja").render(
        run=run,
        headline=markdown(headline(found)),
        lecture=markdown(beside(found)),
        warnings=warnings(run, found),
        prediction_text=prediction_text,
        failures=[result for result in run.trials if result.status != "done"],
        sections=sections,
        reproduce=reproduce(run),
    )


def safe(text: object) -> str:
    """Text from outside without Markdown's and HTML's special characters, on one line."""
    replaced = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    for mark in "\\`*_{}[]|#":
        replaced = replaced.replace(mark, f"\\{mark}")
    return replaced


def warnings(run: Run, found: list[Series]) -> list[str]:
    """Sentences that a reader of the comparison must see first."""
    checks: tuple[Callable[[Run, list[Series]], list[str]], ...] = (
        lambda run, found: list(run.dataset.notes),
        _one_seed,
        _different_updates,
        _different_sizes,
    )
    return [sentence for check in checks for sentence in check(run, found)]


def _one_seed(run: Run, found: list[Series]) -> list[str]:
    if len({result.trial.seed for result in run.trials}) > 1:
        return []
    return ["One seed: differences in accuracy may be chance; --seeds 5 gives intervals."]


def _different_updates(run: Run, found: list[Series]) -> list[str]:
    updates = {s.label: s.trained[0].epochs[0].steps for s in found if s.trained}
    if len(set(updates.values())) < 2:
        return []
    counts = ", ".join(f"{label} {count:,}" for label, count in updates.items())
    return [
        f"Batch sizes differ, and with them the updates of an epoch ({counts}): "
        "accuracy after equal epochs compares batch sizes as well as models."
    ]


def _different_sizes(run: Run, found: list[Series]) -> list[str]:
    sizes = {s.label: s.trials[0].trial.setting.image_size for s in found}
    if len(set(sizes.values())) < 2:
        return []
    pixels = ", ".join(f"{label} {size} px" for label, size in sizes.items())
    return [f"Image sizes differ: {pixels}."]


def reproduce(run: Run) -> str:
    """The options of the run that make it again, as a Python call that works anywhere."""
    kept: dict[str, Any] = {
        name: value
        for name, value in run.started.config.items()
        if value is not None and name not in ("output", "data_dir")
    }
    arguments = ", ".join(f"{name}={value!r}" for name, value in kept.items())
    return f"run(Config({arguments}))"
