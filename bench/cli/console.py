"""The terminal: one live line per phase, a line for what is finished, a table at the end.

Where the output is not a terminal there is no live line, only plain ones. The screen is drawn only
when a message comes in, never by a thread of its own, so that nothing runs beside what is measured.
"""

import io
import os
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from bench.analysis.intervals import median
from bench.analysis.trial_group import trial_groups
from bench.errors import BenchError
from bench.records.messages import Progress as Step
from bench.records.messages import Warned
from bench.records.records import (
    DatasetFacts,
    DeviceFacts,
    Epoch,
    LargestBatch,
    ModelDescribed,
    Predicted,
    SweepPoint,
    TrialEnded,
    TrialNoted,
    TrialRepeated,
    TrialStarted,
)
from bench.records.run import Run
from bench.report.tables import Table, headline, transposed


class Reporter:
    """Shows the messages of a run; give `show` to `bench.runner.run.run`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._live.add_task("starting", total=None, rate="")
        if console.is_terminal:
            self._live.start()

    def close(self) -> None:
        """Take the live line away."""
        if self.console.is_terminal:
            self._live.stop()

    def show(self, message: Any) -> None:
        """Show one record or progress message."""
        match message:
            case Step():
                self._progress(message)
            case DatasetFacts():
                self._dataset(message)
            case DeviceFacts():
                self._line(f"on {escape(message.name)} ({message.device}{_threads(message)})")
            case ModelDescribed():
                self._described(message)
            case LargestBatch():
                self._largest_batch(message)
            case SweepPoint():
                self._swept(message)
            case Predicted():
                self._predicted(message)
            case Warned():
                self._loud(message.text)
            case TrialStarted():
                self._phase(message.trial.id)
                for note in message.notes:
                    self._loud(f"{message.trial.id}: {note}")
            case TrialNoted():
                self._loud(f"{message.trial}: {message.note}")
            case TrialRepeated():
                self._phase(message.trial.id)
                self._line(f"again, for it was noisy: {escape(message.trial.id)}")
            case Epoch():
                self._epoch(message)
            case TrialEnded() if message.status != "done":
                what = f"[bold red]{message.status}[/] {escape(message.trial.id)}"
                self._line(f"{what}: {escape(message.reason or '')}")

    def finish(self, run: Run) -> None:
        """The comparison table, and where the files are."""
        self.close()
        self.console.print(rich_table(transposed(headline(trial_groups(run)))))
        self.console.print("¹ picked on the test set: an optimistic figure.", style="dim")
        for note in run.dataset.notes:
            self._loud(note)
        print_path(self.console, "report", run.path / "report.md")
        print_path(self.console, "page  ", run.path / "report.html")
        print_path(self.console, "tables", run.path / "models.csv")
        print_path(self.console, "plots ", run.path / "plots")

    def _line(self, markup: str) -> None:
        self.console.print(markup, highlight=False, soft_wrap=True)
        self._refresh()

    def _loud(self, text: str) -> None:
        self._line(f"[bold yellow]! {escape(text)}[/]")

    def _refresh(self) -> None:
        if self.console.is_terminal:
            self._live.refresh()

    def _phase(self, description: str) -> None:
        self._live.reset(self._task, description=escape(description), total=None, rate="")
        self._refresh()

    def _progress(self, step: Step) -> None:
        rate = f"{step.rate:,.0f} images/s" if step.rate else ""
        self._live.update(
            self._task,
            description=escape(step.phase),
            completed=step.done,
            total=step.total,
            rate=rate,
        )
        self._refresh()

    def _dataset(self, facts: DatasetFacts) -> None:
        kept = "kept on the device" if facts.resident else "streamed"
        self._line(
            f"data [bold]{facts.name}[/]: {facts.train_images:,} train and "
            f"{facts.test_images:,} test images, {len(facts.classes)} classes, "
            f"stored at {facts.stored_size} px, {kept}"
        )
        for note in facts.notes:
            self._loud(note)

    def _described(self, m: ModelDescribed) -> None:
        aux = f", {m.params_aux:,} of them in auxiliary heads" if m.params_aux else ""
        self._line(
            f"[bold]{escape(m.model)}[/]: {m.params:,} parameters{aux} "
            f"({m.params_imagenet:,} as it comes), {m.gmacs:.3f} GMACs at {m.image_size} px"
        )
        self._phase(f"{m.model}: searching for the largest batch")

    def _largest_batch(self, fit: LargestBatch) -> None:
        budget = f" of {fit.budget_bytes / 2**20:,.0f} MiB" if fit.budget_bytes else ""
        reason = f"memory{budget}" if fit.limited_by == "memory" else f"the {fit.limited_by}"
        s = fit.setting
        self._line(
            f"[bold]{escape(fit.model)}[/]: largest batch {fit.max_batch} at {s.image_size} px, "
            f"{s.optimizer}, {s.precision} ({fit.source}, limited by {reason})"
        )
        if fit.contradiction:
            self._loud(f"{fit.model}: {fit.contradiction}")
        if fit.certificate and fit.certificate.allocation_retries:
            self._loud(
                f"{fit.model}: batch {fit.max_batch} fits only by giving memory back while it "
                "trains, which is slow; a smaller batch is faster."
            )

    def _swept(self, point: SweepPoint) -> None:
        rate = point.batch_size / median(list(point.step_seconds))
        self._line(f"{escape(point.model)}: batch {point.batch_size}, {rate:,.0f} images/s")

    def _predicted(self, p: Predicted) -> None:
        s = p.setting
        self._line(
            f"[bold]{escape(p.model)}[/]: largest batch on {p.card} {p.max_batch} "
            f"({p.max_batch_low}–{p.max_batch_high}) at {s.image_size} px, "
            f"{s.optimizer}, {s.precision} (predicted)"
        )

    def _epoch(self, e: Epoch) -> None:
        aux = "".join(f" {name} {loss:.3f}" for name, loss in e.aux_losses.items())
        self._line(
            f"{escape(e.trial)}  epoch {e.epoch}  train loss {e.train_loss:.3f}{aux}"
            f" accuracy {e.train_accuracy:.1%}  test accuracy [bold]{e.test_accuracy:.1%}[/]"
            f"  epoch {e.train_seconds:.1f} s + evaluation {e.test_seconds:.1f} s"
            f"  {e.images_per_second:,.0f} images/s"
        )


def open_console() -> Console:
    """Standard output, and wide enough for tables where it is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=160)


def rich_table(table: Table, title: str | None = None) -> RichTable:
    """A table for the terminal, best values bold."""
    rich = RichTable(title=title)
    for i, header in enumerate(table.headers):
        rich.add_column(header, justify="right" if i else "left", no_wrap=not i)
    for row in table.rows:
        rich.add_row(*(f"[bold]{escape(c.text)}[/]" if c.best else escape(c.text) for c in row))
    return rich


def print_path(console: Console, what: str, path: object) -> None:
    """A path on a line of its own, never wrapped, so that it can be copied."""
    console.print(f"{what}: {escape(str(path))}", highlight=False, soft_wrap=True)


def guarded(command: Callable[[], int]) -> int:
    """Run a command; its errors become one line on standard error and an exit code.

    130 after Ctrl-C, as shells have it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        return command()
    except BenchError as error:
        print(f"archbench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("archbench: interrupted before anything was measured.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; what was measured is on disk.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _threads(facts: DeviceFacts) -> str:
    return f", {facts.threads} threads" if facts.threads else ""
