"""The report says first what a reader must know, escapes outside text, and shows its pictures."""

import pytest

from bench.records import Certificate
from bench.report.page import reproduce, safe, write_report
from tests.builders import a_breakdown, a_fit, a_prediction, a_run, a_sweep_point


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = a_run(tmp_path_factory.mktemp("run"), seeds=2)
    write_report(run)
    return run, (run.path / "report.md").read_text()


def test_every_picture_it_shows_is_there_as_png_and_svg(report):
    run, text = report
    shown = [line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert "plots/accuracy.png" in shown
    assert "plots/loss.png" in shown
    assert len(shown) >= 7
    for name in shown:
        png = (run.path / name).read_bytes()
        svg = (run.path / name.replace(".png", ".svg")).read_text()
        assert png.startswith(b"\x89PNG")
        assert svg.startswith("<?xml")


def test_the_table_comes_before_the_pictures_and_the_notes_before_the_table(report):
    run, text = report
    table = text.index("| Model |")
    assert table < text.index("![")
    for note in run.dataset.notes:
        assert text.index(safe(note)) < table


def test_the_lecture_is_beside_it_and_marked_as_published(report):
    _, text = report
    assert "Lecture (published)" in text
    assert "1 min 51 s an epoch" in text


def test_one_seed_is_called_what_it_is(tmp_path):
    run = a_run(tmp_path, seeds=1)
    write_report(run)
    assert "One seed" in (run.path / "report.md").read_text()


@pytest.mark.parametrize("evil", ["<script>", "a|b", "[x](javascript:1)", "line\nbreak", "`code`"])
def test_text_from_outside_is_no_markup(evil):
    escaped = safe(evil)
    assert "<" not in escaped
    assert "\n" not in escaped
    assert "[x](" not in escaped
    assert "|" not in escaped.replace("\\|", "")


def test_the_call_that_makes_it_again_names_no_folder_of_this_machine(report):
    run, _ = report
    call = reproduce(run)
    assert call.startswith("run(Config(")
    assert "output" not in call
    assert "data_dir" not in call


def test_predictions_certificates_and_contradictions_are_told(tmp_path):
    run = a_run(tmp_path)
    proof = Certificate(4, True, 2**20, 0, 101, "RuntimeError: can't allocate", True, {})
    said = "10 images failed but 40 fitted: memory is not monotone here."
    run.add(a_fit(certificate=proof, contradiction=said))
    for record in (a_prediction(), a_breakdown(), a_sweep_point()):
        run.add(record)
    write_report(run)
    text = (run.path / "report.md").read_text()
    assert "4 training steps and an evaluation ran at 100, and 101 failed" in text
    assert "memory is not monotone here" in text
    assert "| resnet18 | t4 | 32 | 1,234 (1,170–1,298) | 200 | 12.0 |" in text
    assert "**predicted**" in text
    for name in ("memory_breakdown", "batch_sweep"):
        assert f"![{name}]" not in text
        assert f"plots/{name}.png" in text
