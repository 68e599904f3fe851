"""Runs that people send: every one that can be read is, and every other has its reason."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.tables import models_frame
from bench.errors import Refused
from bench.records import pack
from bench.records.pack import LeftOut, Sent, clean_name, read_sent
from bench.records.records import RunEnded
from bench.records.run import load_run
from bench.records.run_folder import LOG, line_of
from bench.records.zip_file import write_zip
from bench.report.render.bundle import pack_files
from tests.builders import a_run, some_records, write_log

GOLDEN = Path(__file__).parent / "golden"


def packed(folder: Path, path: Path, name: str = "anna") -> Path:
    write_zip(path, pack_files(folder, name))
    return path


def found(*paths: Path) -> list[Sent | LeftOut]:
    return list(read_sent(paths))


def reason(path: Path) -> str:
    (left_out,) = found(path)
    assert isinstance(left_out, LeftOut)
    return left_out.reason


def only(path: Path) -> Sent:
    (sent,) = found(path)
    assert isinstance(sent, Sent), sent
    return sent


def test_a_pack_holds_the_run(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", seeds=2)
    sent = only(packed(run.path, tmp_path / "p.zip", "Zoë <b>"))
    assert (sent.where, sent.sender) == ("p.zip", "Zoë <b>")
    assert sent.run
    assert models_frame(sent.run).to_csv() == run.models.to_csv()


@pytest.mark.parametrize("schema", ["schema-1", "schema-2", "schema-3"])
def test_a_run_of_every_schema_can_be_packed(schema: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOG).write_bytes((GOLDEN / schema / LOG).read_bytes())
    sent = only(packed(tmp_path / "run", tmp_path / "p.zip"))
    assert sent.run
    frame = models_frame(load_run(tmp_path / "run"))
    assert models_frame(sent.run).to_csv() == frame.to_csv()
    assert sent.id == only(tmp_path / "run").id


def test_a_pack_has_no_images_checkpoints_or_paths(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    for name in ("plots/a.png", "checkpoints/a.pt", "workers.log"):
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).write_text("x")
    files = pack_files(run.path, "anna")
    assert list(files) == [
        *("pack.json", "events.jsonl", "config.json"),
        *("models.csv", "epochs.csv", "probes.csv", "layers.csv", "time_to_accuracy.csv"),
    ]
    assert str(tmp_path).encode() not in b"".join(files.values())


def test_every_copy_of_a_run_has_its_id(tmp_path: Path) -> None:
    records = some_records(seeds=2)
    whole = only(write_log(tmp_path / "whole", records))
    cut = only(write_log(tmp_path / "cut", records[:-8]))
    other = [*records[:3], records[3], *some_records(["resnet34"])[4:]]
    assert whole.id == cut.id
    assert whole.id == only(packed(tmp_path / "whole", tmp_path / "x.zip")).id
    assert whole.id != only(write_log(tmp_path / "other", other)).id


def test_folders_of_both_are_looked_through(tmp_path: Path) -> None:
    first = a_run(tmp_path / "in" / "a" / "run1")
    packed(first.path, tmp_path / "in" / "b" / "ben.zip", "ben")
    a_run(tmp_path / "in" / "run2")
    (tmp_path / "in" / "notes.txt").write_text("not a run")
    places = [one.where for one in found(tmp_path / "in")]
    assert places == ["in/a/run1", "in/b/ben.zip", "in/run2"]


def test_a_zip_of_run_folders_is_read_like_the_folders(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("results/one", "results/two"):
            archive.write(tmp_path / "run" / LOG, f"{name}/{LOG}")
    assert [(s.where, getattr(s, "sender", "")) for s in found(tmp_path / "all.zip")] == [
        ("all.zip/results/one", "one"),
        ("all.zip/results/two", "two"),
    ]


def test_a_zip_with_backslashes_in_its_names_is_read(tmp_path: Path) -> None:
    log = (a_run(tmp_path / "run").path / LOG).read_bytes()
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("one", "two"):
            archive.writestr(f"results\\{name}\\{LOG}", log)
    assert [(s.where, getattr(s, "sender", "")) for s in found(tmp_path / "all.zip")] == [
        ("all.zip/results/one", "one"),
        ("all.zip/results/two", "two"),
    ]


def test_a_damaged_run_in_a_zip_costs_no_other(tmp_path: Path) -> None:
    log, path = (a_run(tmp_path / "run").path / LOG).read_bytes(), tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("one", "two"):
            archive.writestr(f"{name}/{LOG}", log)
    path.write_bytes(path.read_bytes().replace(b'"crc"', b'"CRC"', 1))
    first, second = found(path)
    assert isinstance(first, LeftOut)
    assert "Bad CRC-32" in first.reason
    assert [first.where, second.where] == ["all.zip/one", "all.zip/two"]
    assert isinstance(second, Sent)


def test_a_bundle_is_read_from_its_tables(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    write_zip(tmp_path / "handout.zip", {"models.csv": run.models.to_csv().encode()})
    sent = only(tmp_path / "handout.zip")
    assert (sent.sender, sent.run, list(sent.tables)) == ("handout", None, ["models.csv"])


def test_a_table_hides_no_packs_that_lie_beside_it(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    (tmp_path / "in").mkdir()
    table = tmp_path / "in" / "models.csv"
    table.write_text(run.models.to_csv())
    packed(run.path, tmp_path / "in" / "ben.zip", "ben")
    names = [(s.where, getattr(s, "sender", "")) for s in found(tmp_path / "in")]
    assert names == [("in", "in"), ("in/ben.zip", "ben")]
    sent = only(table)
    assert (sent.sender, sent.run, list(sent.tables)) == ("in", None, ["models.csv"])


def log_with(tmp_path: Path, change: Any) -> Path:
    folder = write_log(tmp_path / "run", some_records())
    (folder / LOG).write_bytes(change((folder / LOG).read_bytes()))
    return folder


def test_bad_logs_have_their_reason(tmp_path: Path) -> None:
    def edited(log: bytes) -> bytes:
        return log.replace(b'"test_accuracy":0.4', b'"test_accuracy":0.9')

    def without_checksums(log: bytes) -> bytes:
        lines = [json.loads(line) for line in log.splitlines()]
        return b"".join(
            json.dumps({k: v for k, v in line.items() if k != "crc"}).encode() + b"\n"
            for line in lines
        )

    def newer(log: bytes) -> bytes:
        first, *rest = some_records()
        object.__setattr__(first, "schema", 99)
        return line_of(first) + b"".join(map(line_of, rest))

    for number, (change, text) in enumerate(
        [
            (edited, "checksum is wrong"),
            (without_checksums, "no checksum"),
            (newer, "schema 99"),
            (lambda log: b"", "ends before its run began"),
            (lambda log: b"\x00\xff" * 900 + b"\n", "line 1"),
            (lambda log: b"[" * 100_000 + b"\n", "line 1"),
        ]
    ):
        folder = log_with(tmp_path / str(number), change)
        assert text in reason(folder)
        write_zip(tmp_path / f"{number}.zip", {LOG: (folder / LOG).read_bytes()})
        assert text in reason(tmp_path / f"{number}.zip")


def test_a_log_of_a_million_lines_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "records_in", lambda lines, log: pytest.fail("it was read"))
    folder = log_with(tmp_path, lambda log: log + line_of(RunEnded(0, 1.0)) * 1_000_000)
    assert "100,000 lines" in reason(folder)
    monkeypatch.setattr(pack, "LARGEST_LOG", 30 * 2**20)
    assert "above 30 MiB" in reason(folder)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(folder / LOG, LOG)
    assert "above 30 MiB" in reason(tmp_path / "x.zip")


def test_links_and_depths_are_left_out(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked").symlink_to(run.path)
    assert "a link" in reason(tmp_path / "in")
    (tmp_path / "linked-log").mkdir()
    (tmp_path / "linked-log" / LOG).symlink_to(run.path / LOG)
    assert "a link" in reason(tmp_path / "linked-log")
    a_run(tmp_path / "deep" / "1" / "2" / "3" / "4" / "5" / "6")
    assert "deep" in reason(tmp_path / "deep")
    (tmp_path / "empty").mkdir()
    assert "neither" in reason(tmp_path / "empty")
    os.mkfifo(tmp_path / "pipe.zip")
    assert "neither a file" in reason(tmp_path / "pipe.zip")


def test_what_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not there"):
        found(a_run(tmp_path / "run").path, tmp_path / "nowhere")


def test_a_manifest_that_is_none_is_a_reason(tmp_path: Path) -> None:
    files = pack_files(a_run(tmp_path / "run").path, "anna")
    for text, name in ((b"[1]", "x"), (b'{"name": 3}', "x"), (b"{", None), (b"[" * 10**5, None)):
        write_zip(tmp_path / "x.zip", files | {"pack.json": text})
        if name is None:
            assert "not JSON" in reason(tmp_path / "x.zip")
        else:
            assert only(tmp_path / "x.zip").sender == name


@given(st.text(max_size=200))
def test_a_name_is_one_short_visible_line(text: str) -> None:
    name = clean_name(text)
    assert len(name) <= 60
    assert name == clean_name(name)
    assert name.isprintable()


def test_a_name_cannot_turn_its_line_around() -> None:
    assert clean_name("  an\u202ena\n\tB\x00 ") == "anna B"


def test_a_name_of_a_million_marks_is_cut_before_they_are_sorted() -> None:
    assert clean_name("e" + "\u0301" * 500_000 + "\u0316" * 500_000) == "\u00e9" + "\u0301" * 59
