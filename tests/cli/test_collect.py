"""`pack` and `collect` as people type them."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli import main as commands
from bench.records.run_folder import LOG
from bench.report.collected import write
from tests.analysis.collected.test_collection import run_of
from tests.builders import write_log

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["bench", *words])
        code = commands.main("python -m bench")
        return code, *capsys.readouterr()

    return run


def test_a_pack_is_listed_and_written(command: Command, tmp_path: Path) -> None:
    write_log(tmp_path / "results" / "run", run_of(0))
    code, out, _ = command("pack", "results/run", "--name", "Zoë & Jo / lab 3")
    assert code == 0
    assert out.index("events.jsonl") < out.index("pack,")
    path = tmp_path / "Zoë-Jo-lab-3.zip"
    with zipfile.ZipFile(path) as archive:
        assert all(name.startswith("Zoë-Jo-lab-3/") for name in archive.namelist())
        for name in archive.namelist():
            assert Path(name).name in out
            assert str(tmp_path).encode() not in archive.read(name)
    code, _, error = command("pack", "results/run", "--name", "Zoë & Jo / lab 3")
    assert (code, error.count("\n")) == (2, 1)
    assert "already there" in error


def test_the_name_is_that_of_the_run(command: Command, tmp_path: Path) -> None:
    write_log(tmp_path / "results" / "run", run_of(0))
    assert command("pack", "results/run")[0] == 0
    assert (tmp_path / "run.zip").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("pack", "results"), "not a run folder"),
        (("pack", "nowhere"), "not a run folder"),
        (("pack", "results/run", "--name", "///"), "no letter"),
        (("pack",), "needs RUN"),
        (("collect",), "PATH"),
        (("collect", "nowhere"), "not there"),
        (("collect", "empty"), "nothing"),
        (("collect", "results", "--output", "results"), "not empty"),
        (("collect", "results", "--claims", "nowhere.csv"), "not a file"),
    ],
)
def test_bad_input_is_one_sentence(
    words: tuple[str, ...], sentence: str, command: Command, tmp_path: Path
) -> None:
    write_log(tmp_path / "results" / "run", run_of(0))
    (tmp_path / "empty").mkdir()
    code, _, error = command(*words)
    assert code == 2
    assert sentence in error.splitlines()[-1]
    assert "Traceback" not in error


def test_a_class_is_collected(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, name in enumerate(("anna", "ben", "chiara")):
        write_log(tmp_path / name, run_of(n, luck=n / 50, device=f"CPU {n}"))
        assert command("pack", name)[0] == 0
    monkeypatch.setattr("bench.report.sections.base.saved_in_parallel", _unsaved)
    monkeypatch.setattr(write, "html_page", lambda page, pictures: "")
    packs = ("anna.zip", "ben.zip", "chiara.zip")
    code, out, error = command("collect", *packs, "--output", "good")
    assert (code, error) == (0, "")
    assert "3 runs of 3 people" in out
    assert {path.name for path in (tmp_path / "good").iterdir()} >= {
        *("report.html", "report.md", "collected.csv")
    }
    log = tmp_path / "ben" / LOG
    log.write_bytes(log.read_bytes().replace(b'"test_accuracy":0.4', b'"test_accuracy":0.9'))
    code, out, error = command("collect", *packs, "ben", "--output", "some")
    assert code == 1
    assert error.startswith("archbench: ben: its log, line ")
    assert "checksum is wrong" in (tmp_path / "some" / "report.md").read_text("utf-8")
    assert command("collect", "ben", "--output", "none")[0] == 2
    assert not (tmp_path / "none").exists()


class _unsaved:
    """Pictures that nobody waits for."""

    def __enter__(self) -> Callable[..., None]:
        def keep(figure: object, path: Path) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f"{path.name}.svg").write_text("<svg></svg>")

        return keep

    def __exit__(self, *error: object) -> None: ...
