"""What a report says, whatever it is written in: `report.md` and `report.html` are made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.analysis.formatting import image_counts, listed
from bench.analysis.run_time import (
    cut_sentence,
    points_left_out,
    seeds_left_out,
    trained_seeds,
)
from bench.config import logged_options
from bench.records.redaction import PRIVATE_OPTIONS, without_folders
from bench.records.run import Run
from bench.report.context import Context
from bench.report.sections.base import Answer, Picture
from bench.report.sections.reference import missed_sentences
from bench.report.sections.timing_noise import noisy_trials, timed_trials
from bench.report.sections.tuning import edge_sentences
from bench.report.tables import Table, headline, picked, table_of, transposed
from bench.units import counted

SUMMARY = {"epoch-time": "Speed", "accuracy": "Accuracy", "memory": "Memory"}
"""The sections whose findings answer at first sight, and what those are about."""

FIRST_PICTURE = "accuracy_over_time"

MOST_COLUMNS = 6
"""Models that stand beside each other in the comparison; of more, each is a row."""


@dataclass(frozen=True)
class Page:
    """A page of answers that is no report of one run: its title, facts and warnings first."""

    title: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Document:
    """A report in its order: facts, warnings and the summary, the comparison with its footnote and
    the picture beside it, an answer per section, the environment, how to repeat the run, and what
    failed. `status` is a sentence, empty for a run that came to its end."""

    run: Run
    models: str
    facts: tuple[tuple[str, str], ...]
    status: str
    warnings: tuple[str, ...]
    summary: tuple[tuple[str, str], ...]
    headline: Table
    footnote: str
    picture: Picture | None
    answers: tuple[Answer, ...]
    environment: tuple[tuple[str, str], ...]
    command: str
    call: str
    failures: Table


def document(context: Context, answers: Sequence[Answer]) -> Document:
    """What a run's report says."""
    run = context.run
    return Document(
        run=run,
        models=_models(run),
        facts=_facts(run),
        status=_status(run),
        warnings=tuple(warnings(context)),
        summary=_summary(answers),
        headline=_headline(context),
        footnote=picked(context.groups),
        picture=next((p for a in answers for p in a.pictures if p.file == FIRST_PICTURE), None),
        answers=tuple(answers),
        environment=_environment(run),
        command=run.started.command,
        call=reproduce(run),
        failures=_failures(context),
    )


def _models(run: Run) -> str:
    """What was compared, as a heading."""
    names = list(run.facts)
    if len(names) <= MOST_COLUMNS:
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more models"


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    """What was compared on what, in a few words each."""
    config, data, device = run.started.config, run.dataset, run.device
    threads = f", {counted(device.threads, 'thread')}" if device.threads else ""
    sizes = sorted({t.trial.setting.image_size for t in run.trials})
    precisions = dict.fromkeys(t.trial.setting.precision for t in run.trials)
    return (
        (
            "Data set",
            f"{data.name}: {image_counts(data, 'training')}, {len(data.classes)} classes",
        ),
        ("Device", f"{device.name} ({device.device}{threads})"),
        ("Precision", ", ".join(precisions) or "–"),
        ("Recipe", ", ".join(dict.fromkeys(t.trial.setting.recipe for t in run.trials)) or "–"),
        ("Epochs", str(config.get("epochs", "–"))),
        ("Preset", str(config.get("preset", "–"))),
        ("Image size", f"{', '.join(map(str, sizes)) or '–'} px"),
        ("Seeds", _seeds(run)),
        ("Measured", run.started.started_at),
    )


def _status(run: Run) -> str:
    """That a run is under way, or was stopped, with commands in backquotes; nothing of one that
    came to its end."""
    left = sum(trial.status == "unfinished" for trial in run.trials)
    if run.complete and not left:
        return ""
    done = sum(trial.status == "done" for trial in run.trials)
    counts = f"{counted(done, 'trial')} done, {left} begun and not ended"
    where = "`python -m bench report RUN` brings this page up to date"
    if run.ended:
        return f"This run was stopped: {counts}; `--resume RUN` continues it."
    return f"This run has not ended: {counts}. {where}; `--resume RUN` continues one that stopped."


def _summary(answers: Sequence[Answer]) -> tuple[tuple[str, str], ...]:
    """Who is faster, who is more accurate and who fits more, as the sections say it."""
    findings = {answer.name: answer.finding for answer in answers}
    return tuple((label, findings[name]) for name, label in SUMMARY.items() if name in findings)


