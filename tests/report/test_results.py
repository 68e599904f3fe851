import re
from html import unescape
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from bench.errors import Refused
from bench.report import results as results_module
from bench.report.context import Context
from bench.report.live import live_curves
from bench.report.results import Results, load_run
from bench.report.style import DPI, ReportFigure
from tests.builders import (
    NOTE,
    a_failed_trial,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    some_facts,
    some_records,
    write_log,
)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    write_log(tmp_path, some_records())
    return load_run(tmp_path)


def test_text_is_one_useful_line(results: Results) -> None:
    assert repr(results) == f"<run {results.path}: resnet18, googlenet; 2 of 2 trials done>"


def test_a_notebook_shows_the_comparison(results: Results) -> None:
    html = results._repr_html_()
    assert html is not None
    assert "<th>resnet18</th>" in html
    assert '<td style="text-align: right"><b>65.0</b></td>' in html
    assert NOTE in html
    assert "2 of 2 trials done" in html


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    trial = a_trial("<script>x</script>")
    log = [*run_start(), some_facts(trial.model), *a_failed_trial(trial, 1)]
    write_log(tmp_path / "<b>", log)
    html = load_run(tmp_path / "<b>")._repr_html_()
    assert html is not None
    assert "<script" not in html
    assert "/<b>" not in html
    assert "&lt;script&gt;x&lt;/script&gt; (failed)" in html
    assert "0 of 1 trial done" in html


def test_a_run_without_trials_is_text_alone(tmp_path: Path) -> None:
    write_log(tmp_path, run_start())
    assert load_run(tmp_path)._repr_html_() is None
    assert "nothing trained; 0 of 0 trials done" in repr(load_run(tmp_path))


def test_a_picture_of_the_report_by_its_name(results: Results) -> None:
    figure = results.plot("accuracy")
    assert isinstance(figure, ReportFigure)
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["resnet18", "googlenet"]
    png, size = figure._repr_png_()
    inches = figure.get_size_inches()
    assert Image.open(BytesIO(png)).size == tuple(inches * DPI)
    assert size == {"width": inches[0] * 96, "height": inches[1] * 96}


def test_an_unknown_picture_is_one_sentence_with_the_nearest_names(results: Results) -> None:
    with pytest.raises(Refused, match="no picture 'acuracy': did you mean accuracy or "):
        results.plot("acuracy")
    with pytest.raises(Refused, match="no picture '/etc': there are ranking, accuracy, loss, "):
        results.plot("/etc")


def test_a_picture_without_data_is_refused(results: Results) -> None:
    with pytest.raises(Refused, match="no data for the picture 'batch_sweep'"):
        results.plot("batch_sweep")


def test_the_report_is_shown_in_a_frame(results: Results) -> None:
    page = results.report()
    html = page._repr_html_()
    content = re.search('srcdoc="([^"]*)"', html)
    assert content
    assert unescape(content[1]) == page.path.read_text("utf-8")
    assert 'sandbox="allow-scripts' in html
    assert repr(page) == f"report: {results.path / 'report.html'}"


def test_a_large_report_is_linked_to(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_module, "MOST_EMBEDDED_BYTES", 9)
    page = results_module.ReportPage(results.path / "report.html")
    page.path.write_text("ten bytes.")
    html = page._repr_html_()
    assert "iframe" not in html
    assert f'<a href="{page.path.as_posix()}"' in html


def test_the_report_of_a_run_that_never_began_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path, [])
    with pytest.raises(Refused, match="ends before its run began"):
        load_run(tmp_path).report()


def test_curves_so_far_have_a_line_per_trial_and_a_label_per_group(tmp_path: Path) -> None:
    sgd = a_setting(optimizer="sgd")
    log = some_records(("resnet18",), seeds=2)[:-1]
    begun = a_trial("resnet18", setting=sgd)
    log += [*a_failed_trial(begun, 1)[:1], an_epoch(begun)]
    write_log(tmp_path, log)
    accuracy, loss = live_curves(Context(load_run(tmp_path))).axes
    for axes, metric in ((accuracy, "test_accuracy"), (loss, "test_loss")):
        lines = [list(line.get_ydata()) for line in axes.get_lines()]
        expected = [
            [getattr(epoch, metric) for epoch in trial.epochs]
            for trial in load_run(tmp_path).trials
        ]
        assert lines == expected
    labels = accuracy.get_legend_handles_labels()[1]
    assert labels == ["resnet18 · adam", "resnet18 · sgd"]
