"""A sentence per question: who, how much, and whether chance may be behind it."""

from collections.abc import Sequence
from typing import Any

import pytest

from bench.analysis.ablations import DEPTH, ablations
from bench.records.records import Record, Setting, TimeBudget
from bench.report.sections import all_sections
from tests.builders import (
    a_context,
    a_description,
    a_done_trial,
    a_failed_trial,
    a_largest_batch,
    a_prediction,
    a_refused_trial,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    some_records,
    validated,
)

SGD = a_setting(optimizer="sgd", learning_rate=1e-2)
ADAMW = a_setting(optimizer="adamw")


def finding(name: str, records: Sequence[Record]) -> str | None:
    """What the section of that name says of a run of these records."""
    (section,) = (section for section in all_sections() if section.name == name)
    return section.finding(a_context(records))


def trials(model: str, number: int = 0, seeds: int = 1, **trial: Any) -> list[Record]:
    """Done trials of a model: number n ends at 60 + 5 n %, in epochs of 10 (n + 1) seconds."""
    made = [a_description(model, number)]
    for seed in range(seeds):
        made += a_done_trial(a_trial(model, seed, **trial), number=number)
    return [*run_start(), *made]


TWO = [*trials("a"), *trials("b", 1)]
TWO_TWICE = [*trials("a", 0, 2), *trials("b", 1, 2)]
FAR = [*trials("a", 0, 4), *trials("b", 6, 4)]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            TWO,
            "b ends highest, at 65.0 % test accuracy, before a at 60.0 %; this run cannot tell "
            "them apart (1 seed; at least 3 a side are needed).",
        ),
        (
            TWO_TWICE,
            "b ends highest, at 66 ± 13 % test accuracy, before a at 61 ± 13 %; this run cannot "
            "tell them apart (its 2 seeds agree by chance; at least 3 a side are needed).",
        ),
        (
            FAR,
            "b ends highest, at 93.0 ± 4.1 % test accuracy, before a at 63.0 ± 4.1 %; "
            "beyond chance.",
        ),
        (
            [*trials("a"), *trials("b")],
            "a and b both end at 60.0 % test accuracy; this run cannot tell them apart (1 seed; at "
            "least 3 a side are needed).",
        ),
        (
            trials("a"),
            "a ends at 60.0 % test accuracy after 3 epochs, from 40.0 % after the first.",
        ),
        (validated(trials("a")), "a ends at 58.0 % test accuracy after 3 epochs."),
        (
            [*run_start(), *a_failed_trial(a_trial("a"), 2), *a_failed_trial(a_trial("a", 1), 7)],
            "No trial has come to its end; the curves show the epochs until then.",
        ),
        (run_start(), None),
        ([*run_start(), *a_refused_trial(a_trial("a"))], None),
    ],
)
def test_accuracy(records: list[Record], said: str | None) -> None:
    assert finding("accuracy", records) == said


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            TWO,
            "a is first at 60.0 %, the test accuracy that every seed reaches, after 38.0 s of "
            "training and evaluation; b is last, after 68.0 s, 1.79 times as long: this run cannot "
            "tell them apart (1 seed; at least 3 a side are needed).",
        ),
        (trials("a"), "a reaches its best test accuracy, 60.0 %, after 38.0 s."),
        (
            validated(trials("a")),
            "a reaches its best validation accuracy, 60.0 %, after 38.0 s.",
        ),
        (run_start(), None),
    ],
)
def test_time(records: list[Record], said: str | None) -> None:
    assert finding("time", records) == said


def at_seconds(seconds: dict[tuple[str, int], float]) -> list[Record]:
    """Trials of two epochs of so many seconds, by model and seed, that are at 60 % at once."""
    log = run_start()
    for (model, seed), each in seconds.items():
        start, *_, end = a_done_trial(a_trial(model, seed))
        figures: dict[str, Any] = {"images_per_second": 640 / each, "test_accuracy": 0.6}
        figures |= {"time_budget": TimeBudget(0.0, 0.0, each, 0.0, 0.0, 0.0)}
        epochs = [an_epoch(a_trial(model, seed), n, train_seconds=each, **figures) for n in (1, 2)]
        log += [start, *epochs, end]
    return log


def test_who_is_first_by_geometric_means_is_not_later_by_others() -> None:
    """10 and 40 seconds are 20 in the middle, and so fewer than 21 twice: but 25 on average."""
    log = at_seconds({("a", 0): 10.0, ("a", 1): 40.0, ("b", 0): 21.0, ("b", 1): 21.0})
    assert (finding("time", log) or "").startswith(
        "a is first at 60.0 %, the test accuracy that every seed reaches; b is last, after 1.05 "
        "times as long: this run cannot tell them apart"
    )
    assert (finding("epoch-time", log) or "").startswith(
        "a has the fastest epoch; that of b takes 1.05 times as long: this run cannot tell them"
    )


