"""The file system fails at any one write: what was measured before stays, and the run goes on."""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import Config, load_run, resume, run
from bench.errors import BenchError, Refused
from bench.records.messages import (
    Prepared,
    PrepareJob,
    ProbeRequest,
    Ready,
    Resumed,
    SearchJob,
    TrainJob,
    Warned,
)
from bench.records.records import Probe, TrialStarted
from bench.records.run_folder import LOG
from bench.runner.worker_handle import WorkerHandle
from tests.builders import (
    a_dataset,
    a_description,
    a_device,
    a_trial,
    an_epoch,
    run_start,
    some_facts,
    some_steps,
    write_log,
)

MODELS = ("resnet18", "googlenet")


class ScriptedWorker(WorkerHandle):
    """Answers every job at once: nothing is trained, everything is written."""

    def __init__(self, job: Any, log: Path, **options: Any) -> None:
        self.job = job
        self._said = [] if not isinstance(job, SearchJob) else [self._described(), Ready(None, {})]

    def __exit__(self, *error: object) -> None: ...

    def messages(self) -> Iterator[Any]:
        match self.job:
            case PrepareJob():
                facts = tuple(some_facts(model) for model in MODELS)
                yield Prepared(facts, a_device(), a_dataset(), {"os": "x"})
            case TrainJob(trial=trial, rehearsal=True):
                size = trial.batch_size or 0
                yield some_steps(trial.model, setting=trial.setting, batch_size=size)
            case TrainJob():
                if self.job.logged_epochs:
                    yield Resumed(self.job.logged_epochs)
                for epoch in range(self.job.logged_epochs + 1, self.job.epochs + 1):
                    yield an_epoch(self.job.trial, epoch)

    def receive(self) -> Any:
        return self._said.pop(0)

    def ask(self, request: ProbeRequest) -> Probe:
        n, fits = request.batch_size, request.batch_size <= 100
        reason = None if fits else "out of memory"
        return Probe(self.job.model, self.job.setting, n, fits, n if fits else None, 0.1, reason)

    def answer(self) -> None: ...

    def stop(self) -> None: ...

    def end(self) -> None: ...

    def _described(self) -> Any:
        return a_description(self.job.model)


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("run", "other_cards", "trial_runner", "batch_search", "rehearsal", "foresight"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", ScriptedWorker)


def config(output: Path) -> Config:
    return Config(
        models=MODELS, preset="smoke", device="cpu", seeds=2, card=(), lr=1e-3, output=output
    )


class FailingDisk:
    """`os.fsync` that fails once, at its n-th call; before it, half of what was written is lost."""

    def __init__(self, at: int, *, tear: bool) -> None:
        self.calls = 0
        self._at = at
        self._tear = tear
        self._sync = os.fsync

    def __call__(self, handle: int) -> None:
        self.calls += 1
        if self.calls == self._at:
            size = os.fstat(handle).st_size
            if self._tear and size > 100:
                os.ftruncate(handle, size - 20)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._sync(handle)


def curves(path: Path) -> list[tuple[Any, ...]]:
    frame = load_run(path).epochs[["model", "seed", "epoch", "test_accuracy"]]
    return sorted(frame.itertuples(index=False, name=None))


@pytest.mark.thorough
@pytest.mark.parametrize("tear", [False, True])
def test_every_single_write_may_fail(
    tear: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config(tmp_path / "truth"))
    truth = curves(tmp_path / "truth")
    for n in itertools.count(1):
        output, disk = tmp_path / f"run{n}", FailingDisk(n, tear=tear)
        monkeypatch.setattr(os, "fsync", disk)
        failed = said_in_a_sentence(lambda output=output: run(config(output)))
        if disk.calls < n:
            break  # it does not write as often as that
        assert failed, f"write {n} failed unnoticed"
        assert not list(output.glob(".*.csv*")), "a half-written file is left"
        if begun(output):
            resume(output)
            assert curves(output) == truth, f"after write {n}"
            assert {t.status for t in load_run(output).trials} == {"done"}
    assert n > 40


def said_in_a_sentence(call: Callable[[], Any]) -> bool:
    try:
        call()
    except BenchError as error:
        said, code = str(error), error.exit_code
    else:
        return False
    assert code in (1, 2)
    assert "\n" not in said
    assert "No space left on device" in said or "earlier record" in said
    return True


def begun(output: Path) -> bool:
    try:
        found = load_run(output)
        return bool(found.dataset and found.device)
    except Refused:
        return False


def test_a_run_folder_that_vanishes_is_said(tmp_path: Path) -> None:
    import shutil

    def vanish(message: Any) -> None:
        if type(message).__name__ == "TrialStarted":
            shutil.rmtree(tmp_path / "run", ignore_errors=True)

    with pytest.raises(BenchError) as error:
        run(config(tmp_path / "run"), vanish)
    assert error.value.exit_code == 1
    assert str(tmp_path / "run") in str(error.value)


@pytest.mark.thorough
def test_a_thousand_trials_cost_the_parent_little(tmp_path: Path) -> None:
    """Open files and processes stay as they are, and memory grows by the records alone."""
    process = psutil.Process()
    many = Config(
        models=MODELS, preset="smoke", device="cpu", seeds=500, card=(), lr=1e-3, epochs=1,
        output=tmp_path / "run", train_limit=16, test_limit=16,
    )  # fmt: skip
    seen: list[tuple[int, int, int]] = []

    def look(message: Any) -> None:
        if type(message).__name__ == "TrialStarted":
            files = process.num_fds() if hasattr(process, "num_fds") else 0
            seen.append((files, len(process.children()), process.memory_info().rss))

    result = run(many, look)
    assert len(result.trials) == len(seen) == 1000
    assert {(files, children) for files, children, _ in seen} == {seen[0][:2]}
    grown = seen[-1][2] - seen[99][2]
    assert grown < 900 * 64 * 2**10, f"{grown / 900:.0f} bytes a trial"


@pytest.mark.thorough
def test_ten_thousand_epochs_are_read_in_seconds(tmp_path: Path) -> None:
    trial = a_trial()
    epochs = [an_epoch(trial, number) for number in range(1, 10_001)]
    folder = write_log(tmp_path / "run", [*run_start(), TrialStarted(trial, "t"), *epochs])
    assert len(load_run(folder).epochs) == 10_000
    assert (folder / LOG).read_bytes().endswith(b"\n")


def test_a_terminal_that_is_gone_ends_no_run(tmp_path: Path) -> None:
    shown: list[Any] = []

    def listen(message: Any) -> None:
        shown.append(message)
        if isinstance(message, TrialStarted):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    result = run(config(tmp_path / "run"), listen)
    assert {trial.status for trial in result.trials} == {"done"}
    assert isinstance(shown[-1], TrialStarted)


def test_a_table_that_another_program_has_open_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(run: Any) -> None:
        raise BenchError("cannot write models.csv: Permission denied.") from PermissionError()

    monkeypatch.setattr("bench.runner.recorder.write_tables", locked)
    told: list[Any] = []
    result = run(config(tmp_path / "run"), told.append)
    assert {trial.status for trial in result.trials} == {"done"}
    texts = [m.text for m in told if isinstance(m, Warned) and "models.csv" in m.text]
    assert texts == [
        "cannot write models.csv: Permission denied. The run goes on; close what has it open."
    ]
    assert (tmp_path / "run" / "models.csv").exists()
