"""The report says first what a reader must know, escapes outside text, and shows its pictures."""

from dataclasses import replace

import pytest

from bench.records.records import Certificate, RunEnded, SeedsCut, TrialStarted
from bench.records.run import collect
from bench.report.context import Context
from bench.report.document import document, reproduce, warnings
from bench.report.render.markdown import escaped, markdown
from bench.report.sections import all_sections
from bench.report.sections.base import answers
from bench.report.tables import Cell, Table
from bench.report.write import write_report
from tests.builders import (
    a_breakdown,
    a_context,
    a_largest_batch,
    a_prediction,
    a_run,
    a_sweep_point,
    run_start,
    some_records,
)
from tests.report.undrawn import markdown_of


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
        assert text.index(escaped(note)) < table


def test_the_lectures_claims_are_judged_and_marked_as_published(report):
    _, text = report
    assert "Quoted (published)" in text
    assert "1 min 51 s an epoch" in text
    assert "| not run: inception_v3 | " in text
    assert "python -m bench settle |" in text


def test_claims_that_were_brought_replace_the_lectures(tmp_path):
    run = a_run(tmp_path, epochs=11)
    rows = "id,claim,rule,metric,models\na,Mine,falls,train_loss,resnet18\n"
    (tmp_path / "claims.csv").write_text(rows)
    text = markdown_of(run)
    assert "| Mine | holds | so in the one seed | – | falls at 10 of 10 epochs (measured) |" in text
    assert "1 min 51 s" not in text
    assert "Of 1 claim, 1 holds." in text


def test_one_seed_is_called_what_it_is(tmp_path):
    assert "One seed" in markdown_of(a_run(tmp_path, seeds=1))


@pytest.mark.parametrize("evil", ["<script>", "a|b", "[x](javascript:1)", "line\nbreak", "`code`"])
def test_text_from_outside_is_no_markup(evil):
    text = escaped(evil)
    assert "<" not in text
    assert "\n" not in text
    assert "[x](" not in text
    assert "|" not in text.replace("\\|", "")


def test_a_command_and_a_call_of_several_lines_stay_code(tmp_path):
    started, *rest = some_records()
    config = started.config | {"x\n```\n# evil": 1}
    started = replace(started, command="a\n\n# `evil`", config=config)
    text = markdown_of(collect(tmp_path, [started, *rest]))
    assert "The command was `a # 'evil'`. From Python:" in text
    assert "\n# evil" not in text


def test_text_from_outside_breaks_no_table():
    table = Table(("a", "b"), ((Cell("<script>\n|x|"), Cell("&amp;")),))
    assert markdown(table).splitlines()[2] == r"| &lt;script> \|x\| | &amp;amp; |"


def test_the_questions_come_in_the_order_of_the_page(report):
    _, text = report
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "Which model wins, and how sure is that?",
        "Accuracy over epochs",
        "How much picking an epoch flatters",
        "Accuracy over time",
        "Time of one epoch",
        "Memory and batch size",
        "Parameters against accuracy",
        "Seeds",
        "How far the times can be trusted",
        "Claims",
        "Environment",
        "How to repeat it",
        "What did not work",
    ]


def test_the_call_that_makes_it_again_names_no_folder_of_this_machine(report):
    run, _ = report
    call = reproduce(run)
    assert call.startswith("run(Config(")
    assert "output" not in call
    assert "data_dir" not in call


def test_the_call_that_makes_it_again_names_own_code_without_its_folder(tmp_path):
    models, data = ("resnet18", "/home/me/mynet.py:Net"), "/home/me/mydata.py:load"
    run = collect(tmp_path, run_start(models=models, dataset=data))
    assert "models=['resnet18', 'mynet.py:Net']" in reproduce(run)
    assert "dataset='mydata.py:load'" in reproduce(run)


def test_predictions_certificates_and_contradictions_are_told(tmp_path):
    run = a_run(tmp_path)
    proof = Certificate(4, True, 2**20, 0, 101, "RuntimeError: can't allocate", True, {})
    said = "10 images failed but 40 fitted: memory is not monotone here."
    run.add(a_largest_batch(certificate=proof, contradiction=said))
    for record in (a_prediction(), a_breakdown(), a_sweep_point()):
        run.add(record)
    text = markdown_of(run)
    assert "4 training steps and an evaluation ran at 100, and 101 failed" in text
    assert "memory is not monotone here" in text
    assert "| resnet18 | t4 | 32 | 1,234 (1,170–1,298) | 200 | 12.00 |" in text
    assert "**predicted**" in text
    for name in ("memory_breakdown", "batch_sweep"):
        assert f"![{name}]" not in text
        assert f"plots/{name}.png" in text


def test_a_run_under_way_says_so_and_a_stopped_one_how_to_go_on(tmp_path):
    *begun, ended = some_records()
    under_way = begun[:-1]
    whole, open_ = collect(tmp_path, [*begun, ended]), collect(tmp_path, under_way)
    assert document(Context(whole), ()).status == ""
    status = document(Context(open_), ()).status
    assert status.startswith("This run has not ended: 1 trial done, 1 begun and not ended.")
    assert "python -m bench report RUN" in status
    stopped = document(Context(collect(tmp_path, [*under_way, ended])), ()).status
    assert stopped == (
        "This run was stopped: 1 trial done, 1 begun and not ended; `--resume RUN` continues it."
    )
    assert not any("not completed" in text for text in document(Context(open_), ()).warnings)
    searching = collect(tmp_path, [*run_start(), RunEnded(130, 1.0)])
    assert document(Context(searching), ()).status.startswith("This run was stopped: 0 trials done")


def test_the_summary_is_what_the_sections_say(report):
    run, text = report
    context = Context(run)
    made = document(context, list(answers(all_sections(), context, lambda *_: None)))
    findings = {answer.name: answer.finding for answer in made.answers}
    assert dict(made.summary) == {
        "Speed": findings["epoch-time"],
        "Accuracy": findings["accuracy"],
        "Memory": findings["memory"],
    }
    order = [text.index(escaped(words)) for _, words in made.summary]
    assert order == sorted(order)
    assert order[-1] < text.index("| Model |") < text.index("![")


def test_seeds_that_a_settlement_added_are_counted(tmp_path):
    run = a_run(tmp_path, seeds=3)
    run.started.config["seeds"] = 1
    assert ("Seeds", "3") in document(Context(run), ()).facts
    assert "seeds=3" in reproduce(run)


def test_seeds_that_a_time_limit_left_out_are_said(tmp_path):
    run = a_run(tmp_path, seeds=2)
    run.started.config["seeds"] = 3
    run.add(SeedsCut((2,), 1500, 1000, 620))
    said = document(Context(run), ())
    assert ("Seeds", "2 of 3, for the time limit") in said.facts
    assert any("left out seed 2 of every model" in text for text in said.warnings)


def test_what_was_decided_for_trials_is_said_once(tmp_path):
    def noted(*notes):
        records = some_records(seeds=2)
        starts = [r for r in records if isinstance(r, TrialStarted)]
        given = dict(zip(starts, notes, strict=False))
        made = [replace(r, notes=given.get(r, ())) if r in starts else r for r in records]
        return [text for text in warnings(a_context(made)) if "chosen" in text or "sees" in text]

    one, other = "Batch 64 was chosen without a search.", "Batch norm sees 16 images at a time."
    assert noted((one,), (one,), (one,), (one, other)) == [one, f"googlenet · seed 1: {other}"]
