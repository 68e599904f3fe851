import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

from bench import config as config_module
from bench.cli.help import print_help
from bench.config import Config, Options, default_preset
from bench.data.catalogue import SOURCES
from bench.errors import Refused
from bench.options import Group, options_of
from bench.settings import OPTIMIZERS, PRECISIONS

FLAGS = {
    "--tune",
    "--warmup",
    "--label-smoothing",
    "--augment",
    "--batch-size",
    "--card",
    "--channels-last",
    "--claims",
    "--data-dir",
    "--deterministic --no-deterministic",
    "--rerun-noisy",
    "--target-accuracy",
    "--dataset",
    "--dry-run --no-dry-run",
    "--device",
    "--devices",
    "--share-node",
    "--ray-address",
    "--node-timeout",
    "--nproc-per-node",
    "--nnodes",
    "--scaling",
    "--scale-lr",
    "--sync-batch-norm",
    "--epochs",
    "--freeze",
    "--accumulate",
    "--image-size",
    "--inspect --no-inspect",
    "--lr",
    "--max-batch --no-max-batch",
    "--memory-budget",
    "--models",
    "--optimizer",
    "--output",
    "--precision",
    "--preset",
    "--resume",
    "--trial-timeout",
    "--pretrained",
    "--recipe",
    "--seeds",
    "--first-seed",
    "--sweep-batch --no-sweep-batch",
    "--test-limit",
    "--time-limit",
    "--train-limit",
    "--validation",
    "--weight-decay",
    "--workers",
}

SAME_IN_EVERY_PRESET = {
    "models": ("resnet18", "googlenet"),
    "dataset": "auto",
    "data_dir": None,
    "validation": None,
    "tune": None,
    "augment": None,
    "optimizer": None,
    "lr": None,
    "weight_decay": None,
    "precision": ("fp32",),
    "channels_last": ("yes",),
    "pretrained": ("no",),
    "freeze": ("none",),
    "accumulate": (1,),
    "warmup": None,
    "label_smoothing": None,
    "seeds": 1,
    "first_seed": 0,
    "max_batch": True,
    "sweep_batch": False,
    "card": None,
    "memory_budget": None,
    "device": "auto",
    "devices": None,
    "share_node": 1,
    "ray_address": None,
    "node_timeout": 60.0,
    "nproc_per_node": (1,),
    "nnodes": (1,),
    "scaling": "weak",
    "scale_lr": "none",
    "sync_batch_norm": ("no",),
    "workers": 2,
    "output": None,
    "trial_timeout": None,
    "inspect": True,
    "deterministic": False,
    "rerun_noisy": 0,
    "time_limit": None,
    "dry_run": False,
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
        "recipe": ("constant",),
    },
    "quick": {
        "image_size": (32,),
        "epochs": 10,
        "train_limit": 5000,
        "test_limit": 2000,
        "batch_size": ("auto",),
        "recipe": ("constant",),
    },
    "lecture": {
        "image_size": ("native",),
        "epochs": 10,
        "train_limit": "all",
        "test_limit": "all",
        "batch_size": ("own",),
        "recipe": ("lecture",),
    },
}


def smoke(**options: Any) -> Config:
    return Config(**{"preset": "smoke", "device": "cpu", **options})


