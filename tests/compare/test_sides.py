"""Runs, folders of tables and CSV files are read; anything else is refused in one sentence."""

from pathlib import Path

import pytest

from bench.compare import sides
from bench.compare.sides import read_side
from bench.errors import Refused
from bench.frames import write_tables
from tests.builders import a_failed_trial, a_run, a_trial, some_records, write_log


def test_a_log_and_its_table_say_the_same(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", seeds=2)
    write_tables(run)
    table = tmp_path / "tables"
    table.mkdir()
    (table / "models.csv").write_bytes((tmp_path / "run" / "models.csv").read_bytes())
    from_log, from_folder, from_file = map(
        read_side, (tmp_path / "run", table, table / "models.csv")
    )
    assert [side.name for side in (from_log, from_folder, from_file)] == [
        "run",
        "tables",
        "models.csv",
    ]
    for other in (from_folder, from_file):
        for x, y in zip(from_log.rows, other.rows, strict=True):
            names = x.values.keys()
            assert {n: x.text(n) for n in names} == {n: y.text(n) for n in names}
            assert {n: x.number(n) for n in names} == {n: y.number(n) for n in names}


def test_trials_that_are_not_done_are_left_out_and_counted(tmp_path: Path) -> None:
    records = [*some_records(), *a_failed_trial(a_trial("densenet121"), 2)]
    side = read_side(write_log(tmp_path / "run", records))
    assert [row.values["model"] for row in side.rows] == ["resnet18", "googlenet"]
    assert side.left_out == 1


def test_nothing_done(tmp_path: Path) -> None:
    (tmp_path / "models.csv").write_text(
        "model,seed,status,image_size,precision,optimizer,batch_size\na,0,failed,32,fp32,adam,\n"
    )
    with pytest.raises(Refused, match="no trial that is done"):
        read_side(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a CSV file"),
        (b"\xff\xfe\x00junk", "is not a CSV file"),
        (b"a,b\n1,2,3\n4\n", "has no column 'model'"),
        (b'model,"seed\n1,2', "is not a CSV file"),
        (b"model,seed\na,0\n", "has no column 'status'"),
        (b"x" * 200, "is above 100 bytes"),
    ],
)
def test_files_that_are_no_tables(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sides, "LARGEST_FILE", 100)
    path = tmp_path / "models.csv"
    path.write_bytes(content)
    with pytest.raises(Refused) as refused:
        read_side(path)
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is no run folder and no CSV file"):
        read_side(tmp_path / "nowhere")
    with pytest.raises(Refused, match="is no run folder and no CSV file"):
        read_side(tmp_path)
