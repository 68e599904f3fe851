"""The section on what ran where."""

from collections.abc import Sequence

from bench.records.records import Record, Slots, TrialEnded, TrialStarted
from bench.report.sections.slots import SECTIONS
from tests.builders import a_context, a_device, a_trial, an_epoch, run_start

(SECTION,) = SECTIONS


def in_slots(*starts: tuple[int, int]) -> list[Record]:
    """The log of a trial for each number of slots that there are, and the slot that it runs in."""
    records: list[Record] = [*run_start()]
    for seed, (count, slot) in enumerate(starts):
        trial = a_trial(seed=seed)
        started = TrialStarted(trial, f"2026-01-02T03:0{seed}:00+00:00", slot=slot)
        ended = TrialEnded(trial, "done", None, 30.0)
        records += [Slots((a_device(),) * count), started, an_epoch(trial), ended]
    return records


def said(records: Sequence[Record]) -> tuple[str | None, list[str]]:
    context = a_context(records)
    return SECTION.finding(context), list(SECTION.remarks(context))


def test_nothing_runs_side_by_side_in_one_slot() -> None:
    assert said(in_slots((1, 0), (1, 0))) == (None, [])
    (picture,) = SECTION.pictures
    assert picture.draw(a_context(in_slots((1, 0)))) is None


def test_slots_that_a_resumed_run_has_no_more_count() -> None:
    finding, remarks = said(in_slots((2, 1), (1, 0)))
    assert finding is not None
    assert finding.startswith("Trials ran side by side in 2 slots, all trials of a seed in one; ")
    assert len(remarks) == 1
