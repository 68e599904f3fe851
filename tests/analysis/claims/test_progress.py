"""What claims still lack follows from the logs of their runs alone; nothing is run here."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.evidence import Subject, Wanted
from bench.analysis.claims.judge import OTHER_HARDWARE
from bench.analysis.claims.progress import DESCRIPTION_SECONDS, SEARCH_SECONDS, Progress
from bench.analysis.run_time import predict_time
from bench.records.records import Record, TrialEnded, TrialTime
from tests.builders import a_device, a_done_trial, a_failed_trial, a_trial, run_start, tables_of

SLOWER = Claim(
    "slower", "It is slower", "more", metric=("epoch_seconds",), models=("googlenet", "lenet")
)
COUNTED = Claim(
    "counted", "It is small", "about", metric=("params",), models=("lenet",), threshold=62_006
)
FITS = Claim("fits", "It fits more", "more", metric=("max_batch",), models=("lenet", "googlenet"))
FAR = replace(COUNTED, id="far", metric=("epoch_seconds",), threshold=60, needs=("device",))
TRIALS = [a_trial(model, seed) for seed in range(3) for model in ("googlenet", "lenet")]


def progress_of(*records: Record, claims: tuple[Claim, ...] = (SLOWER,)) -> Progress:
    """A settlement whose first run has these records, with every trial priced at 40 s."""
    times = [TrialTime(trial, {"training": 40.0}) for trial in TRIALS[:2]]
    run = tables_of(Path("1"), [*run_start(), predict_time(times, 5.0), *records])
    return Progress(claims, {1: run})


def done(*seeds: int) -> list[Record]:
    """Both models under these seeds, GoogLeNet's epochs twice as long."""
    which = [trial for trial in TRIALS if trial.seed in seeds]
    return [r for t in which for r in a_done_trial(t, number=int(t.model == "googlenet"))]


def test_before_anything_ran_nothing_is_known_but_prices_of_what_is_not_trained() -> None:
    progress = Progress((SLOWER, COUNTED, FITS, FAR))
    states = {one.claim.id: (one.state, one.verdict.reason) for one in progress.settled()}
    assert states["slower"] == states["counted"] == ("open", "not yet run")
    assert states["far"] == ("cannot be decided here", OTHER_HARDWARE)
    needs = progress.needs(left=1e6)
    assert needs.keys() == {"slower", "counted", "fits"}
    assert [progress.price(wanted) for wanted in needs["counted"]] == [DESCRIPTION_SECONDS]
    assert {progress.price(w) for w in needs["fits"]} == {DESCRIPTION_SECONDS + SEARCH_SECONDS}
    assert {progress.price(wanted) for wanted in needs["slower"]} == {None}
    slower = next(one for one in progress.settled() if one.claim.id == "slower")
    assert slower.would_take == "a longer --time-limit: this one had no room to predict it"
    assert progress.fewest_seeds(["slower", "counted"]) == 1
    assert not progress.failed


@pytest.mark.parametrize("seeds", [(), (0,), (0, 1)])
def test_a_claim_about_seconds_lacks_its_seeds_of_both_models(seeds: tuple[int, ...]) -> None:
    progress = progress_of(*done(*seeds))
    needed = progress.needs(left=1e6)["slower"]
    left = {w.seed for w in needed if not progress.is_over(w)}
    assert left == {0, 1, 2} - set(seeds)
    assert progress.verdict("slower").reason == "not yet run"
    (settled,) = progress.settled()
    assert settled.state == "open"
    more = "more " if seeds else ""
    assert settled.would_take.startswith(f"{3 - len(seeds)} {more}seed")


def test_a_claim_with_all_its_evidence_is_decided_and_needs_nothing() -> None:
    progress = progress_of(*done(0, 1, 2))
    (settled,) = progress.settled()
    assert (settled.state, settled.verdict.answer) == ("decided", "holds")
    assert settled.evidence.startswith("run 1: googlenet, lenet; ")
    assert progress.needs(left=1e6) == {}


def test_what_failed_or_was_given_up_is_not_wanted_again_and_says_why() -> None:
    failed = progress_of(*a_failed_trial(TRIALS[0], reason="memory ran out."))
    assert failed.needs(left=1e6) == {}
    assert failed.failed
    assert failed.verdict("slower").reason == "googlenet failed: memory ran out."
    gave_up = progress_of()
    gave_up.gave_up[Wanted(1, 2, Subject("lenet", "adam"))] = "its trials did not end"
    assert gave_up.needs(left=1e6) == {}
    assert gave_up.verdict("slower").reason == "lenet failed: its trials did not end"
    (settled,) = gave_up.settled()
    assert settled.would_take == "that its trials do not fail"


def test_a_model_that_could_not_be_looked_at_is_no_evidence_and_not_wanted_again() -> None:
    failed = TrialEnded(a_trial("lenet"), "failed", "it broke.", 0.0)
    run = tables_of(Path("1"), [*run_start(), failed])
    progress = Progress((COUNTED,), {1: run})
    assert progress.verdict("counted").reason == "lenet failed: it broke."
    assert progress.needs(left=1e6) == {}
    assert progress.failed


def test_what_could_not_be_timed_has_no_price() -> None:
    times = [TrialTime(TRIALS[0], {}), TrialTime(TRIALS[1], {"training": 40.0})]
    run = tables_of(Path("1"), [*run_start(), predict_time(times, 5.0)])
    progress = Progress((SLOWER,), {1: run})
    needed = progress.needs(left=1e6)["slower"]
    prices = {wanted.subject.model: progress.price(wanted) for wanted in needed}
    assert prices == {"googlenet": None, "lenet": 40.0}
    (settled,) = progress.settled()
    assert settled.would_take == "that a few of its steps can be timed"


def test_a_seed_that_failed_is_no_evidence() -> None:
    ended = done(0, 1)
    failed = progress_of(*ended, *a_failed_trial(TRIALS[4]), *a_done_trial(TRIALS[5]))
    (settled,) = failed.settled()
    assert (settled.state, settled.verdict.answer) == ("open", "cannot tell")
    assert settled.verdict.reason.startswith("googlenet failed: ")
    assert "2 seeds" in settled.evidence


def test_what_takes_longer_than_is_left_is_nothing_to_train_side_by_side_with() -> None:
    third = replace(SLOWER, id="third", models=("resnet18", "lenet"))
    progress = progress_of(claims=(SLOWER, third))
    models = {w.subject.model for w in progress.needs(left=1e6)["slower"]}
    assert models == {"googlenet", "lenet"}  # no step of resnet18 was timed


def test_conditions_of_the_machine_are_looked_at_once_there_is_a_run() -> None:
    real = replace(SLOWER, id="real", needs=("cifar10",))
    progress = progress_of(claims=(real,))
    progress.check_conditions(progress.experiments[0])
    (settled,) = progress.settled()
    assert settled.state == "cannot be decided here"
    assert "CIFAR-10" in settled.verdict.reason
    quoted = replace(SLOWER, id="quoted", needs=("device",), device="Test CPU")
    here = progress_of(a_device(), claims=(quoted,))
    here.check_conditions(here.experiments[0])
    assert here.elsewhere == {}
