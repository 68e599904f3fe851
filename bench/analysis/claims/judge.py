"""What a run says to claims: each holds, does not hold, or cannot be told, with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis.claims.reader import Claim
from bench.analysis.claims.rules import RULES, Evidence
from bench.analysis.claims.verdicts import CannotTell, Verdict
from bench.analysis.formatting import MISSING
from bench.analysis.trial_group import Series
from bench.records.run import Run
from bench.report.tables import Cell, Table

CIFAR10_CLASSES = frozenset(
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
)
CIFAR10_IMAGES = 50_000


@dataclass(frozen=True)
class Judged:
    """A claim and its verdict."""

    claim: Claim
    verdict: Verdict


def judge_all(claims: Sequence[Claim], run: Run, found: Sequence[Series]) -> list[Judged]:
    """A verdict on each claim, in their order."""
    return [Judged(claim, judge(claim, run, found)) for claim in claims]


def judge(claim: Claim, run: Run, found: Sequence[Series]) -> Verdict:
    """What the run says to one claim; without its conditions nothing but what was measured."""
    try:
        subjects = tuple(_subject(word, found) for word in claim.models)
        verdict = RULES[claim.rule](claim, Evidence(run, tuple(found), subjects))
    except CannotTell as lack:
        return Verdict("cannot tell", str(lack))
    try:
        for condition in claim.needs:
            _CONDITIONS[condition](claim, run, subjects)
    except CannotTell as lack:
        return Verdict("cannot tell", str(lack), verdict.measured)
    return verdict


def _subject(word: str, found: Sequence[Series]) -> Series:
    """The series of MODEL or MODEL@OPTIMIZER; of several the first, Adam's before others."""
    model, _, optimizer = word.partition("@")
    mine = [s for s in found if s.model == model and optimizer in ("", s.setting.optimizer)]
    if not mine:
        raise CannotTell(f"not run: {word}")
    return min(mine, key=lambda s: s.setting.optimizer != "adam")


def claims_table(judged: Sequence[Judged]) -> Table:
    """A row per claim: the verdict and why, the figure quoted, what was found here."""
    headers = ("Claim", "Verdict", "Why", "Quoted (published)", "Here (measured)")
    rows = [
        (
            one.claim.claim,
            one.verdict.answer,
            one.verdict.reason,
            _quoted(one.claim),
            one.verdict.measured or MISSING,
        )
        for one in judged
    ]
    return Table(headers, tuple(tuple(Cell(text) for text in row) for row in rows))


def _quoted(claim: Claim) -> str:
    return MISSING if claim.quoted is None else f"{claim.quoted:,g} {claim.unit}".rstrip()


def _on_cifar10(claim: Claim, run: Run, subjects: Sequence[Series]) -> None:
    data = run.dataset
    if data.name != "cifar10" and frozenset(data.classes) != CIFAR10_CLASSES:
        raise CannotTell(f"other data: {data.name}, not CIFAR-10")
    if data.train_images != CIFAR10_IMAGES:
        raise CannotTell(f"other data: {data.train_images:,} of CIFAR-10's training images")


def _native(claim: Claim, run: Run, subjects: Sequence[Series]) -> None:
    for one in subjects:
        facts = run.facts.get(one.model)
        if facts and facts.native_size != one.setting.image_size:
            raise CannotTell(
                f"other image size: {one.setting.image_size} px, not {facts.native_size}"
            )


def _same_batch(claim: Claim, run: Run, subjects: Sequence[Series]) -> None:
    if len({one.trials[0].trial.batch_size for one in subjects}) > 1:
        raise CannotTell("batch sizes differ")


def _same_device(claim: Claim, run: Run, subjects: Sequence[Series]) -> None:
    if not claim.device or claim.device.lower() not in run.device.name.lower():
        raise CannotTell("other hardware: only ratios compare")


_CONDITIONS: dict[str, Callable[[Claim, Run, Sequence[Series]], None]] = {
    "cifar10": _on_cifar10,
    "native": _native,
    "same-batch": _same_batch,
    "device": _same_device,
}
