"""The same numbers every time, as far as the device can.

On the CPU a step gives the same numbers with the same number of threads. CUDA's fastest algorithms
add up in any order; torch can be told to choose others, and says which operation has none
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
"""With buffers of a fixed size cuBLAS gives the same sums every time; it reads this from the
environment when it is first used."""


@contextmanager
def determinism(asked: bool) -> Iterator[set[str]]:
    """Within the block, use deterministic algorithms if `asked`; yields the names of the operations
    that were met and have none."""
    met: set[str] = set()
    if not asked:
        yield met
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
    benchmark, before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    # It would choose by time, and so by chance.
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    shown = warnings.showwarning

    def listen(message: Any, *rest: Any, **named: Any) -> None:
        alert = _ALERT.search(str(message))
        if alert:
            met.add(alert[1])
        else:
            shown(message, *rest, **named)

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", _ALERT.pattern.replace(r"(\S+)", r".*"))
            warnings.showwarning = listen
            yield met
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark
