"""What many people's runs come to together: nothing counts twice, nothing unlike is averaged."""

import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.reader import lecture_claims
from bench.analysis.collected.collection import Collected, Collector
from bench.analysis.collected.largest_batches import Predictions, limits
from bench.analysis.collected.machines import narrowest, spreads
from bench.analysis.tables import models_frame, predictions_frame
from bench.records.pack import LeftOut, Sent
from bench.records.records import (
    DatasetFacts,
    DeviceFacts,
    Epoch,
    LargestBatch,
    PredictedLine,
    Record,
    RunEnded,
    RunStarted,
    Trial,
    TrialEnded,
    TrialStarted,
)
from bench.records.run import collect
from tests.builders import MIB, a_prediction, some_records, tuned_records

Change = Callable[[Record], Record]


def run_of(
    person: int,
    *,
    speed: float = 1.0,
    luck: float = 0.0,
    device: str = "Test CPU",
    seeds: int = 2,
    memory: int = 1_000,
    models: Sequence[str] = ("resnet18", "googlenet"),
    more: Change = lambda record: record,
) -> list[Record]:
    """A run of someone's: so many times as fast, and so much more accurate, as the usual one."""

    def changed(record: Record) -> Record:
        match record:
            case RunStarted():
                record = replace(record, started_at=f"2026-01-01T00:00:{person:02}+00:00")
            case DeviceFacts():
                record = replace(record, name=device)
            case Epoch():
                record = replace(
                    record,
                    train_seconds=record.train_seconds / speed,
                    images_per_second=record.images_per_second * speed * (1 + person / 1_000),
                    test_accuracy=record.test_accuracy + luck,
                    train_loss=record.train_loss + luck,
                    steps=100,  # enough for a claim about training
                )
            case LargestBatch():
                record = replace(record, budget_bytes=memory * MIB, max_batch=memory // 10)
        return more(record)

    return [changed(record) for record in [*some_records(models, seeds=seeds), a_prediction()]]


def sent(name: str, records: Sequence[Record], id: str = "") -> Sent:
    return Sent(f"{name}.zip", name, collect(Path(name), records), id or name)


def collected(*found: Sent | LeftOut, claims: Sequence[Claim] = ()) -> Collected:
    collector = Collector(claims)
    for one in found:
        collector.add(one)
    return collector.finish()


def a_class(count: int = 4) -> list[Sent]:
    return [
        sent(f"p{n}", run_of(n, speed=10.0**n, luck=n / 100, device=f"CPU {n}"))
        for n in range(count)
    ]


def test_accuracy_is_pooled_over_people() -> None:
    (cohort,) = collected(*a_class()).cohorts
    accuracy = cohort.groups[0].metric("final_test_accuracy")
    assert accuracy
    assert accuracy.n == 4
    assert accuracy.mean == pytest.approx(0.61 + 0.015)
    assert cohort.people == ("p0", "p1", "p2", "p3")


def test_times_of_unlike_machines_are_never_averaged() -> None:
    (cohort,) = collected(*a_class()).cohorts
    group = cohort.groups[0]
    for name in ("epoch_seconds", "images_per_second", "peak_memory_bytes", "max_batch"):
        assert group.metric(name) is None
        assert group.has(name)
    like = [sent(f"p{n}", run_of(n, luck=n / 100)) for n in range(3)]
    assert collected(*like).cohorts[0].groups[0].metric("epoch_seconds")


def test_ratios_are_taken_on_each_machine() -> None:
    (cohort,) = collected(*a_class()).cohorts
    (spread,) = spreads(cohort)
    assert (spread.fast, spread.slow) == ("resnet18", "googlenet")
    assert [len(spread.ratios), spread.within] == [4, 4]
    assert spread.low == pytest.approx(2) == spread.high


def test_one_persons_machines_are_kept_apart() -> None:
    a, b = (sent(f"p{n}", run_of(n, speed=9.0**n, device=f"CPU {n}")) for n in range(2))
    (cohort,) = collected(a, replace(b, sender="p0")).cohorts
    assert len(cohort.groups[0].values("images_per_second")) == 4
    assert len(spreads(cohort)[0].ratios) == 2


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=60).map(sorted))
def test_the_narrowest_range_holds_nine_in_ten(values: list[float]) -> None:
    low, high = narrowest(values)
    inside = sum(low <= value <= high for value in values)
    assert inside >= 0.9 * len(values)
    assert min(values) <= low <= high <= max(values)


