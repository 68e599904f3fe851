from pathlib import Path

from bench.records.redaction import redacted
from bench.runner.provenance import shown_command

PLACES = {Path("/home/me/run"): "RUN", Path("/tmp/archbench-1"): "SCRATCH"}


def test_a_kept_command_names_no_folder() -> None:
    words = ["/home/me/run_bench.py", "--models", "a", "--data-dir", "/home/me/x", "--output=/y"]
    assert shown_command(words) == "python run_bench.py --models a --data-dir DIR --output=DIR"
    assert shown_command(["x.py", "--data_dir", "/home/me/x"]) == "python x.py --data_dir DIR"
    assert shown_command(["x.py", "--claims", "/home/me/c.csv"]) == "python x.py --claims FILE"


def test_a_kept_command_can_be_typed_again() -> None:
    assert shown_command(["/home/me/bench/__main__.py", "settle"]) == "python -m bench settle"
    assert shown_command(["/usr/local/bin/archbench", "run"]) == "archbench run"


def test_a_kept_command_names_own_code_without_its_folder() -> None:
    words = ["x.py", "--models", "/home/me/mynet.py:Net", "--dataset=/home/me/mydata.py:load"]
    assert shown_command(words) == "python x.py --models mynet.py:Net --dataset=mydata.py:load"


def test_a_kept_command_names_no_known_place() -> None:
    assert (
        shown_command(["x.py", "--models", "/home/me/run/a"], PLACES)
        == "python x.py --models RUN/a"
    )


def test_a_kept_command_of_a_script_names_none_of_its_folders() -> None:
    words = ["/home/me/train.py", "--root", "/mnt/my drive/client", "--log=/home/me/x.log", "a/b"]
    assert shown_command(words) == "python train.py --root client --log=x.log a/b"


def test_a_kept_error_names_no_known_place() -> None:
    text = "cannot write /home/me/run/checkpoints/a.pt from /tmp/archbench-1/train_images.npy."
    assert (
        redacted(text, PLACES) == "cannot write RUN/checkpoints/a.pt from SCRATCH/train_images.npy."
    )


def test_a_notebook_is_named_as_such() -> None:
    for launcher in ("ipykernel_launcher.py", "colab_kernel_launcher.py"):
        words = [f"/usr/lib/{launcher}", "-f", "/root/.local/share/jupyter/runtime/kernel-1.json"]
        assert shown_command(words) == "(started in a notebook)"
