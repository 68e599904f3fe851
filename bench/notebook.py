"""A run as a notebook shows it: a live line, and after every epoch the curves so far.

The line is a few words, sent at most once a second. The picture is drawn between epochs alone,
while the worker waits. IPython is looked for among what is imported already, and never needed.
"""

import importlib
import sys
from collections.abc import Callable
from html import escape
from time import monotonic
from typing import Any

from rich.console import Console

from bench.cli.console import Reporter, amounts, lines, open_console
from bench.records import messages, records
from bench.records.run import Run
from bench.report.context import Context
from bench.report.live import live_curves
from bench.report.results import completed
from bench.units import duration_text

DRAWING_SHARE = 0.1
"""Drawing takes at most this share of a run's time: where epochs are shorter than a picture takes,
not every one is drawn."""

UNTOLD = (records.Epoch, records.FinalTest, records.Predicted, records.SweepPoint)
"""Records that are no line of text here: curves and the final table show them."""


class NotebookReporter:
    """Shows the messages of a run; give `show` to `bench.runner.run.run`.

    Args:
        run: what is known of it already: its earlier records if it is resumed.
        display: IPython's function of that name.
    """

    def __init__(self, run: Run, display: Callable[..., Any]) -> None:
        self._run = run
        self._display = display
        self._line: Any = None
        self._picture: Any = None
        self._undrawn = False
        self._draw_due = 0.0
        self._labels: dict[str, str] = {}
        self._under_way: dict[str, records.Trial] = {}
        # Jupyter shows a terminal's colours in text, each front end in its own shades.
        self._console = Console(
            file=sys.stdout, force_terminal=True, force_jupyter=False, color_system="standard"
        )

    def show(self, message: Any) -> None:
        """Show one record or progress message."""
        if isinstance(message, records.Epoch) and self._is_known(message):
            return
        self._run.add(message)
        if not isinstance(message, UNTOLD):
            for line in lines(message, self._label):
                self._console.print(line, highlight=False, soft_wrap=True)
        match message:
            case messages.Planned(labels):
                self._labels = labels
            case messages.Progress():
                self._progress(message)
            case records.ModelDescribed(model=model):
                self._say(f"{model}: searching for the largest batch")
            case records.Probe(model=model, batch_size=size, fits=fits):
                tried = f"{size:,} {'fits' if fits else 'does not fit'}"
                self._say(f"{model}: searching for the largest batch · {tried}")
            case records.TrialStarted() | records.TrialRepeated() | records.TrialResumed():
                self._under_way[message.trial.id] = message.trial
                self._say(self._label(message.trial.id))
            case records.Epoch():
                done = f"epoch {message.epoch}"
                if message.evaluated:
                    done += f": {message.evaluated_on} accuracy {message.accuracy:.1%}"
                self._say(f"{self._label(message.trial)} · {done}")
                self._draw_soon()
            case records.FinalTest():
                self._say(f"{self._label(message.trial)} · test accuracy {message.accuracy:.1%}")
            case records.TrialEnded():
                self._under_way.pop(message.trial.id, None)
                self._draw()
            case records.RunEnded():
                stopped = "" if self._run.complete else "stopped, "
                self._say(f"{stopped}{completed(self._run)} in {duration_text(message.seconds)}")

    def close(self) -> None:
        """Say so where the run broke off."""
        if self._line is not None and self._run.ended is None:
            self._say("stopped")

    def _is_known(self, epoch: records.Epoch) -> bool:
        """Whether a resumed run shows an epoch that it had before."""
        result = self._run.trial(epoch.trial)
        return result is not None and epoch.epoch <= len(result.epochs)

    def _label(self, trial: str) -> str:
        return self._labels.get(trial, trial)

    def _progress(self, progress: messages.Progress) -> None:
        if not progress.rate:
            self._say(progress.phase)
            return
        done, rate = amounts(progress)
        parts = [progress.phase, done, rate]
        left = (progress.total - progress.done) / progress.rate
        trials = list(self._under_way.values())
        if len(trials) == 1:
            (trial,) = trials
            parts = [self._label(trial.id), progress.phase, f"step {done}", rate]
            left *= (trial.batch_size or 1) * trial.setting.ranks
        elif trials:  # side by side: it is not known of which
            label, left = f"one of {len(trials)} trials", 0.0
            parts = [label, progress.phase, f"step {done}", rate]
        parts += [f"{duration_text(left)} left"] if left else []
        self._say(" · ".join(parts), progress.done, progress.total)

    def _say(self, text: str, done: int = 0, total: int = 0) -> None:
        # No bar where the end is not known: browsers animate one, beside what is measured.
        bar = f'<progress value="{done}" max="{total}"></progress> ' if total else ""
        style = "font-variant-numeric: tabular-nums"
        html = f'<div style="{style}">{bar}{escape(text)}</div>'
        self._line = self._put(self._line, {"text/html": html, "text/plain": text})

    def _draw_soon(self) -> None:
        self._undrawn = True
        if monotonic() >= self._draw_due:
            self._draw()

    def _draw(self) -> None:
        if not self._undrawn:
            return
        start = monotonic()
        png, size = live_curves(Context(self._run)).png()
        content = {"image/png": png, "text/plain": "accuracy and loss so far"}
        self._picture = self._put(self._picture, content, {"image/png": size})
        end = monotonic()
        self._undrawn, self._draw_due = False, end + (end - start) / DRAWING_SHARE

    def _put(self, place: Any, content: dict[str, Any], metadata: Any = None) -> Any:
        """Show `content` by media type: at a place for the first time, or in place of what is
        there."""
        if place is None:
            return self._display(content, raw=True, display_id=True, metadata=metadata)
        place.update(content, raw=True, metadata=metadata)
        return place


def reporter_here(run: Run) -> Reporter | NotebookReporter | None:
    """What shows a run to whoever is watching: in a notebook, or, with the terminal's lines, at
    IPython's prompt. None in a script."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return None
    if getattr(shell, "kernel", None) is None:
        return Reporter(open_console())
    return NotebookReporter(run, importlib.import_module("IPython.display").display)
