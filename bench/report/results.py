"""The results of a run as Python and notebooks have them: tables, pictures, and the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.tables import RunTables
from bench.analysis.trial_group import trial_groups
from bench.errors import Refused, did_you_mean
from bench.records.run import Run, read_run
from bench.report.render.markdown import template
from bench.report.tables import headline, picked, transposed
from bench.units import counted

if TYPE_CHECKING:  # matplotlib is imported when something is drawn
    from matplotlib.figure import Figure

MOST_EMBEDDED_BYTES = 2_500_000
"""A larger page is linked to: Jupyter drops what would exceed 1 MB/s over three seconds
(`ServerApp.iopub_data_rate_limit`), and a notebook that has it would be slow to save."""


class Results(RunTables):
    """A run: its tables as pandas frames, its pictures, its report. A notebook shows it as the
    table of its comparison."""

    def plot(self, name: str) -> "Figure":
        """A picture of the report by its file name, such as `accuracy`, `loss` or `memory`.

        Raises:
            Refused: there is no such picture, and the message has the nearest names; or the run
                has no data for it.
        """
        from bench.report.sections import all_sections
        from bench.report.sections.base import pictures_of
        from bench.report.write import context_of

        context = context_of(self)
        pictures = {p.file: p for p in pictures_of(all_sections(), context)}
        if name not in pictures:
            known = ", ".join(known for known in pictures if "/" not in known)
            hint = did_you_mean(name, pictures) or f"there are {known}."
            raise Refused(f"this run's report has no picture {name!r}: {hint}")
        figure = pictures[name].draw(context)
        if figure is None:
            raise Refused(f"this run has no data for the picture {name!r}.")
        return figure

    def report(self) -> "ReportPage":
        """Make the report in the run's folder, and show it in a notebook.

        Raises:
            Refused: the log ends before the run began.
            BenchError: a file cannot be written.
        """
        from bench.report.write import write_report

        self.check_begun()
        write_report(self)
        return ReportPage(self.path / "report.html")

    def __repr__(self) -> str:
        models = ", ".join(dict.fromkeys(t.trial.model for t in self.trials)) or "nothing trained"
        return f"<run {self.path}: {models}; {completed(self)}>"

    def _repr_html_(self) -> str | None:
        """The comparison; None, so that the text is shown, while there is nothing to compare."""
        groups, page = trial_groups(self), template("results.html.jinja")
        if not groups:
            return None
        table, footnote = transposed(headline(groups)), picked(groups)
        return page.render(table=table, run=self, footnote=footnote, completed=completed(self))


@dataclass(frozen=True)
class ReportPage:
    """The page of a report, which a notebook shows in a frame, or links to where it is large."""

    path: Path

    def __repr__(self) -> str:
        return f"report: {self.path}"

    def _repr_html_(self) -> str:
        page = template("report_frame.html.jinja")
        content = self.path.read_text("utf-8")
        embedded = len(content.encode()) <= MOST_EMBEDDED_BYTES
        return page.render(path=self.path.as_posix(), content=content if embedded else None)


def completed(run: Run) -> str:
    """How many trials of a run are done."""
    done, trials = sum(t.status == "done" for t in run.trials), len(run.trials)
    return f"{done} of {counted(trials, 'trial')} done"


def load_run(path: str | Path) -> Results:
    """Read a run folder's log.

    >>> load_run("results/lecture").epochs.groupby("model").test_accuracy.last()  # doctest: +SKIP

    Raises:
        Refused: `path` is not a run folder, or its log is damaged or of another schema.
    """
    return read_run(Results(Path(path)))


def results_of(run: RunTables) -> Results:
    """The results of a run in memory, whose folder may be gone."""
    results = Results(run.path)
    vars(results).update(vars(run))
    return results
