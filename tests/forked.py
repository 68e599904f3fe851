"""For tests that change torch for good: a child of this process, which has imported it already."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import torch

from bench.batch_size.forked import in_child


def in_a_fork(call: Callable[[], Any]) -> Any:
    """What `call` returns, by way of JSON; warnings are no errors, as in a process of its own."""

    def encoded() -> bytes:
        torch.set_num_threads(1)  # a fork has none of its parent's threads
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return json.dumps(call()).encode()

    return json.loads(in_child(encoded))
