"""The parts of the reference that are made from the code, but for the options.

Importing `bench` for this does not import torch.
"""

import csv
import dataclasses
import inspect
import re
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.analysis.claims.rules import CURVES, LAYER_CHANGES, RULES
from bench.analysis.compare.effects import expectation
from bench.analysis.expected import interval_of
from bench.analysis.metrics import METRICS
from bench.analysis.references import Reference, known_references
from bench.analysis.selfcheck import CHECKS
from bench.errors import BenchError
from bench.recipes import AUGMENTATIONS, RECIPES, Recipe
from bench.records import records as log
from bench.records.measurement import QUANTITIES
from bench.search_spaces import SEARCH_SPACES
from bench.settings import OPTIMIZERS
from bench.units import counted
from models import REGISTRY

CARDS = Path(__file__).parents[1] / "bench" / "prediction" / "cards.csv"

_PEAKS = (
    *("fp32_tflops", "tf32_tflops", "fp16_tflops", "bf16_tflops"),
    "bandwidth_gb_per_second",
)
_CODE_OR_MARKUP = re.compile(r"(`[^`]*`)|([*<]|(?<!\w)_|_(?!\w))")
_MODULE = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")
_NONE = "–"


def metrics() -> str:
    """A row per column of `models.csv`."""
    rows = []
    for metric in METRICS:
        label, description = plain(metric.label), plain(getattr(metric, "description", ""))
        meaning = f"**{label}.** {description}" if description else label
        meaning += "".join(f" Also `{alias}`." for alias in getattr(metric, "aliases", ()))
        rows.append((f"`{metric.name}`", meaning, metric.unit or _NONE, metric.better or _NONE))
    return _table(("Column", "Meaning", "Unit", "Better"), rows)


def records() -> str:
    """A section per kind of record, then one per dataclass that their fields hold."""
    kinds = typing.get_args(log.Record)
    parts = [part for part in _parts(kinds) if part not in kinds]
    sections = [*map(_record, kinds), "## Parts of records", *map(_record, parts)]
    return "\n\n".join(sections)


def claim_rules() -> str:
    """A row per rule that a claim can be judged by."""
    rows = []
    for name, rule in RULES.items():
        kind = {CURVES: "curve", LAYER_CHANGES: "change of a layer"}.get(rule.among, "column")
        needs = [] if rule.models is None else [counted(rule.models, "model")]
        needs += [counted(rule.metrics, kind)] if rule.metrics else []
        needs += [f"`{number}`" for number in ("threshold", "at") if getattr(rule, number)]
        needs += ["`card`"] if rule.card else []
        rows.append((f"`{name}`", plain(inspect.getdoc(rule.judge) or ""), ", ".join(needs)))
    return _table(("Rule", "Holds if", "Needs"), rows)


def models() -> str:
    """A row per model of the registry."""
    rows = []
    for facts in (REGISTRY.get(name).facts for name in REGISTRY.match("*")):
        params, gmacs = facts.params_imagenet, facts.gmacs
        row = (
            f"`{facts.name}`",
            str(facts.native_size),
            str(facts.smallest_size),
            _NONE if params is None else f"{params / 1e6:.2f}",
            _NONE if gmacs is None else f"{gmacs:.3f}",
            " ".join(f"{weight:g}" for weight in facts.aux_weights.values()) or _NONE,
            f"[arXiv]({facts.paper})",
        )
        rows.append(row)
    header = "Model, Native px, Smallest px, Parameters (10⁶), GMACs, Auxiliary weights, Paper"
    return _table(header.split(", "), rows)


def recipes() -> str:
    """A row per recipe."""
    rows = [(f"`{name}`", *_recipe(recipe)) for name, recipe in RECIPES.items()]
    header = (
        *("Recipe", "Optimizer", "Peak rate", "Schedule", "Weight decay", "Label smoothing"),
        *("Augmentation", "Pixels", "Auxiliary weight", "Made for", "Published accuracy", "Source"),
    )
    return _table(header, rows)


def references() -> str:
    """A row per reference: what was reached, and what one new seed, and three, may come to."""
    rows = []
    for known in known_references():
        recipe, model, _, size, epochs, batch = known.conditions
        images = (
            f"{known.train_images:,} images of {known.data}, {known.test_images:,} for the test"
        )
        row = (
            *(f"`{model}`", f"`{recipe}`", f"{100 * known.mean:.1f} ({known.seeds})"),
            *(_expected(known, seeds) for seeds in (1, 3)),
            f"{images}; {size} px, {epochs} epochs, batch {batch}",
            f"{known.device}, torch {known.torch}, {known.date}",
        )
        rows.append(row)
    header = ("Model", "Recipe", "Test accuracy (%) of (seeds)", "One seed (%)")
    return _table((*header, "Mean of three (%)", "Trained on", "Measured on"), rows)


def _expected(known: Reference, seeds: int) -> str:
    found = expectation([known.mean] * seeds, known.mean, known.deviation, known.seeds)
    if not found:
        return _NONE
    low, high = interval_of(found)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def search_spaces() -> str:
    """A row per value that tuning chooses in a space."""
    rows = [
        (
            *(f"`{name}`", f"`{d.name}`", f"{d.low:g}", f"{d.high:g}"),
            *("logarithmic" if d.log else "linear", _linked(d.source)),
        )
        for name, space in SEARCH_SPACES.items()
        for d in space
    ]
    return _table(("Space", "Value", "From", "To", "Scale", "Source"), rows)


