"""How far claims are settled: what is decided, what is open and what that would take, and what
cannot be decided here."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from bench.analysis.claims.claim import Claim, ClaimVerdict
from bench.analysis.claims.evidence import Requirement, Wanted
from bench.records.files import write_atomic
from bench.units import counted, duration_text

SETTLED = "settled.csv"

State = Literal["decided", "open", "cannot be decided here"]
STATES: tuple[State, ...] = ("decided", "open", "cannot be decided here")


@dataclass(frozen=True)
class Settled:
    """A claim, the verdict on it, the trials that it rests on in words, and what a verdict would
    take if it has none."""

    claim: Claim
    state: State
    verdict: ClaimVerdict
    evidence: str = ""
    would_take: str = ""


def settled_frame(claims: Iterable[Settled]) -> pd.DataFrame:
    """A row per claim, the columns of `settled.csv`."""
    rows = [
        {
            "id": one.claim.id,
            "claim": one.claim.claim,
            "state": one.state,
            "verdict": one.verdict.answer,
            "reason": one.verdict.reason,
            "found": one.verdict.measured,
            "got": one.verdict.got if one.verdict.measured else "",
            "evidence": one.evidence,
            "would_take": one.would_take,
            "source": one.claim.source,
        }
        for one in claims
    ]
    return pd.DataFrame(rows)


def write_settled(claims: Iterable[Settled], folder: Path) -> None:
    """Replace `settled.csv`; raises BenchError if that fails."""
    write_atomic(folder / SETTLED, settled_frame(claims).to_csv(index=False, lineterminator="\n"))


def evidence_text(needed: Requirement, experiment: int, seeds: int) -> str:
    """The trials that a verdict rests on.

    >>> from bench.analysis.claims.evidence import requirement
    >>> claim = Claim("a", "b", "more", metric=("epoch_seconds",), models=("resnet34", "resnet18"))
    >>> evidence_text(requirement(claim), 2, 3)
    'run 2: resnet34, resnet18; constant, 3 epochs of 2,000 images at 32 px, 3 seeds'
    """
    options = dict(needed.options)
    several = len({subject.optimizer for subject in needed.subjects}) > 1
    names = [f"{s.model} {s.optimizer}" if several else s.model for s in needed.subjects]
    (size,) = options["image_size"]
    text = f"run {experiment}: {', '.join(names)}; "
    at = f"at {size} px" if isinstance(size, int) else "at native size"
    if not needed.trained:
        budget = options.get("memory_budget")
        return f"{text}not trained, {at}" + (f", {budget} of memory" if budget else "")
    images, epochs = options["train_limit"], options["epochs"]
    many = "all" if images == "all" else f"{images:,}"
    return (
        f"{text}{', '.join(options['recipe'])}, {counted(epochs, 'epoch')} of {many} images {at}, "
        f"{counted(seeds, 'seed')}"
    )


def would_take(missing: Iterable[Wanted], seconds: float) -> str:
    """What is left to be trained, in words.

    >>> from bench.analysis.claims.evidence import Subject
    >>> would_take([Wanted(1, seed, Subject("resnet18", "adam")) for seed in (3, 4)], 300)
    '2 more seeds, about 5 minutes'
    """
    seeds = {wanted.seed for wanted in missing}
    more = "more " * (0 not in seeds)
    return f"{counted(len(seeds), f'{more}seed')}, about {duration_text(seconds)}"
