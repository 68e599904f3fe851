import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.dataset import Files
from bench.data.image_folder import decode, load
from bench.errors import Refused


def save(path: Path, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 200 if mode == "L" else None).save(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        for name in ("dog", "cat"):
            save(tmp_path / part / name / "one.png")
            save(tmp_path / part / name / "two.JPG")
    return tmp_path


def test_classes_and_labels_are_in_alphabetical_order(images: Path) -> None:
    source = load(images)
    assert source.classes == ("cat", "dog")
    assert isinstance(source.train, Files)
    assert [str(path.relative_to(images)) for path in source.train.paths] == [
        "train/cat/one.png",
        "train/cat/two.JPG",
        "train/dog/one.png",
        "train/dog/two.JPG",
    ]
    assert source.train.labels.tolist() == [0, 0, 1, 1]


def test_hidden_and_other_files_are_ignored(images: Path) -> None:
    (images / "train" / ".cache").mkdir()
    (images / "train" / "README.txt").touch()
    (images / "test" / "cat" / "notes.txt").touch()
    (images / "test" / "cat" / "._one.png").touch()
    source = load(images)
    assert source.classes == ("cat", "dog")
    assert len(source.test.labels) == 4


def test_a_part_is_missing(tmp_path: Path) -> None:
    save(tmp_path / "train" / "cat" / "one.png")
    with pytest.raises(Refused, match="has no folder test/"):
        load(tmp_path)


def test_one_class_is_too_few(tmp_path: Path) -> None:
    for part in ("train", "test"):
        save(tmp_path / part / "cat" / "one.png")
    with pytest.raises(Refused, match="has 1 class folder; two are the least"):
        load(tmp_path)


def test_train_and_test_differ(images: Path) -> None:
    save(images / "test" / "emu" / "one.png")
    with pytest.raises(Refused, match="class 'emu' is in only one of train and test"):
        load(images)


def test_an_empty_class(images: Path) -> None:
    for part in ("train", "test"):
        (images / part / "emu").mkdir()
    with pytest.raises(Refused, match=r"train/emu has no images"):
        load(images)


def test_the_order_is_the_same_where_paths_are_compared_without_case(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("train", "test"):
        shutil.copytree(images / part / "cat", images / part / "Zebra")
    shutil.copy(images / "train" / "cat" / "one.png", images / "train" / "cat" / "Two.png")
    monkeypatch.setattr(Path, "__lt__", lambda a, b: str(a).lower() < str(b).lower())
    source = load(images)
    assert source.classes == ("Zebra", "cat", "dog")
    assert isinstance(source.train, Files)
    names = [path.name for path in source.train.paths if path.parent.name == "cat"]
    assert names == ["Two.png", "one.png", "two.JPG"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("what", ["class", "image"])
def test_a_name_that_is_not_utf_8(what: str, images: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    one = images / "train" / "cat" / "one.png"
    if what == "image":
        shutil.copy(one, one.with_name(name))
    else:
        shutil.copytree(one.parent, images / "train" / name)
    with pytest.raises(Refused, match=r"/caf\\udce9\.png' has a name that is not UTF-8; rename it"):
        load(images)


def test_a_folder_that_may_not_be_read(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(Refused, match=r"/train cannot be read: Permission denied\.$"):
        load(images)


class TestDecode:
    @pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
    def test_any_mode_becomes_rgb(self, mode: str, tmp_path: Path) -> None:
        suffix = "jpg" if mode == "CMYK" else "png"
        pixels = decode(save(tmp_path / f"x.{suffix}", (9, 6), mode), None)
        assert (pixels.shape, pixels.dtype) == ((6, 9, 3), np.dtype(np.uint8))

    @pytest.mark.parametrize("size", [(9, 6), (6, 9), (200, 100), (3, 2), (16, 16), (17, 1000)])
    def test_resized_to_a_square(self, size: tuple[int, int], tmp_path: Path) -> None:
        assert decode(save(tmp_path / "x.png", size), 16).shape == (16, 16, 3)

    def test_the_centre_is_kept(self, tmp_path: Path) -> None:
        image = Image.new("RGB", (48, 16), "red")
        image.paste("blue", (16, 0, 32, 16))
        image.save(tmp_path / "x.png")
        assert (decode(tmp_path / "x.png", 16) == (0, 0, 255)).all()

    def test_a_small_square_is_kept_as_it_is(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "x.png")
        assert np.array_equal(decode(tmp_path / "x.png", 8), pixels)

    def test_no_image(self, tmp_path: Path) -> None:
        (tmp_path / "x.png").write_text("hello")
        with pytest.raises(Refused, match=r"x\.png is not a readable image"):
            decode(tmp_path / "x.png", 8)

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_truncated(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"x.{suffix}"
        pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(Refused, match=rf"x\.{suffix} is not a readable image"):
            decode(path, 8)

    def test_a_decompression_bomb(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        with pytest.raises(Refused, match=r"x\.png is too large to be decoded safely"):
            decode(save(tmp_path / "x.png", (8, 8)), 8)

    def test_a_line_that_would_become_gigabytes(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.png", (1, 65_000))
        with pytest.raises(Refused, match=r"1×65000 pixels are too narrow to be resized to 224 px"):
            decode(path, 224)

    def test_a_photograph_with_a_second_view_is_the_photograph(self, tmp_path: Path) -> None:
        first, second = (Image.new("RGB", (8, 8), colour) for colour in ("white", "black"))
        first.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[second])
        with Image.open(tmp_path / "x.jpg") as image:
            assert (image.format, image.n_frames) == ("MPO", 2)
        assert (decode(tmp_path / "x.jpg", None) > 250).all()

    def test_a_file_of_several_pages(self, tmp_path: Path) -> None:
        pages = [Image.new("RGB", (8, 8)) for _ in range(3)]
        pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
        with pytest.raises(Refused, match=r"x\.tif has 3 pictures; keep one of them\.$"):
            decode(tmp_path / "x.tif", 8)

    def test_no_program_is_started_for_what_is_another_format(self, tmp_path: Path) -> None:
        path = tmp_path / "x.png"
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
        with pytest.raises(Refused, match=r"x\.png is not a readable image \(cannot identify"):
            decode(path, None)
