"""Lookahead: a network is pulled to the running average of its own states.

Zhang, Lucas, Hinton, Ba, "Lookahead Optimizer: k steps forward, 1 step back", 2019, with the rising
decay of https://github.com/KellerJordan/cifar10-airbench.
"""

from typing import Any

import torch
from torch import nn

from bench.recipes import Lookahead
from bench.training.loop import Stepped


class LookaheadState:
    """Follows each update, after the schedule of the rate: see `bench.recipes.Lookahead`. The state
    that is averaged includes batch norm's statistics."""

    def __init__(
        self, network: nn.Module, how: Lookahead, updates: int, schedule: Stepped | None
    ) -> None:
        self._how, self._updates, self._done, self._schedule = how, updates, 0, schedule
        self._state = [v for v in network.state_dict().values() if v.is_floating_point()]
        self._average = [value.clone() for value in self._state]

    @torch.no_grad()
    def step(self) -> None:
        """An update is done."""
        if self._schedule is not None:
            self._schedule.step()
        self._done += 1
        if self._done % self._how.every == 0:
            self._pull(self._how.decay_at(min(1, self._done / self._updates)))
        if self._done == self._updates:
            self._pull(1)

    def _pull(self, decay: float) -> None:
        for average, value in zip(self._average, self._state, strict=True):
            value.copy_(average.lerp_(value, 1 - decay))

    def state_dict(self) -> dict[str, Any]:
        """The average, how many updates are done, and the schedule's state."""
        schedule = self._schedule.state_dict() if self._schedule else {}
        return {"done": self._done, "average": self._average, "schedule": schedule}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The reverse of `state_dict`."""
        self._done = state_dict["done"]
        for average, saved in zip(self._average, state_dict["average"], strict=True):
            average.copy_(saved)
        if self._schedule:
            self._schedule.load_state_dict(state_dict["schedule"])
