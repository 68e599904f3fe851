"""The verb `max-batch`: options, predictions through a real worker, and measurements on the CPU."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli.max_batch import show_batches
from bench.errors import Refused
from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.memory_trace import Allocation, Trace
from bench.records.messages import SearchJob, Simulated
from bench.records.records import LargestBatch, Setting
from bench.runner import max_batch as runner
from bench.runner.max_batch import MaxBatchOptions, measure_batches, predict_batches
from tests.builders import a_largest_batch

WANTED = (
    "model",
    "card",
    "precision",
    "optimizer",
    "image_size",
    "num_classes",
    "max_batch",
    "max_batch_low",
    "max_batch_high",
    "base_bytes",
    "bytes_per_image",
    "source",
)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"models": ("resnet19",)}, "unknown model 'resnet19'"),
        ({"models": ()}, "--models needs at least one value"),
        ({"card": ("rtx309",)}, "unknown card 'rtx309': did you mean"),
        ({"card": ()}, "--card needs at least one value"),
        ({"card": ("0MiB",)}, "--card '0MiB' is not a size"),
        ({"image_size": (0,)}, "--image-size 0 must be a whole number above 0"),
        ({"models": ("inception_v3",), "image_size": (64,)}, "too small for inception_v3"),
        ({"classes": 1}, "--classes 1 must be a whole number, 2 or more"),
        ({"batch_size": 0}, "--batch-size 0 must be a whole number above 0"),
        ({"reserve": "much"}, "--reserve 'much' is not a size"),
        ({"memory_budget": "1GiB"}, "--memory-budget is for measuring: add --device"),
        ({"device": "tpu"}, "--device tpu must be one of auto, cpu, cuda, cuda:N, mps."),
        ({"card": ("-3GiB",)}, "--card '-3GiB' is not a size"),
        (
            {"optimizer": ("lion",)},
            "--optimizer lion must be one of adam, adamw, sgd, sgd-plain, rmsprop, adagrad.",
        ),
        ({"precision": ("fp64",)}, "--precision fp64 must be one of fp32, tf32, bf16, fp16."),
        ({"models": ("resnet18", "resnet18")}, "--models names a value twice: resnet18."),
        (
            {"image_size": (10**6,), "card": ("2GiB",)},
            "--image-size 1000000 is too large: two images alone need 22,888,183 MiB, and the "
            "largest card's memory is 2,048 MiB.",
        ),
        (
            {"image_size": (3000,), "device": "cpu", "memory_budget": "64MiB"},
            "two images alone need 205 MiB, and the memory budget is 64 MiB.",
        ),
        ({"known": "resnet50"}, "--known resnet50 must be a model and its images a second"),
        ({"known": "resnet50=0"}, "--known resnet50=0 must be a model and its images a second"),
        ({"known": "resnet*=812"}, "--known resnet*=812 must be a model and its images a second"),
        ({"known": "resnet50=812", "device": "cpu"}, "--known is for predictions"),
        ({"known": "resnet50=812"}, "--known is one measurement: give --card one value."),
        (
            {"known": "resnet50=812", "card": ("t4",), "precision": ("fp16", "fp32")},
            "--known is one measurement: give --precision one value.",
        ),
        (
            {"known": "resnet50=812", "card": ("21.6GiB",)},
            "--known cannot scale 21.6GiB: its memory bandwidth is not known",
        ),
        (
            {"known": "resnet50=812", "card": ("t4",), "precision": ("bf16",)},
            "--known cannot scale t4: its rate in bf16 is not known",
        ),
        ({"price": ("t4=free",)}, "--price t4=free must be a card and its price per hour"),
        ({"price": ("l4=1",)}, "--price l4=1 is of no card of --card; add l4 there."),
        ({"images": 0}, "--images 0 must be a whole number above 0"),
        ({"images": 9, "device": "cpu"}, "--price, --images and --dataset are for predictions"),
        ({"device": "cpu", "memory_budget": "1 elephant"}, "--memory-budget '1 elephant'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        MaxBatchOptions(**options)
    assert sentence in str(refused.value)


@pytest.fixture(scope="module")
def predicted() -> Any:
    """Two models at two settings on two cards, one of them a size."""
    return predict_batches(
        MaxBatchOptions(
            models=("resnet18", "densenet121"),
            card=("t4", "2GiB"),
            precision=("fp32", "fp16"),
            image_size=(64,),
            batch_size=16,
        )
    )


@pytest.mark.thorough
class TestPredicted:
    def test_every_model_setting_and_card_has_an_answer(self, predicted: Any) -> None:
        assert len(predicted.largest) == 8
        assert all(p.max_batch > 0 for p in predicted.largest)
        assert not predicted.problems

    def test_densenet_has_fewer_parameters_and_a_smaller_batch(self, predicted: Any) -> None:
        largest = {(p.model, p.card, p.setting.precision): p for p in predicted.largest}
        resnet, densenet = (largest[model, "t4", "fp32"] for model in ("resnet18", "densenet121"))
        assert densenet.base_bytes < resnet.base_bytes
        assert densenet.max_batch * 2 < resnet.max_batch

    def test_half_precision_takes_less_for_an_image(self, predicted: Any) -> None:
        largest = {(p.model, p.setting.precision): p for p in predicted.largest if p.card == "t4"}
        for model in ("resnet18", "densenet121"):
            single, half = (largest[model, name].bytes_per_image for name in ("fp32", "fp16"))
            assert 0.4 * single < half < 0.75 * single

    def test_a_breakdown_is_made_of_parts(self, predicted: Any) -> None:
        first = predicted.breakdowns[0]
        assert (first.model, first.batch_size) == ("resnet18", 16)
        assert first.parts["parameters"] == pytest.approx(4 * 11_181_642, rel=0.01)
        assert first.parts["optimizer state"] == pytest.approx(8 * 11_181_642, rel=0.01)
        assert min(first.parts.values()) >= 0

    def test_a_size_below_the_models_own_is_refused(self) -> None:
        with pytest.raises(Refused, match=r"no model fits: resnet18 needs about \d+ MiB for two"):
            predict_batches(
                MaxBatchOptions(models=("resnet18",), card=("100MiB",), image_size=(64,))
            )


def test_json_has_the_names_that_people_rely_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = MaxBatchOptions(models=("lenet",), card=("t4",), image_size=(32,), json=True)
    assert show_batches(options) == 0
    [record] = json.loads(capsys.readouterr().out)
    assert [name for name in WANTED if name not in record] == []
    assert (record["card"], record["source"], record["num_classes"]) == ("t4", "predicted", 10)


def test_a_price_makes_an_epoch_cost_money(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = MaxBatchOptions(
        ("lenet",),
        (32,),
        card=("t4", "T4", "l4"),
        price=("t4=0.36",),
        images=1000,
        output=tmp_path,
    )
    assert show_batches(options) == 0
    assert "of 1,000 images; predicted, not measured" in capsys.readouterr().out
    t4, l4 = json.loads((tmp_path / "max_batch.json").read_text())
    assert t4["max_batch"] == 1000
    for end in ("", "_low", "_high"):
        cost = t4[f"epoch_money{end}"]
        assert cost == pytest.approx(0.36 / 3600 * t4[f"epoch_seconds{end}"])
    assert t4["epoch_joules_at_most"] == pytest.approx(70 * t4["epoch_seconds_high"])
    assert l4["epoch_money"] is None


def test_a_model_that_cannot_take_the_size_is_shown_at_its_smallest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = ("resnet18", "inception_v3")
    options = MaxBatchOptions(models=models, card=("t4",), image_size=(224,), json=True)
    assert show_batches(options) == 0
    shown = capsys.readouterr()
    assert [r["image_size"] for r in json.loads(shown.out)] == [224, 299]
    assert "inception_v3 cannot take 224 px; it is shown at 299 px" in shown.err


def test_the_table_and_the_picture_are_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = tmp_path / "out"
    options = MaxBatchOptions(models=("lenet",), card=("t4",), image_size=(32,), output=where)
    assert show_batches(options) == 0
    shown = capsys.readouterr().out
    assert "t4 (predicted)" in shown
    assert "Images/s (predicted)" in shown
    assert "nothing was measured" in shown
    assert sorted(p.name for p in where.iterdir()) == [
        "max_batch.csv",
        "max_batch.json",
        "memory_breakdown.png",
        "memory_breakdown.svg",
        "time_breakdown.png",
        "time_breakdown.svg",
    ]
    with pytest.raises(Refused, match="is not empty"):
        show_batches(options)


@pytest.mark.parametrize("models", [("lenet",), ("lenet", "resnet18"), ("*net*",)])
def test_a_known_speed_scales_every_model(
    models: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model whose speed is known need not be one of those that are asked for."""
    setting = Setting(32, "adam", 1e-3, "fp16")
    step = Trace((Allocation(0, 2**20, "activations"),), (0, ~0))
    work = (Kernel("convolution", True, 0, 10**9, 0, 10**6, 64, 64),)
    answers = [
        Simulated(name, setting, step, None, KernelTrace(count * work))
        for name, count in (("lenet", 1), ("resnet18", 4))
    ]
    monkeypatch.setattr("bench.runner.max_batch._simulate", lambda options: iter(answers))
    options = MaxBatchOptions(models, card=("t4",), known="resnet18=100", batch_size=64)
    found = {p.model: p.speeds[1] for p in predict_batches(options).largest}
    assert found.keys() == ({"lenet"} if models == ("lenet",) else {"lenet", "resnet18"})
    assert found["lenet"].images_per_second == pytest.approx(400)
    assert all(speed.batch_size == 64 for speed in found.values())
    if "resnet18" in found:
        assert found["resnet18"].images_per_second == pytest.approx(100)


def test_a_known_speed_of_no_model_is_refused() -> None:
    options = MaxBatchOptions(models=("lenet",), card=("t4",), known="resnet19=5")
    with pytest.raises(Refused, match="unknown model 'resnet19'"):
        predict_batches(options)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds only on Linux")
def test_measuring_has_the_same_names_and_a_certificate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = MaxBatchOptions(
        models=("lenet",), image_size=(32,), device="cpu", memory_budget="48MiB", json=True
    )
    assert show_batches(options) == 0
    [record] = json.loads(capsys.readouterr().out)
    assert [name for name in WANTED if name not in record] == []
    assert (record["source"], record["card"]) == ("measured", "cpu")
    proof = record["certificate"]
    assert proof["steps"] >= 3
    assert proof["failed_batch"] == record["max_batch"] + 1
    assert proof["failed_because"]
    assert proof["versions"]["torch"]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds only on Linux")
def test_a_budget_below_the_models_own_size_is_refused() -> None:
    options = MaxBatchOptions(
        models=("resnet18",), image_size=(32,), device="cpu", memory_budget="20MiB"
    )
    with pytest.raises(Refused, match=r"not even two images fit: they need about \d+ MiB"):
        measure_batches(options)


def test_a_known_speed_of_a_model_that_cannot_be_simulated_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = Setting(224, "adam", 1e-3, "fp32")
    untraced = Simulated("resnet18", setting, None, "its step cannot be simulated: no")
    monkeypatch.setattr("bench.runner.max_batch._simulate", lambda options: [untraced])
    options = MaxBatchOptions(models=("resnet18",), card=("t4",), known="resnet18=100")
    with pytest.raises(
        Refused, match=r"^--known resnet18=100 cannot scale t4: its step cannot be "
    ):
        predict_batches(options)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SearchJob]:
    """The jobs of searches in which nothing fits, and what it takes is known of ResNet-18 alone."""
    jobs: list[SearchJob] = []

    class NothingFits:
        def __init__(self, job: SearchJob, log: Path, **how: Any) -> None:
            jobs.append(job)

        def __enter__(self) -> "NothingFits":
            return self

        def __exit__(self, *error: object) -> None: ...

        def search(self, train_images: int) -> LargestBatch:
            model = jobs[-1].model
            needed = 30 * 2**20 if model == "resnet18" else None
            return a_largest_batch(model, 0, needed_bytes=needed)

    monkeypatch.setattr("bench.runner.max_batch.Prober", NothingFits)
    return jobs


