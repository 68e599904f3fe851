"""Fit: the largest batch that memory holds, measured here or predicted for another card.

>>> from bench.fit import find_max_batch, predict_max_batch
>>> predict_max_batch("resnet18", card="t4", precision="fp16").max_batch  # doctest: +SKIP
>>> find_max_batch(my_module, image_size=64, memory_budget="1GiB").max_batch  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.fit.api import find_max_batch, predict_max_batch

__all__ = ["find_max_batch", "predict_max_batch"]


def __getattr__(name: str) -> Any:
    """Import the two public names when they are first used, for they need torch."""
    if name not in __all__:
        raise AttributeError(f"module 'bench.fit' has no attribute {name!r}")
    from bench.fit import api

    return getattr(api, name)
