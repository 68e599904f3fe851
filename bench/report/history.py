"""What the verb `history` says: sentences, tables, plain values, and the page's parts."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from bench.analysis.compare.effects import Effect
from bench.analysis.formatting import (
    MISSING,
    change_text,
    in_sentence,
    p_text,
    sentence,
    shown,
    signed_percent,
)
from bench.analysis.history.changes import FEWEST, Change
from bench.analysis.history.news import Reported, reported
from bench.analysis.history.runs import Unusable
from bench.analysis.history.series import Moment, Series
from bench.analysis.metrics import Metric
from bench.analysis.trial_group import TRAITS
from bench.errors import Refused
from bench.records.records import convert
from bench.report.tables import Table, table_of
from bench.units import counted

SCHEMA = 1


@dataclass(frozen=True)
class History:
    """Runs over time: places on the axis of time, what was left out, a series per model and metric,
    where they changed, which of that is news, and all that was ever reported."""

    moments: tuple[Moment, ...]
    unusable: tuple[Unusable, ...]
    series: tuple[Series, ...]
    changes: tuple[Change, ...]
    new: tuple[Change, ...]
    known: tuple[Reported, ...] = ()

    @property
    def regressions(self) -> list[str]:
        """A sentence for each new regression."""
        return [self.sentence(change) for change in self.new if change.regression]

    def named(self, metric: Metric) -> str:
        """A metric within a sentence, told apart from the others that are followed."""
        return name_of(metric, [one.metric for one in self.series])

    def sentence(self, change: Change) -> str:
        """`Epoch time of resnet18 rose by 6.0 % (3.0 to 9.0) between abc123 and def456.`"""
        before, after, confirmed = (
            self.moments[point.at].name for point in (change.before, change.after, change.confirmed)
        )
        name, way = self.named(change.series.metric), "rose" if change.up else "fell"
        return sentence(
            f"{name} of {change.series.label} {way} by {amount(change.effect)} between {before} "
            f"and {after}, confirmed with {confirmed}"
        )


def name_of(metric: Metric, among: Sequence[Metric] = ()) -> str:
    """A metric within a sentence: an epoch is what takes time, an epoch time what rises. It has its
    details if another `among` those that are followed has the same name without."""
    name, bracket, details = in_sentence(metric, among).partition(" (")
    return name + (" time" if metric.unit in ("s", "ms") else "") + bracket + details


def amount(effect: Effect) -> str:
    """By how much something rose or fell, with the 95 % interval: `6.0 % (3.0 to 9.0)`."""
    sign = 1 if effect.shift > 0 else -1
    ratio = effect.scale == "ratio"
    values = [effect.change, *(end for end in (effect.low, effect.high) if end is not None)]
    size, *ends = (sign * 100 * (value - 1 if ratio else value) for value in values)
    decimals = 0 if ratio and abs(size) >= 9.5 else 1
    text = f"{size:,.{decimals}f} {'%' if ratio else 'points'}"
    return text + (f" ({min(ends):,.{decimals}f} to {max(ends):,.{decimals}f})" if ends else "")


def answer(history: History) -> list[str]:
    """What happened, in sentences; regressions first."""
    changes = sorted(history.changes, key=lambda change: not change.regression)
    new = set(map(id, history.new))
    said = [
        f"{history.sentence(change)} {kind_of(change, new=id(change) in new).capitalize()}"
        f"{'' if change.verdict.apart else ', no longer beyond chance with what came since'}."
        for change in changes
    ]
    return said or ["No lasting change beyond chance."]


def kind_of(change: Change, *, new: bool) -> str:
    """What a change is for its user."""
    better = change.series.metric.better
    kind = "change" if better is None else "regression" if change.regression else "improvement"
    return f"new {kind}" if new else f"{kind}, known before"


def notes(history: History) -> list[str]:
    """What a reader must know with it."""
    said = []
    if len(history.moments) < 2 * FEWEST:
        said.append(
            f"{counted(len(history.moments), 'point')}: a change is told from chance by at least "
            f"{FEWEST} before and {FEWEST} after it."
        )
    else:
        short = [s for s in history.series if max(map(len, s.tracks)) < 2 * FEWEST]
        if short:
            names = ", ".join(f"{history.named(s.metric)} of {s.label}" for s in short[:3])
            more = f" and {len(short) - 3} more" if len(short) > 3 else ""
            said.append(
                f"Too few runs under the same conditions to look for changes in {names}{more}."
            )
    if history.unusable:
        said.append(f"{counted(len(history.unusable), 'run')} left out, each for a reason given.")
    return said


def series_table(history: History, series: Sequence[Series]) -> Table:
    """A row per series."""
    changed = [sum(change.series is one for change in history.changes) for one in series]
    columns = {
        "Model": [one.label for one in series],
        "Metric": [history.named(one.metric) for one in series],
        "Points": [str(len(one.points)) for one in series],
        "First": [_shown(one, 0) for one in series],
        "Newest": [_shown(one, -1) for one in series],
    }
    if any(one.scalable for one in series):
        columns["Newest, on the first's machine"] = [
            shown(one.metric.name, one.points[-1].estimate.mean * one.scaled(one.points[-1]))
            if one.scalable
            else MISSING
            for one in series
        ]
    return table_of(columns | {"Changes": [str(count) for count in changed]})


def _shown(series: Series, index: int) -> str:
    found = series.points[index].estimate
    return shown(series.metric.name, found.mean, found.half_width)


def changes_table(history: History, changes: Sequence[Change]) -> Table:
    """A row per change."""
    new, names = set(map(id, history.new)), [moment.name for moment in history.moments]
    columns = {
        "Model": [change.series.label for change in changes],
        "Metric": [history.named(change.series.metric) for change in changes],
        "Between": [f"{names[c.before.at]} and {names[c.after.at]}" for c in changes],
        "After/before or after − before (95 %)": [change_text(c.effect) for c in changes],
        "Scaled by the machine": [change_text(c.scaled) if c.scaled else MISSING for c in changes],
        "p": [p_text(change.effect.p) for change in changes],
        "Confirmed with": [names[change.confirmed.at] for change in changes],
        "Is": [kind_of(change, new=id(change) in new) for change in changes],
    }
    return table_of(columns)


def runs_table(history: History) -> Table:
    """A row per run, those that were left out last."""
    rows = [
        (
            run.name,
            f"{run.started_at:%Y-%m-%d %H:%M}",
            run.commit or MISSING,
            "; ".join(moment.changed) if not number else "",
        )
        for moment in history.moments
        for number, run in enumerate(moment.runs)
    ]
    rows += [(one.name, MISSING, MISSING, f"left out: {one.reason}") for one in history.unusable]
    headers = ("Run", "Started", "Commit", "What else changed")
    columns = {header: [row[i] or MISSING for row in rows] for i, header in enumerate(headers)}
    return table_of(columns, prose=True)


def as_json(history: History) -> str:
    """Everything, for other programs, and for the history to remember what it reported."""
    new, names = set(map(id, history.new)), [moment.name for moment in history.moments]
    found = [(change, reported(change, history.moments)) for change in history.changes]
    remembered = list(history.known)
    remembered += [
        seen
        for change, seen in found
        if id(change) in new or not any(seen.is_of(k) for k in history.known)
    ]
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "runs": [
            {
                "name": run.name,
                "point": moment.name,
                "started_at": run.started_at.isoformat(),
                "commit": run.commit,
                "conditions": run.conditions,
                "changed": moment.changed,
            }
            for moment in history.moments
            for run in moment.runs
        ],
        "left_out": [asdict(one) for one in history.unusable],
        "series": [_series_record(one, names) for one in history.series],
        "changes": [_change_record(history, change, new=id(change) in new) for change, _ in found],
        "regressions": history.regressions,
        "reported": [asdict(one) for one in remembered],
    }
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def reported_in(text: str, name: str) -> tuple[Reported, ...]:
    """What a history of before has reported; Refused if the text is none."""
    try:
        values = msgspec.json.decode(text, type=dict[str, Any])
        if values.get("schema") != SCHEMA:
            raise Refused(f"{name} is of another archbench; remove it, or name another --output.")
        known: tuple[Reported, ...] = convert(values["reported"], tuple[Reported, ...])
    except (msgspec.MsgspecError, KeyError) as error:
        raise Refused(
            f"{name} is no history: {error}; remove it, or name another --output."
        ) from error
    return known


def _series_record(series: Series, names: Sequence[str]) -> dict[str, Any]:
    points = [
        {
            "point": names[point.at],
            "mean": point.estimate.mean,
            "half_width": point.estimate.half_width,
            "trials": point.estimate.n,
            "scaled": point.estimate.mean * series.scaled(point) if series.scalable else None,
            "machine_gflops": point.machine,
        }
        for point in series.points
    ]
    return {
        "label": series.label,
        "setting": dict(zip(TRAITS, series.traits, strict=True)),
        "metric": series.metric.name,
        "unit": series.metric.unit,
        "better": series.metric.better,
        "points": points,
    }


def _change_record(history: History, change: Change, *, new: bool) -> dict[str, Any]:
    names, effect, scaled = [m.name for m in history.moments], change.effect, change.scaled
    return {
        "label": change.series.label,
        "metric": change.series.metric.name,
        "between": [names[change.before.at], names[change.after.at]],
        "confirmed": names[change.confirmed.at],
        "kind": kind_of(change, new=True).removeprefix("new "),
        "new": new,
        "scale": effect.scale,
        "before": effect.a,
        "after": effect.b,
        "change": effect.change,
        "change_low": effect.low,
        "change_high": effect.high,
        "p": effect.p,
        "verdict": change.verdict.text,
        "change_scaled": scaled.change if scaled else None,
        "change_scaled_low": scaled.low if scaled else None,
        "change_scaled_high": scaled.high if scaled else None,
        "sentence": history.sentence(change),
    }


def heading(change: Change) -> str:
    """A change beside a picture: `+6 %`."""
    if change.effect.scale == "ratio":
        return signed_percent(change.effect.change - 1)
    return f"{change.effect.change * 100:+.1f} points"
