"""What a report says, whatever it is written in: `report.md` and `report.html` are made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.analysis.formatting import listed
from bench.analysis.run_time import cut_sentence, seeds_left_out
from bench.config import logged_options
from bench.records.redaction import PRIVATE_OPTIONS, without_folders
from bench.records.run import Run
from bench.report.context import Context
from bench.report.sections.base import Answer
from bench.report.sections.timing_noise import noisy_trials
from bench.report.tables import Table, headline, table_of


@dataclass(frozen=True)
class Page:
    """A page of answers that is no report of one run: its title, facts and warnings first."""

    title: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Document:
    """A report in its order: facts and warnings, the comparison, an answer per section, the
    environment, how to repeat the run, and what failed."""

    run: Run
    models: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    headline: Table
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
        models=", ".join(run.facts),
        facts=_facts(run),
        warnings=tuple(warnings(context)),
        headline=headline(context.groups),
        answers=tuple(answers),
        environment=_environment(run),
        command=run.started.command,
        call=reproduce(run),
        failures=_failures(context),
    )


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    """What was compared on what, in a few words each."""
    config, data, device = run.started.config, run.dataset, run.device
    threads = f", {device.threads} threads" if device.threads else ""
    sizes = sorted({t.trial.setting.image_size for t in run.trials})
    precisions = dict.fromkeys(t.trial.setting.precision for t in run.trials)
    return (
        (
            "Data set",
            f"{data.name}: {data.train_images:,} training and {data.test_images:,} test images, "
            f"{len(data.classes)} classes",
        ),
        ("Device", f"{device.name} ({device.device}{threads})"),
        ("Precision", ", ".join(precisions) or "–"),
        ("Preset", str(config.get("preset", "–"))),
        ("Image size", f"{', '.join(map(str, sizes)) or '–'} px"),
        ("Seeds", _seeds(run)),
        ("Measured", run.started.started_at),
    )


def _seeds(run: Run) -> str:
    asked, cut = run.started.config.get("seeds", "–"), seeds_left_out(run)
    return f"{asked - len(cut)} of {asked}, for the time limit" if cut else str(asked)


def warnings(context: Context) -> Iterator[str]:
    """Sentences that a reader of the comparison must see first."""
    run = context.run
    yield from run.dataset.notes
    bad = sum(trial.status != "done" for trial in run.trials)
    if bad:
        yield f"{bad} of {len(run.trials)} trials were not completed; the last section says why."
    cut = seeds_left_out(run)
    if cut and run.seeds_cut:
        yield cut_sentence(cut, run.seeds_cut)
    noisy = [context.labels[trial.trial.id] for trial, _ in noisy_trials(run)]
    if noisy:
        more = f" and {len(noisy) - 3} more" if len(noisy) > 3 else ""
        yield (
            f"The times of {len(noisy)} of {len(run.trials)} trials may mislead "
            f"({listed(noisy[:3])}{more}): the section on trust says why; --rerun-noisy trains "
            "such trials again."
        )
    if len({trial.trial.seed for trial in run.trials}) < 2:
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
    return (*rows, ("data, SHA-256", run.dataset.sha256))


def _failures(context: Context) -> Table:
    failed = [t for t in context.run.trials if t.status != "done"]
    columns = {
        "Trial": [context.labels[t.trial.id] for t in failed],
        "Status": [t.status for t in failed],
        "Why": [(t.ended.reason if t.ended else None) or "–" for t in failed],
    }
    return table_of(columns, prose=True)


def reproduce(run: Run) -> str:
    """The options of the run as a Python call that repeats it anywhere."""
    arguments = ", ".join(
        f"{name}={without_folders(value)!r}"
        for name, value in logged_options(run.started.config).items()
        if value is not None and name not in PRIVATE_OPTIONS
    )
    return f"run(Config({arguments}))"
