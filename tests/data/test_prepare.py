import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data import prepare as preparation
from bench.data.dataset import Arrays, Source, balanced_subset, stratified_subset
from bench.data.prepare import DataRequest, channel_statistics, prepare
from bench.errors import Refused
from bench.records.records import DatasetFacts

MANY = 10**12


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Noise of 8 by 8 pixels: three training and two test images of each of two classes."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "images"


def prepared(
    images: Path,
    into: str = "prepared",
    *,
    limits: tuple[int | None, int | None] = (None, None),
    largest: int = 32,
    memory: int = MANY,
    validation: float = 0,
) -> tuple[DatasetFacts, Path]:
    folder = images.parent / into
    folder.mkdir()
    request = DataRequest("folder", str(images), *limits, largest, memory, validation)
    return prepare(request, folder), folder


labels_and_limit = st.lists(st.integers(0, 5), min_size=1, max_size=60).flatmap(
    lambda labels: st.tuples(st.just(np.array(labels)), st.integers(1, len(labels) + 5))
)


class TestBalancedSubset:
    @settings(max_examples=200, deadline=None)
    @given(labels_and_limit, st.integers(0, 2**32))
    def test_no_class_could_give_more(
        self,
        drawn: tuple[np.ndarray, int],
        seed: int,
    ) -> None:
        labels, limit = drawn
        chosen = balanced_subset(labels, limit, seed)
        assert len(chosen) == len(set(chosen.tolist())) == min(limit, len(labels))
        counts = {c: int((labels[chosen] == c).sum()) for c in set(labels.tolist())}
        for label, count in counts.items():
            left = count < int((labels == label).sum())
            assert not left or count >= max(counts.values()) - 1

    def test_the_same_arguments_give_the_same_indices(self) -> None:
        labels = np.arange(100) % 7
        assert np.array_equal(balanced_subset(labels, 20), balanced_subset(labels, 20))
        assert not np.array_equal(balanced_subset(labels, 20), balanced_subset(labels, 20, 1))

    def test_all_of_them_stay_in_order(self) -> None:
        assert balanced_subset(np.array([1, 0, 1]), 3).tolist() == [0, 1, 2]


class TestStratifiedSubset:
    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.integers(2, 40), min_size=2, max_size=6), st.data())
    def test_every_class_has_its_share(self, sizes: list[int], data: st.DataObject) -> None:
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
        count = data.draw(st.integers(len(sizes), len(labels) - len(sizes)))
        chosen = stratified_subset(labels, count)
        taken = np.bincount(labels[chosen], minlength=len(sizes))
        assert len(np.unique(chosen)) == len(chosen) == count
        assert (np.diff(chosen) > 0).all()
        assert ((taken >= 1) & (taken < np.array(sizes))).all()
        if count >= 4 * len(sizes) and min(sizes) > 8:  # else a class may be at its bound
            assert np.abs(taken - np.array(sizes) * count / len(labels)).max() < 2

    def test_balanced_classes_give_equally_many(self) -> None:
        labels = np.tile(np.arange(10), 500)
        chosen = stratified_subset(labels, 1000)
        assert np.bincount(labels[chosen]).tolist() == [100] * 10

    def test_it_is_the_same_every_time_and_another_than_a_limit_keeps(self) -> None:
        labels = np.tile(np.arange(3), 30)
        chosen = stratified_subset(labels, 30)
        np.testing.assert_array_equal(chosen, stratified_subset(labels, 30))
        assert chosen.tolist() != sorted(balanced_subset(labels, 30))


