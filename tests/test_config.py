import json
import re
from pathlib import Path
from typing import Any

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

from bench import config as config_module
from bench.config import Config, default_preset
from bench.errors import Refused

FLAGS = {
    "--augment --no-augment",
    "--batch-size",
    "--card",
    "--channels-last --no-channels-last",
    "--claims",
    "--data-dir",
    "--deterministic --no-deterministic",
    "--rerun-noisy",
    "--target-accuracy",
    "--dataset",
    "--device",
    "--epochs",
    "--fit --no-fit",
    "--image-size",
    "--inspect --no-inspect",
    "--lr",
    "--memory-budget",
    "--models",
    "--optimizer",
    "--output",
    "--precision",
    "--preset",
    "--resume",
    "--trial-timeout",
    "--pretrained --no-pretrained",
    "--seeds",
    "--sweep-batch --no-sweep-batch",
    "--test-limit",
    "--train-limit",
    "--workers",
}

SAME_IN_EVERY_PRESET = {
    "models": ("resnet18", "googlenet"),
    "dataset": "auto",
    "data_dir": None,
    "augment": False,
    "optimizer": ("adam",),
    "lr": None,
    "precision": ("fp32",),
    "channels_last": True,
    "pretrained": False,
    "seeds": 1,
    "fit": True,
    "sweep_batch": False,
    "card": None,
    "memory_budget": None,
    "device": "auto",
    "workers": 2,
    "output": None,
    "trial_timeout": None,
    "inspect": True,
    "deterministic": False,
    "rerun_noisy": 0,
    "target_accuracy": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "resume": None,
    "claims": None,
}

BY_PRESET = {
    "smoke": {
        "image_size": (32,),
        "epochs": 2,
        "train_limit": 384,
        "test_limit": 256,
        "batch_size": ("auto",),
    },
    "quick": {
        "image_size": (32,),
        "epochs": 10,
        "train_limit": 5000,
        "test_limit": 2000,
        "batch_size": ("auto",),
    },
    "lecture": {
        "image_size": ("native",),
        "epochs": 10,
        "train_limit": "all",
        "test_limit": "all",
        "batch_size": ("own",),
    },
}


def smoke(**options: Any) -> Config:
    return Config(**{"preset": "smoke", "device": "cpu", **options})


def test_people_script_against_these_flags(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        tyro.cli(Config, args=["--help"], prog="run_bench.py")
    shown = capsys.readouterr().out
    rows = re.findall(r"^\W*(--[a-z][a-z-]+)(?:, (--no-[a-z-]+))?", shown, re.MULTILINE)
    assert ended.value.code == 0
    assert {" ".join(filter(None, row)) for row in rows} == FLAGS


@pytest.mark.parametrize("preset", ["smoke", "quick", "lecture"])
def test_these_are_the_defaults(preset: str) -> None:
    expected = {"preset": preset} | SAME_IN_EVERY_PRESET | BY_PRESET[preset]
    assert Config(preset=preset).to_dict() == expected


def test_the_command_line_gives_what_the_constructor_gives() -> None:
    line = (
        "--models resnet18 densenet* --preset smoke --dataset folder --data-dir /d "
        "--train-limit all --test-limit 5 --augment --image-size native 64 --epochs 3 "
        "--batch-size auto 8 max "
        "--optimizer sgd adam --lr 0.1 --precision fp32 bf16 --no-channels-last --pretrained "
        "--seeds 3 --no-fit --memory-budget 700MiB --device cuda:1 --workers 0 --output out"
    )
    assert tyro.cli(Config, args=line.split()) == Config(
        models=("resnet18", "densenet*"),
        preset="smoke",
        dataset="folder",
        data_dir=Path("/d"),
        train_limit="all",
        test_limit=5,
        augment=True,
        image_size=("native", 64),
        epochs=3,
        batch_size=("auto", 8, "max"),
        optimizer=("sgd", "adam"),
        lr=0.1,
        precision=("fp32", "bf16"),
        channels_last=False,
        pretrained=True,
        seeds=3,
        fit=False,
        memory_budget="700MiB",
        device="cuda:1",
        workers=0,
        output=Path("out"),
    )


def test_an_option_that_is_given_overrides_the_preset() -> None:
    config = Config(preset="lecture", epochs=1, image_size=(64,), batch_size=(16,), train_limit=9)
    assert (config.epochs, config.image_size, config.batch_size) == (1, (64,), (16,))
    assert (config.train_limit, config.test_limit) == (9, "all")


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "shapes10"])
def test_quick_uses_a_named_data_set_whole(dataset: Any) -> None:
    config = Config(preset="quick", dataset=dataset)
    assert (config.train_limit, config.test_limit) == ("all", "all")


def test_quick_keeps_a_limit_that_is_given_with_a_named_data_set() -> None:
    config = Config(preset="quick", dataset="cifar10", train_limit=100)
    assert (config.train_limit, config.test_limit) == (100, "all")