def test_who_is_first_is_so_over_the_seeds_that_both_have() -> None:
    """Over all of its seeds a is slower, by the one that b has not."""
    seconds = {("a", 0): 6.4, ("a", 1): 6.2, ("a", 2): 16.0, ("b", 0): 7.0, ("b", 1): 7.2}
    log = [*at_seconds(seconds), *a_failed_trial(a_trial("b", 2))]
    assert (finding("time", log) or "").startswith(
        "a is first at 60.0 %, the test accuracy that every seed reaches, after 6.3 ± 1.3 s of "
        "training and evaluation; b is last, after 7.1 ± 1.3 s, 1.13 times as long over the 2 "
        "seeds of both: "
    )
    assert (finding("epoch-time", log) or "").startswith(
        "a has the fastest epoch, 6.3 ± 1.3 s over the 2 seeds of both; that of b takes 1.13 times "
        "as long, 7.1 ± 1.3 s: "
    )


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            TWO,
            "a has the fastest epoch, 10.0 s; that of b takes 2.00 times as long, 20.0 s: this run "
            "cannot tell them apart (1 seed; at least 3 a side are needed).",
        ),
        (trials("a"), "a trains an epoch in 10.0 s, 64 images/s."),
        (run_start(), None),
    ],
)
def test_epoch_time(records: list[Record], said: str | None) -> None:
    assert finding("epoch-time", records) == said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            [a_largest_batch("a", 100), a_largest_batch("b", 25)],
            "a fits 100 images at once, 4.00 times as many as b with 25 images, as measured in "
            "the same memory.",
        ),
        (
            [a_largest_batch("a", 100), a_largest_batch("b", 0)],
            "a fits 100 images at once, more than b with 0 images, as measured in the same memory.",
        ),
        (
            [a_largest_batch("a", 7), a_largest_batch("b", 7)],
            "a and b fit 7 images at once, as measured.",
        ),
        ([a_largest_batch("a", 7)], "a fits 7 images at once, as measured."),
        (
            [a_prediction("a"), a_prediction("b", max_batch=99)],
            "Predicted, not measured: on t4, a fits 1,234 images at once, b 99.",
        ),
        ([], None),
    ],
)
def test_memory(more: list[Record], said: str | None) -> None:
    assert finding("memory", [*TWO, *more]) == said


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            TWO,
            "a has the fewest parameters, 1.00 million, and ends 5.0 points below b, with "
            "2.00 million, 2.00 times as many; this run cannot tell them apart (1 seed; at least 3 "
            "a side are needed).",
        ),
        (
            [*trials("b", 1), *trials("a"), a_description("a", 7)],
            "b, with the fewest parameters (2.00 million), is also the most accurate, at 65.0 %, "
            "before a; this run cannot tell them apart (1 seed; at least 3 a side are needed).",
        ),
        ([*trials("a", 1), *trials("a", 1, setting=SGD)], None),
        (trials("a"), None),
    ],
)
def test_parameters(records: list[Record], said: str | None) -> None:
    assert finding("parameters", records) == said


UNSURE = "this run cannot tell them apart (1 seed; at least 3 a side are needed)"

VARIED: list[tuple[str, list[Record], str]] = [
    (
        "optimizers",
        [*trials("a", 1), *trials("a", setting=SGD)],
        f"With a, a step of adam takes 2.00 times as long as one of sgd: {UNSURE}; test accuracy "
        f"ends with adam at 65.0 % and sgd at 60.0 %; {UNSURE}.",
    ),
    (
        "optimizers",
        [*trials("a", 2), *trials("a", 1, setting=ADAMW), *trials("a", setting=SGD)],
        f"With a, a step of adam takes 3.00 times as long as one of sgd: {UNSURE}; test accuracy "
        "ends with adam at 70.0 %, adamw at 65.0 % and sgd at 60.0 %; adam against sgd: "
        f"{UNSURE}.",
    ),
    (
        "batch-sizes",
        [
            *trials("a", batch_size=128, batch_choice="128"),
            *trials("a", 1, batch_size=16, batch_choice="16"),
        ],
        "An epoch of a takes 20.0 s at batch 16 and 10.0 s at batch 128: 2.00 times as long at "
        f"the smaller one, with 1.00 times the updates; {UNSURE}.",
    ),
    (
        "depth",
        [
            *trials("resnet152", 3),
            *trials("resnet18"),
            a_largest_batch("resnet18", 90),
            a_largest_batch("resnet152", 9),
        ],
        "From 18 to 152 layers of resnet, the largest batch falls from 90 images to 9 images and "
        f"the epoch grows from 10.0 s to 40.0 s ({UNSURE}).",
    ),
    (
        "auxiliary-heads",
        [*trials("googlenet", 1), *trials("googlenet:noaux")],
        f"With its auxiliary heads googlenet ends 5.0 points above without: {UNSURE}; its epoch "
        f"takes 2.00 times as long: {UNSURE}.",
    ),
    (
        "auxiliary-heads",
        [*trials("googlenet"), *trials("googlenet:noaux")],
        f"With its auxiliary heads googlenet ends as high as without: {UNSURE}; its epoch "
        f"takes 1.00 times as long: {UNSURE}.",
    ),
]