class TestValidation:
    @pytest.mark.parametrize(("asked", "count"), [(2, 2), (4, 4), (0.34, 2), (0.5, 3), (0.66, 4)])
    def test_is_kept_from_the_training_images(self, asked: float, count: int, images: Path) -> None:
        whole, all_images = prepared(images, "whole")
        facts, folder = prepared(images, validation=asked)
        assert facts.parts == {"train": 6 - count, "validation": count, "test": 4}
        assert (facts.evaluated_on, facts.evaluated_images) == ("validation", count)
        kept, rest, train = (
            {image.tobytes() for image in np.load(path)}
            for path in (
                folder / "validation_images.npy",
                folder / "train_images.npy",
                all_images / "train_images.npy",
            )
        )
        assert kept.isdisjoint(rest)
        assert kept | rest == train
        assert set(np.load(folder / "validation_labels.npy")) == {0, 1}
        assert set(np.load(folder / "train_labels.npy")) == {0, 1}
        assert (folder / "test_images.npy").read_bytes() == (
            all_images / "test_images.npy"
        ).read_bytes()
        assert facts.sha256 != whole.sha256
        assert (whole.evaluated_on, whole.validation_sha256) == ("test", None)

    def test_the_hash_says_which_images(self, images: Path) -> None:
        facts, folder = prepared(images, validation=2)
        _, all_images = prepared(images, "whole")
        train = [image.tobytes() for image in np.load(all_images / "train_images.npy")]
        kept = [image.tobytes() for image in np.load(folder / "validation_images.npy")]
        places = np.array([train.index(image) for image in kept], dtype="<i8")
        assert facts.validation_sha256 == hashlib.sha256(places.tobytes()).hexdigest()

    def test_comes_after_the_limit(self, images: Path) -> None:
        facts, _ = prepared(images, limits=(4, None), validation=0.5)
        assert facts.parts == {"train": 2, "validation": 2, "test": 4}
        other, _ = prepared(images, "other", validation=2)
        assert facts.validation_sha256 != other.validation_sha256

    def test_statistics_are_of_the_rest(self, images: Path) -> None:
        facts, folder = prepared(images, validation=4)
        pixels = np.load(folder / "train_images.npy") / 255
        np.testing.assert_allclose(facts.mean, pixels.mean((0, 1, 2)))
        np.testing.assert_allclose(facts.std, pixels.std((0, 1, 2)))

    def test_published_statistics_are_of_all_images_and_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype=np.uint8)
        arrays, grey = Arrays(pixels, np.arange(8) % 2), (0.5, 0.5, 0.5)
        source = Source("noise", ("cat", "dog"), arrays, arrays, grey, grey)
        monkeypatch.setattr(preparation, "loader_of", lambda name: lambda folder, tell: source)
        means = {}
        for validation in (0, 4):
            (folder := tmp_path / str(validation)).mkdir()
            facts = prepare(DataRequest("noise", None, None, None, 32, MANY, validation), folder)
            means[validation] = facts.mean
        assert means[0] == grey
        np.testing.assert_allclose(
            means[4], (np.load(folder / "train_images.npy") / 255).mean((0, 1, 2))
        )

    def test_streamed(self, images: Path) -> None:
        facts, folder = prepared(images, memory=0, validation=2)
        kept, rest = (
            set(json.loads((folder / f"{part}_files.json").read_text()))
            for part in ("validation", "train")
        )
        assert (facts.resident, len(kept), len(rest)) == (False, 2, 4)
        assert kept.isdisjoint(rest)

    @pytest.mark.parametrize("asked", [1, 5, 6, 7, 5000, 0.01, 0.99])
    def test_every_class_needs_an_image_on_either_side(self, asked: float, images: Path) -> None:
        with pytest.raises(Refused, match=rf"--validation {asked} asks for .*: use 2 to 4\."):
            prepared(images, validation=asked)

    def test_a_class_with_a_single_image(self, images: Path) -> None:
        for number in (1, 2):
            (images / "train" / "dog" / f"{number}.png").unlink()
        with pytest.raises(Refused, match="needs two training images of every class, and 1 of dog"):
            prepared(images, validation=2)


