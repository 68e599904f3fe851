"""The verb `list`: the registry of models as a table."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta
from tyro.conf import Positional

from bench.cli.parsing import parse

if TYPE_CHECKING:
    from bench.records.records import ModelFacts

HEADERS = ("Name", "Native px", "Smallest px", "Parameters (10⁶)", "GMACs", "Auxiliary", "Paper")


@dataclass(frozen=True)
class ListOptions:
    """Show the models that --models takes."""

    pattern: Annotated[Positional[str], Meta(title="PATTERN")] = "*"
    """Name or wildcard, such as 'timm:vgg*'; '*:*' shows the variants."""


def main(arguments: Sequence[str], prog: str) -> int:
    """Print the models whose names match, and what installed packages offer."""
    pattern = parse(ListOptions, arguments, prog).pattern
    from bench.cli.console import open_console, rich_table
    from bench.data.catalogue import SOURCES
    from bench.own_code import DATASETS, MODELS, clashes, plugins
    from bench.report.tables import text_table
    from models import REGISTRY
    from models.entry import ZOOS
    from models.own import named

    names, places = named([pattern])
    facts = [REGISTRY.get(name).facts for name in names if name in REGISTRY]
    if pattern.partition(":")[0] in ZOOS:
        facts += _of_zoo(pattern)
    problems: list[str] = []
    if places:
        from bench.runner.own_models import examine_each

        examined, problems = examine_each(places)
        facts += [model.facts for model in examined]
    open_console().print(rich_table(text_table(HEADERS, [_row(model) for model in facts])))
    print("Parameters for 1,000 classes and GMACs at native size, as published.")
    print("Also torchvision:NAME, timm:NAME where timm is installed, and FILE.py:NAME of your own.")
    for name, packages in plugins(DATASETS).items():
        print(f"Data set {name}, of {' and '.join(packages)}.")
    for problem in (*problems, *clashes(MODELS, REGISTRY), *clashes(DATASETS, SOURCES)):
        print(f"archbench: {problem}", file=sys.stderr)
    return 0


def _of_zoo(pattern: str) -> Sequence["ModelFacts"]:
    """Models of another collection, which a worker imports; Refused if it has none of that name."""
    from bench.records.messages import Resolved, ResolveJob
    from bench.runner.scratch import scratch_folder
    from bench.runner.worker_process import Worker

    job = ResolveJob((pattern,))
    with scratch_folder() as scratch, Worker(job, scratch / "worker.log") as worker:
        found: Resolved = worker.reply()
    return found.models


def _row(facts: "ModelFacts") -> tuple[str, ...]:
    return (
        facts.name,
        str(facts.native_size),
        str(facts.smallest_size),
        "–" if facts.params_imagenet is None else f"{facts.params_imagenet / 1e6:.2f}",
        "–" if facts.gmacs is None else f"{facts.gmacs:.3f}",
        " ".join(f"{weight:g}" for weight in facts.aux_weights.values()) or "–",
        facts.paper or "–",
    )