def test_smoke_limits_a_named_data_set_too() -> None:
    assert smoke(dataset="cifar10").train_limit == 384


@pytest.mark.parametrize(
    ("device", "card", "preset"),
    [
        ("auto", True, "lecture"),
        ("cuda:0", True, "lecture"),
        ("auto", False, "quick"),
        ("cpu", True, "quick"),
        ("mps", True, "quick"),
    ],
)
def test_auto_is_the_lecture_only_where_it_runs_on_a_card(
    monkeypatch: pytest.MonkeyPatch, device: str, card: bool, preset: str
) -> None:
    monkeypatch.setattr(config_module, "has_cuda_card", lambda: card)
    assert default_preset(device) == preset
    assert Config(device=device).preset == preset


def test_one_value_stands_for_a_sequence_of_one() -> None:
    config = smoke(models="resnet18", image_size=64, batch_size="max", optimizer="sgd")
    assert (config.models, config.image_size) == (("resnet18",), (64,))
    assert (config.batch_size, config.optimizer) == (("max",), ("sgd",))


def test_lists_become_tuples() -> None:
    assert smoke(models=["resnet18", "resnet34"]).models == ("resnet18", "resnet34")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "huge"}, "--preset 'huge' is not one of smoke, quick, lecture."),
        ({"dataset": "mnist"}, "--dataset 'mnist' is not one of auto, cifar10"),
        ({"optimizer": ("adam", "lion")}, "--optimizer 'lion' is not one of adam, adamw, sgd."),
        ({"precision": ("int8",)}, "--precision 'int8' is not one of fp32, tf32, bf16, fp16."),
        ({"epochs": 0}, "--epochs 0 must be a whole number above 0."),
        ({"epochs": True}, "--epochs True must be a whole number above 0."),
        ({"epochs": 1.5}, "--epochs 1.5 must be"),
        ({"seeds": 0}, "--seeds 0 must be a whole number above 0."),
        ({"train_limit": 0}, "--train-limit 0 must be a whole number above 0 or all."),
        ({"test_limit": "some"}, "--test-limit some must be a whole number above 0 or all."),
        ({"image_size": (0,)}, "--image-size 0 must be a whole number above 0 or native."),
        ({"image_size": ("auto",)}, "--image-size auto must be"),
        (
            {"batch_size": (8, -1)},
            "--batch-size -1 must be a whole number above 0 or auto or own or max.",
        ),
        ({"batch_size": (1,)}, "--batch-size 1 cannot train batch norm; use 2 or more."),
        ({"workers": -1}, "--workers -1 must be 0 or more."),
        ({"models": ()}, "--models needs at least one value."),
        ({"image_size": ()}, "--image-size needs at least one value."),
        ({"optimizer": ()}, "--optimizer needs at least one value."),
        ({"models": ("resnet18", "resnet18")}, "--models names a value twice."),
        ({"batch_size": (8, 8)}, "--batch-size names a value twice."),
        ({"dataset": "folder"}, "--dataset folder needs --data-dir"),
        ({"lr": 0.0}, "--lr 0.0 must be a positive number."),
        ({"lr": -1.0}, "--lr -1.0 must be a positive number."),
        ({"lr": float("nan")}, "--lr nan must be a positive number."),
        ({"lr": float("inf")}, "--lr inf must be a positive number."),
        ({"device": "tpu"}, "--device 'tpu' is unknown; use auto, cpu, cuda, cuda:N or mps."),
        ({"device": "cuda:x"}, "--device 'cuda:x' is unknown"),
        ({"memory_budget": "much"}, "--memory-budget 'much' is not a size; write one like 700MiB"),
        ({"memory_budget": "0GB"}, "--memory-budget '0GB' is not a size that memory can have."),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match="^" + re.escape(message)):
        smoke(**options)


def test_the_budget_is_read_in_bytes() -> None:
    assert smoke(memory_budget="1MiB").memory_budget_bytes == 1_048_576
    assert smoke().memory_budget_bytes is None


configs = st.builds(
    Config,
    preset=st.sampled_from(["smoke", "quick", "lecture"]),
    dataset=st.sampled_from(["auto", "cifar10", "shapes10", "folder"]),
    data_dir=st.just(Path("some/where")),
    train_limit=st.none() | st.just("all") | st.integers(1, 100),
    image_size=st.none() | st.just(("native", 64)) | st.just([32]),
    batch_size=st.none() | st.sets(st.integers(2, 64) | st.just("max"), min_size=1).map(tuple),
    optimizer=st.sampled_from([("adam",), ("sgd", "adamw")]),
    lr=st.none() | st.floats(1e-6, 1.0),
    memory_budget=st.none() | st.just("2GiB"),
    output=st.none() | st.just(Path("results/here")),
)


@given(configs)
def test_a_config_survives_its_json(config: Config) -> None:
    assert Config(**json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        smoke().epochs = 5  # type: ignore[misc]