def test_auto_with_a_card_is_searched_as_a_card(
    asked: list[SearchJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.config.has_cuda_card", lambda: True)
    with pytest.raises(Refused, match="not even two images fit"):
        measure_batches(MaxBatchOptions(models=("resnet18",), device="auto"))
    [job] = asked
    assert (job.conditions.device, job.conditions.budget_bytes) == ("cuda", None)


@pytest.mark.parametrize(
    ("models", "budget", "sentence"),
    [
        (("vgg16", "resnet18"), None, "fit: they need about 30 MiB; lower --image-size."),
        (
            ("vgg16", "resnet18"),
            "20MiB",
            "fit: they need about 30 MiB; raise --memory-budget or lower --image-size.",
        ),
        (("vgg16",), "20MiB", "fit on this device; lower --image-size."),
    ],
)
def test_where_nothing_fits_only_what_is_known_and_helps_is_said(
    models: tuple[str, ...], budget: str | None, sentence: str, asked: list[SearchJob]
) -> None:
    options = MaxBatchOptions(models, device="cuda", memory_budget=budget)
    with pytest.raises(Refused) as refused:
        measure_batches(options)
    assert str(refused.value) == f"not even two images {sentence}"
    assert len(asked) == len(models)


@pytest.mark.parametrize(("card", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_measures_on_a_card_if_one_is_here(
    card: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.config.has_cuda_card", lambda: card)
    assert MaxBatchOptions(device="auto").measured_on == device
    assert MaxBatchOptions(device="cuda:1").measured_on == "cuda:1"


def test_the_cpu_is_measured_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Refused, match="measuring on the CPU needs Linux"):
        measure_batches(MaxBatchOptions(device="cpu"))


@pytest.mark.parametrize(
    ("known", "models", "name", "asked"),
    [
        ("resnet50", ("resnet*",), "resnet50", True),
        ("torchvision:resnet50", ("resnet*",), "resnet50", True),
        ("resnet50", ("torchvision:resnet50",), "resnet50", True),
        ("torchvision:resnet50", ("torchvision:resnet*",), "resnet50", True),
        ("torchvision:resnet50", ("lenet",), "resnet50", False),
        ("resnet18:cifar", ("*",), "resnet18:cifar", False),
        ("timm:resnet50", ("timm:res*",), "timm:resnet50", True),
        ("nets/mynet.py:Net", ("lenet",), "mynet.py:Net", False),
        ("nets/mynet.py:Net", ("./nets/mynet.py:Net",), "mynet.py:Net", True),
    ],
)
def test_a_known_speed_is_of_whatever_answers_call_its_model(
    known: str, models: tuple[str, ...], name: str, asked: bool
) -> None:
    options = MaxBatchOptions(models, card=("t4",), known=f"{known}=100")
    assert runner._known_name(options) == (name, asked)
