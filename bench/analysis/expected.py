"""Whether trials end where their recipe is known to: groups of a run beside references."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.analysis.compare.effects import Expectation, expectation
from bench.analysis.formatting import listed
from bench.analysis.references import (
    SETTINGS,
    Reference,
    conditions_of,
    known_references,
    settings_of,
)
from bench.analysis.trial_group import TrialGroup
from bench.config import SWITCHES
from bench.options import flag_of

FINAL = "final_test_accuracy"


@dataclass(frozen=True, eq=False)
class Expected:
    """A group of `seeds` trials that are done, beside its reference. `differences` are what it
    trained with otherwise than that, in words; none if it should be comparable."""

    group: TrialGroup
    seeds: int
    reference: Reference
    expectation: Expectation
    differences: tuple[str, ...]

    @property
    def missed(self) -> bool:
        """Whether it ended elsewhere."""
        return self.expectation.verdict != "as expected"

    @property
    def interval(self) -> tuple[float, float]:
        """Between which accuracies, as fractions, the mean of its seeds was expected."""
        return interval_of(self.expectation)

    @property
    def percentages(self) -> tuple[str, str, str]:
        """The interval's ends and what came, with as many decimals as the verdict needs."""
        shares, decimals = (*self.interval, self.expectation.got), 1
        # A miss must not look like a hit: one image of 10,000 is a hundredth of a point.
        while decimals < 4 and _rounded(shares, decimals).verdict != self.expectation.verdict:
            decimals += 1
        low, high, got = (f"{100 * share:.{decimals}f}" for share in shares)
        return low, high, got

    @property
    def text(self) -> str:
        """`expected 92.1 to 92.9 %, got 88.0`, and what may have made it so."""
        low, high, got = self.percentages
        why = ""
        if self.missed and self.differences:
            why = f": {listed(self.differences)}"
        elif self.missed:
            why = ", although its settings are those of the reference"
        return f"expected {low} to {high} %, got {got}{why}"


def interval_of(found: Expectation) -> tuple[float, float]:
    """Between which accuracies, as fractions: a prediction interval may reach beyond both ends."""
    return max(0.0, found.low), min(1.0, found.high)


def _rounded(shares: Sequence[float], decimals: int) -> Expectation:
    low, high, got = (round(100 * share, decimals) for share in shares)
    return Expectation(low, high, got)


def expected(
    groups: Iterable[TrialGroup], references: Sequence[Reference] | None = None
) -> list[Expected]:
    """Those groups that have a reference, beside the one that they differ least from; of several,
    that of the most seeds. What tuning chose is not the recipe any more, and has none.

    Args:
        groups: of trials, in any state.
        references: the project's own if None.
    """
    references = known_references() if references is None else references
    made: list[Expected] = []
    for group in groups:
        found = list(_beside(group, references))
        found.sort(key=lambda one: (len(one.differences), -one.reference.seeds))
        made += found[:1]
    return made


def _beside(group: TrialGroup, references: Sequence[Reference]) -> Iterator[Expected]:
    """The group beside each reference that it is like."""
    values = list(group.values(FINAL).values())
    states = {(conditions_of(row), settings_of(row)) for row in group.rows if row.done}
    if not values or len(states) != 1 or group.traits["tuning"] == "tuned":
        return
    ((conditions, settings),) = states
    for reference in references:
        if reference.conditions == conditions:
            pairs = zip(SETTINGS, settings, reference.settings, strict=True)
            differences = tuple(_in_words(*pair) for pair in pairs if pair[1] != pair[2])
            known = reference.mean, reference.deviation, reference.seeds
            if found := expectation(values, *known):
                yield Expected(group, len(values), reference, found, differences)


def _in_words(name: str, text: str, usual: str) -> str:
    """As an option says it."""
    if name == "augment" and text == "False":
        return "augmentation was off"
    names = SWITCHES.get(name, {True: "yes", False: "no"})
    values = (names[t == "True"] if t in ("True", "False") else t for t in (text, usual))
    option = "lr" if name == "learning_rate" else name
    return f"{flag_of(option)} {' instead of '.join(values)}"
