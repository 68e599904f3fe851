"""What a run tells its listener and how long it may take, with scripted workers in place of real
ones."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench import resume, run
from bench.analysis.tuning import point_of
from bench.errors import BenchError, Interrupted, Refused, TrialFailed, WorkerDied
from bench.prediction.cpu import FACTOR
from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.memory_trace import Allocation, Trace
from bench.records.messages import (
    Abilities,
    AbilitiesJob,
    Planned,
    Prepared,
    SearchJob,
    Simulated,
    SimulateJob,
    TrainJob,
    Warned,
)
from bench.records.records import (
    DatasetFacts,
    Epoch,
    FinalTest,
    MemoryBreakdown,
    RunEnded,
    RunTimed,
    SeedsCut,
    StepsTimed,
    TimePredicted,
    Trial,
    TrialEnded,
    TrialStarted,
)
from bench.records.run_folder import read_log
from bench.runner import session
from bench.runner.session import exit_code
from bench.runner.stopwatch import Stopwatch
from tests.builders import a_dataset, a_final_test, an_epoch
from tests.runner.test_faults import MODELS, ScriptedWorker, config


class WarningWorker(ScriptedWorker):
    """Warns after the last epoch of a trial."""

    def messages(self) -> Iterator[Any]:
        yield from super().messages()
        if isinstance(self.job, TrainJob):
            yield Warned("it could not be inspected.")


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    def labels(trials: Sequence[Trial]) -> dict[str, str]:
        return {t.id: f"{t.model} · seed {t.seed}" for t in trials}

    monkeypatch.setattr("bench.runner.session.trial_labels", labels)
    for room in ("run", "other_cards", "trial_runner", "batch_search", "rehearsal", "foresight"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", WarningWorker)


def test_a_worker_that_ends_early_without_a_reason_fails_its_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SilentWorker(ScriptedWorker):
        def messages(self) -> Iterator[Any]:
            trains = isinstance(self.job, TrainJob)
            return iter([*super().messages()][: -1 if trains else None])

    monkeypatch.setattr("bench.runner.trial_runner.Worker", SilentWorker)
    ends = [trial.ended for trial in run(config(tmp_path / "run")).trials]
    assert {end.reason for end in ends if end} == {
        "its worker ended before the last epoch, and did not say why."
    }
    assert all(end and end.retry for end in ends)


def of(kind: type[Any], messages: list[Any]) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def test_labels_are_sent_once_before_the_first_trial(tmp_path: Path) -> None:
    messages: list[Any] = []
    result = run(config(tmp_path / "run"), messages.append)
    [planned] = of(Planned, messages)
    assert set(planned.labels) == {t.trial.id for t in result.trials}
    first = next(m for m in messages if isinstance(m, TrialStarted))
    assert messages.index(planned) < messages.index(first)


def test_a_workers_warning_gets_the_trials_label(tmp_path: Path) -> None:
    messages: list[Any] = []
    run(config(tmp_path / "run"), messages.append)
    texts = [m.text for m in of(Warned, messages) if "inspected" in m.text]
    assert sorted(texts) == sorted(
        f"{model} · seed {seed}: it could not be inspected." for model in MODELS for seed in (0, 1)
    )
    assert not any("b64" in m.text or "bauto" in m.text for m in of(Warned, messages))


def test_a_resumed_run_shows_its_earlier_epochs_under_their_labels(tmp_path: Path) -> None:
    def interrupt(message: Any) -> None:
        if isinstance(message, TrialEnded):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(config(tmp_path / "run"), interrupt)
    messages: list[Any] = []
    resume(tmp_path / "run", messages.append)
    epochs = of(Epoch, messages)
    assert len({(e.trial, e.epoch) for e in epochs}) == len(epochs) == 8
    [planned] = of(Planned, messages)
    assert messages.index(planned) < messages.index(epochs[0])
    assert set(planned.labels) == {e.trial for e in epochs}


@pytest.mark.parametrize("searched", [True, False])
def test_memory_is_predicted_for_a_search_alone(
    searched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[SearchJob] = []

    class Noting(ScriptedWorker):
        def __init__(self, job: SearchJob, log: Path, **options: Any) -> None:
            jobs.append(job)
            super().__init__(job, log, **options)

    monkeypatch.setattr("bench.runner.batch_search.Worker", Noting)
    run(replace(config(tmp_path / "run"), max_batch=searched))
    assert [job.searched for job in jobs] == [searched] * len(MODELS)


def test_one_search_is_for_every_learning_rate(tmp_path: Path) -> None:
    asked = replace(config(tmp_path / "run"), lr=(1e-3, 1e-2), optimizer=("adam", "sgd"))
    result = run(replace(asked, max_batch=True, seeds=1))
    assert len(result.trials) == len(result.largest_batches) == 4 * len(MODELS)
    assert {r.largest_batch.max_batch for r in result.trials if r.largest_batch} == {100}
    searched = {(p.model, p.setting.optimizer, p.setting.learning_rate) for p in result.all_probes}
    assert searched == {(model, name, 1e-3) for model in MODELS for name in ("adam", "sgd")}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that have passed of the time limit."""
    passed = [20.0]
    monkeypatch.setattr(Stopwatch, "passed", lambda self: passed[0])
    return passed


