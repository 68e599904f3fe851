"""What holds a slot on a node: the files of a trial that has ended."""

from dataclasses import replace
from pathlib import Path

from bench.records.logits import LABELS
from bench.records.messages import encode_message
from bench.runner.slot_actor import SlotActor
from tests.runner.test_remote_worker import TRAIN


def test_a_trial_that_has_ended_gives_its_files_and_can_be_trained_anew(tmp_path: Path) -> None:
    driver = tmp_path / "run"
    job = replace(
        TRAIN,
        checkpoint=str(driver / "checkpoints/a.pt"),
        start=str(driver / "checkpoints/a.start.pt"),
        kernels=str(driver / "kernels/a.npz"),
        logits=str(driver / "logits/a.npy"),
    )
    actor = SlotActor(None)
    try:
        here = actor._scratch
        for name in ("a.pt", "a.start.pt", "a.npz", "a.npy", LABELS):
            (here / name).write_bytes(name.encode())
        found = actor.files(encode_message(job), str(tmp_path / "scratch"))
        assert found == {
            str(driver / "kernels/a.npz"): b"a.npz",
            str(driver / "logits/a.npy"): b"a.npy",
            str(driver / "logits" / LABELS): LABELS.encode(),
        }
        assert not (here / "a.pt").exists()
        assert not (here / "a.start.pt").exists()
    finally:
        actor.close()
