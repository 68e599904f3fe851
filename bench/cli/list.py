"""The verb `list`: the registry of models as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta
from tyro.conf import Positional

from bench.cli.parsing import parse

HEADERS = ("Name", "Native px", "Smallest px", "Parameters (10⁶)", "GMACs", "Auxiliary", "Paper")


@dataclass(frozen=True)
class ListOptions:
    """Show the models that --models takes."""

    pattern: Annotated[Positional[str], Meta(title="PATTERN")] = "*"
    """Name or wildcard; '*:*' shows the variants."""


def main(arguments: Sequence[str], prog: str) -> int:
    """Print the models whose names match."""
    pattern = parse(ListOptions, arguments, prog).pattern
    from bench.cli.console import open_console, rich_table
    from bench.report.tables import text_table
    from models import REGISTRY

    rows = [
        (
            facts.name,
            str(facts.native_size),
            str(facts.smallest_size),
            "–" if facts.params_imagenet is None else f"{facts.params_imagenet / 1e6:.2f}",
            "–" if facts.gmacs is None else f"{facts.gmacs:.3f}",
            " ".join(f"{weight:g}" for weight in facts.aux_weights.values()) or "–",
            facts.paper,
        )
        for facts in (REGISTRY.get(name).facts for name in REGISTRY.match(pattern))
    ]
    open_console().print(rich_table(text_table(HEADERS, rows)))
    print("Parameters for 1,000 classes and GMACs at native size, as published.")
    print("Also torchvision:NAME, and timm:NAME where timm is installed.")
    return 0
