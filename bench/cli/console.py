"""The terminal: one live line per phase, a line for what is finished, a table at the end.

Where the output is not a terminal there is no live line, only plain ones; a download, which may
take long, then has one now and again. The screen is drawn only
when a message comes in, never by a thread of its own, so that nothing runs beside what is measured.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from time import monotonic
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from bench.analysis.formatting import image_counts
from bench.analysis.intervals import median
from bench.analysis.run_time import cut_sentence, prediction_text
from bench.analysis.trial_group import setting_text, trial_groups
from bench.analysis.tuning import declared_text, edges_text, values_text
from bench.cli.main import visible
from bench.records import messages, records
from bench.records.run import Run
from bench.report.tables import Table, headline, picked, speed_text, transposed
from bench.units import counted, duration_text, size_text

PLAIN_SECONDS = 30.0
"""Without a terminal, a download shows how far it is no more often."""


class Reporter:
    """Shows the messages of a run; give `show` to `bench.runner.run.run`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._live.add_task("starting", total=None, done="", rate="")
        self._labels: dict[str, str] = {}
        self._said: set[tuple[str, str]] = set()
        self._plain_due = 0.0
        if console.is_terminal:
            self._live.start()

    def close(self) -> None:
        """Take the live line away."""
        if self.console.is_terminal:
            self._live.stop()

    def show(self, message: Any) -> None:
        """Show one record or progress message."""
        match message:
            case messages.Progress():
                self._progress(message)
            case records.ModelDescribed():
                self._phase(f"{message.model}: searching for the largest batch")
            case messages.Planned(labels):
                self._labels = labels
            case records.TrialStarted() | records.TrialRepeated() | records.TrialResumed():
                self._phase(self._label(message.trial.id))
        if isinstance(message, records.TrialStarted):
            message = self._unsaid(message)
        self._print(lines(message, self._label))

    def finish(self, run: Run) -> None:
        """The comparison table, and where the files are."""
        self.close()
        groups = trial_groups(run)
        self.console.print(rich_table(transposed(headline(groups))))
        if footnote := picked(groups):
            self.console.print(footnote, style="dim", soft_wrap=True)
        self._print(map(_loud, run.dataset.notes))
        print_path(self.console, "report", run.path / "report.md")
        print_path(self.console, "page  ", run.path / "report.html")
        print_path(self.console, "tables", run.path / "models.csv")
        print_path(self.console, "plots ", run.path / "plots")

    def _progress(self, progress: messages.Progress) -> None:
        phase, done, total = progress.phase, progress.done, progress.total
        of, rate = amounts(progress)
        if progress.unit == "bytes":
            self._plainly(progress, f"{phase}: {of}")
        self._live.update(
            self._task, description=escape(phase), completed=done, total=total, done=of, rate=rate
        )

    def _plainly(self, progress: messages.Progress, text: str) -> None:
        """A line for who has no live line, every `PLAIN_SECONDS`."""
        if self.console.is_terminal or not progress.rate or monotonic() < self._plain_due:
            return
        self._plain_due = monotonic() + PLAIN_SECONDS
        left = duration_text((progress.total - progress.done) / progress.rate)
        self._print([escape(f"{text} at {size_text(progress.rate)}/s, {left} left")])

    def _unsaid(self, started: records.TrialStarted) -> records.TrialStarted:
        """Without the notes that were shown with another trial of its model: a run that tunes would
        say them a hundred times."""
        notes = {(started.trial.model, note): note for note in started.notes}
        new = notes.keys() - self._said
        self._said |= new
        return replace(started, notes=tuple(note for key, note in notes.items() if key in new))

    def _label(self, trial: str) -> str:
        """What to call a trial: by what varies in the run, as soon as that is known."""
        return self._labels.get(trial, trial)

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.console.print(visible(line), highlight=False, soft_wrap=True)
        if self.console.is_terminal:
            self._live.refresh()

    def _phase(self, description: str) -> None:
        self._live.reset(self._task, description=escape(description), total=None, done="", rate="")


def amounts(progress: messages.Progress) -> tuple[str, str]:
    """How much of a phase is done, and how fast it goes; empty where that is not known."""
    done, total, rate = progress.done, progress.total, progress.rate
    if progress.unit == "bytes":
        return f"{size_text(done)} of {size_text(total)}", f"{size_text(rate)}/s" if rate else ""
    return f"{done:,}/{total:,}", f"{rate:,.0f} images/s" if rate else ""