@pytest.mark.parametrize(("name", "records", "said"), VARIED, ids=[name for name, *_ in VARIED])
def test_what_a_run_varies(name: str, records: list[Record], said: str) -> None:
    assert finding(name, records) == said
    assert finding(name, trials("a")) is None
    untrained = [r for r in records if type(r).__name__ not in ("Epoch", "LargestBatch")]
    assert finding(name, untrained) is None


def test_groups_of_one_name_are_told_apart() -> None:
    records = [
        record
        for model in ("resnet18", "resnet50")
        for size in (16, 32)
        for record in trials(model, batch_size=size, batch_choice=str(size))
    ]
    made = ablations(a_context(records).groups, DEPTH)
    assert [ablation.name for ablation in made] == ["resnet · batch 16", "resnet · batch 32"]
    assert [ablation.values for ablation in made] == [(18, 50)] * 2


@pytest.mark.parametrize("model", ["googlenet", "inception_v3", "resnext50_32x4d", "vit_b_16"])
def test_a_name_without_layers_has_no_depth(model: str) -> None:
    context = a_context([*trials(model), *trials("resnet18")])
    assert ablations(context.groups, DEPTH) == []


@pytest.mark.parametrize(
    ("family", "depths"),
    [
        ("timm:resnet", (18, 34)),
        ("timm:hrnet_w", None),
        ("nets.py:width", None),
        ("nets.py:resnet", None),
        ("airbench", None),
    ],
)
def test_a_number_is_a_depth_in_families_that_are_named_by_it(
    family: str, depths: tuple[int, int] | None
) -> None:
    context = a_context([*trials(f"{family}18"), *trials(f"{family}34")])
    assert [a.values for a in ablations(context.groups, DEPTH)] == ([depths] if depths else [])


def test_seeds() -> None:
    assert finding("seeds", some_records()) is None
    assert finding("seeds", some_records(models=["a"], seeds=3)) == (
        "Over 3 seeds, a's last test accuracy varies most, by 4.0 points (60.0 % to 64.0 %)."
    )
    diverged = [*a_failed_trial(a_trial("a"), 2), *a_failed_trial(a_trial("a", 1), 7)]
    assert finding("seeds", [*run_start(), *diverged]) is None


ONECYCLE = a_setting(
    recipe="onecycle", optimizer="sgd", learning_rate=0.1, weight_decay=5e-4, augment="crop"
)


@pytest.mark.parametrize(
    ("section", "setting", "ends"),
    [
        ("recipes", ONECYCLE, "Recipe of a: test accuracy ends with onecycle at"),
        ("learning-rates", a_setting(learning_rate=0.5), "Learning rate of a: test accuracy ends"),
        ("weight-decay", a_setting(weight_decay=0.5), "with 0.5 at 93.0 ± 4.1 % and 0.0 at"),
        ("augmentation", a_setting(augment="crop"), "ends with crop at"),
        ("initial-weights", a_setting(pretrained=True), "with pretrained at"),
        ("frozen", a_setting(freeze="body"), "with body frozen at"),
        ("accumulation", a_setting(accumulate=4), "with accumulate 4 at"),
        ("memory-layout", a_setting(channels_last=False), "with channels first at"),
    ],
)
def test_how_it_is_trained(section: str, setting: Setting, ends: str) -> None:
    other = trials("a", 6, 4, setting=setting, variant="other")
    said = finding(section, [*trials("a", 0, 4), *other])
    assert said is not None
    assert ends in said
    assert said.endswith("; beyond chance.")
    assert finding(section, [*trials("a", 0, 4), *trials("b", 6, 4, setting=setting)]) is None


def test_stems() -> None:
    said = finding(
        "stems", [*trials("googlenet:noaux", 0, 3), *trials("googlenet:cifar:noaux", 7, 3)]
    )
    assert said is not None
    assert said.startswith("Stem of googlenet:noaux: test accuracy ends with cifar at 97.0")
    depth = finding("depth", [*trials("resnet18:cifar"), *trials("resnet34:cifar", 1)])
    assert depth is not None
    assert depth.startswith("From 18 to 34 layers of resnet:cifar")


def test_what_a_recipe_brings_is_in_its_table() -> None:
    (section,) = (section for section in all_sections() if section.name == "recipes")
    context = a_context([*trials("a"), *trials("a", 1, setting=ONECYCLE, variant="other")])
    (table,) = section.tables(context)
    wanted = ("Optimizer", "Learning rate", "Weight decay", "Augmentation")
    places = [table.headers.index(name) for name in wanted]
    assert [[row[place].text for place in places] for row in table.rows] == [
        ["adam", "0.001", "0", "none"],
        ["sgd", "0.1", "0.0005", "crop"],
    ]
