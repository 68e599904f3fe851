"""Bad input, a row each: one sentence that says what is wrong, exit code 2, nothing overwritten."""

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.cli import report as report_verb
from bench.cli import run as run_verb
from bench.cli.main import guarded
from bench.data.prepare import DataRequest, prepare
from bench.errors import Refused
from bench.records.records import RunStarted
from bench.records.run import load_run
from bench.records.run_folder import LOG, line_of, read_log
from tests.builders import some_records, write_log

Damage = Callable[[Path], None]

OPTIONS = [
    ("--models resnet19", "unknown model 'resnet19': did you mean resnet18"),
    ("--models 'zzz*'", "unknown model"),
    ("--models ../../etc/passwd", "unknown model '../../etc/passwd'"),
    ("--models <script>", "unknown model '<script>'"),
    ("--models resnet18 resnet18", "--models names a value twice: resnet18"),
    ("--models resnet18 --models lenet", "--models is there twice: give its values together."),
    ("--seeds 3 --seeds=4", "--seeds is there twice: give it once."),
    ("--inspect --no_inspect", "--inspect is there twice: give it once."),
    ("--models \udcff", "is no text: it has bytes that are not UTF-8."),
    ("--dataset shapes10 --data-dir .", "--data-dir: shapes10 is generated"),
    ("--batch-size 0", "--batch-size 0 must be"),
    ("--batch-size -5", "--batch-size -5 must be"),
    ("--batch-size 1", "--batch-size 1 cannot train batch norm"),
    ("--batch-size 8 8", "--batch-size names a value twice"),
    ("--image-size 0", "--image-size 0 must be"),
    ("--image-size 64 --models inception_v3", "too small for inception_v3"),
    ("--epochs 0", "--epochs 0 must be"),
    ("--seeds 0", "--seeds 0 must be"),
    ("--first-seed -1", "--first-seed -1 must be a whole number from 0 to 900,000"),
    ("--first-seed 900001", "--first-seed 900001 must be a whole number from 0 to 900,000"),
    ("--train-limit 0", "--train-limit 0 must be"),
    ("--test-limit -1", "--test-limit -1 must be"),
    ("--tune 0", "--tune 0 must be a whole number from 1 to 1024"),
    ("--tune -1", "--tune -1 must be a whole number from 1 to 1024"),
    ("--tune 1025", "--tune 1025 must be a whole number from 1 to 1024"),
    ("--tune lots", "--tune lots must be a whole number from 1 to 1024"),
    ("--tune 2 --lr 0.1 0.2", "--tune chooses the value of --lr; give --lr one value or none."),
    ("--tune 2 --weight-decay 0 1", "--tune chooses the value of --weight-decay; give"),
    ("--tune 2 --warmup 0 0.1", "--tune chooses the value of --warmup; give --warmup one value"),
    ("--tune 2 --validation 0", "--tune chooses by validation accuracy; give --validation"),
    ("--tune 2 --scale-lr linear", "--tune chooses the rate that several processes need; leave"),
    ("--tune 1024 --seeds 50000", "trials, and a run has at most 100,000: lower --seeds"),
    ("--recipe onecyle", "--recipe onecyle must be one of constant, lecture, onecycle"),
    ("--models airbench94 --image-size 224", "--image-size 224 is too large for airbench94"),
    ("--validation 1", "--validation 1 is one image, and every class needs some; give more, or"),
    ("--validation 1.0", "--validation 1.0 must be"),
    ("--validation -1", "--validation -1 must be"),
    ("--accumulate 0", "--accumulate 0 must be a whole number above 0"),
    ("--accumulate 4 --batch-size 7", "--accumulate 4 makes parts of one image of --batch-size 7"),
    ("--freeze body", "--freeze body keeps random weights as they are; add --pretrained"),
    ("--weight-decay -1", "--weight-decay -1.0 must be"),
    ("--sweep-batch --no-max-batch", "--sweep-batch takes a search: leave out --no-max-batch."),
    ("--batch-size 64 max --no-max-batch", "--batch-size max takes a search: leave out --no-max"),
    ("--trial-timeout inf", "--trial-timeout inf must be a number above 0"),
    ("--warmup 1", "--warmup 1.0 must be a share from 0 to below 1, such as 0.1"),
    ("--label-smoothing -0.1", "--label-smoothing -0.1 must be a share from 0 to below 1"),
    ("--lr 0", "--lr 0.0 must be a positive number"),
    ("--lr nan", "--lr nan must be a positive number"),
    ("--lr inf", "--lr inf must be a positive number"),
    ("--memory-budget lots", "--memory-budget 'lots' is not a size"),
    ("--memory-budget 0GB", "--memory-budget '0GB' is not a size"),
    ("--card rtx309", "unknown card 'rtx309': did you mean"),
    ("--card -3GiB", "--card '-3GiB' is not a size"),
    ("--seeds 1000000000", "trials, and a run has at most 100,000: lower --seeds"),
    ("--image-size 1000000", "--image-size 1000000 is too large: two images alone need 22,888,183"),
    ("--card 0GiB", "--card '0GiB' is not a size"),
    ("--device tpu", "--device tpu must be one of auto, cpu, cuda, cuda:N, mps"),
    ("--device cuda:x", "--device cuda:x must be one of auto, cpu, cuda, cuda:N, mps"),
    ("--rerun-noisy -1", "--rerun-noisy -1 must be a whole number, 0 or more"),
    ("--target-accuracy 70", "--target-accuracy 70.0 must be a fraction above 0, such as 0.7."),
    ("--target-accuracy 0.5 0.5", "--target-accuracy names a value twice"),
    ("--workers -1", "--workers -1 must be a whole number, 0 or more"),
    ("--trial-timeout 0", "--trial-timeout 0.0 must be a number above 0"),
    ("--dataset folder", "--dataset folder needs --data-dir"),
    ("--dataset mydata.py", "mydata.py names nothing in that file: write FILE.py:NAME."),
    ("--models mynet.py", "mynet.py names nothing in that file: write FILE.py:NAME."),
    ("--models mynet.py:Net --pretrained", "mynet.py:Net has no published weights: leave out"),
    ("--output /proc/no/such/place", "/proc/no/such/place cannot be written to"),
    ("--claims no/such/file.csv", "--claims no/such/file.csv is not a file; name a CSV file."),
    ("--resume no/such/run", "--resume no/such/run is not a run folder"),
]


