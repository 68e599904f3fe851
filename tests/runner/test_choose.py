"""The verb `choose`: what is refused, and the plan that a run makes."""

import os
from pathlib import Path
from typing import Any

import pytest

from bench.data.published import PUBLISHED
from bench.data.shapes10 import train_set
from bench.errors import Refused
from bench.runner import choose as runner
from bench.runner.choose import ChooseOptions, choose
from bench.runner.max_batch import EPOCH_IMAGES, MaxBatchOptions, Predictions
from tests.builders import a_prediction, a_run, a_speed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"models": ("resnet19",)}, "unknown model 'resnet19'"),
        ({"card": ("rtx309",)}, "unknown card 'rtx309': did you mean"),
        ({"card": ("k80",)}, "k80 has no predicted time: its memory bandwidth is not known; name"),
        ({"card": ("8GiB",)}, "8GiB has no predicted time: its memory bandwidth is not known"),
        (
            {"card": ("t4",), "precision": ("bf16",)},
            "t4 has no predicted time: its rate in bf16 is not known; name another --card.",
        ),
        ({"price": ("t4=0",)}, "--price t4=0 must be a card and its price per hour, above 0"),
        ({"price": ("t4=1",), "card": ("l4",)}, "--price t4=1 is of no card of --card"),
        ({"price": ()}, "--price needs at least one value."),
        ({"deadline": "0h"}, "--deadline '0h' is not a time; write one like 50m, 2h or 1h30m."),
        ({"deadline": "soon"}, "--deadline 'soon' is not a time"),
        ({"budget": -5.0, "price": ("t4=1",)}, "--budget -5.0 must be a number above 0."),
        ({"budget": 5.0}, "--budget needs --price, what an hour on each card costs."),
        ({"accuracy": 0.9}, "--run and --accuracy go together: give both, or neither."),
        ({"run": Path("x")}, "--run and --accuracy go together: give both, or neither."),
        ({"run": Path("x"), "accuracy": 90.0}, "--accuracy 90.0 must be a fraction above 0"),
        (
            {"run": Path("x"), "accuracy": 0.9, "epochs": 3},
            "--epochs and --run each say how many epochs: give one of them.",
        ),
        ({"epochs": 0}, "--epochs 0 must be a whole number above 0"),
        ({"images": 0}, "--images 0 must be a whole number above 0"),
        ({"batch_size": 0}, "--batch-size 0 must be a whole number above 0"),
        ({"epoch_seconds": 0.0}, "--epoch-seconds 0.0 must be a number above 0"),
        (
            {"epoch_seconds": 9.0, "epochs": 2},
            "--epochs and --epoch-seconds each say how many epochs",
        ),
        ({"epoch_seconds": 9.0}, "--epoch-seconds is of one model in one setting: give each one"),
        ({"epoch_seconds": 9.0, "models": ("resnet??",)}, "--epoch-seconds is of one model in one"),
        ({"epoch_seconds": 9.0, "models": ("resnet[13]*",)}, "--epoch-seconds is of one model in"),
        ({"epoch_seconds": 9.0, "models": ("timm:resnet?",)}, "--epoch-seconds is of one model in"),
        ({"dataset": "mnist"}, "--dataset mnist must be one of cifar10, cifar100, shapes10"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        ChooseOptions(**options)
    assert sentence in str(refused.value)


def test_a_wildcard_of_one_model_is_one_model() -> None:
    assert ChooseOptions(epoch_seconds=9.0, models=("resnet1?",)).epoch_seconds == 9.0


def test_a_batch_of_more_images_than_there_are_is_refused() -> None:
    with pytest.raises(Refused, match="--batch-size 128 is more than the 100 images of an epoch"):
        choose(ChooseOptions(images=100, batch_size=128))


def test_the_images_of_data_sets_are_what_they_have() -> None:
    for name, published in PUBLISHED.items():
        assert EPOCH_IMAGES[name] == sum(batch.images for batch in published.train)
    assert train_set.__defaults__ == (EPOCH_IMAGES["shapes10"],)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[MaxBatchOptions]:
    """What predictions were asked for; every model trains an epoch in a minute."""
    made: list[MaxBatchOptions] = []

    def predict(options: MaxBatchOptions) -> Predictions:
        made.append(options)
        speeds = (a_speed(1234, epoch_seconds=60.0),)
        predictions = [a_prediction(model, speeds=speeds) for model in options.models]
        return Predictions(tuple(predictions), (), ())

    monkeypatch.setattr(runner, "predict_batches", predict)
    return made


def test_a_plan_may_be_to_an_accuracy_that_a_run_reached(
    tmp_path: Path, asked: list[MaxBatchOptions]
) -> None:
    """ResNet-18's seeds get there in epochs 3, 3 and 2, GoogLeNet's all in 2."""
    a_run(tmp_path / "run", seeds=3)
    options = ChooseOptions(card=("t4",), run=tmp_path / "run", accuracy=0.53)
    (found,), plan = choose(options)
    assert plan.epochs == {"resnet18": 3, "googlenet": 2}
    assert plan.images == 640
    assert found.seconds is not None
    assert found.seconds.value == 5 * 60
    (options_asked,) = asked
    assert options_asked.models == ("resnet18", "googlenet")
    assert (options_asked.image_size, options_asked.optimizer) == ((32,), ("adam",))
    assert options_asked.epoch_images == 640


def test_what_is_given_goes_before_what_the_run_had(
    tmp_path: Path, asked: list[MaxBatchOptions]
) -> None:
    a_run(tmp_path / "run")
    given: dict[str, Any] = {"models": ("res*",), "image_size": (64,), "dataset": "cifar10"}
    choose(ChooseOptions(card=("t4",), run=tmp_path / "run", accuracy=0.5, **given))
    (options,) = asked
    assert (options.models, options.image_size) == (("resnet18",), (64,))
    assert options.epoch_images == 50_000


def test_capitals_of_a_pattern_count_on_every_system(
    tmp_path: Path, asked: list[MaxBatchOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_run(tmp_path / "run", models=("timm:resnet18",))
    monkeypatch.setattr(os.path, "normcase", str.lower)  # as on Windows
    given: dict[str, Any] = {"run": tmp_path / "run", "accuracy": 0.5, "models": ("timm:RES*",)}
    with pytest.raises(Refused, match=r"has no trial of timm:RES\*; it has timm:resnet18\."):
        choose(ChooseOptions(card=("t4",), **given))
    assert asked == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"accuracy": 0.99},
            "resnet18 never reached --accuracy 0.99 in this run, at best 0.6; lower it, or leave",
        ),
        (
            {"accuracy": 0.5, "models": ("vgg16",)},
            "--run run has no trial of vgg16; it has resnet18, googlenet.",
        ),
        ({"accuracy": 0.5, "run": Path("nowhere")}, "nowhere is not a run folder"),
    ],
)
def test_a_run_that_cannot_say_is_refused(
    options: dict[str, Any],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[MaxBatchOptions],
) -> None:
    monkeypatch.chdir(tmp_path)
    a_run(Path("run"))
    with pytest.raises(Refused) as refused:
        choose(ChooseOptions(**{"run": Path("run"), "card": ("t4",)} | options))
    assert sentence in str(refused.value)
    assert asked == []