def _headline(context: Context) -> Table:
    """The comparison: a column per model as long as they fit beside each other, else a row."""
    table = headline(context.groups)
    return transposed(table) if 0 < len(table.rows) <= MOST_COLUMNS else table


def _seeds(run: Run) -> str:
    seeds, cut = _asked_seeds(run), seeds_left_out(run)
    return f"{seeds - len(cut)} of {seeds}, for the time limit" if cut else str(seeds or "–")


def _asked_seeds(run: Run) -> int:
    """The seeds of a run; a settlement adds some to those that its runs began with."""
    asked: int = run.started.config.get("seeds", 0)
    return max(asked, len(trained_seeds(run)))


def _some(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return f"{listed(labels[:3])}{more}"


def _notes(context: Context) -> Iterator[str]:
    """What was decided for trials or befell them, each sentence once, with whom it is about if that
    is not all."""
    begun = [t for t in context.run.trials if t.stays and not t.trial.is_point]
    about: dict[str, list[str]] = {}
    for trial in begun:
        for note in trial.notes:
            about.setdefault(note, []).append(context.labels[trial.trial.id])
    for note, labels in about.items():
        yield note if len(labels) == len(begun) else f"{_some(labels)}: {note}"


def warnings(context: Context) -> Iterator[str]:
    """Sentences that a reader of the comparison must see first."""
    run = context.run
    yield from run.dataset.notes
    trials = [trial for trial in run.trials if not trial.trial.is_point]
    bad = sum(trial.went_wrong for trial in trials)
    if bad:
        many = counted(len(trials), "trial")
        yield f"{bad} of {many} were not completed; the last section says why."
    cut = seeds_left_out(run)
    if cut and run.seeds_cut:
        yield cut_sentence(cut, run.seeds_cut)
    points = points_left_out(run)
    if points and run.points_cut:
        yield cut_sentence(points, run.points_cut)
    yield from edge_sentences(context)
    yield from missed_sentences(context)
    noisy = [context.labels[trial.trial.id] for trial, _ in noisy_trials(run)]
    if noisy:
        yield (
            f"The times of {len(noisy)} of {counted(len(timed_trials(run)), 'trial')} may mislead "
            f"({_some(noisy)}): the section on trust says why; --rerun-noisy trains such trials "
            "again."
        )
    yield from _notes(context)
    if len(trained_seeds(run)) == 1:
        yield "One seed: differences in accuracy may be chance; --seeds 5 gives intervals."
    updates = {g.label: g.trained[0].epochs[0].steps for g in context.trained}
    if len(set(updates.values())) > 1:
        counts = ", ".join(f"{label} {count:,}" for label, count in updates.items())
        yield (
            f"Batch sizes differ, and with them the updates of an epoch ({counts}): "
            "accuracy after equal epochs compares batch sizes as well as models."
        )
    sizes = {g.label: g.setting.image_size for g in context.groups}
    if len(set(sizes.values())) > 1:
        pixels = ", ".join(f"{label} {size} px" for label, size in sizes.items())
        yield f"Image sizes differ: {pixels}."


def _environment(run: Run) -> tuple[tuple[str, str], ...]:
    rows = []
    for name, value in run.started.environment.items():
        if isinstance(value, dict):
            rows.append((name, ", ".join(f"{k} {v}" for k, v in value.items())))
        elif value is not None:
            rows.append((name, str(value)))
    hashes = {"data": run.dataset.sha256, "validation split": run.dataset.validation_sha256}
    return (*rows, *((f"{what}, SHA-256", sha256) for what, sha256 in hashes.items() if sha256))


def _failures(context: Context) -> Table:
    failed = [trial for trial in context.run.trials if trial.went_wrong]
    columns = {
        "Trial": [context.labels[t.trial.id] for t in failed],
        "Status": [t.status for t in failed],
        "Why": [(t.ended.reason if t.ended else None) or "–" for t in failed],
    }
    return table_of(columns, prose=True)


def reproduce(run: Run) -> str:
    """The options of the run as a Python call that repeats it anywhere."""
    config = run.started.config
    arguments = ", ".join(
        f"{name}={without_folders(value)!r}"
        for name, value in logged_options(config | {"seeds": _asked_seeds(run)}).items()
        if value is not None
        and name.isidentifier()
        and (name not in PRIVATE_OPTIONS or value == "auto")
    )
    return f"run(Config({arguments}))"