class TestStatistics:
    def test_against_numpy_on_raw_pixels(self) -> None:
        pixels = np.random.default_rng(1).integers(0, 200, (50, 6, 6, 3), dtype=np.uint8)
        pixels[..., 1] //= 3
        mean, std = channel_statistics(Arrays(pixels, np.zeros(50, dtype=np.int64)))
        raw = pixels.astype(np.float64) / 255
        assert mean == pytest.approx(raw.mean(axis=(0, 1, 2)), abs=1e-12)
        assert std == pytest.approx(raw.std(axis=(0, 1, 2)), abs=1e-12)

    def test_more_images_than_a_block(self) -> None:
        pixels = np.zeros((9000, 1, 1, 3), dtype=np.uint8)
        pixels[4500:] = 255
        mean, std = channel_statistics(Arrays(pixels, np.zeros(9000, dtype=np.int64)))
        assert mean == std == pytest.approx((0.5, 0.5, 0.5))

    def test_a_flat_channel_does_not_divide_by_zero(self) -> None:
        grey = Arrays(np.full((2, 4, 4, 3), 51, dtype=np.uint8), np.zeros(2, dtype=np.int64))
        mean, std = channel_statistics(grey)
        assert mean == pytest.approx((0.2, 0.2, 0.2))
        assert std == (1 / 255, 1 / 255, 1 / 255)

    def test_are_of_the_training_images(self, images: Path) -> None:
        facts, _ = prepared(images)
        raw = np.stack([np.asarray(Image.open(p)) for p in images.glob("train/*/*.png")]) / 255
        assert facts.mean == pytest.approx(raw.mean(axis=(0, 1, 2)))
        assert facts.std == pytest.approx(raw.std(axis=(0, 1, 2)))

    def test_streamed_images_give_the_same(self, images: Path) -> None:
        resident, _ = prepared(images, "a")
        streamed, _ = prepared(images, "b", memory=10)
        assert (streamed.mean, streamed.std) == (resident.mean, resident.std)

    def test_streamed_images_are_decoded_one_at_a_time(
        self, images: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes: list[int] = []
        bincount = np.bincount

        def counted(values: np.ndarray, **options: int) -> np.ndarray:
            sizes.append(len(values))
            return bincount(values, **options)

        monkeypatch.setattr(np, "bincount", counted)
        monkeypatch.setattr(preparation, "_decoded", None)
        assert not prepared(images, memory=10)[0].resident
        assert sizes == [8 * 8] * 6 * 3


class TestFolder:
    def test_images_are_stored_as_they_are(self, images: Path) -> None:
        facts, folder = prepared(images)
        assert (facts.train_images, facts.test_images, facts.stored_size) == (6, 4, 8)
        assert (facts.name, facts.classes, facts.resident) == ("folder", ("cat", "dog"), True)
        assert facts.notes == ()
        stored = np.load(folder / "train_images.npy", allow_pickle=False)
        assert stored.shape == (6, 8, 8, 3)
        assert np.array_equal(stored[3], np.asarray(Image.open(images / "train/dog/0.png")))
        labels = np.load(folder / "test_labels.npy", allow_pickle=False)
        assert labels.tolist() == [0, 0, 1, 1]

    def test_mixed_sizes_are_brought_to_the_runs_largest(self, images: Path) -> None:
        Image.new("RGB", (40, 20)).save(images / "test" / "cat" / "wide.png")
        facts, folder = prepared(images, largest=24)
        assert facts.stored_size == 24
        assert np.load(folder / "test_images.npy").shape == (5, 24, 24, 3)

    def test_images_larger_than_any_the_run_asks_for(self, images: Path) -> None:
        assert prepared(images, largest=6)[0].stored_size == 6

    @pytest.mark.parametrize(("memory", "resident"), [(10 * 8 * 8 * 3, True), (1919, False)])
    def test_streamed_where_memory_is_small(
        self, memory: int, resident: bool, images: Path
    ) -> None:
        facts, folder = prepared(images, memory=memory)
        assert facts.resident is resident
        assert (folder / "train_images.npy").exists() is resident
        if not resident:
            files = json.loads((folder / "test_files.json").read_text())
            assert files[2] == str(images / "test" / "dog" / "0.png")
            assert facts.notes == ("The images do not fit in memory and are streamed from disk.",)

    def test_limits_keep_classes_balanced(self, images: Path) -> None:
        facts, folder = prepared(images, limits=(4, 2))
        assert (facts.train_images, facts.test_images) == (4, 2)
        labels = np.load(folder / "train_labels.npy", allow_pickle=False)
        assert sorted(labels.tolist()) == [0, 0, 1, 1]

    def test_a_limit_above_what_there_is_is_noted(self, images: Path) -> None:
        facts, _ = prepared(images, limits=(7, None))
        assert facts.train_images == 6
        assert facts.notes == ("--train-limit 7 is more than the 6 train images there are.",)

    @pytest.mark.parametrize("memory", [MANY, 10])
    def test_the_hash_is_of_the_content(self, memory: int, images: Path) -> None:
        moved = Path(shutil.copytree(images, images.parent / "elsewhere" / "images"))
        first = prepared(images, "a", memory=memory)[0].sha256
        assert prepared(moved, "b", memory=memory)[0].sha256 == first
        Image.new("RGB", (8, 8)).save(images / "train" / "cat" / "0.png")
        assert prepared(images, "c", memory=memory)[0].sha256 != first


class TestBadFolders:
    @pytest.mark.parametrize("memory", [MANY, 10])
    @pytest.mark.parametrize("part", ["train", "test"])
    def test_no_image(self, part: str, memory: int, images: Path) -> None:
        (images / part / "dog" / "0.png").write_text("hello")
        with pytest.raises(Refused, match=rf"{part}/dog/0\.png is not a readable image"):
            prepared(images, memory=memory)

    def test_truncated(self, images: Path) -> None:
        path = images / "train" / "dog" / "1.png"
        path.write_bytes(path.read_bytes()[:120])
        with pytest.raises(Refused, match=r"train/dog/1\.png is not a readable image"):
            prepared(images)

    def test_empty_class(self, images: Path) -> None:
        for path in (images / "test" / "dog").iterdir():
            path.unlink()
        with pytest.raises(Refused, match=r"test/dog has no images"):
            prepared(images)

    def test_one_class(self, images: Path) -> None:
        for part in ("train", "test"):
            shutil.rmtree(images / part / "dog")
        with pytest.raises(Refused, match=r"images/train has 1 class folder"):
            prepared(images)

    def test_train_and_test_differ(self, images: Path) -> None:
        (images / "test" / "dog").rename(images / "test" / "emu")
        with pytest.raises(Refused, match="class 'dog' is in only one of train and test"):
            prepared(images)

    def test_unknown_data_set(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match=r"unknown data set 'cifar11': did you mean cifar10"):
            prepare(DataRequest("cifar11", None, None, None, 32, MANY), tmp_path)

    def test_folder_without_data_dir(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="--dataset folder needs --data-dir"):
            prepare(DataRequest("folder", None, None, None, 32, MANY), tmp_path)

    def test_a_streamed_image_that_is_gone(self, images: Path) -> None:
        Image.new("RGB", (9, 8)).save(images / "train" / "cat" / "0.png")
        (images / "test" / "dog" / "2.png").symlink_to(images / "nowhere.png")
        with pytest.raises(Refused, match=r"test/dog/2\.png cannot be read \(No such file or dir"):
            prepared(images, memory=10)

    def test_a_full_disk_is_named(self, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_arguments: object, **_options: object) -> None:
            raise OSError("98304 requested and 0 written")

        monkeypatch.setenv("ARCHBENCH_CACHE", str(images.parent / "cache"))
        monkeypatch.setattr(np, "save", full)
        with pytest.raises(Refused) as refused:
            prepared(images)
        assert str(refused.value) == (
            f"images cannot be written to {images.parent / 'prepared'}: the disk is full, most "
            "likely; TMPDIR can name another folder."
        )