SEED = 190.0
"""Seconds of a seed of both models: more than predicted, by less than a limit's margin."""


def test_a_time_limit_leaves_out_the_last_seeds_of_every_model(
    tmp_path: Path, clock: list[float]
) -> None:
    messages: list[Any] = []
    limited = replace(config(tmp_path / "run"), seeds=3, time_limit="8m")

    def listen(message: Any) -> None:
        messages.append(message)
        clock[0] += SEED / len(MODELS) * isinstance(message, TrialEnded)

    result = run(limited, listen)
    [predicted] = of(TimePredicted, messages)
    one_seed = predicted.trials[0].total_seconds * len(MODELS)
    assert one_seed < SEED < 1.1 * one_seed
    assert len(of(StepsTimed, messages)) == len(MODELS)
    assert [m.text for m in of(Warned, messages) if "predicted" in m.text] == [
        "the time of this plan is predicted only once steps are timed: the processor could not be "
        "timed."
    ]
    [cut] = of(SeedsCut, messages)
    assert cut.seeds == predicted.cut_seeds == (2,)
    trained = sorted((t.trial.seed, t.trial.model) for t in result.trials)
    assert trained == [(seed, model) for seed in (0, 1) for model in sorted(MODELS)]
    assert exit_code(result) == 0


def test_a_time_limit_counts_anew_when_a_run_is_resumed(tmp_path: Path, clock: list[float]) -> None:
    def listen(message: Any) -> None:
        clock[0] += SEED / len(MODELS) * isinstance(message, TrialEnded)

    limited = replace(config(tmp_path / "run"), seeds=2, time_limit="5m")
    assert {t.trial.seed for t in run(limited, listen).trials} == {0}
    again = resume(tmp_path / "run", given={"time_limit": "1h"})
    assert {t.trial.seed for t in again.trials} == {0, 1}


def test_a_limit_too_short_for_one_seed_is_refused_before_training(
    tmp_path: Path, clock: list[float]
) -> None:
    messages: list[Any] = []
    with pytest.raises(Refused, match=r"--time-limit 2m is too short: one seed of every model"):
        run(replace(config(tmp_path / "run"), time_limit="2m"), messages.append)
    assert of(TrialStarted, messages) == []
    assert {t.trial.seed for t in resume(tmp_path / "run", given={"time_limit": "9h"}).trials}


TRACE = Trace((Allocation(1 << 30, 1 << 20, "activations"),), (0, ~0))


class ForesightedWorker(WarningWorker):
    """Times a processor and simulates models; so slow that a step of 64 images takes minutes."""

    flops = 1e9
    jobs: ClassVar[list[Any]] = []

    def messages(self) -> Iterator[Any]:
        self.jobs.append(self.job)
        match self.job:
            case AbilitiesJob(timed=True):
                yield Abilities(("fp32",), 1, self.flops, 1e12)
            case SimulateJob(device="cpu", shapes=shapes):
                work = KernelTrace((Kernel("1x1 convolution", False, 0, 10**9, 0, 0, 64, 64),))
                for model, setting in shapes:
                    yield Simulated(model, setting, None, kernels=work)
        yield from super().messages()


