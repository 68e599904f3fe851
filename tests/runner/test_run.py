"""Whole runs on a few tiny images: what is on disk afterwards, and what a failure costs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from bench import Config, load_run, run
from bench.analysis.tables import write_tables
from bench.errors import Refused
from bench.records.messages import Warned
from bench.records.records import Epoch, Probe, TrialEnded, TrialRepeated, TrialStarted
from bench.runner.session import exit_code, trial_labels
from tests.killing import make_images

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Two classes, dark and light, of 33 training and 9 test images each."""
    return make_images(tmp_path_factory.mktemp("images"), train=33, test=9, noise=30)


def config(images: Path, output: Path, **changes) -> Config:
    values = {
        "models": ("resnet18",),
        "preset": "smoke",
        "dataset": "folder",
        "data_dir": images,
        "train_limit": "all",
        "test_limit": "all",
        "batch_size": (13,),
        "device": "cpu",
        "max_batch": False,
        "card": (),
        "inspect": False,
        "output": output,
    }
    return Config(**(values | changes))


@pytest.fixture(scope="module")
def two_seeds(images, tmp_path_factory):
    return run(config(images, tmp_path_factory.mktemp("two") / "run", seeds=2))


def test_a_run_is_on_disk_and_can_be_derived_again_from_its_log_alone(two_seeds):
    result, folder = two_seeds, two_seeds.path
    assert exit_code(result) == 0
    models = pd.read_csv(folder / "models.csv")
    assert list(models.status) == ["done", "done"]
    assert list(models.seed) == [0, 1]
    # Every step was timed, and the machine itself before and after.
    steps = result.steps
    assert steps[steps.seed == 0].step.tolist() == [1, 2, 3, 4, 5] * 2
    epoch = result.trials[0].epochs[0]
    assert sum(epoch.step_times) == pytest.approx(epoch.train_seconds, rel=0.2)
    assert epoch.surroundings is not None
    first, second = (t.calibrations for t in result.trials)
    assert [c.epochs for c in first] == [c.epochs for c in second] == [0, 2]
    # After one trial is before the next.
    assert second[0].seconds == first[1].seconds != second[1].seconds
    assert [c.shared for c in (*first, *second)] == [False, False, True, False]
    # 66 images in batches of 13 leave one over, which batch norm cannot train on.
    epochs = pd.read_csv(folder / "epochs.csv")
    assert set(epochs.images_trained) == {65}
    assert set(epochs.images_dropped) == {1}
    assert set(epochs.steps) == {5}
    parts = epochs.filter(regex="^(data|forward|backward|optimizer|evaluation|other)_seconds$")
    wall_clock = epochs.train_seconds + epochs.test_seconds
    assert parts.shape[1] == 6
    assert parts.sum(axis=1).to_numpy() == pytest.approx(wall_clock.to_numpy())
    # Of the last epoch of each trial there is an answer to every test image.
    classes = pd.read_csv(folder / "classes.csv").groupby("seed")[["right", "images"]].sum()
    assert (classes.right / classes.images).tolist() == models.final_test_accuracy.tolist()
    assert set(classes.images) == {18}
    assert models.ece.between(0, 1).all()
    before = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    for path in folder.glob("*.csv"):
        path.unlink()
    write_tables(load_run(folder))
    assert {path.name: path.read_bytes() for path in folder.glob("*.csv")} == before


def test_the_same_seed_gives_the_same_curve_and_another_seed_another(two_seeds, images, tmp_path):
    first = two_seeds.epochs
    again = run(config(images, tmp_path / "again", seeds=1)).epochs
    losses = ["seed", "epoch", "train_loss", "test_loss", "test_accuracy"]
    pd.testing.assert_frame_equal(first[losses][first.seed == 0], again[losses])
    assert first.train_loss[first.seed == 0].iloc[0] != first.train_loss[first.seed == 1].iloc[0]


def test_a_killed_worker_costs_its_trial_alone(images, tmp_path):
    seen = []

    def kill_the_first_worker(message) -> None:
        if isinstance(message, Epoch) and not seen:
            seen.append(message)
            children = psutil.Process().children(recursive=True)
            # The templates, which are children of this process, take seconds to start again.
            for worker in [c for c in children if c.ppid() != os.getpid()] or children:
                worker.kill()

    asked = config(images, tmp_path / "run", models=("lenet", "resnet18"))
    result = run(asked, kill_the_first_worker)
    assert [t.status for t in result.trials] == ["failed", "done"]
    assert exit_code(result) == 1
    assert "killed" in result.trials[0].ended.reason
    # What the worker had sent before the signal came is kept as well.
    killed, other = (len(t.epochs) for t in result.trials)
    assert (killed, other) == (1, 2)
    assert list(load_run(tmp_path / "run").models.status) == ["failed", "done"]


def test_a_budget_too_small_for_any_batch_is_refused_and_says_what_it_takes(images, tmp_path):
    asked = config(images, tmp_path / "run", fit=True, batch_size=("auto",), memory_budget="60MiB")
    messages = []
    with pytest.raises(Refused, match=r"resnet18 at 32 px .* needs about \d{3} MiB"):
        run(asked, messages.append)
    assert [p.fits for p in messages if isinstance(p, Probe)].count(True) == 0
    assert not any(isinstance(message, (TrialStarted, Epoch)) for message in messages)
    assert [m.status for m in messages if isinstance(m, TrialEnded)] == ["refused"]


@pytest.mark.thorough
def test_a_worker_ends_when_its_parent_is_killed(images, tmp_path):
    script = (
        "import sys; from tests.runner.test_run import config; from pathlib import Path; "
        "from bench import run; "
        "run(config(Path(sys.argv[1]), Path(sys.argv[2]), models=('lenet',), epochs=100000))"
    )
    command = [sys.executable, "-c", script, str(images), str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _wait(lambda: b'"Epoch"' in _log(tmp_path / "run"))
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert workers
    _wait(lambda: not any(worker.is_running() for worker in workers))


def _log(output: Path) -> bytes:
    log = output / "events.jsonl"
    return log.read_bytes() if log.exists() else b""


def _wait(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_noisy_trial_is_trained_again_so_often_and_its_curve_is_the_same(
    images, tmp_path, monkeypatch
):
    told = []
    for room in ("session", "trial_runner"):
        monkeypatch.setattr(f"bench.runner.{room}.noise_of", lambda result: ("a neighbour sang",))
    asked = config(images, tmp_path / "run", models=("lenet",), rerun_noisy=1, deterministic=True)
    result = run(asked, told.append)
    assert exit_code(result) == 0
    assert sum(isinstance(message, TrialRepeated) for message in told) == 1
    warned = [m.text for m in told if isinstance(m, Warned)]
    [label] = trial_labels([t.trial for t in result.trials]).values()
    assert warned == [f"{label}: timings were noisy: a neighbour sang."] * 2
    every_time = [m for m in told if isinstance(m, Epoch)]
    assert len(every_time) == 2 * 2
    assert len({m.train_loss for m in every_time}) == 2
    again = load_run(tmp_path / "run")
    assert again.models.repeats.tolist() == [1]
    assert len(again.epochs) == 2
    assert len(again.trials[0].calibrations) == 2
