"""Whether trained networks differ on the same test images: one seed is enough for that, and for no
more than that."""

from collections import Counter

from bench.analysis.classified import classified
from bench.analysis.compare.mcnemar import SameImages, on_same_images
from bench.analysis.formatting import p_text
from bench.report.context import Context
from bench.report.sections.base import Section
from bench.report.tables import Table, table_of

MOST_PAIRS = 10
"""With more pairs, the table has those with the network that is right most often."""


def pairs(context: Context) -> tuple[int, list[SameImages]]:
    """The seed that most groups have answers of, the first of several, and its networks' pairs."""
    seeds = Counter(
        trial.trial.seed for g in context.trained for trial in g.trained if classified(trial)
    )
    seed = max(sorted(seeds), key=seeds.__getitem__, default=0)
    right = {
        group.label: answers.right
        for group in context.trained
        for trial in group.trained
        if trial.trial.seed == seed and (answers := classified(trial))
    }
    return seed, on_same_images(right)


def _finding(context: Context) -> str | None:
    seed, found = pairs(context)
    if not found:
        return None
    apart, images = sum(pair.apart for pair in found), f"the same {found[0].images:,} test images"
    if len(found) == 1:
        (pair,) = found
        verdict = "differ beyond chance" if apart else "cannot be told apart"
        text = (
            f"The two networks that {pair.a} and {pair.b} trained with seed {seed} {verdict} on "
            f"{images}: {pair.only_a:,} only the first gets right, {pair.only_b:,} only the second"
        )
    else:
        text = (
            f"Of the {len(found)} pairs of networks trained with seed {seed}, {apart} "
            f"{'differs' if apart == 1 else 'differ'} beyond chance on {images}"
        )
    return f"{text}; that holds for these trained networks, and another seed may turn it round."


def _tables(context: Context) -> tuple[Table, ...]:
    _, found = pairs(context)
    if len(found) > MOST_PAIRS:
        ahead = Counter[str]()
        for pair in found:
            ahead[pair.a] += pair.only_a - pair.only_b
            ahead[pair.b] += pair.only_b - pair.only_a
        best = max(ahead, key=ahead.__getitem__)
        found = [pair for pair in found if best in (pair.a, pair.b)]
    columns = {
        "Networks": [f"{pair.a}, {pair.b}" for pair in found],
        "Only the first right": [f"{pair.only_a:,}" for pair in found],
        "Only the second right": [f"{pair.only_b:,}" for pair in found],
        "Second above first (points)": [
            f"{(pair.only_b - pair.only_a) / pair.images * 100:+.2f}" for pair in found
        ],
        "p": [p_text(pair.p) for pair in found],
        "These two networks": [
            "differ beyond chance" if pair.apart else "cannot be told apart" for pair in found
        ],
    }
    return (table_of(columns),)


SECTIONS = (
    Section(
        24,
        "same-images",
        "The same images: do these trained networks differ?",
        _finding,
        _tables,
        remarks=lambda context: (
            "McNemar's exact test on the images that only one of two networks gets right; p is "
            "corrected for all pairs (Holm). It covers the choice of test images and not the seed: "
            "which architecture is better, only several seeds tell: see the ranking.",
        ),
    ),
)
