"""What a run tells its listener, with scripted workers in place of real ones."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import resume, run
from bench.errors import Interrupted
from bench.records.messages import Planned, TrainJob, Warned
from bench.records.records import Epoch, Trial, TrialEnded, TrialStarted
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
    for room in ("run", "session", "batch_search", "rehearsal"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", WarningWorker)


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
