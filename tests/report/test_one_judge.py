"""No two places of one report contradict each other, whatever the seeds happen to say."""

import json
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.claims.claim import Claim
from bench.analysis.compare.ranking import rank_side
from bench.analysis.compare.side import Side
from bench.analysis.metrics import BY_NAME
from bench.records.records import Record
from bench.report.comparison import as_json, ranking_report
from bench.report.context import Context
from bench.report.document import document
from bench.report.sections import all_sections
from bench.report.sections.base import Answer
from tests.builders import (
    a_context,
    a_description,
    a_done_trial,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
)

ACCURACY, SPEED, EPOCH = "final_test_accuracy", "images_per_second", "epoch_seconds"
SGD = a_setting(optimizer="sgd", learning_rate=1e-2)

Samples = tuple[list[tuple[float, float]], list[tuple[float, float]]]


@st.composite
def samples(draw: st.DrawFn) -> Samples:
    """Accuracies and seconds of an epoch by seed, of two groups of 2 to 20 seeds each that lie
    anything between nothing and far apart, with any noise."""
    noise = draw(st.sampled_from([0.0, 0.001, 0.01, 0.05]))
    gap = draw(st.floats(-0.1, 0.1))
    factor = draw(st.floats(0.8, 1.25))
    same_seeds = draw(st.booleans())
    counts = (
        [draw(st.integers(2, 20))] * 2 if same_seeds else [draw(st.integers(2, 20)) for _ in "ab"]
    )
    wobble = st.floats(-2, 2)

    def side(count: int, shift: float, times: float) -> list[tuple[float, float]]:
        return [
            (
                min(0.99, max(0.01, 0.6 + shift + noise * draw(wobble))),
                10 * times * (1 + noise * draw(wobble)),
            )
            for _ in range(count)
        ]

    return side(counts[0], 0.0, 1.0), side(counts[1], gap, factor)


def records_of(sides: Samples, *trials: tuple[str, object]) -> list[Record]:
    """A run of two groups: a model and a setting each."""
    records = run_start()
    for number, ((model, setting), seeds) in enumerate(zip(trials, sides, strict=True)):
        records.append(a_description(model, number))
        for seed, (accuracy, seconds) in enumerate(seeds):
            trial = a_trial(model, seed, setting=setting)
            start, *_, end = a_done_trial(trial, 1)
            epoch = an_epoch(
                trial,
                test_accuracy=accuracy,
                train_seconds=seconds,
                images_per_second=640 / seconds,
                step_seconds=seconds / 10,
                steps=100,  # enough for a claim about training
            )
            records += [start, epoch, end]
    return records


def stance_of(text: str) -> str:
    """What a sentence comes to: `apart`, `same` or `unsure`."""
    kinds = {"beyond chance": "apart", "cannot tell": "unsure", "the same within": "same"}
    (stance,) = {kind for words, kind in kinds.items() if words in text} or {"same"}
    assert stance != "same" or "the same within" in text or "equal" in text, text
    return stance


def stance_of_claim(answer: str, reason: str) -> str:
    if answer == "cannot tell":
        return "unsure"
    return "same" if reason.startswith(("same", "equal")) else "apart"


def claims(metric: str, a: str, b: str) -> tuple[Claim, Claim]:
    first = Claim("x", "x", "more", metric=(metric,), models=(a, b))
    return first, Claim("y", "y", "more", metric=(metric,), models=(b, a))


def findings(context: Context) -> dict[str, str]:
    made = {section.name: section.finding(context) for section in all_sections()}
    return {name: finding for name, finding in made.items() if finding is not None}


def check_metric(context: Context, metric: str, sentences: Sequence[str], a: str, b: str) -> None:
    """Ranking, sentences, claims and the verb `compare` say one and the same of a and b."""
    first, second = context.groups
    pair = context.standings.between(metric, first, second)
    assert pair is not None
    kind = pair.verdict.kind
    truth = {"same": "same", "cannot tell": "unsure"}.get(kind, "apart")
    ranking = context.standings.ranking(metric)
    assert ranking is not None
    assert (len(ranking.winners) == 1) == (truth == "apart")
    assert [stance_of(sentence) for sentence in sentences] == [truth] * len(sentences)

    said = [j.verdict for j in Context(context.run, claims(metric, a, b)).judged]
    assert {stance_of_claim(v.answer, v.reason) for v in said} == {truth}
    if truth == "apart":
        more = pair.effect.shift < 0
        assert [v.answer for v in said] == (
            ["holds", "does not hold"] if more else ["does not hold", "holds"]
        )
        worst = ranking.places[-1].group.label
        assert (worst == second.label) == (more == (BY_NAME[metric].better == "higher"))

    side = Side("run", context.groups, 0)
    report = ranking_report("run", rank_side(side, [BY_NAME[metric]]), [])
    (line,) = [
        r for r in json.loads(as_json(report, {}))["lines"] if r["verdict"] not in ("best", "ahead")
    ]
    words = {"equal": "same", "cannot tell": "unsure"}
    stance = "same" if line["verdict"].startswith("same") else words.get(line["verdict"], "apart")
    assert stance == truth


@settings(max_examples=60)
@given(samples())
def test_two_models(sides: Samples) -> None:
    context = a_context(records_of(sides, ("a", a_setting()), ("b", a_setting())))
    said = findings(context)
    accuracy = [said[name] for name in ("accuracy", "parameters")]
    check_metric(context, ACCURACY, accuracy, "a", "b")
    check_metric(context, SPEED, [said["epoch-time"]], "a", "b")
    check_metric(context, EPOCH, [], "a", "b")
    sooner = Claim("z", "z", "sooner", models=("a", "b"))
    (judged,) = Context(context.run, (sooner,)).judged
    stance = stance_of_claim(judged.verdict.answer, judged.verdict.reason)
    assert stance_of(said["time"]) == stance
    # The page and its text are made of these sentences and tables alone.
    made = document(context, [Answer("x", "x", text, (), ()) for text in said.values()])
    assert [answer.finding for answer in made.answers] == list(said.values())


@settings(max_examples=30)
@given(samples())
def test_two_optimizers(sides: Samples) -> None:
    context = a_context(records_of(sides, ("a", a_setting()), ("a", SGD)))
    steps, accuracy = findings(context)["optimizers"].split("; test accuracy")
    check_metric(context, ACCURACY, [accuracy], "a@adam", "a@sgd")
    check_metric(context, "step_milliseconds", [steps], "a@adam", "a@sgd")
