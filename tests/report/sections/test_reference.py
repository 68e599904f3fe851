"""The section on references, and what of it a reader must see first."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.records.records import Record
from bench.records.run import collect
from bench.report import write
from bench.report.context import Context
from bench.report.document import document
from bench.report.render.markdown import render_markdown
from bench.report.sections.base import answers
from bench.report.sections.reference import SECTIONS, missed_sentences
from tests.builders import a_done_trial, a_reference, a_run, a_setting, a_trial, run_start
from tests.report.undrawn import answers_of

(SECTION,) = SECTIONS
PLAIN = a_done_trial(a_trial())
CROP = a_setting(augment="crop")


def context(*references: Any, trials: list[Record] = PLAIN) -> Context:
    run = collect(Path("somewhere"), [*run_start(), *trials])
    return Context(run, references=references)


def test_without_a_reference_there_is_no_section() -> None:
    assert SECTION.finding(context()) is None
    assert missed_sentences(context()) == []


def test_what_is_as_expected_alarms_nobody() -> None:
    of = context(a_reference(0.61))
    assert SECTION.finding(of) == (
        "resnet18 ends inside the interval that its reference sets: expected 56.0 to 66.0 %, got "
        "60.0."
    )
    assert missed_sentences(of) == []
    cropped = a_done_trial(a_trial(setting=CROP, variant="augment=crop"))
    both = context(a_reference(0.61), trials=[*PLAIN, *cropped])
    assert SECTION.finding(both) == (
        "All 2 groups that have a reference end inside the interval that it sets; the widest is "
        "that of resnet18 · not augmented: expected 56.0 to 66.0 %, got 60.0."
    )


def test_a_miss_is_said_in_the_section_and_among_the_first_notes() -> None:
    of = context(a_reference(0.9, augment="crop"))
    said = "resnet18 misses its reference, expected 85.0 to 95.0 %, got 60.0: augmentation was off."
    assert SECTION.finding(of) == said
    assert said in document(of, ()).warnings
    (table,) = SECTION.tables(of)
    assert [cell.text for cell in table.rows[0]] == [
        *("resnet18", "85.0 to 95.0", "60.0", "1", "below", "augmentation was off"),
        "90.0 %, 3 seeds, made up, Test CPU, torch 2.14.1, 2026-01-02",
    ]
    text = render_markdown(document(of, list(answers(SECTIONS, of, lambda *_: None))))
    assert text.count("augmentation was off") == 3


def test_a_narrow_miss_does_not_look_like_a_hit_in_the_table() -> None:
    (table,) = SECTION.tables(context(a_reference(0.55)))
    texts = [cell.text for cell in table.rows[0]]
    assert texts[1:5] == ["50.03 to 59.97", "60.00", "1", "above"]


def test_what_a_run_varies_on_purpose_is_no_news() -> None:
    """The section says it; on top it would be noise."""
    known = replace(a_reference(0.7, augment="crop"), deviation=0.001)
    cropped = a_done_trial(a_trial(setting=CROP, variant="augment=crop"), number=2)
    of = context(known, trials=[*cropped, *PLAIN])
    finding = SECTION.finding(of)
    assert finding is not None
    assert finding.endswith("expected 69.5 to 70.5 %, got 60.0: augmentation was off.")
    assert missed_sentences(of) == []


def test_a_report_is_beside_the_projects_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path, models=["resnet18"])
    assert "reference" not in {answer.name for answer in answers_of(run)}
    monkeypatch.setattr(write, "known_references", lambda: (a_reference(0.9),))
    assert "reference" in {answer.name for answer in answers_of(run)}
