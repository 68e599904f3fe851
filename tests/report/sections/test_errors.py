"""The section on errors, and the one on two networks on the same images."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.records.logits import FOLDER, LABELS
from bench.records.records import Epoch
from bench.report.context import Context
from bench.report.sections import errors, same_images
from tests.answers import answering_records
from tests.builders import a_context

(ERRORS,), (SAME,) = errors.SECTIONS, same_images.SECTIONS


def context(folder: Path, skills: dict[str, float], **more) -> Context:
    return a_context(answering_records(folder, skills, **more), folder)


def cells(section, of: Context) -> list[list[str]]:
    (table,) = section.tables(of)
    return [[cell.text for cell in row] for row in table.rows]


def test_without_logits_there_is_nothing_to_say(tmp_path: Path) -> None:
    records = answering_records(tmp_path, {"a": 2.0, "b": 1.0}, images=50)
    older = [replace(r, logits=None) if isinstance(r, Epoch) else r for r in records]
    assert ERRORS.finding(a_context(older)) is SAME.finding(a_context(older)) is None


def test_one_model(tmp_path: Path) -> None:
    of = context(tmp_path, {"resnet18": 2.0})
    finding = ERRORS.finding(of)
    assert finding is not None
    assert finding.startswith("resnet18 has its lowest accuracy in cat ")
    assert "of cat taken for dog; its calibration error is " in finding
    assert SAME.finding(of) is None


def test_several_models_and_what_the_one_judge_says_of_them(tmp_path: Path) -> None:
    of = context(tmp_path, {"a": 2.0, "b": 1.9, "c": 1.0}, seeds=3)
    finding = ERRORS.finding(of)
    assert finding is not None
    assert finding.startswith("Over all 3 groups, accuracy is lowest in cat (")
    assert " % of cat taken for dog; calibration error is lowest for " in finding
    ranking = of.standings.ranking("ece")
    assert ranking is not None
    assert finding.endswith(f"{ranking.hindmost.difference.verdict.certainty}.")
    for row in cells(ERRORS, of):
        assert row[4].startswith("cat ")
        assert row[6].endswith("of cat taken for dog")


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (
            ("a",),
            "a is equally accurate in every class, 100.0 %; its calibration error is 0.0 %.",
        ),
        (("a", "b"), "Over all 2 groups, accuracy is equal in every class, 100.0 %; calibration "),
    ],
)
def test_of_equal_classes_none_is_the_lowest(
    tmp_path: Path, models: tuple[str, ...], said: str
) -> None:
    of = context(tmp_path, dict.fromkeys(models, 100.0), images=50)
    assert (ERRORS.finding(of) or "").startswith(said)


def test_an_interval_is_no_narrower_for_several_seeds(tmp_path: Path) -> None:
    """They have seen no other images than one."""
    one, three = (
        errors.answers(context(tmp_path / str(n), {"a": 2.0}, seeds=n).trained)[0] for n in (1, 3)
    )
    widths = [float((a.interval([0])[1] - a.interval([0])[0])[0]) for a in (one, three)]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


@pytest.mark.parametrize(("skills", "verdict"), [((2.0, 1.0), "differ"), ((2.0, 2.0), "cannot be")])
def test_two_networks_of_one_seed(tmp_path: Path, skills, verdict) -> None:
    of = context(tmp_path, dict(zip("ab", skills, strict=True)))
    finding = SAME.finding(of)
    assert finding is not None
    assert f"The two networks that a and b trained with seed 0 {verdict}" in finding
    assert "these trained networks, and another seed may turn it round" in finding
    # Of the models themselves, one seed tells nothing.
    pair = of.standings.between("final_test_accuracy", *of.groups)
    assert pair is not None
    assert pair.verdict.kind == "cannot tell"


def test_of_many_models_some_are_drawn_and_all_are_in_the_table(tmp_path: Path) -> None:
    of = context(tmp_path, {f"m{n}": 1 + n / 10 for n in range(9)}, images=200)
    drawn = list(ERRORS.gallery(of))
    assert [p.file for p in drawn] == [f"confusion/{n:02}" for n in range(errors.MOST_MODELS)]
    assert len(cells(ERRORS, of)) == 9
    assert any("Drawn are the 6 models that end highest" in text for text in ERRORS.remarks(of))
    assert "Of the 36 pairs of networks trained with seed 0" in (SAME.finding(of) or "")
    assert len(cells(SAME, of)) == 8


@pytest.mark.parametrize("classes", [8, 10, 60])
def test_pictures(tmp_path: Path, classes: int) -> None:
    names = [f"<b>{n}</b> $x$ " + "long " * 20 for n in range(classes)]
    of = context(tmp_path, {"a": 2.0, "b": 1.0}, images=240, classes=names)
    for made in (*ERRORS.pictures, *ERRORS.gallery(of)):
        figure = made.draw(of)
        assert figure is not None
        figure.draw_without_rendering()
        assert "cifar10" in figure.get_supxlabel()
    rows = len(figure.axes[0].get_yticks())
    assert rows == min(classes, errors.MOST_CLASSES)


def test_what_is_missing_or_damaged_is_said_and_left_out(tmp_path: Path) -> None:
    records = answering_records(tmp_path, {"a": 2.0, "b": 1.9, "c": 1.0, "d": 1.0}, images=100)
    without = [
        replace(r, logits=None) if isinstance(r, Epoch) and r.model == "d" else r for r in records
    ]
    of = a_context(without, tmp_path)
    files = sorted((tmp_path / FOLDER).glob("0*.npy"))
    files[0].unlink()
    files[1].write_bytes(b"nonsense")
    assert [row[0] for row in cells(ERRORS, of)] == ["c"]
    (text,) = [t for t in ERRORS.remarks(of) if t.startswith("Left out")]
    assert "a (logits/00.npy is missing), b (logits/01.npy is damaged) and d (not kept)" in text
    assert SAME.finding(of) is None
    assert of.run.trials[0].status == "done"


def test_if_all_are_damaged_the_report_says_so(tmp_path: Path) -> None:
    of = context(tmp_path, {"a": 2.0, "b": 1.9}, images=100)
    (tmp_path / FOLDER / LABELS).write_bytes(b"nonsense")
    assert ERRORS.finding(of) == "The test logits of 2 trials cannot be read."
    assert cells(ERRORS, of) == []
    assert [candidate.draw(of) for candidate in ERRORS.pictures] == [None, None]
    (text,) = [t for t in ERRORS.remarks(of) if t.startswith("Left out")]
    assert "a (logits/labels.npy is damaged)" in text
