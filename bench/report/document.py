"""What a report says, whatever it is written in: `report.md` and `report.html` are made of it."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.claims.judge import Judged, claims_table, judge_all
from bench.analysis.claims.reader import Claim
from bench.analysis.formatting import listed
from bench.analysis.trial_group import Series, series
from bench.records.run import Run
from bench.report.questions import Section, sections
from bench.report.tables import Cell, Table, headline
from bench.report.trust import noisy_trials


@dataclass(frozen=True)
class Content:
    """A report in its order: facts and warnings, the comparison, a section per question, claims,
    environment, how to make it again, and what failed."""

    run: Run
    models: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    headline: Table
    sections: tuple[Section, ...]
    judged: tuple[Judged, ...]
    claims: Table
    claims_finding: str
    environment: tuple[tuple[str, str], ...]
    command: str
    call: str
    failures: Table


def content(run: Run, claims: Sequence[Claim], drawn: Collection[str]) -> Content:
    """What a run's report says; `drawn` names the pictures that are in its folder."""
    found = series(run)
    judged = tuple(judge_all(claims, run, found))
    return Content(
        run=run,
        models=", ".join(run.facts),
        facts=_facts(run),
        warnings=tuple(warnings(run, found)),
        headline=headline(found),
        sections=tuple(sections(run, found, drawn)),
        judged=judged,
        claims=claims_table(judged),
        claims_finding=_count(judged),
        environment=_environment(run),
        command=run.started.command,
        call=reproduce(run),
        failures=_failures(run),
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
        ("Seeds", str(config.get("seeds", "–"))),
        ("Measured", run.started.started_at),
    )


def warnings(run: Run, found: list[Series]) -> list[str]:
    """Sentences that a reader of the comparison must see first."""
    checks: tuple[Callable[[Run, list[Series]], list[str]], ...] = (
        lambda run, found: list(run.dataset.notes),
        _not_done,
        _noisy,
        _one_seed,
        _different_updates,
        _different_sizes,
    )
    return [sentence for check in checks for sentence in check(run, found)]


def _not_done(run: Run, found: list[Series]) -> list[str]:
    bad = sum(result.status != "done" for result in run.trials)
    if not bad:
        return []
    return [
        f"{bad} of {len(run.trials)} trials did not come to their end; the last section says why."
    ]


def _noisy(run: Run, found: list[Series]) -> list[str]:
    bad = noisy_trials(run)
    if not bad:
        return []
    names = listed([trial.trial.id for trial, _ in bad[:3]])
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return [
        f"The times of {len(bad)} of {len(run.trials)} trials may mislead ({names}{more}): the "
        "section on trust says why; --rerun-noisy trains such trials again."
    ]


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


def _count(judged: Sequence[Judged]) -> str:
    """How many of the claims hold."""
    answers: Counter[str] = Counter(one.verdict.answer for one in judged)
    verbs = {
        "holds": ("holds", "hold"),
        "does not hold": ("does not hold", "do not hold"),
        "cannot tell": ("cannot be told from this run",) * 2,
    }
    parts = [
        f"{answers[answer]} {one if answers[answer] == 1 else many}"
        for answer, (one, many) in verbs.items()
        if answers[answer]
    ]
    return f"Of {len(judged)} claim{'s' if len(judged) > 1 else ''}, {listed(parts)}."


def _environment(run: Run) -> tuple[tuple[str, str], ...]:
    rows = []
    for name, value in run.started.environment.items():
        if isinstance(value, dict):
            rows.append((name, ", ".join(f"{k} {v}" for k, v in value.items())))
        elif value is not None:
            rows.append((name, str(value)))
    return (*rows, ("data, SHA-256", run.dataset.sha256))


def _failures(run: Run) -> Table:
    rows = [
        (result.trial.id, result.status, (result.ended.reason if result.ended else None) or "–")
        for result in run.trials
        if result.status != "done"
    ]
    return Table(
        ("Trial", "Status", "Why"), tuple(tuple(Cell(text) for text in row) for row in rows)
    )


def reproduce(run: Run) -> str:
    """The options of the run that make it again, as a Python call that works anywhere."""
    kept: dict[str, Any] = {
        name: value
        for name, value in run.started.config.items()
        if value is not None and name not in ("output", "data_dir", "claims")
    }
    arguments = ", ".join(f"{name}={value!r}" for name, value in kept.items())
    return f"run(Config({arguments}))"