def _linked(text: str) -> str:
    return re.sub(r"(https://[^\s,;]+)", r"<\1>", text)


def _recipe(recipe: Recipe) -> Iterator[str]:
    own = OPTIMIZERS[recipe.optimizer]
    decay = own.weight_decay if recipe.weight_decay is None else recipe.weight_decay
    yield recipe.optimizer
    yield f"{recipe.learning_rate or own.learning_rate:g}"
    yield recipe.schedule.words if recipe.schedule else "constant"
    yield ", ".join([f"{decay:g}", *(f"{d:g} for {f}" for f, d in recipe.family_decay.items())])
    yield f"{recipe.label_smoothing:g}"
    yield recipe.augment
    yield "normalised" if recipe.normalised else "in [0, 1]"
    yield "the paper's" if recipe.aux_weight is None else f"{recipe.aux_weight:g}"
    length = recipe.made_for(0, None) or "any number of epochs"
    yield f"{recipe.model} alone, {length}" if recipe.model else length
    yield recipe.published or _NONE
    yield _linked(recipe.source)


def augmentations() -> str:
    """A row per augmentation."""
    rows = [(f"`{name}`", plain(text)) for name, text in AUGMENTATIONS.items()]
    return _table(("`--augment`", "What it does to training images"), rows)


def cards() -> str:
    """A row per card whose largest batch can be predicted, with peaks and power where known."""
    with CARDS.open(newline="", encoding="utf-8") as file:
        rows = [
            (
                f"`{card['name']}`",
                card["label"],
                f"{int(card['memory_bytes']) / 2**30:.2f}",
                f"[source]({card['source']})",
                *(card[name] or _NONE for name in _PEAKS),
                f"[source]({card['peaks_source']})" if card["peaks_source"] else _NONE,
                card["board_power_watts"] or _NONE,
                f"[source]({card['power_source']})" if card["power_source"] else _NONE,
            )
            for card in csv.DictReader(file)
        ]
    headers = ("fp32", "tf32", "fp16", "bf16 (TFLOP/s)", "Bandwidth (GB/s)", "Source", "Power (W)")
    return _table(("Card", "Name", "Memory (GiB)", "Source", *headers, "Source"), rows)


def promises() -> str:
    """A row per check of a self-check."""
    rows = []
    for check in CHECKS.values():
        where = f" Only on {check.only.upper()} cards." if check.only else ""
        promised, judged = plain(check.promised), plain(check.judged_by + where)
        rows.append((f"`{check.id}`", promised, judged, f"`{check.experiment}`"))
    return _table(("Check", "Promised", "Judged by", "Experiment"), rows)


def quantities() -> str:
    """A row per quantity of a self-check."""
    rows = [(f"`{q}`", plain(text), unit or _NONE) for q, (unit, text) in QUANTITIES.items()]
    return _table(("Quantity", "Is", "Unit"), rows)


def errors() -> str:
    """The tree of exceptions as a nested list."""

    def lines(kind: type[Exception], depth: int) -> Iterator[str]:
        yield f"{'    ' * depth}- `{kind.__name__}`: {plain(inspect.getdoc(kind) or '')}"
        for child in kind.__subclasses__():
            yield from lines(child, depth + 1)

    return "\n".join(lines(BenchError, 0))


def plain(text: str) -> str:
    """Text in Markdown: one line, in which nothing but code is markup."""
    return _CODE_OR_MARKUP.sub(lambda m: m[1] or f"\\{m[2]}", " ".join(text.split()))


def inside(hint: Any) -> Iterator[Any]:
    """A type and everything within it; the remarks of an `Annotated` before those further in."""
    yield hint
    for argument in reversed(typing.get_args(hint)):
        yield from inside(argument)


def _record(kind: type[Any]) -> str:
    """Name, docstring, and the fields as code."""
    logged = getattr(log, "_NAMES", {}).get(kind, kind.__name__)
    note = [] if logged == kind.__name__ else [f"In the log: `{logged}`.", ""]
    hints = typing.get_type_hints(kind)
    fields = [f"{field.name}: {_type(hints[field.name])}" for field in dataclasses.fields(kind)]
    doc = inspect.cleandoc(kind.__doc__ or "")
    return "\n".join([f"### {kind.__name__}", "", doc, "", *note, "```python", *fields, "```"])


def _type(hint: Any) -> str:
    """A type as it is written in the code, without the modules of its names."""
    named = isinstance(hint, type) and not typing.get_args(hint)
    return _MODULE.sub("", hint.__name__ if named else str(hint))


def _parts(kinds: Iterable[Any]) -> list[Any]:
    """The dataclasses within the fields of these, and within theirs, each once."""
    parts: dict[Any, None] = {}
    for kind in kinds:
        for hint in typing.get_type_hints(kind).values():
            for part in filter(dataclasses.is_dataclass, inside(hint)):
                parts |= dict.fromkeys([part, *_parts([part])])
    return list(parts)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