def test_people_script_against_these_flags(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_help(Options, "run_bench.py")
    shown = capsys.readouterr().out
    rows = re.findall(r"^\W*(--[a-z][a-z-]+)(?:, (--no-[a-z-]+))?", shown, re.MULTILINE)
    assert {" ".join(filter(None, row)) for row in rows} == FLAGS
    assert len(rows) == len(FLAGS)


@pytest.mark.parametrize("preset", ["smoke", "quick", "lecture"])
def test_these_are_the_defaults(preset: str) -> None:
    expected = {"preset": preset} | SAME_IN_EVERY_PRESET | BY_PRESET[preset]
    assert Config(preset=preset).to_dict() == expected


def test_the_command_line_gives_what_the_constructor_gives() -> None:
    line = (
        "--models resnet18 densenet* --preset smoke --dataset folder --data-dir /d "
        "--train-limit all --test-limit 5 --validation 0.1 --augment --image-size native 64 "
        "--epochs 3 "
        "--batch-size auto 8 own "
        "--optimizer sgd adam --lr 0.1 --precision fp32 bf16 --channels-last no --pretrained "
        "--seeds 3 --no-max-batch --memory-budget 700MiB --device cuda:1 --workers 0 --output out"
    )
    assert tyro.cli(Options, args=line.split()).resolve() == Config(
        models=("resnet18", "densenet*"),
        preset="smoke",
        dataset="folder",
        data_dir=Path("/d"),
        train_limit="all",
        test_limit=5,
        validation=0.1,
        augment=True,
        image_size=("native", 64),
        epochs=3,
        batch_size=("auto", 8, "own"),
        optimizer=("sgd", "adam"),
        lr=0.1,
        precision=("fp32", "bf16"),
        channels_last=False,
        pretrained=True,
        seeds=3,
        max_batch=False,
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
        ({"preset": "huge"}, "--preset huge must be one of auto, smoke, quick, lecture."),
        ({"dataset": "mnist"}, "--dataset mnist must be one of auto, cifar10"),
        (
            {"optimizer": ("adam", "lion")},
            "--optimizer lion must be one of adam, adamw, sgd, sgd-plain, rmsprop, adagrad.",
        ),
        ({"precision": ("int8",)}, "--precision int8 must be one of fp32, tf32, bf16, fp16."),
        *(
            ({"validation": value}, f"--validation {value} must be a whole number of images, or a")
            for value in (1.0, 0.0, -1, -0.1, float("nan"), float("inf"), "many", True)
        ),
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
            "--batch-size -1 must be a whole number above 0, auto, own or max.",
        ),
        ({"batch_size": (1,)}, "--batch-size 1 cannot train batch norm; use 2 or more."),
        ({"workers": -1}, "--workers -1 must be a whole number, 0 or more."),
        ({"models": ()}, "--models needs at least one value."),
        ({"image_size": ()}, "--image-size needs at least one value."),
        ({"optimizer": ()}, "--optimizer needs at least one value."),
        ({"models": ("resnet18", "resnet18")}, "--models names a value twice: resnet18."),
        ({"batch_size": (8, 8)}, "--batch-size names a value twice: 8."),
        ({"dataset": "folder"}, "--dataset folder needs --data-dir"),
        ({"lr": 0.0}, "--lr 0.0 must be a positive number."),
        ({"lr": -1.0}, "--lr -1.0 must be a positive number."),
        ({"lr": float("nan")}, "--lr nan must be a positive number."),
        ({"lr": float("inf")}, "--lr inf must be a positive number."),
        ({"device": "tpu"}, "--device tpu must be one of auto, cpu, cuda, cuda:N, mps."),
        ({"device": "cuda:x"}, "--device cuda:x must be one of"),
        ({"device": "cpu\n"}, "--device cpu"),
        ({"augment": "yes"}, "--augment yes must be one of none, shift, crop, cutout, alternate."),
        ({"channels_last": "maybe"}, "--channels-last maybe must be one of yes, no."),
        ({"recipe": "onecyle"}, "--recipe onecyle must be one of constant, lecture, onecycle"),
        ({"accumulate": 0}, "--accumulate 0 must be a whole number above 0."),
        ({"devices": "0,0", "device": "auto"}, "--devices 0,0 names a card twice."),
        ({"devices": "1,01", "device": "auto"}, "--devices 1,01 names a card twice."),
        ({"devices": "first"}, "--devices first must be all, or numbers of cards such as 0,1."),
        ({"devices": "all", "device": "cpu"}, "--devices names CUDA cards; leave out --device cpu"),
        (
            {"devices": "all", "share_node": 2, "device": "auto"},
            "--share-node is for the CPU, --devices for cards",
        ),
        (
            {"devices": "all", "nproc_per_node": 2, "device": "auto"},
            "--nproc-per-node takes the first cards",
        ),
        ({"nnodes": 2}, "--nnodes takes nodes of a cluster; add --ray-address auto."),
        (
            {"nnodes": 2, "ray_address": "auto", "recipe": "airbench94"},
            "--recipe airbench94 is for one process",
        ),
        ({"nproc_per_node": 0}, "--nproc-per-node 0 must be a whole number from 1 to 1024."),
        ({"nproc_per_node": 2, "device": "mps"}, "--nproc-per-node needs the CPU or CUDA cards"),
        ({"nproc_per_node": 2, "share_node": 2}, "--share-node and --nproc-per-node both divide"),
        ({"sync_batch_norm": "yes"}, "--sync-batch-norm is of several processes; add"),
        (
            {"nproc_per_node": 2, "recipe": "airbench94"},
            "--recipe airbench94 is for one process; leave out --nproc-per-node and --nnodes.",
        ),
        (
            {"nproc_per_node": (1, 3), "scaling": "strong", "batch_size": (64,)},
            "--scaling strong divides --batch-size 64 among 3 processes",
        ),
        ({"scaling": "linear"}, "--scaling linear must be one of weak, strong."),
        ({"scale_lr": "cubic"}, "--scale-lr cubic must be one of none, linear, sqrt."),
        ({"node_timeout": 0}, "--node-timeout 0 must be a number above 0."),
        ({"ray_address": "auto", "share_node": 2}, "--share-node is for one machine; leave out"),
        (
            {"accumulate": (1, 4), "batch_size": (7,)},
            "--accumulate 4 makes parts of one image of --batch-size 7, which cannot train batch",
        ),
        ({"freeze": "head"}, "--freeze head must be one of none, body."),
        ({"freeze": "body"}, "--freeze body keeps random weights as they are; add --pretrained."),
        ({"recipe": ()}, "--recipe needs at least one value."),
        ({"weight_decay": -1e-4}, "--weight-decay -0.0001 must be a number, 0 or more."),
        ({"weight_decay": (0.1, 0.1)}, "--weight-decay names a value twice: 0.1."),
        ({"trial_timeout": float("nan")}, "--trial-timeout nan must be a number above 0."),
        ({"target_accuracy": (70,)}, "--target-accuracy 70 must be a fraction above 0, such as"),
        ({"memory_budget": "much"}, "--memory-budget 'much' is not a size; write one like 700MiB"),
        ({"memory_budget": "0GB"}, "--memory-budget '0GB' is not a size that memory can have."),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match="^" + re.escape(message)):
        smoke(**options)


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(Refused, match=r"airbench94: did you mean onecycle\?$"):
        smoke(recipe="onecyle")