def lines(message: Any, label: Callable[[str], str]) -> Iterator[str]:
    """What a message says, as markup; `label` is what to call a trial by its id."""
    match message:
        case records.DatasetFacts() as facts:
            kept = "kept on the device" if facts.resident else "streamed"
            yield (
                f"data [bold]{escape(facts.name)}[/]: {image_counts(facts)}, "
                f"{len(facts.classes)} classes, stored at {facts.stored_size} px, {kept}"
            )
            yield from map(_loud, facts.notes)
        case records.DeviceFacts(device=device, name=name, threads=threads):
            beside = f", {counted(threads, 'thread')}" if threads else ""
            yield f"on {escape(name)} ({device}{beside})"
        case records.ModelDescribed() as m:
            aux = f", {m.params_aux:,} of them in auxiliary heads" if m.params_aux else ""
            yield (
                f"[bold]{escape(m.model)}[/]: {m.params:,} parameters{aux} "
                f"({m.params_imagenet:,} as it comes), {m.gmacs:.3f} GMACs at {m.image_size} px"
            )
        case records.LargestBatch() as answer:
            model, size, limit = answer.model, answer.max_batch, answer.limited_by
            budget = f" of {answer.budget_bytes / 2**20:,.0f} MiB" if answer.budget_bytes else ""
            reason = f"memory{budget}" if limit == "memory" else f"the {limit}"
            yield (
                f"[bold]{escape(model)}[/]: largest batch {size} at {setting_text(answer.setting)} "
                f"({answer.source}, limited by {reason})"
            )
            if answer.contradiction:
                yield _loud(f"{model}: {answer.contradiction}")
            if answer.certificate and answer.certificate.allocation_retries:
                yield _loud(
                    f"{model}: batch {size} fits only by giving memory back while it trains, "
                    "which is slow; a smaller batch is faster."
                )
        case records.SweepPoint(model=model, batch_size=size, step_seconds=seconds):
            rate = size / median(list(seconds))
            yield f"{escape(model)}: batch {size}, {rate:,.0f} images/s"
        case records.Predicted() as p:
            speed = f", {speed_text(p.speeds[0])} images/s" if p.speeds else ""
            yield (
                f"[bold]{escape(p.model)}[/]: largest batch on {p.card} {p.max_batch} "
                f"({p.max_batch_low}–{p.max_batch_high}){speed} at {setting_text(p.setting)} "
                "(predicted)"
            )
        case records.TimePredicted() as predicted:
            before = " before any step was timed" if predicted.factor > 1 else ""
            yield f"time: {prediction_text(predicted)} (predicted{before})"
        case records.SeedsCut() as cut:
            yield _loud(cut_sentence(cut.points or cut.seeds, cut))
        case records.TuningDeclared() as tuning:
            yield declared_text(tuning)
        case records.PointChosen() as choice:
            yield from _chosen(choice)
        case messages.Warned(text):
            yield _loud(text)
        case records.TrialStarted(trial=trial, notes=notes):
            yield from (_loud(f"{label(trial.id)}: {note}") for note in notes)
        case records.TrialNoted(trial=trial, note=note):
            yield _loud(f"{label(trial)}: {note}")
        case records.TrialRepeated(trial=trial):
            yield f"repeating, timings were noisy: {escape(label(trial.id))}"
        case records.Epoch() as e:
            aux = "".join(f" {name} {loss:.3f}" for name, loss in e.aux_losses.items())
            yield (
                f"{escape(label(e.trial))}  epoch {e.epoch}  train loss {e.train_loss:.3f}{aux}"
                f" accuracy {e.train_accuracy:.1%}"
                + (f"  {e.evaluated_on} accuracy [bold]{e.accuracy:.1%}[/]" if e.evaluated else "")
                + f"  epoch {e.train_seconds:.1f} s"
                + (f" + evaluation {e.test_seconds:.1f} s" if e.evaluated else "")
                + f"  {e.images_per_second:,.0f} images/s"
            )
        case records.FinalTest(trial=trial, accuracy=accuracy, seconds=seconds):
            yield f"{escape(label(trial))}  test accuracy [bold]{accuracy:.1%}[/]  {seconds:.1f} s"
        case records.TrialEnded(trial=trial, status=status, reason=why) if status != "done":
            yield f"[bold red]{status}[/] {escape(label(trial.id))}: {escape(why or '')}"


def _chosen(choice: records.PointChosen) -> Iterator[str]:
    """What tuning chose for a contestant, and whether that lies at the edge of its space."""
    contestant = choice.contestant
    name = f"[bold]{escape(contestant.model)}[/] at {setting_text(contestant.default)}"
    if choice.setting is None:
        yield _loud(f"{contestant.model}: all of {choice.tried} points failed")
        return
    failed = f", {choice.failed} of them failed" if choice.failed else ""
    yield (
        f"{name}: best of {choice.tried} points{failed} is {choice.point}: "
        f"{values_text(choice.setting)}; validation accuracy {choice.validation_accuracy:.1%}"
    )
    if choice.edges:
        yield _loud(f"{contestant.model}: the chosen point lies {edges_text(choice.edges)}")


def _loud(text: str) -> str:
    return f"[bold yellow]! {escape(text)}[/]"


def open_console() -> Console:
    """Standard output, and wide enough for tables where it is no terminal."""
    if sys.stdout.isatty():
        return Console()
    # FORCE_COLOR asks for colours; rich would take any output for a terminal, with a live line.
    forced = bool(os.environ.get("FORCE_COLOR"))
    return Console(width=160, force_terminal=False, color_system="standard" if forced else "auto")


def rich_table(table: Table, text: Collection[str] = ()) -> RichTable:
    """A table for the terminal, best values bold; columns of `text` wrap, as numbers do not."""
    rich = RichTable()
    for i, header in enumerate(table.headers):
        prose = header in text
        rich.add_column(
            escape(header),
            justify="right" if i and not prose else "left",
            no_wrap=not i and not prose,
        )
    for row in table.rows:
        rich.add_row(*(f"[bold]{escape(c.text)}[/]" if c.best else escape(c.text) for c in row))
    return rich


def print_path(console: Console, what: str, path: object) -> None:
    """A path on a line of its own, never wrapped, so that it can be copied."""
    console.print(f"{what}: {escape(str(path))}", highlight=False, soft_wrap=True)
