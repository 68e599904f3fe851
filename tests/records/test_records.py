import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import Refused
from bench.records.records import (
    Calibrated,
    DatasetFacts,
    DeviceFacts,
    Epoch,
    EvaluationMode,
    FinalTest,
    Inspected,
    LargestBatch,
    MemoryBreakdown,
    ModelDescribed,
    ModelFacts,
    PointChosen,
    Predicted,
    Probe,
    Record,
    RunEnded,
    RunStarted,
    RunTimed,
    SeedsCut,
    Slots,
    StepsTimed,
    SweepPoint,
    TimeBudget,
    TimePredicted,
    TrialEnded,
    TrialNoted,
    TrialRepeated,
    TrialResumed,
    TrialStarted,
    TuningDeclared,
    decode,
    encode,
)
from tests.builders import (
    a_dataset,
    a_done_trial,
    a_largest_batch,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    some_facts,
    validated,
)

# JSON has neither NaN nor infinities, and nothing here counts beyond 64 bits.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))

# An epoch and a mode are evaluated on test images, on validation images, or on both.
number = st.from_type(float)
for kind, figures in ((Epoch, ("loss", "accuracy")), (EvaluationMode, ("accuracy",))):
    either = [{f"{on}_{f}": number for f in figures} for on in ("test", "validation")]
    st.register_type_strategy(kind, st.one_of(st.builds(kind, **known) for known in either))

plain = st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5)
free = st.dictionaries(st.text(max_size=5), plain | st.lists(plain, max_size=2), max_size=3)
run_started = st.builds(RunStarted, config=free, environment=free)

KINDS = (
    DatasetFacts,
    DeviceFacts,
    Slots,
    ModelFacts,
    ModelDescribed,
    Probe,
    LargestBatch,
    SweepPoint,
    Predicted,
    MemoryBreakdown,
    StepsTimed,
    TimePredicted,
    SeedsCut,
    TuningDeclared,
    PointChosen,
    TrialStarted,
    Epoch,
    FinalTest,
    Inspected,
    TrialResumed,
    TrialRepeated,
    TrialNoted,
    Calibrated,
    TrialEnded,
    RunTimed,
    RunEnded,
)


def test_these_are_all_the_kinds_of_records() -> None:
    assert set(Record.__args__) == {RunStarted, *KINDS}


@given(st.one_of(run_started, *(st.from_type(kind) for kind in KINDS)))
def test_every_record_is_read_as_it_was_written(record: Any) -> None:
    line = encode(record)
    assert b"\n" not in line
    assert decode(line) == record


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_line_names_its_kind(kind: type[Any]) -> None:
    @settings(max_examples=20)
    @given(st.from_type(kind))
    def named(record: Any) -> None:
        renamed = {"LargestBatch": "Fitted"}
        assert json.loads(encode(record))["event"] == renamed.get(kind.__name__, kind.__name__)

    named()


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_junk_is_refused(line: bytes) -> None:
    with pytest.raises(Refused, match=r"^not a record of schema 3: "):
        decode(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"RunEnded"',
        b'{"event": "Surprise"}',
        b'{"event": null}',
        b'{"event": ["RunEnded"]}',
        b'{"event": "RunEnded"}',
        b'{"event": "RunEnded", "exit_code": "x", "seconds": 1}',
        b'{"event": "RunEnded", "exit_code": 0, "seconds": null}',
        b'{"event": "RunEnded", "exit_code": 0, "seconds": 1.0',
        b'{"event": "RunEnded", "exit_code": 0, "seconds": 1.0} {}',
        b'{"event": "RunEnded", "exit_code": 0, "seconds": NaN}',
        b'{"event": "RunEnded", "exit_co\xfde": 0, "seconds": 1.0}',
    ],
)
def test_a_damaged_record_is_refused(line: bytes) -> None:
    with pytest.raises(Refused, match=r"^not a record of schema 3: "):
        decode(line)


def test_a_source_must_be_one_that_is_known() -> None:
    line = encode(a_largest_batch()).replace(b'"measured"', b'"guessed"')
    with pytest.raises(Refused, match="guessed"):
        decode(line)


@pytest.mark.parametrize("missing", ["test_loss", "test_accuracy"])
def test_an_epoch_that_was_evaluated_on_nothing_is_refused(missing: str) -> None:
    values = json.loads(encode(an_epoch(a_trial()))) | {missing: None}
    with pytest.raises(Refused, match="it has no evaluation"):
        decode(json.dumps(values).encode())


def test_an_epoch_knows_what_it_was_evaluated_on() -> None:
    plain = an_epoch(a_trial())
    assert (plain.evaluated_on, plain.accuracy, plain.loss) == ("test", 0.4, 2.2)
    log = validated([*run_start(), *a_done_trial(a_trial(), 1)])
    (kept,) = (record for record in log if isinstance(record, Epoch))
    assert (kept.evaluated_on, kept.accuracy, kept.loss) == ("validation", 0.4, 2.2)


def test_the_parts_of_a_data_set() -> None:
    plain, kept = a_dataset(), a_dataset(validation_images=64)
    assert plain.parts == {"train": 640, "test": 320}
    assert kept.parts == {"train": 640, "validation": 64, "test": 320}
    assert (plain.evaluated_on, plain.evaluated_images) == ("test", 320)
    assert (kept.evaluated_on, kept.evaluated_images) == ("validation", 64)


def test_fields_of_later_versions_are_passed_over() -> None:
    line = b'{"event": "RunEnded", "exit_code": 0, "seconds": 1.5, "later": [1]}'
    assert decode(line) == RunEnded(0, 1.5)


def test_fields_with_defaults_may_be_missing() -> None:
    values = json.loads(encode(an_epoch(a_trial())))
    del values["telemetry"]
    assert decode(json.dumps(values).encode()) == an_epoch(a_trial())


@pytest.mark.parametrize(
    ("size", "pixels"), [("native", 224), (224, 224), (15, 15), (500, 500), ("64", 64)]
)
def test_pixels_of_an_image_size(size: int | str, pixels: int) -> None:
    assert some_facts(smallest_size=15).pixels(size) == pixels


def test_images_too_small_for_a_model_are_refused() -> None:
    facts = some_facts("googlenet", smallest_size=15)
    with pytest.raises(Refused, match="--image-size 14 is too small for googlenet, which needs 15"):
        facts.pixels(14)


def test_a_trial_id_names_all_that_trials_differ_in() -> None:
    trial = a_trial("googlenet:noaux", 3, setting=a_setting(image_size=64, optimizer="sgd"))
    assert trial.id == "googlenet:noaux 64px sgd fp32 bauto seed3"


def test_the_parts_of_a_time_budget_add_up() -> None:
    assert TimeBudget(1.0, 2.0, 4.0, 8.0, 16.0, 32.0).total_seconds == 63.0
