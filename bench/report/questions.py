"""The report's sections, in its order: a question each, with its pictures, its table, and one
sentence of finding. A new section is a row of `QUESTIONS`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bench.analysis.ablations import BATCH, DEPTH, HEADS, OPTIMIZER, Group, Trait, grouped
from bench.analysis.formatting import MISSING, percent, shown
from bench.analysis.trial_group import Series, series
from bench.records.run import Run
from bench.report import findings, inspected, trust
from bench.report.inspection import kernel_file
from bench.report.ranking import RANKING_REMARKS, ranking_finding, ranking_tables
from bench.report.tables import (
    Cell,
    Column,
    Table,
    comparison,
    known_columns,
    predicted,
    prediction_text,
)
from bench.report.targets import after_equal_seconds, target_table, until


@dataclass(frozen=True)
class Picture:
    """A picture of the run folder: `plots/FILE.svg`, what it shows, and what to know of it."""

    file: str
    title: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A question as this run answers it. `remarks` are sentences below the tables."""

    name: str
    title: str
    finding: str
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]
    remarks: tuple[str, ...] = ()

    def alternative(self, picture: Picture) -> str:
        """What a picture says to those who do not see it."""
        return f"{picture.title}. {self.finding} The table below has the figures."


@dataclass(frozen=True)
class Question:
    """A section to be: `finding` is None where the run says nothing to it."""

    name: str
    title: str
    pictures: tuple[Picture, ...] | Callable[[Sequence[Series]], tuple[Picture, ...]]
    finding: Callable[[Sequence[Series]], str | None]
    tables: Callable[[Run, Sequence[Series]], tuple[Table, ...]]
    remarks: Callable[[Run], tuple[str, ...]] = lambda run: ()


def sections(run: Run, found: Sequence[Series], drawn: Collection[str]) -> list[Section]:
    """The questions that the run answers, with those of their pictures that were drawn."""
    made = []
    for question in QUESTIONS:
        finding = question.finding(_finished(found))
        if finding is not None:
            offered = question.pictures
            offered = offered(found) if callable(offered) else offered
            pictures = tuple(p for p in offered if p.file in drawn)
            tables = tuple(table for table in question.tables(run, found) if table.rows)
            remarks = question.remarks(run)
            made.append(Section(question.name, question.title, finding, pictures, tables, remarks))
    return made


def _finished(found: Sequence[Series]) -> Sequence[Series]:
    """Those that came to their end, if any did: what broke off early says little about the rest."""
    return [s for s in found if any(t.status == "done" for t in s.trials)] or found


def _shapes(found: Sequence[Series]) -> list[Series]:
    """The first series of each model and setting: what a search or a prediction is made for."""
    return list({(one.model, one.setting): one for one in reversed(found)}.values())[::-1]