@pytest.mark.parametrize(("line", "sentence"), OPTIONS, ids=[line for line, _ in OPTIONS])
def test_options(
    line: str, sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.strip("'") for word in line.split()]
    assert guarded(lambda: run_verb.main(words, "run_bench.py")) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def an_image(path: Path, mode: str = "RGB", size: tuple[int, int] = (16, 16), **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path, **how)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of two good images in each part."""
    root = tmp_path / "images"
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            for number in range(2):
                an_image(root / part / label / f"{number}.png")
    return root


def request(folder: Path) -> DataRequest:
    return DataRequest("folder", str(folder), None, None, 32, 2**30)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def replaced(data: bytes) -> Damage:
    return lambda root: (root / "train/cat/0.png").write_bytes(data)


def truncated(root: Path) -> None:
    path = root / "train/cat/0.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def animated(root: Path) -> None:
    frames = [Image.new("RGB", (16, 16), (n, 0, 0)) for n in (0, 100, 200)]
    frames[0].save(root / "train/cat/2.gif", save_all=True, append_images=frames[1:])


def floating(root: Path) -> None:
    Image.fromarray(np.ones((16, 16), dtype=np.float32)).save(root / "train/cat/2.tiff")


def linked_away(root: Path) -> None:
    elsewhere = root.parent / "elsewhere"
    an_image(elsewhere / "0.png")
    for part in ("train", "test"):
        (root / part / "fox").symlink_to(elsewhere)


def removed(name: str) -> Damage:
    def damage(root: Path) -> None:
        import shutil

        shutil.rmtree(root / name)

    return damage


def emptied(root: Path) -> None:
    for path in (root / "train/cat").iterdir():
        path.unlink()


def one_class(root: Path) -> None:
    removed("train/cat")(root)
    removed("test/cat")(root)


def a_folder_as_image(root: Path) -> None:
    (root / "train/cat/2.png").mkdir()


def beside_another_shape(damage: Damage) -> Damage:
    """The first image is no square, so that the sizes of the others are not asked for."""

    def both(root: Path) -> None:
        an_image(root / "train/cat/0.png", size=(20, 16))
        damage(root)

    return both


def a_dangling_link(root: Path) -> None:
    (root / "train/cat/2.png").symlink_to(root / "nowhere.png")


IMAGES: list[tuple[str, Damage, str]] = [
    ("empty file", replaced(b""), "train/cat/0.png is not a readable image"),
    ("text", replaced(b"not an image at all"), "train/cat/0.png is not a readable image"),
    ("html", replaced(b"<html>404</html>"), "train/cat/0.png is not a readable image"),
    ("header only", replaced(png_header(16, 16)), "train/cat/0.png is not a readable image"),
    ("huge", replaced(png_header(60_000, 60_000)), "train/cat/0.png is"),
    ("no size", replaced(png_header(0, 0)), "train/cat/0.png is not a readable image"),
    ("jpeg cut", replaced(b"\xff\xd8\xff\xe0\x00\x10JFIF"), "0.png is not a readable image"),
    ("truncated", truncated, "train/cat/0.png is not a readable image"),
    ("animated", animated, "train/cat/2.gif is an animation of 3 frames"),
    ("floating point", floating, "train/cat/2.tiff is not a readable image"),
    ("folder as image", a_folder_as_image, "train/cat/2.png is not a readable image"),
    ("dangling link", a_dangling_link, "train/cat/2.png is not a readable image"),
    (
        "folder as one of several shapes",
        beside_another_shape(a_folder_as_image),
        "train/cat/2.png cannot be read (Is a directory); repair or remove it.",
    ),
    (
        "dangling link as one of several shapes",
        beside_another_shape(a_dangling_link),
        "train/cat/2.png cannot be read (No such file or directory); repair or remove it.",
    ),
    ("class linked away", linked_away, "train/fox is a link out of"),
    ("no train", removed("train"), "has no folder train/"),
    ("no test", removed("test"), "has no folder test/"),
    ("class in train only", removed("test/cat"), "class 'cat' is in only one of train and test"),
    ("class in test only", removed("train/dog"), "class 'dog' is in only one of train and test"),
    ("empty class", emptied, "train/cat has no images"),
    ("one class", one_class, "has 1 class folder; two are the least"),
]


@pytest.mark.parametrize(
    ("damage", "sentence"), [row[1:] for row in IMAGES], ids=[r[0] for r in IMAGES]
)
def test_images(damage: Damage, sentence: str, images: Path, tmp_path: Path) -> None:
    damage(images)
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(Refused) as refused:
        prepare(request(images), into)
    said = str(refused.value)
    assert sentence in said
    assert "\n" not in said


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (31, 7)])
def test_unusual_images_that_can_be_used(
    mode: str, size: tuple[int, int], images: Path, tmp_path: Path
) -> None:
    suffix = "tiff" if mode in ("CMYK", "YCbCr") else "png"
    an_image(images / "train" / "cat" / f"odd.{suffix}", mode, size)
    facts = prepare(request(images), tmp_path)
    assert facts.train_images == 5


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path: Path) -> None:
    from bench.data.image_folder import decode

    grey = np.full((16, 16), 128 * 256, dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert set(decode(tmp_path / "grey.png", None).ravel()) == {128}


def changed(number: int, change: Callable[[bytes], bytes]) -> Damage:
    """A line of the log, counted from 0, changed."""

    def damage(folder: Path) -> None:
        lines = (folder / LOG).read_bytes().splitlines(keepends=True)
        lines[number] = change(lines[number])
        (folder / LOG).write_bytes(b"".join(lines))

    return damage


def another_schema(folder: Path) -> None:
    records = list(read_log(folder))
    assert isinstance(records[0], RunStarted)
    records[0] = replace(records[0], schema=99)
    (folder / LOG).write_bytes(b"".join(line_of(record) for record in records))


def a_log_that_is_a_folder(folder: Path) -> None:
    (folder / LOG).unlink()
    (folder / LOG).mkdir()


def unchecked(line: bytes) -> bytes:
    values = json.loads(line)
    values.pop("crc")
    return json.dumps(values).encode() + b"\n"


LOGS: list[tuple[str, Damage, str]] = [
    (
        "edited by hand",
        changed(2, lambda b: b.replace(b"shapes10", b"cifar100")),
        "line 3: its checksum",
    ),
    (
        "a figure changed",
        changed(15, lambda b: b.replace(b"64.0", b"65.0")),
        "line 16: its checksum",
    ),
    ("checksum taken off", changed(3, unchecked), "line 4: it has no checksum"),
    ("an empty line", changed(4, lambda b: b"\n"), "line 5: it has no checksum"),
    ("no JSON", changed(4, lambda b: b"hello\n"), "line 5: it has no checksum"),
    ("bytes", changed(4, lambda b: bytes(range(128, 255)) + b"\n"), "line 5"),
    ("another kind", changed(4, lambda b: b.replace(b'"event":"', b'"event":"X')), "line 5"),
    ("deep nesting", changed(4, lambda b: b"[" * 100_000 + b"\n"), "line 5"),
    ("another schema", another_schema, "has schema 99"),
    ("missing", lambda folder: (folder / LOG).unlink(), "is not a run folder"),
    ("a folder", a_log_that_is_a_folder, "is not a run folder"),
    ("empty", lambda folder: (folder / LOG).write_bytes(b""), "ends before its run began"),
]


@pytest.mark.parametrize(
    ("damage", "sentence"), [row[1:] for row in LOGS], ids=[r[0] for r in LOGS]
)
def test_logs(
    damage: Damage, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_log(tmp_path / "run", some_records())
    damage(folder)
    before = sorted(path.name for path in folder.iterdir())
    assert guarded(lambda: report_verb.main([str(folder)], "archbench report")) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert sorted(path.name for path in folder.iterdir()) == before


CONFIGS: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown option", {"surprise": 1}, "its options are not those of this archbench"),
    ("a text for a number", {"epochs": "many"}, "--epochs many must be a whole number"),
    ("a number for a path", {"data_dir": 7}, "--resume"),
    ("a preset of nobody's", {"preset": "../x"}, "preset"),
    ("no model", {"models": []}, "--models"),
]


@pytest.mark.parametrize(
    ("options", "sentence"), [row[1:] for row in CONFIGS], ids=[r[0] for r in CONFIGS]
)
def test_options_in_a_log(
    options: dict[str, Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = some_records()
    assert isinstance(records[0], RunStarted)
    records[0] = replace(records[0], config=records[0].config | options)
    folder = write_log(tmp_path / "run", records)
    before = (folder / LOG).read_bytes()
    assert guarded(lambda: run_verb.main(["--resume", str(folder)], "run_bench.py")) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert (folder / LOG).read_bytes() == before


def test_there_are_at_least_fifty() -> None:
    assert len(OPTIONS) + len(IMAGES) + len(LOGS) >= 50


def test_a_log_of_schema_1_is_still_read(tmp_path: Path) -> None:
    records = some_records()
    assert isinstance(records[0], RunStarted)
    records[0] = replace(records[0], schema=1)
    folder = write_log(tmp_path / "run", records)
    lines = (folder / LOG).read_bytes().splitlines(keepends=True)
    (folder / LOG).write_bytes(b"".join(unchecked(line) for line in lines))
    assert len(load_run(folder).trials) == 2


def test_images_of_ones_own_are_not_left_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / "train" / name).mkdir(parents=True)
    assert guarded(lambda: run_verb.main(["--data-dir", "photos"], "run_bench.py")) == 2
    said = capsys.readouterr().err
    assert said == "archbench: --data-dir photos has images of its own: add --dataset folder.\n"
