"""Published statements, beside what this run says to them."""

from collections import Counter
from collections.abc import Callable, Sequence

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.judge import JudgedClaim
from bench.analysis.formatting import MISSING, listed
from bench.report.context import Context
from bench.report.sections.base import Section
from bench.report.tables import Cell, Table, table_of
from bench.units import counted

Command = Callable[[str, Sequence[Claim]], str]
"""The command of a run with these options that would decide these claims."""


def claims_finding(judged: Sequence[JudgedClaim], source: str) -> str | None:
    """How many of the claims hold; `source` is what they cannot be told from."""
    verbs = {
        "holds": ("holds", "hold"),
        "does not hold": ("does not hold", "do not hold"),
        "cannot tell": (f"cannot be told from {source}",) * 2,
    }
    answers: Counter[str] = Counter(one.verdict.answer for one in judged)
    parts = [
        f"{answers[answer]} {one if answers[answer] == 1 else many}"
        for answer, (one, many) in verbs.items()
        if answers[answer]
    ]
    count = len(judged)
    return f"Of {counted(count, 'claim')}, {listed(parts)}." if count else None


def claims_tables(
    judged: Sequence[JudgedClaim], source: str, command: Command | None = None
) -> tuple[Table, ...]:
    """What is decided, a row per claim; what `source` leaves open, a row per reason, with the
    command of a run that would decide it, if there is one to name."""
    groups: dict[str, list[JudgedClaim]] = {"holds": [], "does not hold": [], "cannot tell": []}
    for one in judged:
        groups[one.verdict.answer].append(one)
    return (
        _decided("Decided: these hold", groups["holds"]),
        _decided("Decided: these do not hold", groups["does not hold"]),
        _open(f"Open: what {source} cannot tell", groups["cannot tell"], command),
    )


def _decided(title: str, group: Sequence[JudgedClaim]) -> Table:
    """The verdict on each claim and why, the figure quoted, what was measured here."""
    columns: dict[str, list[str]] = {
        "Claim": [judged.claim.claim for judged in group],
        "Verdict": [judged.verdict.answer for judged in group],
        "Why": [judged.verdict.reason for judged in group],
        "Quoted (published)": [_quoted(judged.claim) for judged in group],
        "Here": [_found(judged) for judged in group],
    }
    return table_of(columns, prose=True, title=title)


def _open(title: str, group: Sequence[JudgedClaim], command: Command | None) -> Table:
    """Claims by what is missing."""
    reasons: dict[tuple[str, str | None], list[JudgedClaim]] = {}
    for judged in group:
        verdict = judged.verdict
        reasons.setdefault((verdict.reason, verdict.options), []).append(judged)
    columns: dict[str, list[Cell | str]] = {
        "Why": [reason for reason, _ in reasons],
        "Claims": [
            Cell(counted(len(same), "claim"), more=tuple(map(_line, same)))
            for same in reasons.values()
        ],
    }
    if command is not None:
        columns["What would decide"] = [
            MISSING if options is None else command(options, [j.claim for j in same])
            for (_, options), same in reasons.items()
        ]
    return table_of(columns, prose=True, title=title)


def _line(judged: JudgedClaim) -> str:
    """A claim with both figures, on one line."""
    figures = {"quoted": _quoted(judged.claim), "here": _found(judged)}
    known = [f"{where}: {text}" for where, text in figures.items() if text != MISSING]
    return f"{judged.claim.claim} ({'; '.join(known)})" if known else judged.claim.claim


def _found(judged: JudgedClaim) -> str:
    """The figure of this run, and how it was got."""
    verdict = judged.verdict
    return f"{verdict.measured} ({verdict.got})" if verdict.measured else MISSING


def _tables(context: Context) -> tuple[Table, ...]:
    config = context.run.started.config

    def command(options: str, claims: Sequence[Claim]) -> str:
        """A settlement, where claims say what their evidence is; else a run of their models, or of
        this run's where they name none."""
        if any(claim.evidence or claim.needs for claim in claims):
            own = " --claims FILE" if config.get("claims") else ""
            data = " --dataset folder --data-dir DIR" if config.get("dataset") == "folder" else ""
            return f"python -m bench settle{own}{data}"
        words = [word.partition("@") for claim in claims for word in claim.models]
        models = dict.fromkeys([model for model, _, _ in words] or context.run.facts)
        optimizers = dict.fromkeys(optimizer for *_, optimizer in words if optimizer)
        chosen = f" --optimizer {' '.join(optimizers)}" if optimizers else ""
        preset = config.get("preset", "quick")
        run = f"python run_bench.py --preset {preset} --models {' '.join(models)}{chosen}"
        return f"{run} {options}".rstrip()

    return claims_tables(context.judged, "this run", command)


def _quoted(claim: Claim) -> str:
    return MISSING if claim.quoted is None else f"{claim.quoted:,g} {claim.unit}".rstrip()


SECTIONS = (
    Section(
        160,
        "claims",
        "Claims",
        lambda context: claims_finding(context.judged, "this run"),
        _tables,
        remarks=lambda context: (
            "Statements that were published, beside what this run says to them. Seconds and batch "
            "sizes of another machine do not compare: ratios do.",
        ),
    ),
)