def test_a_range_is_not_moved_by_one_odd_machine_in_twenty() -> None:
    low, high = narrowest([0.01, *(2 + k / 100 for k in range(19))])
    assert 2.0 <= low < high <= 2.18


def test_a_run_that_was_sent_twice_counts_once_the_fuller_one() -> None:
    whole = run_of(0)
    cut = [record for record in whole if not isinstance(record, RunEnded)][:-4]
    for first, second in ((whole, cut), (cut, whole)):
        found = collected(sent("a", first, "same"), sent("b", second, "same"))
        (submission,) = found.submissions
        assert submission.done == 4
        assert [copy.of for copy in found.copies] == [submission.where]


def test_a_copied_trial_counts_nowhere() -> None:
    again = [
        replace(r, started_at="2026-05-05T05:05:05+00:00") if isinstance(r, RunStarted) else r
        for r in run_of(0)
    ]
    found = collected(sent("a", run_of(0)), sent("b", again))
    assert {row.copy_of for row in found.submissions[1].rows} == {"a"}
    assert found.cohorts[0].people == ("a",)


def test_a_copied_trial_is_found_out_under_another_seed() -> None:
    def moved(record: Record) -> Record:
        if isinstance(record, Epoch):
            return replace(
                record, seed=record.seed + 10, trial=record.trial.replace("seed", "seed1")
            )
        trial = getattr(record, "trial", None)
        if isinstance(trial, Trial) and isinstance(record, TrialStarted | TrialEnded):
            return replace(record, trial=replace(trial, seed=trial.seed + 10))
        return record

    found = collected(sent("a", run_of(0)), sent("b", run_of(0, more=moved)))
    assert {row.copy_of for row in found.submissions[1].rows} == {"a"}


def test_the_same_numbers_at_other_times_count_for_times_alone() -> None:
    found = collected(sent("a", run_of(0)), sent("b", run_of(1, speed=2.0, device="CPU 2")))
    (cohort,) = found.cohorts
    assert {row.repeats for row in found.submissions[1].rows} == {"a"}
    assert {key.person for key in cohort.groups[0].values("final_test_accuracy")} == {"a"}
    assert len(cohort.groups[0].values("images_per_second")) == 4
    assert cohort.groups[0].metric("final_test_accuracy").n == 1


def test_other_data_are_not_pooled() -> None:
    def other(record: Record) -> Record:
        return replace(record, sha256="cd" * 32) if isinstance(record, DatasetFacts) else record

    found = collected(*a_class(3), sent("x", run_of(9, luck=0.09, more=other)))
    assert [len(cohort.people) for cohort in found.cohorts] == [3, 1]


def test_other_batch_sizes_are_other_groups() -> None:
    def larger(record: Record) -> Record:
        trial = getattr(record, "trial", None)
        if isinstance(trial, Trial):
            return replace(record, trial=replace(trial, batch_size=128))
        return record

    (cohort,) = collected(*a_class(2), sent("x", run_of(9, luck=0.09, more=larger))).cohorts
    assert sorted(group.label for group in cohort.groups) == [
        *("googlenet · batch 128", "googlenet · batch 64"),
        *("resnet18 · batch 128", "resnet18 · batch 64"),
    ]


@pytest.mark.parametrize("changed", [{"label_smoothing": 0.1}, {"warmup": 0.0}])
def test_what_an_option_changed_of_a_recipe_is_another_group(changed: dict[str, float]) -> None:
    def with_setting(**values: Any) -> Change:
        def more(record: Record) -> Record:
            if isinstance(record, TrialStarted | TrialEnded):
                setting = replace(record.trial.setting, recipe="onecycle", **values)
                return replace(record, trial=replace(record.trial, setting=setting))
            return record

        return more

    runs = [run_of(0, more=with_setting()), run_of(1, luck=0.01, more=with_setting(**changed))]
    (cohort,) = collected(*(sent(f"p{n}", run) for n, run in enumerate(runs))).cohorts
    assert len(cohort.groups) == 4


