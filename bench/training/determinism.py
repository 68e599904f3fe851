"""The same numbers in every run, as far as the device allows.

On the CPU, a step gives the same numbers with the same number of threads. CUDA's fastest algorithms
add up in any order; torch can choose others, and warns of operations that have none
(https://docs.pytorch.org/docs/stable/notes/randomness.html).
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_ALERT = re.compile(r"(\S+) does not have a deterministic implementation")

CUBLAS_WORKSPACE = ":4096:8"
"""With buffers of a fixed size, cuBLAS always adds in the same order; it reads this from the
environment on first use."""


@contextmanager
def determinism(enabled: bool) -> Iterator[set[str]]:
    """Use deterministic algorithms in the block, if `enabled`; yields a set that collects the names
    of operations that have none."""
    operations: set[str] = set()
    if not enabled:
        yield operations
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
    benchmark, before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    # It chooses algorithms by their time, and so by chance.
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    show = warnings.showwarning

    def collect(message: Any, *rest: Any, **named: Any) -> None:
        alert = _ALERT.search(str(message))
        if alert:
            operations.add(alert[1])
        else:
            show(message, *rest, **named)

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", _ALERT.pattern.replace(r"(\S+)", r".*"))
            warnings.showwarning = collect
            yield operations
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark
