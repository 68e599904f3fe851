"""How many batches an epoch has, and how many images of it none. Needs no torch."""


def dropped_images(images: int, batch_size: int, ranks: int = 1) -> int:
    """Images of an epoch that are left out: those of a last batch in which a rank would have less
    than two, on which batch norm cannot train. `batch_size` is of all ranks together."""
    last = images % batch_size
    return last if last < 2 * ranks and images > last else 0


def steps_per_epoch(images: int, batch_size: int, ranks: int = 1) -> int:
    """Updates in an epoch, including a smaller last batch unless it is dropped."""
    return -(-(images - dropped_images(images, batch_size, ranks)) // batch_size)