def test_a_run_that_never_ended_counts_as_far_as_it_got() -> None:
    found = collected(sent("a", run_of(0)[:-6]))
    (submission,) = found.submissions
    assert (submission.ended, submission.done, len(submission.rows)) == (False, 3, 4)


def test_a_run_without_a_finished_trial_is_left_out() -> None:
    records = [r for r in run_of(0) if not isinstance(r, TrialEnded)]
    found = collected(sent("a", records), LeftOut("b.zip", "it is damaged."), *a_class(2))
    assert [one.reason for one in found.left_out] == ["no trial of it is done.", "it is damaged."]
    assert len(found.submissions) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test_accuracy": 5.0}, "final_test_accuracy of 5 cannot be"),
        ({"test_accuracy": -0.1}, "cannot be"),
        ({"images_per_second": 0.0}, "images_per_second of 0 cannot be"),
        ({"train_seconds": -3.0}, "epoch_seconds of -3 cannot be"),
        ({"train_seconds": float("inf")}, "not a number"),
        ({"train_loss": float("nan")}, "not a number"),
        ({"steps": 0}, "updates_per_epoch of 0 cannot be"),
        ({"step_seconds": 0.0}, "cannot be"),
    ],
)
def test_what_cannot_be_is_a_reason(changes: dict[str, float], reason: str) -> None:
    def wrong(record: Record) -> Record:
        return replace(record, **changes) if isinstance(record, Epoch) else record

    found = collected(sent("a", run_of(0, more=wrong)), *a_class(2))
    (left_out,) = found.left_out
    assert reason in left_out.reason
    assert len(found.submissions) == 2


def test_nothing_that_was_sent_commands_a_terminal() -> None:
    run = a_class(1)[0].run
    assert run
    frame = models_frame(run).replace({"resnet18": "m\x1b]52;c;x"})
    table = Sent("handout.zip", "p2", tables={"models.csv": frame.to_csv(index=False)})
    (cohort,) = collected(table).cohorts
    assert "m]52;c;x" in [group.label for group in cohort.groups]
    assert LeftOut("a.zip", "no\x1b[2J way").reason == "no[2J way"


@pytest.mark.parametrize("text", ["5,000", "", "1.5", "inf", "-1"])
def test_a_number_of_images_that_is_none_is_a_reason(text: str) -> None:
    run = a_class(1)[0].run
    assert run
    frame = models_frame(run).astype(str).assign(train_images=text)
    table = Sent("handout.zip", "p2", tables={"models.csv": frame.to_csv(index=False)})
    found = collected(table, *a_class(2))
    (left_out,) = found.left_out
    assert "train_images is not a whole number" in left_out.reason
    assert [cohort.name for cohort in found.cohorts]


def test_rows_are_those_of_their_trials_however_they_began() -> None:
    """Side by side seeds begin together, and a run that tunes has points besides."""
    records = run_of(0)
    starts = [r for r in records if isinstance(r, TrialStarted)]
    together = sorted(starts, key=lambda r: (r.trial.model, r.trial.seed))
    begin = [r for r in records if r not in starts]
    at = begin.index(next(r for r in begin if isinstance(r, Epoch)))
    (one,) = collected(sent("a", [*begin[:at], *together, *begin[at:]])).submissions
    tuned = [r for r in tuned_records("adam") if not isinstance(r, RunEnded)]
    (other,) = collected(sent("b", [*tuned, RunEnded(0, 1.0)])).submissions
    for row in (*one.rows, *other.rows):
        assert row.result
        assert row.result.trial.model == row.text("model")
        assert row.result.trial.seed == row.seed
    assert {row.text("tuning") for row in other.rows} <= {"", "tuned", "default"}


def test_a_long_name_of_a_model_is_a_reason() -> None:
    def long(record: Record) -> Record:
        trial = getattr(record, "trial", None)
        if isinstance(trial, Trial):
            return replace(record, trial=replace(trial, model="m" * 10_000))
        if isinstance(record, Epoch):
            return replace(record, trial=record.trial.replace(record.model, "m" * 10_000))
        return record

    (left_out,) = collected(sent("a", run_of(0, more=long))).left_out
    assert left_out.reason == "its model is longer than 120 characters."


