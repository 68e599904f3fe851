"""The bundle: reports, tables and pictures, nothing that names this machine."""

import zipfile
from pathlib import Path, PurePosixPath

import pytest

from bench.analysis.tables import write_tables
from bench.errors import BenchError, Refused
from bench.report.render.bundle import check_bundle, write_bundle
from bench.report.write import write_report
from tests.builders import a_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = a_run(tmp_path_factory.mktemp("bundle") / "run")
    write_tables(run)
    write_report(run)
    return run.path


def test_it_holds_reports_tables_and_every_picture(folder: Path, tmp_path: Path) -> None:
    names = write_bundle(folder, tmp_path / "lecture.zip")
    with zipfile.ZipFile(tmp_path / "lecture.zip") as bundle:
        assert bundle.testzip() is None
        assert bundle.namelist() == names
        for name in names:
            inside = Path(*PurePosixPath(name).parts[1:])
            assert bundle.read(name) == (folder / inside).read_bytes()
    drawn = (p.relative_to(folder) for p in (folder / "plots").rglob("*.*"))
    pictures = {f"lecture/{path.as_posix()}" for path in drawn}
    names_of_tables = ("models", "epochs", "probes", "layers", "time_to_accuracy")
    tables = {f"lecture/{name}.csv" for name in names_of_tables}
    assert set(names) == {"lecture/report.html", "lecture/report.md"} | tables | pictures


def test_nothing_in_it_names_a_folder_of_this_machine(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "lecture.zip"
    for name in write_bundle(folder, path):
        assert not PurePosixPath(name).is_absolute()
        assert ".." not in PurePosixPath(name).parts
        assert "\\" not in name
        assert str(folder).encode() not in zipfile.ZipFile(path).read(name)
    assert str(folder.parent).encode() not in path.read_bytes()


def test_equal_runs_make_equal_bundles(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_bundle(folder, tmp_path / name / "x.zip")
    assert (tmp_path / "a/x.zip").read_bytes() == (tmp_path / "b/x.zip").read_bytes()


def test_the_log_and_the_options_stay(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").write_text("{}")
    names = write_bundle(folder, tmp_path / "x.zip")
    assert not any(name.endswith((".jsonl", ".json", ".log")) for name in names)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    for name in ("run/models.csv", "mine/private.csv", "mine/photo.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "run" / "notes.csv").symlink_to(tmp_path / "mine" / "private.csv")
    (tmp_path / "run" / "plots").symlink_to(tmp_path / "mine")
    assert write_bundle(tmp_path / "run", tmp_path / "x.zip") == ["x/models.csv"]


def test_what_is_no_zip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.zip").mkdir()
    for path in (tmp_path / "x.tar", tmp_path / "d.zip", tmp_path / "x", Path("/dev/null/x.zip")):
        with pytest.raises(Refused):
            check_bundle(path)
    check_bundle(tmp_path / "X.ZIP")


def test_a_place_that_cannot_be_written_to_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "d.zip").mkdir()
    with pytest.raises(BenchError):
        write_bundle(folder, tmp_path / "d.zip")
