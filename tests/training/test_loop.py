import math
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD

from bench.system.devices.cpu import CpuDevice
from bench.training.loop import Batch, Pass, Sums, evaluation_pass, train_pass
from bench.training.precision import Precision
from bench.training.step_timer import StepTimer
from models.building.network import Network
from tests.builders import a_setting

FP32 = Precision("fp32", None, "cpu", None)


class Outputs(NamedTuple):
    logits: Tensor
    aux: Tensor


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main, self.aux, self.dropout = nn.Linear(12, 3), nn.Linear(12, 3), nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Any:
        features = self.dropout(images.flatten(1))
        return (
            Outputs(self.main(features), self.aux(features))
            if self.training
            else self.main(features)
        )


def some_batches(*sizes: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(sum(sizes), 3, 2, 2, generator=generator)
    labels = torch.arange(sum(sizes)) % 3
    return list(zip(images.split(list(sizes)), labels.split(list(sizes)), strict=True))


def train(network: Network, batches: list[Batch], lr: float) -> Pass:
    optimizer = SGD(network.parameters(), lr=lr)
    clock = StepTimer(CpuDevice(), len(batches))
    return train_pass(network, batches, optimizer, FP32, clock).result()


def test_sums_are_means_over_images_not_batches() -> None:
    sums = Sums()
    logits = torch.tensor([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0]])
    sums.add(logits, torch.tensor([0, 0, 1]), {"main": torch.tensor(1.0), "a": torch.tensor(2.0)})
    sums.add(logits[:1], torch.tensor([1]), {"main": torch.tensor(5.0), "a": torch.tensor(6.0)})
    assert sums.result() == Pass(images=4, loss=2.0, accuracy=0.5, aux_losses={"a": 3.0})


def test_sums_do_not_keep_the_graph() -> None:
    loss = torch.tensor(1.0, requires_grad=True) * 2
    sums = Sums()
    sums.add(torch.zeros(1, 2), torch.tensor([0]), {"main": loss})
    kept = sums._losses["main"]
    assert isinstance(kept, Tensor)
    assert not kept.requires_grad


def test_losses_are_those_before_each_update() -> None:
    """With a learning rate of nothing they are the losses of the network as it is."""
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), {})
    batches = some_batches(4, 2)
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    logits = network(images)
    result = train(network, batches, lr=0.0)
    assert result.images == 6
    assert result.loss == pytest.approx(functional.cross_entropy(logits, labels).item())
    assert result.accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert result.aux_losses == {}


def test_one_step_is_gradient_descent_on_the_weighted_sum() -> None:
    torch.manual_seed(0)
    module = TwoHeads()
    module.dropout.p = 0.0
    network = Network(module, {"aux": 0.3})
    before = [p.detach().clone() for p in (module.main.weight, module.aux.weight)]
    [(images, labels)] = some_batches(6)
    losses = [
        functional.cross_entropy(head(images.flatten(1)), labels)
        for head in module.children()
        if isinstance(head, nn.Linear)
    ]
    total = losses[0] + 0.3 * losses[1]
    gradients = torch.autograd.grad(total, (module.main.weight, module.aux.weight))
    result = train(network, [(images, labels)], lr=0.1)
    assert result.loss == pytest.approx(losses[0].item())
    assert result.aux_losses == pytest.approx({"aux": losses[1].item()})
    for old, gradient, new in zip(
        before, gradients, (module.main.weight, module.aux.weight), strict=True
    ):
        torch.testing.assert_close(new.detach(), old - 0.1 * gradient)
        assert new.grad is None


def test_training_learns() -> None:
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), {})
    batches = some_batches(6, 6)
    passes = [train(network, batches, lr=0.5) for _ in range(30)]
    assert passes[-1].loss < passes[0].loss / 3


def test_steps_are_marked() -> None:
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), {})
    clock = StepTimer(CpuDevice(), 3)
    train_pass(network, some_batches(2, 2, 2), SGD(network.parameters(), lr=0.1), FP32, clock)
    assert len(clock.step_seconds()) == 3
    assert all(seconds > 0 for seconds in clock.part_seconds(math.inf).values())


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_a_batch_in_parts_is_the_same_update(parts: int) -> None:
    """Up to rounding, and where nothing depends on the rest of the batch."""
    results, weights = [], []
    for accumulate in (1, parts):
        torch.manual_seed(0)
        module = TwoHeads()
        module.dropout.p = 0.0
        network = Network(module, {"aux": 0.3})
        clock, optimizer = StepTimer(CpuDevice(), 2), SGD(network.parameters(), lr=0.1)
        batches = some_batches(7, 5)
        sums = train_pass(network, batches, optimizer, FP32, clock, accumulate=accumulate)
        results.append(sums.result())
        weights.append(module.main.weight.detach())
        assert all(seconds > 0 for seconds in clock.part_seconds(math.inf).values())
    torch.testing.assert_close(*weights)
    assert results[0].images == results[1].images == 12
    assert results[0].accuracy == results[1].accuracy
    assert results[0].loss == pytest.approx(results[1].loss)
    assert results[0].aux_losses == pytest.approx(results[1].aux_losses)


def test_no_part_is_of_one_image() -> None:
    seen = []
    network = Network(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 3)), {})
    network.module.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    optimizer, clock = SGD(network.parameters(), lr=0.1), StepTimer(CpuDevice(), 3)
    train_pass(network, some_batches(8, 5, 3), optimizer, FP32, clock, accumulate=4)
    assert seen == [2, 2, 2, 2, 3, 2, 3]
    assert [a_setting(accumulate=4).part_of(n) for n in (8, 5, 3)] == [2, 3, 3]


def test_evaluation_is_in_inference_mode_and_changes_nothing() -> None:
    torch.manual_seed(0)
    network = Network(
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Dropout(0.9), nn.Linear(12, 3)), {}
    )
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batches = some_batches(4, 4, 1)
    network.train()
    first, again = (evaluation_pass(network, batches, FP32).result() for _ in range(2))
    assert first == again
    assert first.images == 9
    assert not network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def test_evaluation_has_no_auxiliary_losses() -> None:
    network = Network(TwoHeads(), {"aux": 0.3})
    assert evaluation_pass(network, some_batches(4), FP32).result().aux_losses == {}


def test_training_turns_training_mode_on_again() -> None:
    network = Network(TwoHeads(), {"aux": 0.3}).eval()
    result = train(network, some_batches(4), lr=0.1)
    assert network.training
    assert set(result.aux_losses) == {"aux"}


@pytest.mark.parametrize("parts", [1, 3])
def test_a_summed_loss_counts_every_image_the_same(parts: int) -> None:
    """The gradient is that of the batch's mean times its images, also in unequal parts."""
    changes = []
    for summed in (False, True):
        torch.manual_seed(0)
        network = Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), {}, summed=summed)
        before = network.module[1].weight.detach().clone()
        optimizer = SGD(network.parameters(), lr=0.01)
        clock = StepTimer(CpuDevice(), 1)
        result = train_pass(network, some_batches(8), optimizer, FP32, clock, accumulate=parts)
        changes.append((network.module[1].weight.detach() - before, result.result().loss))
    (mean, loss), (total, same) = changes
    assert torch.allclose(total, 8 * mean, atol=1e-6)
    assert loss == same