def test_tables_count_like_logs() -> None:
    runs = a_class(3)
    last = runs[-1].run
    assert last
    tables = {
        "models.csv": models_frame(last).to_csv(index=False),
        "predictions.csv": predictions_frame(last).to_csv(index=False),
    }
    bundle = Sent("handout.zip", "p2", tables=tables)
    as_logs, as_table = (collected(*runs[:2], third).cohorts[0] for third in (runs[2], bundle))
    for a, b in zip(as_logs.groups, as_table.groups, strict=True):
        assert (a.label, a.values("final_test_accuracy")) == (
            *(b.label, b.values("final_test_accuracy")),
        )
    both = collected(*runs, bundle)
    assert {row.copy_of for row in both.submissions[-1].rows} == {"p2"}
    alone = collected(bundle)
    assert [limit.predicted for limit in limits(alone.rows, alone.predictions)] == [
        None,
        pytest.approx((1000 - 200) / 12),
    ]


def test_a_log_counts_before_the_tables_of_the_same_run() -> None:
    (one,) = a_class(1)
    assert one.run
    tables = {"models.csv": models_frame(one.run).to_csv(index=False)}
    found = collected(Sent("a-bundle.zip", "p0", tables=tables), one)
    log, bundle = found.submissions
    assert (log.where, bundle.where) == ("p0.zip", "a-bundle.zip")
    assert {row.copy_of for row in log.rows} == {""}
    assert {row.copy_of for row in bundle.rows} == {"p0"}


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"max_batch": "#N/A"}, "max_batch '#N/A' is not a number"),
        ({"weight_bytes": "abc"}, "weight_bytes 'abc' is not a number"),
        ({"final_train_loss": "nan"}, ""),
    ],
)
def test_text_where_a_number_belongs_is_a_reason_but_for_the_loss_of_a_trial_that_failed(
    cells: dict[str, str], reason: str
) -> None:
    (one,) = a_class(1)
    assert one.run
    frame = models_frame(one.run)
    for name, text in ({"status": "failed"} | cells).items():
        frame[name] = [text, *frame[name][1:]]
    table = Sent("handout.zip", "p0", tables={"models.csv": frame.to_csv(index=False)})
    asked = Claim("w", "", "about", metric=("weight_bytes",), models=("resnet18",), threshold=1.0)
    left_out = collected(table, *a_class(2)[1:], claims=(asked,)).left_out
    assert [one.reason for one in left_out] == ([f"handout.zip: {reason}."] if reason else [])


def test_predictions_that_are_no_table_are_left_out() -> None:
    (one,) = a_class(1)
    assert one.run
    frame = models_frame(one.run)
    tables = {"models.csv": frame.to_csv(index=False), "predictions.csv": f"model\n{'x' * 200_000}"}
    (left_out,) = collected(Sent("handout.zip", "p0", tables=tables), *a_class(2)[1:]).left_out
    assert left_out.reason.startswith("predictions.csv is not a CSV file (field larger than")


def test_columns_that_nobody_reads_take_no_memory() -> None:
    header = ",".join(f"c{number}" for number in range(20_000))
    tables = {"predictions.csv": f"{header}\n" + "x\n" * 500}
    tracemalloc.start()
    Predictions().add(Sent("x.zip", "x", tables=tables))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * MIB


def test_tables_that_are_none_are_left_out() -> None:
    for text in ("", "model,seed\nx,0\n", '"', "\x00"):
        (left_out,) = collected(Sent("x.zip", "x", tables={"models.csv": text})).left_out
        assert left_out.reason


def test_largest_batches_stand_beside_what_is_predicted() -> None:
    found = collected(
        *(sent(f"p{n}", run_of(n, luck=n / 50, memory=800 + 400 * n)) for n in range(3))
    )
    resnet = [x for x in limits(found.rows, found.predictions) if x.shape[0] == "resnet18"]
    assert [limit.max_batch for limit in resnet] == [80, 120, 160]
    assert [limit.predicted for limit in resnet] == [
        pytest.approx((memory - 200) / 12) for memory in (800, 1200, 1600)
    ]


