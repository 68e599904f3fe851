import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from bench.data.batches import dropped_images, steps_per_epoch
from bench.data.loader import (
    Augmentation,
    ResidentSplit,
    Share,
    Split,
    StreamedSplit,
    Transform,
    _reflected,
    augmented,
    blank_split,
    open_split,
)
from bench.data.prepare import DataRequest, prepare
from bench.errors import Refused
from bench.recipes import AUGMENTATIONS
from bench.records.records import DatasetFacts

CPU = torch.device("cpu")
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
FACTS = DatasetFacts("x", "x", ("a", "b"), 9, 5, 8, PLAIN[0], PLAIN[1], "", True)


def noise(count: int, side: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, side, side, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def a_transform(size: int, channels_last: bool = True) -> Transform:
    return Transform(size, *PLAIN, CPU, channels_last)


def a_split(count: int = 9, size: int = 8) -> ResidentSplit:
    """Image and label i hold the number i."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 8, 8, 3)
    return ResidentSplit(images, torch.arange(count), a_transform(size))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestTransform:
    @pytest.mark.parametrize(("stored", "wanted"), [(32, 64), (32, 224), (64, 32), (50, 29)])
    def test_resizes_like_torchvision(self, stored: int, wanted: int) -> None:
        images = noise(3, stored)
        expected = v2.resize(
            images.permute(0, 3, 1, 2).float() / 255, [wanted, wanted], antialias=True
        )
        assert (a_transform(wanted)(images) - expected).abs().max() < 1 / 255

    def test_normalises_each_channel(self) -> None:
        transform = Transform(4, (0.0, 0.5, 1.0), (1.0, 0.5, 0.25), CPU, True)
        pixels = transform(torch.full((1, 4, 4, 3), 51, dtype=torch.uint8))  # a fifth of 255
        assert pixels[0, :, 2, 1].tolist() == pytest.approx([0.2, -0.6, -3.2])
        assert pixels.dtype == torch.float32

    @pytest.mark.parametrize("size", [8, 16])
    def test_memory_format(self, size: int) -> None:
        last = a_transform(size, channels_last=True)(noise(2, 8))
        first = a_transform(size, channels_last=False)(noise(2, 8))
        assert last.is_contiguous(memory_format=torch.channels_last)
        assert first.is_contiguous()
        assert torch.equal(first, last)

    def test_leaves_stored_images_alone(self) -> None:
        images = noise(2, 8)
        a_transform(8)(images)
        assert torch.equal(images, noise(2, 8))


class TestAugmented:
    def test_the_same_generator_gives_the_same_images(self) -> None:
        images = noise(20, 16)
        first, again, other = (
            augmented(images, Augmentation("shift", generator(seed))) for seed in (1, 1, 2)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_flips_and_shifts_by_an_eighth_and_nothing_else(self) -> None:
        """An image whose red is its row and whose green is its column tells where pixels came
        from."""
        side, count = 16, 400
        line = torch.arange(side)
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        images = torch.stack((rows, columns, rows), dim=2).to(torch.uint8).expand(count, -1, -1, -1)
        seen: Counter[tuple[str, int]] = Counter()
        for image in augmented(images, Augmentation("shift", generator())).long():
            down, across = image[8, 8, 0] - 8, image[8, 8, 1].item()
            step = (image[8, 9, 1] - image[8, 8, 1]).item()
            place = torch.arange(side) - 8
            assert torch.equal(image[:, 5, 0], (line + down).clamp(0, 15))
            assert torch.equal(image[5, :, 1], (across + step * place).clamp(0, 15))
            shift = across - (8 if step == 1 else 7)
            seen[("flip", step)] += 1
            seen[("down", down.item())] += 1
            seen[("across", shift * step)] += 1
        assert {move for what, move in seen if what == "flip"} == {-1, 1}
        assert {move for what, move in seen if what == "down"} == {-2, -1, 0, 1, 2}
        assert {move for what, move in seen if what == "across"} == {-2, -1, 0, 1, 2}
        assert 140 < seen[("flip", 1)] < 260

    def test_a_crop_is_a_shift_whose_outside_is_black(self) -> None:
        images = noise(200, 16).clamp(1)
        shifted, cropped = (
            augmented(images, Augmentation(kind, generator())) for kind in ("shift", "crop")
        )
        black = (cropped == 0).all(-1)
        assert torch.equal(cropped[~black], shifted[~black])
        assert not black[:, 2:-2, 2:-2].any()
        assert 0 < black.float().mean() < 0.25

    def test_cutout_reflects_and_blanks_a_square_with_the_mean(self) -> None:
        images, mean = noise(100, 16).clamp(max=200), torch.tensor([201, 202, 203]).byte()
        changed = augmented(images, Augmentation("cutout", generator()), mean)
        blank = (changed == mean).all(-1)
        assert blank.sum((1, 2)).tolist() == [4 * 4] * 100
        assert [int(mask.any(0).sum()) for mask in blank] == [4] * 100
        line = torch.tensor([-2, -1, 0, 1, 14, 15, 16, 17])
        assert _reflected(line, 16).tolist() == [2, 1, 0, 1, 14, 15, 14, 13]

    def test_alternate_reflects_and_shifts_by_a_sixteenth(self) -> None:
        line = torch.arange(16, dtype=torch.uint8)
        images = line[None, None, :, None].expand(300, 16, 16, 3)
        changed = augmented(images, Augmentation("alternate", generator()))[:, 0, :, 0].long()
        first = {tuple(row.tolist()[:3]) for row in changed}
        assert first == {(1, 0, 1), (0, 1, 2), (1, 2, 3), (14, 15, 14), (15, 14, 13), (14, 13, 12)}

    @pytest.mark.parametrize("kind", AUGMENTATIONS)
    def test_every_augmentation_keeps_shape_and_type(self, kind: str) -> None:
        images, labels = a_split(9).first(5, Augmentation(kind, generator()))
        assert (images.shape, images.dtype, len(labels)) == ((5, 3, 8, 8), torch.float32, 5)


class TestSplit:
    def test_in_order_gives_every_image_once(self) -> None:
        batches = list(a_split(9).in_order(4))
        assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
        values = [round(image.mean().item() * 255) for images, _ in batches for image in images]
        assert values == list(range(9))

    def test_shuffled_drops_a_last_batch_of_one(self) -> None:
        batches = [labels.tolist() for _, labels in a_split(9).shuffled(4, generator())]
        assert [len(labels) for labels in batches] == [4, 4]
        assert len(set(itertools.chain(*batches))) == 8

    def test_shuffled_gives_every_image_once(self) -> None:
        batches = list(a_split(10).shuffled(4, generator(3)))
        labels = [int(label) for _, labels in batches for label in labels]
        values = [round(image.mean().item() * 255) for images, _ in batches for image in images]
        assert [len(labels) for _, labels in batches] == [4, 4, 2]
        assert sorted(labels) == list(range(10))
        assert labels != sorted(labels)
        assert values == labels

    @pytest.mark.parametrize("augment", AUGMENTATIONS)
    def test_a_seed_decides_the_batches(self, augment: str) -> None:
        split = ResidentSplit(noise(30, 8), torch.arange(30), a_transform(8))
        first, again, other = (
            list(split.shuffled(7, generator(seed), augment)) for seed in (5, 5, 6)
        )
        assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
        assert not torch.equal(first[0][1], other[0][1])

    def test_an_epoch_differs_from_the_next(self) -> None:
        order = generator()
        epochs = [
            torch.cat([labels for _, labels in a_split(50).shuffled(8, order)]) for _ in range(2)
        ]
        assert not torch.equal(*epochs)

    def test_alternate_flips_in_one_epoch_what_it_does_not_in_the_next(self) -> None:
        ramp = torch.arange(8, dtype=torch.uint8)[None, None, :, None].expand(200, 8, 8, 3)
        split = ResidentSplit(ramp, torch.arange(200), a_transform(8))

        def flipped(order: torch.Generator, epoch: int) -> list[bool]:
            batches = split.shuffled(32, order, "alternate", epoch)
            return [
                x
                for _, x in sorted(
                    (int(n), bool(image[0, 0, 0] > image[0, 0, 7]))
                    for images, labels in batches
                    for image, n in zip(images, labels, strict=True)
                )
            ]

        order = generator(3)
        epochs = [flipped(order, epoch) for epoch in (1, 2, 3)]
        resumed = generator(0)
        resumed.set_state(order.get_state())
        assert epochs[0] == epochs[2] == flipped(resumed, 5)
        assert epochs[1] == [not flip for flip in epochs[0]]
        assert 70 < sum(epochs[0]) < 130
        assert flipped(generator(4), 1) != epochs[0]

    def test_first(self) -> None:
        images, labels = a_split(9, size=16).first(3)
        assert images.shape == (3, 3, 16, 16)
        assert labels.tolist() == [0, 1, 2]


@given(st.integers(0, 500), st.integers(1, 9))
def test_shares_are_a_partition_and_differ_by_at_most_an_image(count: int, ranks: int) -> None:
    parts = [range(count)[Share(rank, ranks).of(count)] for rank in range(ranks)]
    assert [place for part in parts for place in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(2, 200), st.integers(2, 12), st.integers(1, 4))
def test_a_rank_never_trains_on_one_image(images: int, each: int, ranks: int) -> None:
    batch = each * ranks
    if images < 2 * ranks:
        return
    kept = images - dropped_images(images, batch, ranks)
    steps = steps_per_epoch(images, batch, ranks)
    sizes = [min(batch, kept - step * batch) for step in range(steps)]
    assert sum(sizes) == kept
    assert images - kept < 2 * ranks
    shares = [Share(rank, ranks).of(size) for size in sizes for rank in range(ranks)]
    assert min(share.stop - share.start for share in shares) >= 2


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_ranks_have_together_what_one_process_has(augment: str) -> None:
    images, labels = noise(50, 8), torch.arange(50)
    split = ResidentSplit(images, labels, a_transform(8))
    whole = [*split.shuffled(16, generator(3), augment)]
    ranks = [[*split.shuffled(16, generator(3), augment, 1, Share(r, 3))] for r in range(3)]
    assert [len(batches) for batches in ranks] == [3, 3, 3]  # not the last two images
    for (pixels, numbers), *parts in zip(whole[:3], *ranks, strict=True):
        assert torch.equal(torch.cat([part for part, _ in parts]), pixels)
        assert torch.equal(torch.cat([part for _, part in parts]), numbers)
    tested = [n for r in range(3) for _, ns in split.in_order(7, Share(r, 3)) for n in ns.tolist()]
    assert tested == list(range(50))


def test_blank_split_stands_for_all_images() -> None:
    split = blank_split(1000, FACTS, a_transform(12))
    images, labels = split.first(500)
    assert (len(split), images.shape, labels.shape) == (1000, (500, 3, 12, 12), (500,))
    assert split.images.untyped_storage().nbytes() == 8 * 8 * 3


@pytest.mark.parametrize("workers", [0, 1])
def test_streamed_equals_resident(workers: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for number in range(3):
                size = (20 + 4 * number, 24)
                pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    splits: list[Split] = []
    for memory in (10**9, 1):
        into = tmp_path / str(memory)
        into.mkdir()
        data_dir = str(tmp_path / "images")
        facts = prepare(DataRequest("folder", data_dir, None, None, 16, memory), into)
        splits.append(open_split(into, "train", facts, a_transform(32), workers))
    assert [type(split) for split in splits] == [ResidentSplit, StreamedSplit]
    before = torch.get_rng_state()
    pair = [list(split.shuffled(4, generator(1), "cutout")) for split in splits]
    assert torch.equal(torch.get_rng_state(), before)  # it is for dropout
    for (images, labels), (others, other_labels) in zip(*pair, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, other_labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_streamed_image_is_named_in_one_line(workers: int, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.effect_noise((32, 32), 50).save(path)
    path.write_bytes(path.read_bytes()[:200])
    split = StreamedSplit([str(path)] * 2, torch.arange(2), a_transform(32), 32, workers)
    with pytest.raises(Refused) as refused:
        list(split.in_order(2))
    assert str(refused.value).startswith(f"{path} is not a readable image (")
    assert "\n" not in str(refused.value)
