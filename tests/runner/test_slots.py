"""Trials side by side: a seed's on one slot, one after another, whatever happens to the others."""

import errno
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import Config, load_run, resume, run
from bench.analysis.trial_group import results_of
from bench.errors import BenchError, Interrupted, NodeLost
from bench.records.messages import PrepareJob, TrainJob
from bench.records.records import DeviceFacts, SeedsCut, Slots, TimePredicted, Trial, TrialEnded
from bench.records.run_folder import read_log
from bench.report.context import Context
from bench.report.sections.base import answers
from bench.report.sections.slots import SECTIONS
from bench.report.style import save
from bench.runner.slots import Waiting, spread
from bench.runner.stopwatch import Stopwatch
from tests.builders import a_trial
from tests.report.undrawn import markdown_of
from tests.runner.test_faults import MODELS, ScriptedWorker, config, curves

CARDS = tuple(DeviceFacts(f"cuda:{n}", "cuda", "Test Card", 8 << 30, None) for n in range(3))


class CardWorker(ScriptedWorker):
    """Finds three cards, and trains a trial only when every card has had one to train."""

    devices: ClassVar[set[str]] = set()
    all_busy: threading.Event

    def messages(self) -> Iterator[Any]:
        if isinstance(self.job, TrainJob) and not self.job.rehearsal:
            self.devices.add(self.job.conditions.device)
            if len(self.devices) == len(CARDS):
                self.all_busy.set()
            assert self.all_busy.wait(20), "the cards were not busy at one time"
        for message in super().messages():
            if isinstance(self.job, PrepareJob):
                message = replace(message, device=CARDS[0], slots=CARDS)
            yield message

    def end(self) -> None: ...


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("run", "other_cards", "trial_runner", "batch_search", "rehearsal"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", CardWorker)
    monkeypatch.setattr(CardWorker, "devices", set())
    monkeypatch.setattr(CardWorker, "all_busy", threading.Event(), raising=False)


def on_cards(output: Path, **changes: Any) -> Config:
    return replace(config(output), device="auto", devices="all", seeds=5, **changes)


def test_the_trials_of_a_seed_run_on_one_card_and_the_seeds_on_all(tmp_path: Path) -> None:
    result = run(on_cards(tmp_path / "run"))
    assert {t.status for t in result.trials} == {"done"}
    assert len(result.trials) == 5 * len(MODELS)
    slots = {seed: {t.slot for t in result.trials if t.trial.seed == seed} for seed in range(5)}
    assert all(len(of_seed) == 1 for of_seed in slots.values())
    assert set().union(*slots.values()) == {0, 1, 2}
    assert result.slots == CARDS
    again = load_run(tmp_path / "run")
    columns = ["model", "seed", "epoch", "test_accuracy"]
    rows = result.epochs[columns].itertuples(index=False, name=None)
    assert curves(tmp_path / "run") == sorted(rows)
    assert again.models.slot.tolist() == [t.slot for t in results_of(result)]
    assert set(again.models.slots_busy_beside) <= {0, 1, 2}
    # What a seed's trials are is as on one card: A B, B A.
    ended = [r.trial for r in read_log(tmp_path / "run") if isinstance(r, TrialEnded)]
    orders = {seed: [t.model for t in ended if t.seed == seed] for seed in range(5)}
    assert orders == {seed: list(MODELS)[:: 1 if seed % 2 == 0 else -1] for seed in range(5)}
    assert "all trials of a seed in one" in markdown_of(again)
    (told,) = answers(SECTIONS, Context(again), lambda name, figure: save(figure, tmp_path / name))
    assert [picture.file for picture in told.pictures] == ["slots"]
    assert (tmp_path / "slots.png").stat().st_size > 10_000


def test_a_run_that_was_interrupted_goes_on_with_other_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(message: Any) -> None:
        if isinstance(message, TrialEnded):
            raise KeyboardInterrupt

    asked = on_cards(tmp_path / "run")
    with pytest.raises(Interrupted):
        run(asked, interrupt)
    begun = load_run(tmp_path / "run")
    assert 0 < sum(t.status == "done" for t in begun.trials) < 10
    monkeypatch.setattr("tests.runner.test_slots.CARDS", CARDS[1:])
    monkeypatch.setattr(CardWorker, "devices", set())
    monkeypatch.setattr("bench.runner.resume.check_same_place", lambda before, now: None)
    result = resume(tmp_path / "run", given={"devices": "1,2"})
    assert {t.status for t in result.trials} == {"done"}
    assert len(result.trials) == 10
    told = [r for r in read_log(tmp_path / "run") if isinstance(r, Slots)]
    assert [len(slots.devices) for slots in told] == [3, 2]
    # The report says where each trial ran, whatever its slot stands for now.
    text = markdown_of(load_run(tmp_path / "run"))
    assert "slot 0: cuda:0" in text
    assert "slot 0: cuda:1" in text


def test_a_lost_node_gets_no_further_trial_of_any_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Leaving(CardWorker):
        def messages(self) -> Iterator[Any]:
            yield from super().messages()
            if isinstance(self.job, TrainJob) and self.job.conditions.device == "cuda:1":
                self.lost.append(self.job.trial.id)
                raise NodeLost("slot 1 no longer answers.")

    monkeypatch.setattr(Leaving, "lost", [], raising=False)
    monkeypatch.setattr("bench.runner.trial_runner.Worker", Leaving)
    monkeypatch.setattr("bench.runner.session.noise_of", lambda result: ["it was noisy"])
    result = run(on_cards(tmp_path / "run", rerun_noisy=1))
    assert {t.status for t in result.trials} == {"done"}
    assert len(Leaving.lost) == 1  # type: ignore[attr-defined]
    assert all(t.repeated and t.slot != 1 for t in result.trials)
    [lost] = [t for t in result.trials if t.trial.id in Leaving.lost]  # type: ignore[attr-defined]
    assert lost.stays[0].place == "cuda:1"


def test_a_full_disk_on_one_card_ends_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.records.run_folder.os.fsync", FailsAfter(60))
    with pytest.raises(BenchError, match=r"cannot write to .*resume continues"):
        run(on_cards(tmp_path / "run"))
    monkeypatch.undo()
    monkeypatch.setattr(CardWorker, "all_busy", threading.Event(), raising=False)
    for room in ("run", "other_cards", "trial_runner", "batch_search", "rehearsal"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", CardWorker)
    CardWorker.all_busy.set()
    kept = curves(tmp_path / "run")
    assert kept
    result = resume(tmp_path / "run")
    assert {t.status for t in result.trials} == {"done"}
    assert set(kept) <= set(curves(tmp_path / "run"))


class FailsAfter:
    """`os.fsync` of a disk that is full after so many writes."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def __call__(self, handle: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_time_limit_counts_what_runs_at_one_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stopwatch, "passed", lambda self: 20.0)
    told: list[Any] = []
    one_seed = 200.0  # of scripted steps, and a margin
    limit = f"{20 + 2 * one_seed:.0f}s"
    result = run(on_cards(tmp_path / "run", time_limit=limit), told.append)
    [predicted] = [m for m in told if isinstance(m, TimePredicted)]
    assert predicted.slots == 3
    assert predicted.cut_seeds == ()
    assert not [m for m in told if isinstance(m, SeedsCut)]
    assert len(result.trials) == 10
    alone = replace(config(tmp_path / "alone"), seeds=5, time_limit=limit)
    monkeypatch.setattr("tests.runner.test_slots.CARDS", CARDS[:1])
    CardWorker.all_busy.set()
    run(alone, told.append)
    [_, predicted] = [m for m in told if isinstance(m, TimePredicted)]
    assert predicted.slots == 1
    assert predicted.cut_seeds


@given(
    sizes=st.lists(st.integers(0, 3), max_size=8),
    slots=st.integers(1, 4),
    room=st.integers(1, 8),
)
def test_every_block_is_trained_once_or_cut_and_the_cut_ones_are_the_last(
    sizes: list[int], slots: int, room: int
) -> None:
    blocks = {n: [a_trial(seed=n)] * (size + 1) for n, size in enumerate(sizes)}
    lock, tried, cut = threading.Lock(), dict.fromkeys(blocks, 0), []

    def attempt(trial: Trial, runner: Any) -> None:
        with lock:
            tried[trial.seed] += 1

    def has_time(trials: Sequence[Trial]) -> bool:
        return trials[0].seed < room

    waiting = Waiting(blocks, has_time, lambda left: cut.extend(left))
    runners: Any = [StubRunner() for _ in range(slots)]
    spread(waiting, runners, attempt, lambda trials, error: None)
    kept = range(min(room, len(sizes)))
    assert tried == {n: len(trials) if n in kept else 0 for n, trials in blocks.items()}
    assert cut == list(range(len(kept), len(sizes)))


def test_what_a_lost_node_leaves_is_taken_although_others_were_cut() -> None:
    first, second, third = (a_trial(seed=n) for n in (1, 2, 3))
    cuts: list[dict[int, Sequence[Trial]]] = []
    waiting = Waiting(
        {1: [first], 2: [second], 3: [third]},
        lambda trials: trials != [third],
        lambda left: cuts.append(dict(left)),
    )
    assert [waiting.take(), waiting.take()] == [(1, [first]), (2, [second])]
    waiting.done(2)
    taken: list[Any] = []
    other = threading.Thread(target=lambda: taken.append(waiting.take()))
    other.start()
    other.join(0.1)
    assert cuts == [{3: [third]}]
    waiting.done(1, [first])
    other.join(20)
    assert taken == [(1, [first])]


def test_all_that_is_cut_is_named_together() -> None:
    trials = {n: [a_trial(seed=n)] for n in (1, 2, 3)}
    cuts: list[list[int]] = []
    waiting = Waiting(trials, lambda trials: False, lambda left: cuts.append(list(left)))
    assert waiting.take() == (1, trials[1])
    waiting.done(1, trials[1])
    assert waiting.take() is None
    assert cuts == [[1, 2, 3]]


class StubRunner:
    def stop(self) -> None: ...

    def end(self) -> None: ...