def test_what_a_search_predicted_itself_comes_before_what_is_predicted_for_a_card() -> None:
    def searched(record: Record) -> Record:
        if not isinstance(record, LargestBatch):
            return record
        return replace(record, predicted=PredictedLine(300 * MIB, 9 * MIB, 19))

    own, cards = run_of(0, more=searched), run_of(1, luck=0.1)
    found = collected(sent("own", own), sent("card", cards))
    of_resnet = {
        x.sender: x for x in limits(found.rows, found.predictions) if "resnet18" in x.shape
    }
    assert of_resnet["own"].predicted == pytest.approx((1000 - 300) / 9)
    assert of_resnet["card"].predicted == pytest.approx((1000 - 200) / 12)
    assert [of_resnet[name].by_search for name in ("own", "card")] == [True, False]


def test_claims_are_judged_by_all_together() -> None:
    both = ("resnet18", "googlenet")
    speed = ("images_per_second",)
    claims = (
        Claim("more", "", "more", metric=speed, models=both),
        Claim("ratio", "", "ratio", metric=speed, models=both, threshold=2.0, tolerance=0.1),
        Claim("less", "", "more", metric=("final_test_accuracy",), models=both[::-1]),
        Claim("about", "", "about", metric=("epoch_seconds",), models=both[:1], threshold=10.0),
        Claim("falls", "", "falls", metric=("train_loss",), models=both[:1]),
        Claim("sooner", "", "sooner", models=both),
    )
    one = collected(a_class(1)[0], claims=claims)
    many = collected(*a_class(5), claims=claims)
    verdicts = {j.claim.id: j.verdict for j in many.cohorts[0].judged(claims)}
    assert {name: verdict.answer for name, verdict in verdicts.items()} == {
        **{"more": "holds", "ratio": "holds", "less": "holds", "falls": "holds"},
        **{"about": "cannot tell", "sooner": "holds"},
    }
    assert verdicts["about"].reason == "unlike machines have no mean: only ratios compare"
    assert verdicts["falls"].reason == "so in all 10 seeds"
    assert "s" not in verdicts["sooner"].measured.partition(": ")[2].replace("resnet18", "")
    alone = {j.claim.id: j.verdict for j in one.cohorts[0].judged(claims)}
    assert alone["less"].reason == "1 person; at least 3 a side are needed"


def test_one_person_has_no_interval_however_many_seeds() -> None:
    what = Claim(
        "a", "", "about", metric=("final_test_accuracy",), models=("resnet18",), threshold=0.6
    )
    (judged,) = collected(*a_class(1), claims=(what,)).cohorts[0].judged((what,))
    assert judged.verdict.reason == "too few people: one has no interval"
    assert judged.verdict.more_seeds is None


def test_updates_are_whole_numbers() -> None:
    def few(record: Record) -> Record:
        return replace(record, steps=2) if isinstance(record, Epoch) else record

    what = Claim("f", "", "falls", metric=("train_loss",), models=("resnet18",))
    found = collected(sent("a", run_of(0, more=few)), claims=(what,))
    (judged,) = found.cohorts[0].judged((what,))
    assert judged.verdict.reason == "too little training: 6 updates of 100"


def test_what_unlike_machines_have_no_mean_of_does_not_fall_by_its_ratio() -> None:
    what = Claim("r", "", "rank_falls", metric=("params", "epoch_seconds"))
    runs = [
        run_of(n, speed=10.0**n, luck=n / 100, device=f"CPU {n}", seeds=3, models=("a", "b", "c"))
        for n in range(3)
    ]
    found = collected(*(sent(f"p{n}", run) for n, run in enumerate(runs)), claims=(what,))
    (judged,) = found.cohorts[0].judged((what,))
    assert judged.verdict.answer == "does not hold"
    assert judged.verdict.reason == (
        "a has less of both than c: 1,000,000 against 3,000,000, and a ratio of 0.333"
    )


def test_the_claims_of_the_lecture_can_be_judged() -> None:
    claims = lecture_claims()
    judged = collected(*a_class(3), claims=claims).cohorts[0].judged(claims)
    assert len(judged) == len(claims)