def _of(*columns: Column) -> Callable[[Run, Sequence[Series]], tuple[Table, ...]]:
    """A table of these metrics, as far as they are known, over the series that trained."""

    def tables(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
        trained = [s for s in found if s.trained]
        return (comparison(trained, known_columns(trained, columns)),)

    return tables


Cells = dict[str, list[Cell]]


def _varied(
    trait: Trait, *columns: Column, more: Callable[[Sequence[Series]], Cells] = lambda members: {}
) -> Callable[[Run, Sequence[Series]], tuple[Table, ...]]:
    """For each group of series that differ in one trait, a table of these metrics and `more`."""

    def tables(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
        return tuple(
            comparison(group.members, known_columns(group.members, columns), more(group.members))
            for group in grouped(found, trait)
        )

    return tables


def _time_of_epochs(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    speeds = (EPOCH, FIRST_EPOCH, TEST, STEP, RATE, GMACS, MFU, POWER, ENERGY, IMAGE_ENERGY)
    return *_of(*speeds)(run, found), *_of(*SHARES)(run, found)


def _until_common(members: Sequence[Series]) -> Cells:
    return until(members, findings.common_accuracy(members))


def _finding(
    trait: Trait, sentence: Callable[[Sequence[Group]], str | None]
) -> Callable[[Sequence[Series]], str | None]:
    return lambda found: sentence(grouped(found, trait))


def _to_accuracy(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    target = findings.common_accuracy(_finished(found))
    if target is None:
        return ()
    trained = [one for one in found if one.trained]
    seconds = [findings.seconds_to(one, target) for one in trained]
    soonest = min((s for s in seconds if s is not None), default=None)
    several = len(set(seconds)) > 1
    cells = [
        Cell(MISSING) if s is None else Cell(f"{s:,.1f}", several and s == soonest) for s in seconds
    ]
    common = comparison(trained, (TOTAL,), {f"Until {percent(target)} (s)": cells})
    return common, target_table(found)


def _memory(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    known = [s for s in _shapes(found) if s.metric("max_batch") or s.trials[0].run.all_predictions]
    return comparison(known, (LARGEST, BATCH_SIZE, PEAK), predicted(known)), _predictions(run)


def _predictions(run: Run) -> Table:
    """A row per model, setting and card: the prediction and the line of memory behind it."""
    headers = (
        "Model",
        "Card",
        "Image size (px)",
        "Largest batch (predicted)",
        "Fixed (MiB, predicted)",
        "An image (MiB, predicted)",
    )
    rows = [
        (
            p.model,
            p.card,
            str(p.setting.image_size),
            prediction_text(p),
            f"{p.base_bytes / 2**20:,.0f}",
            f"{p.bytes_per_image / 2**20:.2f}",
        )
        for p in run.all_predictions
    ]
    return Table(headers, tuple(tuple(Cell(text) for text in row) for row in rows))


def _kernels(found: Sequence[Series]) -> tuple[Picture, ...]:
    """How far each layer moved, and the kernels of each series."""
    moved = Picture(
        "layer_changes",
        "How far training moved each layer's weights, a line per model",
        "Layers with weights, in the order of the model. A weight counts as changed if it moved by "
        "more than 1 % of its layer's initial root mean square.",
    )
    kernels = (
        Picture(
            kernel_file(number, which),
            f"{one.label}: the {which} convolution's kernels before and after training",
            "And their change, all on one scale; of the first seed.",
        )
        for number, one in enumerate(found)
        for which in ("first", "second")
    )
    return (moved, *kernels)


def _heads_and_gradients(run: Run) -> tuple[str, ...]:
    """What heads bring to the gradient, where networks were looked at."""
    return tuple(
        said
        for group in grouped(series(run), HEADS)
        if (said := inspected.gradients_finding(group.members))
    )


def _searches(run: Run) -> tuple[str, ...]:
    """What stands behind each largest batch."""
    sentences = []
    for fit in run.largest_batches.values():
        s, proof = fit.setting, fit.certificate
        text = f"{fit.model}, {s.image_size} px, {s.optimizer}, {s.precision}: {fit.max_batch:,}, "
        text += f"{fit.source}, limited by {fit.limited_by}"
        if fit.budget_bytes:
            text += f" ({fit.budget_bytes / 2**20:,.0f} MiB)"
        if proof and fit.max_batch:
            text += f": {proof.steps} training steps and an evaluation ran at {fit.max_batch}"
            if proof.failed_batch:
                text += f", and {proof.failed_batch} failed ({proof.failed_because})"
        sentences.append(f"{text}. {fit.contradiction}" if fit.contradiction else f"{text}.")
    return tuple(sentences)


def _seeds(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    numbers = sorted({t.trial.seed for one in found for t in one.trained})
    rows = []
    for one in found:
        finals = {t.trial.seed: t.epochs[-1].test_accuracy for t in one.trained}
        mean = one.metric("final_test_accuracy")
        cells = [f"{finals[n] * 100:.1f}" if n in finals else MISSING for n in numbers]
        over = shown("final_test_accuracy", mean.mean, mean.half_width) if mean else MISSING
        rows.append(tuple(map(Cell, (one.label, *cells, over))))
    headers = ("Model", *(f"Seed {n} (%)" for n in numbers), "Mean ± 95 % interval")
    return (Table(headers, tuple(rows)),)


FINAL = Column("Test accuracy, last epoch (%)", "final_test_accuracy", 1, 100)
FIRST = Column("Test accuracy, first epoch (%)", "first_test_accuracy", 1, 100)
BEST = Column("best epoch¹ (%)", "best_test_accuracy", 1, 100)
TEST_LOSS = Column("Test loss, last epoch (nats)", "final_test_loss", 3)
TRAIN_LOSS = Column("Train loss, last epoch (nats)", "final_train_loss", 3)
TOTAL = Column("All epochs (s)", "total_seconds", 0)
EPOCH = Column("Epoch (s)", "epoch_seconds", 1)
TEST = Column("Evaluation (s)", "test_seconds", 1)
FIRST_EPOCH = Column("first epoch (s)", "first_epoch_seconds", 1)
STEP = Column("Step (ms)", "step_milliseconds", 1)
MFU = Column("Of the matrix product's peak, MFU (%)", "mfu", 0, 100)
POWER = Column("Power (W)", "power_watts", 0)
ENERGY = Column("Energy of an epoch (kJ)", "energy_joules", 1, 1e-3)
IMAGE_ENERGY = Column("of an image (J)", "energy_per_image_joules", 3)
SHARES = tuple(
    Column(f"{label} (%)", metric, 1, 100)
    for label, metric in (
        ("Waiting for data", "data_share"),
        ("Forward", "forward_share"),
        ("Backward", "backward_share"),
        ("Optimizer", "optimizer_share"),
        ("Evaluation", "evaluation_share"),
        ("Elsewhere", "other_share"),
    )
)
RATE = Column("Images/s", "images_per_second", 0)
UPDATES = Column("Updates/epoch", "updates_per_epoch", 0)
LARGEST = Column("Largest batch (measured)", "max_batch", 0)
BATCH_SIZE = Column("Batch trained", "batch_size", 0)
PEAK = Column("Peak memory in training (MiB)", "peak_memory_bytes", 0, 2**-20)
PARAMETERS = Column("Parameters (10⁶)", "params", 2, 1e-6)
HEAD_PARAMETERS = Column("of them auxiliary (10⁶)", "params_aux", 2, 1e-6)
AS_IT_COMES = Column("as it comes (10⁶)", "params_imagenet", 2, 1e-6)
GMACS = Column("GMACs/image", "gmacs", 3)

MFU_REMARK = (
    "MFU, model FLOP utilisation: a training step taken as three times the multiply-adds of an "
    "inference, over the fastest matrix product that this run timed in the same precision. "
    "Auxiliary heads do work that it does not count."
)

QUESTIONS: tuple[Question, ...] = (
    Question(
        "ranking",
        "Which model wins, and how sure is that?",
        (
            Picture(
                "ranking",
                "Each model against the best, in throughput and in test accuracy",
                "With 95 % intervals, paired by seed; the band is what counts as the same. Models "
                "joined by a bar on the right cannot be told apart, or are the same.",
            ),
        ),
        ranking_finding,
        lambda run, found: ranking_tables(found),
        lambda run: RANKING_REMARKS,
    ),
    Question(
        "accuracy",
        "Accuracy over epochs",
        (
            Picture(
                "accuracy",
                "Accuracy over epochs, training and test, a curve per model",
                "Training accuracy is a running mean while the weights change; test accuracy is "
                "measured after the epoch, with batch norm in inference mode.",
            ),
            Picture(
                "loss",
                "Loss over epochs, training and test, a curve per model",
                "Of the main head alone; auxiliary losses are in epochs.csv.",
            ),
        ),
        findings.accuracy_over_epochs,
        _of(FIRST, FINAL, BEST, TRAIN_LOSS, TEST_LOSS),
    ),
    Question(
        "time",
        "Accuracy over time",
        (
            Picture(
                "accuracy_over_time",
                "Test accuracy over wall-clock time, a curve per model",
                "Training and evaluation: which model gets there sooner on this machine.",
            ),
            Picture(
                "accuracy_over_updates",
                "Test accuracy over updates, a curve per model",
                "A larger batch means fewer updates an epoch.",
            ),
        ),
        findings.accuracy_over_time,
        _to_accuracy,
    ),
    Question(
        "epoch-time",
        "Time of one epoch",
        (
            Picture(
                "epoch_time",
                "Seconds of one epoch, training and evaluation, a bar per model",
                "Median over the epochs after the first.",
            ),
            Picture(
                "time_budget",
                "Shares of an epoch's time, a stacked bar per model",
                "Sampled on some steps, and scaled to the epoch's wall-clock time.",
            ),
        ),
        findings.epoch_time,
        _time_of_epochs,
        lambda run: (MFU_REMARK,) if any(t.calibrations for t in run.trials) else (),
    ),
    Question(
        "memory",
        "Memory and batch size",
        (
            Picture(
                "memory",
                "Peak memory against batch size, a line per model",
                "The probes of the search; crosses ran out of memory.",
            ),
            Picture(
                "batch_sweep",
                "Speed and memory against batch size, a line per model",
                "The fastest batch is not always the largest.",
            ),
            Picture(
                "memory_breakdown",
                "What fills the memory (predicted), a stacked bar per model",
                "A training step on a CUDA card, simulated: nothing was measured. Only activations "
                "and data grow with the batch and with the image: at 224 px they take most of it, "
                "at 32 px little.",
            ),
        ),
        lambda found: findings.memory_and_batch(_shapes(found)),
        _memory,
        _searches,
    ),
    Question(
        "parameters",
        "Parameters against accuracy",
        (
            Picture(
                "parameters_accuracy",
                "Test accuracy of the last epoch against parameters and GMACs, a point per model",
                "Parameters as trained, auxiliary heads included; GMACs of one inference, without "
                "them.",
            ),
        ),
        findings.parameters_against_accuracy,
        _of(PARAMETERS, HEAD_PARAMETERS, AS_IT_COMES, GMACS, FINAL),
    ),
    Question(
        "kernels",
        "What training changes: kernels and weights",
        _kernels,
        inspected.kernels_finding,
        inspected.layer_tables,
    ),
    Question(
        "gradients",
        "Gradient flow",
        (
            Picture(
                "gradient_flow",
                "Gradient norm by depth before and after training, a line per model",
                "Of the training loss on one batch, auxiliary heads included.",
            ),
        ),
        inspected.gradients_finding,
        inspected.gradient_tables,
    ),
    Question(
        "evaluation",
        "Why evaluation switches batch norm to inference",
        (
            Picture(
                "evaluation_modes",
                "Test accuracy by batch norm's mode, bars for each model",
                "The same test images, at most 1,000. In training mode the answer for an image "
                "depends on the other images of its batch.",
            ),
        ),
        inspected.modes_finding,
        inspected.mode_tables,
    ),
    Question(
        "optimizers",
        "Optimizers",
        (Picture("optimizers", "Accuracy and step time against the optimizer", ""),),
        _finding(OPTIMIZER, findings.optimizers),
        _varied(OPTIMIZER, STEP, EPOCH, TOTAL, TRAIN_LOSS, FINAL, more=_until_common),
    ),
    Question(
        "batch-sizes",
        "Batch sizes",
        (Picture("batch_sizes", "Accuracy and epoch time against the batch size", ""),),
        _finding(BATCH, findings.batch_sizes),
        _varied(BATCH, BATCH_SIZE, UPDATES, EPOCH, RATE, FINAL, more=after_equal_seconds),
    ),
    Question(
        "depth",
        "Depth",
        (Picture("depth", "Largest batch and epoch time against the number of layers", ""),),
        _finding(DEPTH, findings.depth),
        _varied(DEPTH, PARAMETERS, GMACS, LARGEST, EPOCH, FINAL),
    ),
    Question(
        "heads",
        "Auxiliary heads",
        (Picture("heads", "Accuracy and epoch time with and without auxiliary heads", ""),),
        _finding(HEADS, findings.auxiliary_heads),
        _varied(HEADS, PARAMETERS, HEAD_PARAMETERS, LARGEST, PEAK, STEP, EPOCH, FINAL),
        _heads_and_gradients,
    ),
    Question(
        "seeds",
        "Seeds",
        (
            Picture(
                "seeds",
                "Test accuracy of the last epoch, a dot per seed",
                "One model is trained several times; nothing but the random numbers differs.",
            ),
        ),
        findings.seeds,
        _seeds,
    ),
    Question(
        "trust",
        "How far the times can be trusted",
        (
            Picture(
                "steps",
                "Time of every step in order, a line per model, and of the fixed matrix product",
                "Steps of the first seed, raw; the matrix product of every trial, in order.",
            ),
        ),
        trust.trust_finding,
        trust.trust_tables,
        trust.trust_remarks,
    ),
)
"""The report's sections, in its order."""
