"""Networks of the user's own in real workers, which they may not bring out of step."""

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from bench.cli import list as list_verb
from bench.errors import Refused
from bench.own_code import DATASETS, MODELS, Place
from bench.records.messages import OwnModel, SimulateJob
from bench.runner import own_models
from bench.runner.own_models import examine_models, one_at_a_time
from tests.builders import a_setting, some_facts
from tests.own_code import GOOD, install, working_in, write

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own-network.md"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with working_in(tmp_path):
        yield tmp_path


def examined(folder: Path, code: str) -> OwnModel:
    write(folder, mynet=code)
    (own,) = examine_models({"Net": Place("mynet.py", "Net")}, folder / "worker.log")
    return own


DISTURBING = """
import os, subprocess, sys, time
print("printed")
os.write(1, b"written\\n")
subprocess.run(["echo", "by a child"])
assert sys.stdin.read() == ""
if os.fork() == 0:
    time.sleep(0.2)  # and then comes back, as if it were the worker
"""


@pytest.mark.slow
def test_printing_reading_and_forking_disturb_no_worker(folder: Path) -> None:
    own = examined(folder, GOOD + DISTURBING)
    assert own.facts.name == "Net"
    assert own.place == ("mynet.py", "Net")
    log = (folder / "worker.log").read_text().splitlines()
    assert {"printed", "written", "by a child"} <= set(log)


@pytest.mark.slow
def test_a_child_that_lives_on_holds_nobody_up(folder: Path) -> None:
    start = time.perf_counter()
    own = examined(folder, GOOD + "\nimport os, time\nif os.fork() == 0: time.sleep(60)\n")
    assert own.facts.smallest_size == 1
    assert time.perf_counter() - start < 55


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import os; os._exit(0)", "Net ended its process without an error: look for os._exit."),
        ("import os; os._exit(3)", "Net cannot be examined: its worker ended with exit code 3"),
        ("import os; os.abort()", "Net cannot be examined: its worker was killed by SIGABRT."),
        ("1 / 0", "mynet.py, line 1: ZeroDivisionError: division by zero"),
        ("while True: pass", "Net was not built and tried within 1 s: put training and downloads"),
    ],
)
def test_what_ends_or_holds_a_worker_is_refused(
    folder: Path, code: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "while" in code:
        monkeypatch.setattr(own_models, "EXAMINE_SECONDS", 1)
    with pytest.raises(Refused) as refused:
        examined(folder, code)
    assert sentence in str(refused.value)


def test_each_own_network_is_simulated_by_itself() -> None:
    own = tuple(OwnModel(some_facts(name), ("x.py", name)) for name in ("a", "b"))
    shapes = [(name, a_setting(image_size=n)) for n in (32, 64) for name in ("a", "resnet18", "b")]
    job = SimulateJob(tuple(shapes), 10, None, own)
    assert [([name for name, _ in part.shapes], part.own) for part in one_at_a_time(job)] == [
        (["resnet18", "resnet18"], ()),
        (["a", "a"], own[:1]),
        (["b", "b"], own[1:]),
    ]
    assert {shape for part in one_at_a_time(job) for shape in part.shapes} == set(shapes)


@pytest.mark.slow
def test_list_shows_what_plugins_bring_and_says_what_is_wrong_with_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    write(folder, good=GOOD, broken="\nraise ValueError('not today')")
    install(folder, "mine", MODELS, plugnet="good:Net", plugbad="broken:Net", plugtwo="good:Net")
    install(folder, "yours", MODELS, plugtwo="good:Net")
    install(folder, "data", DATASETS, pets="good:load")
    assert list_verb.main(["plug*"], "archbench list") == 0
    shown = capsys.readouterr()
    assert "plugnet" in shown.out
    assert "plugbad" not in shown.out
    assert "Data set pets, of data." in shown.out
    bad, twice = shown.err.splitlines()
    assert bad == "archbench: plugbad: broken.py, line 2: ValueError: not today"
    assert "both offer 'plugtwo': name the one you mean, such as good:Net." in twice


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter in the current folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.thorough
def test_the_examples_of_the_page_are_trained_among_decoys(folder: Path) -> None:
    network, _, data = re.findall(r"```python\n(.+?)```", PAGE.read_text("utf-8"), re.DOTALL)
    write(folder, mynet=f"from models.blocks import mine\n{network}", mydata=data)
    write(folder, models__in____init__="", models__in__blocks="mine = True")
    decoy = "raise ImportError('a decoy was imported')"
    write(folder, torch=decoy, numpy=decoy, pandas=decoy)
    limits = "--train-limit 16 --test-limit 16 --batch-size 8 --image-size 32 --epochs 1"
    rest = "--dataset mydata.py:load --device cpu --no-max-batch --card --output run"
    command = f"-m bench run --models mynet.py:Net {limits} {rest}"
    ended = python(*command.split())
    assert ended.returncode == 0, ended.stderr
    models = pd.read_csv(folder / "run" / "models.csv")
    assert list(models.model) == ["mynet.py:Net"]
    assert list(models.status) == ["done"]
    source = hashlib.sha256((folder / "mynet.py").read_bytes()).hexdigest()
    assert list(models.source_sha256) == [source]
    assert "| mynet.py:Net |" in (folder / "run" / "report.md").read_text("utf-8")


@pytest.mark.slow
def test_a_script_that_has_imported_models_of_its_own_is_told_what_to_do(folder: Path) -> None:
    write(folder, models__in____init__="mine = True")
    after = python("-c", "import bench; bench.Config; import models; print(models.REGISTRY)")
    assert after.returncode == 0, after.stderr
    before = python("-c", "import models; import bench; bench.run")
    other = folder / "models" / "__init__.py"
    assert f"ImportError: another `models` ({other}) was imported before" in before.stderr
    assert "run the command archbench, with --models FILE.py:NAME" in before.stderr
