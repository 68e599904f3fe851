import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import cache as cache_module
from bench.data import image_folder, prepare, shapes10
from bench.data.cache import Cache, arrays_of, open_cache
from bench.data.prepare import DataRequest
from bench.errors import Refused
from bench.records.records import DatasetFacts
from tests.builders import a_dataset
from tests.data.small_cifar import FORMS, PUBLISHED, small_cifar10

ARRAYS = arrays_of(a_dataset())
MANY = 10**9
OLD = 1_600_000_000
"""A time of change of files that nobody writes to any more."""


def write_images(folder: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for part, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                path = folder / part / name / f"{number}.png"
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
                os.utime(path, (OLD, OLD))
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", MANY)


@pytest.fixture
def run(tmp_path: Path, cache: Cache) -> Callable[..., tuple[DatasetFacts, dict[str, bytes]]]:
    """Prepare a data set into a folder of its own: its facts, and the bytes of its arrays."""
    numbers = iter(range(100))

    def prepared(
        data_dir: Path | None,
        dataset: str = "folder",
        limits: tuple[int | None, int | None] = (None, None),
        largest: int = 32,
        cache: Cache = cache,
        validation: float = 0,
    ) -> tuple[DatasetFacts, dict[str, bytes]]:
        into = tmp_path / f"into{next(numbers)}"
        into.mkdir()
        where = None if data_dir is None else str(data_dir)
        request = DataRequest(dataset, where, *limits, largest, MANY, validation)
        facts = prepare.prepare(request, into, cache=cache)
        return facts, {name: (into / name).read_bytes() for name in arrays_of(facts)}

    return prepared


Run = Callable[..., tuple[DatasetFacts, dict[str, bytes]]]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The image files that were decoded."""
    paths: list[Path] = []
    decode = image_folder.decode

    def counted(path: Path, side: int | None) -> object:
        paths.append(path)
        return decode(path, side)

    monkeypatch.setattr(prepare, "decode", counted)
    return paths


class TestTheSecondRun:
    def test_reads_no_image(
        self, images: Path, run: Run, decoded: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = run(images)
        assert len(decoded) == 10

        def never(*arguments: object, **options: object) -> None:
            raise AssertionError("an image was opened")

        monkeypatch.setattr(Image, "open", never)
        monkeypatch.setattr(prepare, "sha256_of", never)
        assert run(images) == first
        assert len(decoded) == 10

    def test_decodes_nothing_if_the_same_images_are_elsewhere(
        self, images: Path, run: Run, decoded: list[Path]
    ) -> None:
        first = run(images)
        moved = Path(shutil.copytree(images, images.parent / "moved"))
        assert run(moved) == first
        assert len(decoded) == 10

    def test_does_not_generate_again(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        for part in ("train_set", "test_set"):
            monkeypatch.setattr(shapes10, part, lambda: shapes10.generate(20, 1))
        first = run(None, "shapes10")
        monkeypatch.setattr(shapes10, "generate", None)
        assert run(None, "shapes10") == first
        assert first[0].notes[0].startswith("shapes10 is generated")

    def test_does_not_read_an_archive_again(
        self, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(PUBLISHED, "cifar10", small_cifar10())
        FORMS["python archive"](tmp_path / "data")
        os.utime(tmp_path / "data" / "cifar-10-python.tar.gz", (OLD, OLD))
        first = run(tmp_path / "data", "cifar10", (99, 2))
        monkeypatch.setattr("tarfile.open", None)
        again = run(tmp_path / "data", "auto", (99, 2))
        assert again[1] == first[1]
        assert again[0].notes == first[0].notes
        assert first[0].notes == ("--train-limit 99 is more than the 12 train images there are.",)
        assert (first[0].asked, again[0].asked) == ("cifar10", "auto")

    @pytest.mark.parametrize("validation", [2, 0.5])
    def test_has_the_same_validation_images(
        self, validation: float, images: Path, run: Run, decoded: list[Path]
    ) -> None:
        first = run(images, validation=validation)
        assert "validation_images.npy" in first[1]
        assert run(images, validation=validation) == first
        assert len(decoded) == 10


class TestWhatMakesADifference:
    def test_validation(self, images: Path, run: Run, decoded: list[Path]) -> None:
        seen = [run(images, validation=kept)[0].sha256 for kept in (0, 2, 4)]
        assert len(set(seen)) == 3
        assert len(decoded) == 30

    def test_options(self, images: Path, run: Run, decoded: list[Path]) -> None:
        for limits, largest in (((None, None), 32), ((4, 2), 32), ((4, 3), 32), ((4, 2), 6)):
            before = len(decoded)
            run(images, limits=limits, largest=largest)
            assert len(decoded) > before

    def test_the_largest_size_does_not_where_images_are_kept_as_they_are(
        self, images: Path, run: Run, decoded: list[Path]
    ) -> None:
        assert run(images, largest=32) == run(images, largest=224)
        assert len(decoded) == 10

    def test_another_image(self, images: Path, run: Run) -> None:
        first = run(images)[0]
        Image.new("RGB", (8, 8)).save(images / "train" / "cat" / "0.png")
        assert run(images)[0].sha256 != first.sha256

    def test_another_image_of_the_same_size_and_time(self, images: Path, run: Run) -> None:
        first = run(images)[0]
        one, other = (images / "train" / "cat" / f"{number}.png" for number in (0, 1))
        content = one.read_bytes()
        one.write_bytes(other.read_bytes()[: len(content)].ljust(len(content), b"\0"))
        os.utime(one, (OLD, OLD))
        assert run(images)[0].sha256 != first.sha256

    def test_an_image_that_has_just_changed(self, images: Path, run: Run) -> None:
        """Its time of change may stay the same if it changes again at once."""
        path = images / "train" / "cat" / "0.png"
        seen = []
        for level in (1, 2, 3):
            Image.new("RGB", (8, 8), (level, 0, 0)).save(path)
            os.utime(path)
            seen.append(run(images)[0].sha256)
        assert len(set(seen)) == 3

    def test_an_image_in_another_class(self, images: Path, run: Run) -> None:
        first = run(images)[0]
        (images / "train" / "cat" / "2.png").rename(images / "train" / "dog" / "-1.png")
        assert run(images)[0].sha256 != first.sha256


class TestDamage:
    def damage(self, cache: Cache, name: str, change: Callable[[bytes], bytes]) -> None:
        (entry,) = cache.entries()
        path = entry / name
        content = change(path.read_bytes())
        # Not in place: runs may have links to the same file.
        path.unlink()
        path.write_bytes(content)

    @pytest.mark.parametrize("name", [*ARRAYS, "facts.json"])
    @pytest.mark.parametrize(
        "change",
        [
            lambda data: data[:-1] + bytes([data[-1] ^ 1]),
            lambda data: data[:-5],
            lambda data: data[:3],
            lambda data: b"",
            lambda data: data.replace(b"8", b"9", 1) + b"x",
        ],
    )
    def test_is_noticed_and_mended(
        self,
        name: str,
        change: Callable[[bytes], bytes],
        images: Path,
        run: Run,
        cache: Cache,
        decoded: list[Path],
    ) -> None:
        first = run(images)
        self.damage(cache, name, change)
        assert run(images) == first
        assert len(decoded) == 20
        assert run(images) == first
        assert len(decoded) == 20

    def test_a_missing_file(
        self, images: Path, run: Run, cache: Cache, decoded: list[Path]
    ) -> None:
        first = run(images)
        (entry,) = cache.entries()
        (entry / ARRAYS[0]).unlink()
        assert run(images) == first
        assert len(decoded) == 20
        assert run(images) == first
        assert len(decoded) == 20

    def test_another_shape_of_the_same_bytes(
        self, images: Path, run: Run, cache: Cache, decoded: list[Path]
    ) -> None:
        first = run(images)
        (entry,) = cache.entries()
        array = np.load(entry / ARRAYS[0]).reshape(3, 16, 8, 3)
        self.damage(cache, ARRAYS[0], lambda data: b"")
        np.save(entry / ARRAYS[0], array)
        assert run(images) == first
        assert len(decoded) == 20

    def test_a_damaged_note_about_files(
        self, images: Path, run: Run, cache: Cache, decoded: list[Path]
    ) -> None:
        first = run(images)
        for path in (cache.folder / "seen").iterdir():
            path.write_bytes(path.read_bytes()[:-2])
        assert run(images) == first
        assert len(decoded) == 10

    def test_pickles_are_not_loaded(
        self, images: Path, run: Run, cache: Cache, decoded: list[Path]
    ) -> None:
        first = run(images)
        (entry,) = cache.entries()
        (entry / ARRAYS[1]).unlink()
        np.save(entry / ARRAYS[1], np.array([{}]), allow_pickle=True)
        assert run(images) == first


class TestSize:
    def test_what_was_used_longest_ago_makes_room(
        self, tmp_path: Path, run: Run, decoded: list[Path]
    ) -> None:
        folders = [write_images(tmp_path / f"images{seed}", seed) for seed in range(3)]
        roomy = Cache(tmp_path / "small", MANY)
        run(folders[0], cache=roomy)
        small = Cache(tmp_path / "small", roomy.size_bytes() * 5 // 2)
        run(folders[1], cache=small)
        for age, entry in enumerate(small.entries()):
            os.utime(entry, (OLD + age, OLD + age))
        run(folders[0], cache=small)
        run(folders[2], cache=small)
        assert len(small.entries()) == 2
        assert small.size_bytes() <= small.most_bytes
        decoded.clear()
        run(folders[0], cache=small)
        assert decoded == []
        run(folders[1], cache=small)
        assert len(decoded) == 10

    @pytest.mark.parametrize("most", [0, 1000])
    def test_an_entry_that_is_too_large_is_not_kept(
        self, most: int, tmp_path: Path, images: Path, run: Run
    ) -> None:
        small = Cache(tmp_path / "small", most)
        assert run(images, cache=small) == run(images, cache=small)
        assert small.entries() == []

    def test_what_a_killed_process_left_is_removed(
        self, images: Path, run: Run, cache: Cache
    ) -> None:
        old, new = (cache.folder / f".{name}.unfinished" for name in ("old", "new"))
        for path in (old, new):
            path.mkdir(parents=True)
        os.utime(old, (OLD, OLD))
        run(images)
        assert (old.exists(), new.exists()) == (False, True)

    def test_it_is_emptied(self, images: Path, run: Run, cache: Cache, decoded: list[Path]) -> None:
        run(images)
        assert cache.size_bytes() > 0
        cache.empty()
        assert (cache.entries(), cache.size_bytes()) == ([], 0)
        run(images)
        assert len(decoded) == 20


class TestSharing:
    def test_a_run_keeps_its_images_when_the_cache_is_emptied(
        self, tmp_path: Path, images: Path, cache: Cache
    ) -> None:
        into = tmp_path / "mine"
        into.mkdir()
        request = DataRequest("folder", str(images), None, None, 32, MANY)
        prepare.prepare(request, into, cache=cache)
        cache.empty()
        assert np.load(into / ARRAYS[0]).shape == (6, 8, 8, 3)

    def test_another_disk_gets_copies(
        self, images: Path, run: Run, monkeypatch: pytest.MonkeyPatch, decoded: list[Path]
    ) -> None:
        def other_disk(*arguments: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", other_disk)
        assert run(images) == run(images)
        assert len(decoded) == 10

    def test_a_cache_that_cannot_be_written_to_stops_nobody(
        self, tmp_path: Path, images: Path, run: Run
    ) -> None:
        (tmp_path / "file").write_text("")
        nowhere = Cache(tmp_path / "file" / "cache", MANY)
        assert run(images, cache=nowhere) == run(images, cache=nowhere)

    def test_a_cache_that_can_only_be_read_is_used(
        self, images: Path, run: Run, monkeypatch: pytest.MonkeyPatch, decoded: list[Path]
    ) -> None:
        def denied(*_arguments: object, **_options: object) -> None:
            raise PermissionError(13, "Permission denied")

        first = run(images)
        monkeypatch.setattr(os, "utime", denied)
        assert run(images) == first
        assert len(decoded) == 10

    def test_an_entry_that_there_is_no_room_for_stays(
        self,
        images: Path,
        run: Run,
        cache: Cache,
        monkeypatch: pytest.MonkeyPatch,
        decoded: list[Path],
    ) -> None:
        def full(*_arguments: object, **_options: object) -> None:
            raise OSError(28, "No space left on device")

        first = run(images)
        kept = cache.entries()
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", full)
            patch.setattr(shutil, "copyfile", full)
            assert run(images) == first
        assert cache.entries() == kept
        assert len(decoded) == 20
        assert run(images) == first
        assert len(decoded) == 20

    def test_two_that_make_the_same_entry(self, images: Path, run: Run, cache: Cache) -> None:
        facts, _ = run(images)
        (entry,) = cache.entries()
        cache.keep(entry.name, entry, facts)
        assert cache.entries() == [entry]
        assert [path.name for path in cache.folder.glob(".*")] == []


class TestTheUsers:
    def test_place_and_size(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path))
        assert open_cache().folder == tmp_path / "prepared"
        assert open_cache().most_bytes == 5 * 10**9
        for text, size in (("2GiB", 2 * 2**30), ("0", 0)):
            monkeypatch.setenv("ARCHBENCH_CACHE_SIZE", text)
            assert open_cache().most_bytes == size
        monkeypatch.setenv("ARCHBENCH_CACHE_SIZE", "lots")
        with pytest.raises(Refused, match="ARCHBENCH_CACHE_SIZE 'lots' is not a size"):
            open_cache()

    def test_the_place_of_each_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ARCHBENCH_CACHE")
        assert cache_module.cache_folder().name == "archbench"
