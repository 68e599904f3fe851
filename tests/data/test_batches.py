import pytest

from bench.data.batches import dropped_images, steps_per_epoch


@pytest.mark.parametrize(
    ("images", "batch", "dropped", "steps"),
    [(9, 4, 1, 2), (10, 4, 0, 3), (8, 4, 0, 2), (1, 4, 0, 1), (5, 1, 0, 5), (3, 8, 0, 1)],
)
def test_steps_and_dropped_images(images: int, batch: int, dropped: int, steps: int) -> None:
    assert dropped_images(images, batch) == dropped
    assert steps_per_epoch(images, batch) == steps
