"""What the answers of a class's page have in common."""

from bench.analysis.collected.collection import Cohort
from bench.analysis.compare.ranking import Difference


def named(title: str, cohort: Cohort, several: bool) -> str:
    """A title, with what it is of where there are several."""
    return f"{title}: {cohort.name}" if several else title


def certainty(difference: Difference | None) -> str:
    """How sure a difference is, as the last clause of a sentence about many people's runs."""
    if difference is None:
        return "they cannot be told apart"
    verdict = difference.verdict
    if verdict.kind == "cannot tell":
        return f"they cannot be told apart ({verdict.reason})"
    return verdict.certainty