@pytest.fixture
def foresighted(monkeypatch: pytest.MonkeyPatch) -> type[ForesightedWorker]:
    worker = type("W", (ForesightedWorker,), {"jobs": []})
    for room in ("run", "other_cards", "batch_search", "rehearsal", "foresight"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", worker)
    return worker


def test_a_hopeless_limit_is_refused_before_any_search_and_any_step(
    tmp_path: Path, clock: list[float], foresighted: type[ForesightedWorker]
) -> None:
    with pytest.raises(
        Refused,
        match=r"--time-limit 5m is too short: one seed of every model is predicted \(no step was "
        r"timed\) to be done in \w+, at best in \w+; allow that, or lower --epochs\.",
    ):
        run(replace(config(tmp_path / "run"), time_limit="5m"))
    assert not any(isinstance(job, SearchJob | TrainJob) for job in foresighted.jobs)
    records = [r for r in read_log(tmp_path / "run") if isinstance(r, TimePredicted)]
    assert [record.factor for record in records] == [FACTOR]
    again = resume(tmp_path / "run", given={"time_limit": "99h"})
    assert len(again.trials) == 2 * len(MODELS)


def test_steps_that_were_timed_replace_what_was_predicted_before(
    tmp_path: Path, clock: list[float], foresighted: type[ForesightedWorker]
) -> None:
    foresighted.flops = 1e12
    messages: list[Any] = []
    result = run(replace(config(tmp_path / "run"), time_limit="9h"), messages.append)
    before, after = of(TimePredicted, messages)
    assert (before.factor, after.factor) == (FACTOR, 1.0)
    assert result.predicted_times == {time.trial.id: time for time in after.trials}
    assert [time.trial.id for time in before.trials] == [time.trial.id for time in after.trials]


def test_without_a_limit_or_in_a_dry_run_nothing_is_simulated_first(
    tmp_path: Path, foresighted: type[ForesightedWorker]
) -> None:
    run(config(tmp_path / "run"))
    run(replace(config(tmp_path / "dry"), time_limit="5m", dry_run=True))
    assert not any(isinstance(job, AbilitiesJob) for job in foresighted.jobs)


def test_a_dry_run_trains_nothing_and_writes_nothing(tmp_path: Path) -> None:
    messages: list[Any] = []
    result = run(replace(config(tmp_path / "run"), dry_run=True), messages.append)
    assert result.trials == []
    assert result.time_predicted is not None
    assert len(result.time_predicted.trials) == 2 * len(MODELS)
    assert of(TrialStarted, messages) == []
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_steps_cannot_be_timed_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(WarningWorker):
        def messages(self) -> Iterator[Any]:
            if self.job.trial.model == "googlenet":
                raise TrialFailed("it went wrong.")
            yield from super().messages()

    monkeypatch.setattr("bench.runner.rehearsal.Worker", Failing)
    messages: list[Any] = []
    result = run(replace(config(tmp_path / "run"), time_limit="1h"), messages.append)
    assert "googlenet: its time is not predicted: it went wrong." in [
        m.text for m in of(Warned, messages)
    ]
    assert len(result.trials) == 2 * len(MODELS)


def test_what_cannot_be_timed_is_tried_once_for_all_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    class Failing(WarningWorker):
        def messages(self) -> Iterator[Any]:
            tried.append(self.job.trial.model)
            raise TrialFailed("it went wrong.")

    monkeypatch.setattr("bench.runner.rehearsal.Worker", Failing)
    run(replace(config(tmp_path / "run"), time_limit="1h", seeds=3))
    assert sorted(tried) == sorted(MODELS)


def test_a_sweep_that_fails_fails_no_trial_and_a_resumed_run_searches_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(WarningWorker):
        def ask(self, request: Any) -> Any:
            if request.timed_steps:
                raise TrialFailed("it took too long.")
            return super().ask(request)

    monkeypatch.setattr("bench.runner.batch_search.Worker", Failing)
    messages: list[Any] = []
    asked = replace(config(tmp_path / "run"), sweep_batch=True)
    result = run(asked, messages.append)
    assert {t.status for t in result.trials} == {"done"}
    assert "resnet18: its batch sizes are not timed: it took too long." in [
        m.text for m in of(Warned, messages)
    ]
    probes = len(result.probes)
    assert len(resume(tmp_path / "run").probes) == probes


def test_a_search_that_was_killed_decides_no_batch_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(WarningWorker):
        def receive(self) -> Any:
            raise WorkerDied("it was killed.")

    monkeypatch.setattr("bench.runner.batch_search.Worker", Killed)
    first = run(config(tmp_path / "run"))
    assert {t.status for t in first.trials} == {"failed"}
    monkeypatch.setattr("bench.runner.batch_search.Worker", WarningWorker)
    again = resume(tmp_path / "run")
    assert {t.status for t in again.trials} == {"done"}
    assert {t.trial.batch_size for t in again.trials} == {64}  # 100 fit


def test_predictions_that_are_missing_are_made_when_a_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    class Predicting(WarningWorker):
        def messages(self) -> Iterator[Any]:
            if not isinstance(self.job, SimulateJob):
                yield from super().messages()
                return
            asked.append(tuple(model for model, _ in self.job.shapes))
            for model, setting in self.job.shapes:
                yield Simulated(model, setting, TRACE)

    monkeypatch.setattr("bench.runner.other_cards.Worker", Predicting)

    def interrupt(message: Any) -> None:
        if isinstance(message, MemoryBreakdown):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(replace(config(tmp_path / "run"), card=("t4", "rtx3090")), interrupt)
    result = resume(tmp_path / "run")
    assert asked == [MODELS, MODELS[1:]]
    made = [(p.model, p.card) for p in result.all_predictions]
    assert sorted(made) == sorted((model, card) for model in MODELS for card in ("t4", "rtx3090"))
    assert len(result.breakdowns) == len(MODELS)


def test_on_a_card_that_files_would_half_fill_they_are_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[bool, int]] = []

    class Predicting(WarningWorker):
        def messages(self) -> Iterator[Any]:
            for message in super().messages():
                if isinstance(message, Prepared):
                    images = message.dataset.train_images + message.dataset.test_images
                    side = int((10 * 2**30 / 3 / images) ** 0.5)
                    data = replace(message.dataset, asked="folder", stored_size=side)
                    message = replace(message, dataset=data)
                yield message
            if isinstance(self.job, SimulateJob) and self.job.dataset is not None:
                asked.append((self.job.dataset.resident, len(self.job.shapes)))
                for model, setting in self.job.shapes:
                    yield Simulated(model, setting, TRACE)

    for room in ("run", "other_cards"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", Predicting)
    asks = replace(config(tmp_path / "run"), card=("t4", "rtx3090"))  # 15 and 24 GiB
    result = run(asks)
    assert asked == [(True, len(MODELS)), (False, len(MODELS))]
    made = [(p.model, p.card) for p in result.all_predictions]
    assert made == [(model, card) for card in ("rtx3090", "t4") for model in MODELS]
    assert len(result.breakdowns) == len(MODELS)


@pytest.mark.parametrize("table", ["models.csv", "epochs.csv"])
def test_the_time_of_a_run_is_logged_once_though_its_end_is_disturbed(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = session.write_tables

    def disturbed(run: Any) -> None:
        if run.ended is not None:
            monkeypatch.setattr(session, "write_tables", written)
            raise BenchError(f"cannot write {table}.")
        written(run)

    monkeypatch.setattr(session, "write_tables", disturbed)
    with pytest.raises(BenchError, match="cannot write"):
        run(config(tmp_path / "run"))
    kinds = [type(record) for record in read_log(tmp_path / "run")]
    assert (kinds.count(RunTimed), kinds.count(RunEnded)) == (1, 1)


class ValidatingWorker(ScriptedWorker):
    """Has validation images, and evaluates the test images after the last epoch, unless that is
    done."""

    stubborn = False

    def messages(self) -> Iterator[Any]:
        epoch = None
        for message in super().messages():
            if isinstance(message, Prepared):
                kept = {"validation_images": 64, "validation_sha256": "cd" * 32}
                message = replace(message, dataset=replace(message.dataset, **kept))
            if isinstance(message, Epoch):
                values = {"validation_loss": message.test_loss, "validation_accuracy": 0.5}
                message = epoch = replace(message, **values, test_loss=None, test_accuracy=None)
            yield message
        if isinstance(self.job, TrainJob) and not self.job.rehearsal:
            epoch = epoch or an_epoch(self.job.trial)
            if self.stubborn or not self.job.tested:
                yield a_final_test(self.job.trial, epoch)


@pytest.fixture
def validating(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("run", "other_cards", "trial_runner", "batch_search", "rehearsal", "foresight"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", ValidatingWorker)


def final_tests(folder: Path) -> list[str]:
    return [record.trial for record in read_log(folder) if isinstance(record, FinalTest)]


@pytest.mark.usefixtures("validating")
@pytest.mark.parametrize("kind", [Epoch, FinalTest, TrialEnded])
@pytest.mark.parametrize("inspect", [True, False])
def test_every_trial_is_tested_once_wherever_a_run_broke_off(
    kind: type[Any], inspect: bool, tmp_path: Path
) -> None:
    """After any of the first records of a kind: between test and record, and between record and
    end, too."""
    output = tmp_path / "run"
    asked = replace(config(output), validation=64, inspect=inspect)
    seen: list[Any] = []

    def interrupt(message: Any) -> None:
        seen.append(message)
        if isinstance(message, kind) and len(of(kind, seen)) == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(asked, interrupt)
    for _ in range(2):
        result = resume(output)
    assert {t.status for t in result.trials} == {"done"}
    assert sorted(final_tests(output)) == sorted(t.trial.id for t in result.trials)


@pytest.mark.usefixtures("validating")
def test_a_second_final_test_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even of a worker that evaluates the test images again."""
    monkeypatch.setattr("bench.runner.session.noise_of", lambda result: ("a neighbour sang",))
    asked = replace(config(tmp_path / "run"), validation=64, rerun_noisy=1)
    result = run(asked)
    assert len(final_tests(tmp_path / "run")) == len(result.trials) == 4
    assert {len(t.repeated) for t in result.trials} == {1}
    assert all(t.final_test for t in result.trials)
    monkeypatch.setattr(ValidatingWorker, "stubborn", True)
    result = run(replace(asked, output=tmp_path / "again"))
    assert {t.status for t in result.trials} == {"done"}  # as they were before the repetition
    ends = [r for r in read_log(tmp_path / "again") if isinstance(r, TrialEnded)]
    reasons = [end.reason or "" for end in ends if end.status == "failed"]
    assert len(reasons) == 4
    assert all("the test images are evaluated once" in reason for reason in reasons)
    assert len(final_tests(tmp_path / "again")) == 4


class TuningWorker(ValidatingWorker):
    """Has all images beside those without the ones that judge."""

    def messages(self) -> Iterator[Any]:
        for message in super().messages():
            yield replace(message, whole=a_dataset()) if isinstance(message, Prepared) else message


def test_a_resumed_run_has_time_for_no_point_that_is_not_tried_any_more(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("run", "other_cards", "trial_runner", "batch_search", "rehearsal", "foresight"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", TuningWorker)
    monkeypatch.setattr("bench.runner.trial_runner.perf_counter", lambda: clock[0])
    messages: list[Any] = []

    def listen(message: Any) -> None:
        messages.append(message)
        clock[0] += 22.5 * isinstance(message, Epoch)  # half as long again as points are predicted

    asked = replace(config(tmp_path / "run"), tune=4, validation=64, time_limit="570s")
    result = run(asked, listen)
    points, seeds = of(SeedsCut, messages)
    assert (points.points, seeds.seeds) == ((3, 4), (1,))
    assert clock[0] < 570
    clock[0] = 20.0
    result = resume(tmp_path / "run", given={"time_limit": "5m"})
    assert {t.trial.seed for t in result.trials if not t.trial.is_point} == {0, 1}
    assert {point_of(t.trial) for t in result.trials if t.trial.is_point} == {1, 2}


def test_a_run_that_was_killed_before_it_had_declared_its_tuning_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("run", "other_cards", "trial_runner", "batch_search", "rehearsal", "foresight"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", TuningWorker)

    def interrupt(message: Any) -> None:
        if isinstance(message, DatasetFacts):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(replace(config(tmp_path / "run"), tune=2, validation=64), interrupt)
    result = resume(tmp_path / "run")
    assert result.tuning_declared is not None
    assert {t.status for t in result.trials} == {"done"}


def test_the_first_signal_says_what_it_does(tmp_path: Path) -> None:
    messages: list[Any] = []

    def listen(message: Any) -> None:
        messages.append(message)
        if isinstance(message, Epoch) and len(of(Epoch, messages)) == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        run(config(tmp_path / "run"), listen)
    assert session.STOPPING in [m.text for m in of(Warned, messages)]
    assert {t.status for t in resume(tmp_path / "run").trials} == {"done"}
