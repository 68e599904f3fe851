"""Lookahead, compared with the loop of its source."""

import copy

import pytest
import torch
from torch import nn

from bench.recipes import RECIPES, Lookahead
from bench.training.lookahead import LookaheadState

HOW = Lookahead(every=5, decay=0.95**5)
UPDATES = 23


def a_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))


def train(network: nn.Module, update: int) -> None:
    """A change of weights and of batch norm's statistics, always the same for an update."""
    generator = torch.Generator().manual_seed(update)
    network(torch.randn(6, 4, generator=generator)).square().sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= 0.05 * parameter.grad
            parameter.grad = None


def test_states_are_those_of_the_source() -> None:
    """`LookaheadState` of `legacy/airbench94.py`: https://github.com/KellerJordan/cifar10-airbench."""
    network, other = a_network(), a_network()
    lookahead = LookaheadState(network, HOW, UPDATES, None)
    alphas = 0.95**5 * (torch.arange(UPDATES + 1) / UPDATES) ** 3
    average = {k: v.clone() for k, v in other.state_dict().items()}

    def pull(decay: float) -> None:
        for mean, value in zip(average.values(), other.state_dict().values(), strict=True):
            if value.dtype == torch.float:
                mean.lerp_(value, 1 - decay)
                value.copy_(mean)

    for update in range(1, UPDATES + 1):
        train(network, update)
        lookahead.step()
        train(other, update)
        if update % 5 == 0:
            pull(alphas[update].item())
        if update == UPDATES:
            pull(1.0)
        for mine, theirs in zip(
            network.state_dict().values(), other.state_dict().values(), strict=True
        ):
            assert torch.allclose(mine, theirs, atol=1e-6)


def test_it_goes_on_where_it_was_saved() -> None:
    whole = a_network()
    lookahead = LookaheadState(whole, HOW, UPDATES, None)
    for update in range(1, 8):
        train(whole, update)
        lookahead.step()
    resumed, state = a_network(), copy.deepcopy(lookahead.state_dict())
    again = LookaheadState(resumed, HOW, UPDATES, None)
    resumed.load_state_dict(whole.state_dict())
    again.load_state_dict(state)
    for update in range(8, UPDATES + 1):
        for network, pulled in ((whole, lookahead), (resumed, again)):
            train(network, update)
            pulled.step()
    states = (network.state_dict().values() for network in (whole, resumed))
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_the_recipes_decay_rises_with_the_cube() -> None:
    how = RECIPES["airbench94"].lookahead
    assert how == HOW
    assert [how.decay_at(p) for p in (0, 0.5, 1)] == pytest.approx([0, 0.77378 / 8, 0.77378], 1e-5)
