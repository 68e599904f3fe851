"""A whole training step on fake CUDA tensors, on a machine without a GPU.

`python tests/fake_cuda.py` trains and evaluates every model of `CASES` and prints one JSON object:
"" for a case that works, else its error. No figure is computed, but every operation checks that its
tensors are on one device, as CUDA would; the cases of `FAULTS` prove it. Torch is patched for good
(see `bench.prediction.fake_cuda`), so call `errors` in a process of its own.
"""

import contextlib
import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from bench.data.loader import ResidentSplit, Transform
from bench.prediction import fake_cuda
from bench.prediction.simulate import building, simulate
from bench.prediction.torch_private import FakeTensorMode, TorchDispatchMode
from bench.records.messages import SelfCheckJob
from bench.records.records import DatasetFacts, DeviceFacts, Setting
from bench.runner.worker import selfcheck_jobs
from bench.system.devices import Device
from bench.system.reference_matmul import LEAST, calibrate
from bench.training import loop, pace
from bench.training.optimizers import open_optimizer
from bench.training.precision import Precision
from bench.training.step_timer import StepTimer
from models.building.network import build_network
from models.zoo import resolve

CUDA = torch.device("cuda", 0)
CASES = {"resnet18": 32, "googlenet": 64, "densenet121": 32, "inception_v3": 299}
"""Models and image sizes."""

IMAGES, BATCH = 5, 2
GREY = DatasetFacts("grey", "grey", ("a", "b"), 640, 320, 32, (0.5,) * 3, (0.5,) * 3, "", True)


