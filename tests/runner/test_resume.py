"""Interrupted runs go on where they stopped, and end as if nothing had happened."""

import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from bench import Config, load_run, resume
from bench.cli import run as run_verb
from bench.errors import Refused
from bench.records.messages import Prepared
from bench.records.records import TrialResumed
from bench.records.run_folder import LOG, RunFolder, read_log
from bench.runner.resume import check_same_options, check_same_place, with_same_data
from tests.builders import a_dataset, a_device, a_run, some_facts
from tests.killing import (
    EPOCHS,
    RUN_BENCH,
    command,
    curves,
    kill_until_done,
    make_images,
    resume_command,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images") / "images")


@pytest.fixture(scope="module")
def truth(images: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The curves of a run that nobody interrupts, in this process, whose workers are warm."""
    output = tmp_path_factory.mktemp("truth") / "run"
    words = command(images, output)[len(RUN_BENCH) :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.report.write.write_report", lambda run: None)
        assert run_verb.main(words, "run_bench.py") == 0
    return curves(output)


class Stopped(NamedTuple):
    """A run that was ended: where it is, what it said, and the seconds that its first epoch and its
    end took to come."""

    output: Path
    said: str
    began: float
    ended: float


@pytest.fixture(scope="module")
def stopped(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """A run that Ctrl-C ended in its first trial."""
    output, start = tmp_path_factory.mktemp("stopped") / "run", time.monotonic()
    process = subprocess.Popen(
        command(images, output), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(output, '"event":"Epoch"')
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    return Stopped(output, said, asked - start, time.monotonic() - asked)


def wait_for(output: Path, text: str) -> None:
    deadline = time.monotonic() + 120
    while not (output / LOG).exists() or text not in (output / LOG).read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestCtrlC:
    def test_it_ends_soon_and_says_how_to_go_on(self, stopped: Stopped) -> None:
        assert f"--resume {stopped.output}" in stopped.said
        assert "Traceback" not in stopped.said
        assert stopped.ended < 10

    def test_where_it_was_is_kept(self, stopped: Stopped) -> None:
        output = stopped.output
        names = {path.name.partition(".")[2] for path in (output / "checkpoints").iterdir()}
        assert names == {"pt", "start.pt"}
        assert load_run(output).trials[0].status == "unfinished"

    def test_it_goes_on_and_ends_as_if_never_stopped(
        self,
        stopped: Stopped,
        truth: pd.DataFrame,
        tmp_path: Path,
    ) -> None:
        output = shutil.copytree(stopped.output, tmp_path / "run")
        before = load_run(output).epochs
        run = resume(output)
        pd.testing.assert_frame_equal(curves(output), truth)
        after = load_run(output).epochs
        pd.testing.assert_frame_equal(after.iloc[: len(before)], before)
        assert [t.status for t in run.trials] == ["done", "done"]
        assert [t.inspected is not None for t in run.trials] == [True, True]
        assert run.models.ece.notna().all()
        assert after.resumed.sum() == 1
        assert any(isinstance(r, TrialResumed) for r in read_log(output))
        assert not list((output / "checkpoints").glob("*"))
        tables = (output / "epochs.csv").read_bytes()
        resume(output)  # nothing is left to do
        assert (output / "epochs.csv").read_bytes() == tables


class TestRefused:
    def test_another_option(self, stopped: Stopped) -> None:
        words = [*resume_command(stopped.output), "--epochs", "7"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"--epochs was {EPOCHS} in that run and is 7 now" in done.stderr

    def test_other_images(self, stopped: Stopped, tmp_path: Path) -> None:
        output = shutil.copytree(stopped.output, tmp_path / "run")
        images = make_images(tmp_path / "images")
        next((images / "train" / "dark").iterdir()).unlink()
        log = (output / LOG).read_bytes()
        started = next(iter(read_log(output)))
        rewrite_data_dir(output, started, images)
        with pytest.raises(Refused, match="the images of folder are not those"):
            resume(output)
        assert (output / LOG).read_bytes() != log

    def test_a_run_in_use(self, stopped: Stopped) -> None:
        folder = RunFolder(stopped.output, resume=True)
        try:
            done = subprocess.run(
                resume_command(stopped.output), capture_output=True, text=True, check=False
            )
        finally:
            folder.close()
        assert done.returncode == 2
        assert "is in use by another archbench" in done.stderr

    def test_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="is not a run folder"):
            resume(tmp_path)


def rewrite_data_dir(output: Path, started, images: Path) -> None:
    """The same log, as if it had been started with images elsewhere."""
    from dataclasses import replace

    from bench.records.run_folder import line_of

    records = list(read_log(output))
    config = started.config | {"data_dir": str(images)}
    records[0] = replace(started, config=config)
    (output / LOG).write_bytes(b"".join(line_of(record) for record in records))


def test_a_torn_line_is_cut_off_and_nothing_else(tmp_path: Path, stopped) -> None:
    output = shutil.copytree(stopped.output, tmp_path / "run")
    whole = (output / LOG).read_bytes()
    (output / LOG).write_bytes(whole + b'{"crc":"00000000","event":"Epo')
    RunFolder(output, resume=True).close()
    assert (output / LOG).read_bytes() == whole


@pytest.mark.thorough
def test_killed_at_random_moments(
    images: Path, truth: pd.DataFrame, stopped: Stopped, tmp_path: Path
) -> None:
    seconds = 1.5 * stopped.began  # about what a whole run takes
    outcome = kill_until_done(images, tmp_path / "run", truth, seconds, seed=4, most=2)
    assert outcome.wrong == ""


def test_options_that_change_nothing_may_differ() -> None:
    before = {"models": ["a"], "trial_timeout": None, "output": "x"}
    check_same_options(before, {"trial_timeout": 5.0, "output": "y", "models": ("a",)})
    check_same_options(before, {"claims": "mine.csv"})
    with pytest.raises(Refused, match="--models was a in that run and is b now"):
        check_same_options(before, {"models": ("b",)})


def test_options_of_an_older_log_are_known_by_their_new_names() -> None:
    check_same_options({"fit": False}, {"max_batch": False})
    with pytest.raises(Refused, match="--max-batch was False in that run and is True now"):
        check_same_options({"fit": False}, {"max_batch": True})


def test_claims_are_checked_before_a_run_goes_on(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    claims = tmp_path / "mine.csv"
    claims.write_text("nonsense")
    with pytest.raises(Refused, match="--claims"):
        resume(run.path, given={"claims": str(claims)})
    assert not (run.path / "claims.csv").exists()


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (True, "were kept in memory and no longer fit in what is free: free some of it, or start"),
        (False, "were streamed from disk and now fit in memory: resume it where less is free, or"),
    ],
)
def test_images_that_are_only_read_in_another_way_are_not_called_others(
    before: bool, said: str, tmp_path: Path
) -> None:
    run = a_run(tmp_path)
    run.add(a_dataset(resident=before))
    now = a_dataset(resident=not before, sha256="cd" * 32)
    with pytest.raises(Refused, match=f"the images of shapes10 {said}"):
        check_same_place(run, Prepared((), a_device(), now, {}))


def test_a_network_whose_file_was_edited_is_not_trained_further(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    own = some_facts("mynet.py:Net", source_sha256="ab" * 32)
    run.add(own)
    check_same_place(run, Prepared((own,), a_device(), a_dataset(), {}))
    edited = some_facts("mynet.py:Net", source_sha256="cd" * 32)
    with pytest.raises(Refused, match=r"the file of mynet\.py:Net is not the one that the run was"):
        check_same_place(run, Prepared((edited,), a_device(), a_dataset(), {}))


@pytest.mark.parametrize(
    ("name", "asked", "dataset"),
    [
        ("shapes10", "auto", "shapes10"),
        ("cifar10", "auto", "cifar10"),
        ("folder", "auto", "auto"),
        ("folder", "cifar10", "auto"),
    ],
)
def test_auto_stays_with_the_data_set_that_it_chose(
    name: str, asked: str, dataset: str, tmp_path: Path
) -> None:
    """CIFAR-10 may have arrived since."""
    run = a_run(tmp_path)
    run.add(replace(run.dataset, name=name, asked=asked))
    config = Config(dataset="auto", preset="smoke")
    same = with_same_data(config, run)
    assert same.dataset == dataset
    assert same.to_dict() == config.to_dict() | {"dataset": dataset}