def test_what_was_yes_or_no_still_works() -> None:
    older = smoke(augment=True, channels_last=False, pretrained=True)
    assert older == smoke(augment="shift", channels_last="no", pretrained=("yes",))
    assert smoke(augment=()).augment == ("shift",)
    assert smoke(augment=False).augment == ("none",)


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(TypeError, match="surprise"):
        smoke(surprise=1)


def test_an_older_name_still_works() -> None:
    assert smoke(fit=False) == smoke(max_batch=False)
    older = smoke().to_dict() | {"fit": False}
    older.pop("max_batch")
    assert Config(**older).max_batch is False


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_the_options_of_older_logs_are_read(schema: int) -> None:
    log = Path(__file__).parent / "records" / "golden" / f"schema-{schema}" / "events.jsonl"
    started = json.loads(log.read_text("utf-8").splitlines()[0])["config"]
    assert Config(**started).max_batch is started["fit"]


def test_options_are_left_open_until_they_are_resolved() -> None:
    options = Options(preset="smoke", device="cpu")
    assert (options.epochs, options.image_size) == (None, None)
    assert options.resolve() == smoke()
    assert (smoke().epochs, smoke().image_size) == (2, (32,))


def test_the_preset_leaves_no_option_open() -> None:
    hints = get_type_hints(Config)
    still_open = {name for name in hints if type(None) in getattr(hints[name], "__args__", ())}
    assert still_open.isdisjoint(BY_PRESET["smoke"])
    assert [f.name for f in fields(Config)] == [f.name for f in fields(Options)]


def test_names_to_choose_from_are_those_of_the_rows() -> None:
    metavars = {name: option.metavar for name, option in options_of(Options).items()}
    assert metavars["optimizer"] == "|".join(OPTIMIZERS)
    assert metavars["precision"] == "|".join(PRECISIONS)
    assert metavars["dataset"] == "|".join([*SOURCES, "FILE.py:NAME"])


def test_every_option_has_a_group_and_groups_stand_together() -> None:
    groups = [option.help.group for option in options_of(Options).values()]
    assert list(dict.fromkeys(groups)) == [g for g in Group if g != Group.OPTIONS]
    assert groups == sorted(groups, key=list(Group).index)


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


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, True),
        ("0", True),
        ("1,0", True),
        ("GPU-5fd4", True),
        ("", False),
        ("-1", False),
        ("-1,0", False),
    ],
)
def test_a_card_that_cuda_may_not_use_is_none(
    visible: str | None, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pynvml.nvmlInit", lambda: None)
    monkeypatch.setattr("pynvml.nvmlDeviceGetCount", lambda: 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert config_module.has_cuda_card.__wrapped__() is found