class Quick(TorchDispatchMode):
    """Takes simulation's rules where they hold: for tensors that are on one device. For others,
    torch is asked, which complains."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        devices = {value.device for value in args if isinstance(value, Tensor)}
        rule = fake_cuda.SHAPE_RULES.get(func, func) if len(devices) == 1 else func
        return rule(*args, **(kwargs or {}))


class FakeCuda(Device):
    """A card whose moments are step numbers."""

    kind = "cuda"
    matmul_size = 8
    marks = 0

    def facts(self) -> DeviceFacts:
        return DeviceFacts("cuda:0", "cuda", "fake", 2**30, None)

    def synchronize(self) -> None: ...

    def mark(self) -> int:
        self.marks += 1
        return self.marks

    def elapsed(self, start: int, end: int) -> float:
        return float(end - start)

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        return budget_bytes

    def reset_peak(self) -> None: ...

    def peak_memory(self) -> int | None:
        return None


def works(model: str, size: int, fault: "Callable[[Parts], None]" = lambda parts: None) -> None:
    """Two training steps and an evaluation; a batch of one is dropped from the training."""
    with FakeTensorMode(), Quick():
        parts = Parts(model, size)
        fault(parts)
        order = torch.Generator().manual_seed(0)
        batches = parts.split.shuffled(BATCH, order, augment="cutout")
        precision = Precision("fp32", None, "cuda", None)
        clock = StepTimer(parts.device, 2)
        trained = loop.train_pass(parts.network, batches, parts.optimizer, precision, clock)
        assert images_on_the_card(trained) == IMAGES - 1
        tests = parts.split.in_order(BATCH)
        tested = loop.evaluation_pass(parts.network, tests, precision)
        assert images_on_the_card(tested) == IMAGES


def calibrates() -> None:
    """The fixed matrix product is made on the card."""
    with FakeTensorMode():
        found = calibrate(FakeCuda(CUDA), "a trial", 0, "fp16", torch.float16)
    assert found.seconds == (1.0,) * LEAST


def halves_take_the_same_memory() -> None:
    """A card computes bfloat16 and float16 with kernels of the same layouts."""

    def sizes(precision: str) -> Counter[tuple[int, int]]:
        with building():
            network = build_network(resolve("googlenet")[0], 10)
        setting = Setting(32, "adam", 1e-3, precision)
        trace = simulate(network, setting, classes=10, dataset=GREY)
        return Counter((a.fixed_bytes, a.image_bytes) for a in trace.allocations)

    nothing = (0, 0)
    halves = [sizes(precision) for precision in ("bf16", "fp16")]
    assert {nothing} >= set((halves[0] - halves[1]) + (halves[1] - halves[0])), halves


def self_checks() -> None:
    """The steps that a self-check makes on a card: our epoch, bare steps, and losses of a step."""
    with FakeTensorMode(), Quick(), mock.patch.object(pace, "shapes10", Shapes):
        parts = Parts("resnet18", 32)
        with (
            mock.patch.object(pace, "build_network", return_value=parts.network),
            mock.patch.object(parts.network, "to", return_value=parts.network),
            mock.patch.object(pace, "_tensors", Shapes.tensors),
            mock.patch.object(loop.Sums, "result"),
        ):
            for way in (pace.ours, pace.floor):
                way(parts.device, "resnet18", 32, IMAGES - 1, BATCH)()
        job = SelfCheckJob("step", "cuda:0", "resnet18", Setting(32, "adam", 1e-3, "fp32"), BATCH)
        precision = Precision("fp32", None, "cuda", None)
        batch = next(iter(parts.split.in_order(BATCH)))
        on_card = mock.patch.object(selfcheck_jobs, "float", is_on_card, create=True)
        with on_card:
            losses = list(selfcheck_jobs._losses(job, parts.network, batch, precision, ""))
        assert [loss.repeat for loss in losses] == [1, 2]


def is_on_card(loss: Tensor | bool) -> bool:
    """In place of the number that a fake loss has not."""
    return loss.device == CUDA if isinstance(loss, Tensor) else loss


class Shapes:
    """Fake images."""

    CLASSES = tuple(range(10))

    @staticmethod
    def tensors(count: int) -> tuple[Tensor, Tensor]:
        return torch.zeros((count, 32, 32, 3), dtype=torch.uint8), torch.zeros(count).long()


class Parts:
    """What a trial has on its card."""

    def __init__(self, model: str, size: int) -> None:
        grey = (0.5, 0.5, 0.5)
        self.device = FakeCuda(CUDA)
        with building():
            self.network = build_network(resolve(model)[0], 10)
        move(self.network, CUDA)
        self.optimizer = open_optimizer("adam", self.network.parameters(), 1e-3)
        self.split = ResidentSplit(
            torch.zeros((IMAGES, 32, 32, 3), dtype=torch.uint8),
            torch.zeros(IMAGES, dtype=torch.int64),
            Transform(size, grey, grey, CUDA, channels_last=True),
        )


def move(module: nn.Module, device: torch.device) -> None:
    """As `Module.to` does in `make_network`, which fake tensors refuse."""
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
                    moved = tensor.detach().to(device, memory_format=layout)
                    tensors[name] = nn.Parameter(moved) if tensor.requires_grad else moved


def labels_on_cpu(parts: Parts) -> None:
    parts.split.labels = torch.zeros(IMAGES, dtype=torch.int64)


def one_layer_on_cpu(parts: Parts) -> None:
    move(parts.network.module.get_submodule("fc"), torch.device("cpu"))


def one_norm_on_cpu(parts: Parts) -> None:
    move(parts.network.module.get_submodule("bn1"), torch.device("cpu"))


def constants_on_cpu(parts: Parts) -> None:
    make: Any = Transform._constant
    stay = mock.patch.object(Transform, "_constant", lambda *args: make(*args).cpu())
    stay.start()
    mocks.callback(stay.stop)


FAULTS = {
    f.__name__: f for f in (labels_on_cpu, one_layer_on_cpu, one_norm_on_cpu, constants_on_cpu)
}
mocks = contextlib.ExitStack()


def images_on_the_card(sums: Any) -> int:
    """How many images a pass counted; fake sums have no value, but a device."""
    tensors: dict[str, Tensor] = {"correct": sums._correct, **sums._losses}
    assert {t.device for t in tensors.values()} == {CUDA}, tensors
    return int(sums._images)


def error_of(call: Callable[[], None]) -> str:
    try:
        call()
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return f"{type(error).__name__}: {error}"
    finally:
        mocks.close()
    return ""


def errors() -> dict[str, str]:
    """The error of each case, "" if it works."""
    fake_cuda.install()
    found = {m: error_of(lambda m=m: works(m, CASES[m])) for m in CASES}
    for name, fault in FAULTS.items():
        found[name] = error_of(lambda fault=fault: works("resnet18", 32, fault))
    found["self-check"] = error_of(self_checks)
    found["calibration"] = error_of(calibrates)
    found["halves"] = error_of(halves_take_the_same_memory)
    return found


if __name__ == "__main__":
    print(json.dumps(errors()))
