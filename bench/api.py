"""`run` and `resume` of the Python API: shown where someone is watching, with results at hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bench.runner.resume
import bench.runner.run
from bench.config import Config
from bench.notebook import reporter_here
from bench.records.run import Run
from bench.records.run_folder import LOG
from bench.report.results import Results, load_run, results_of
from bench.runner.recorder import Listener


def run(config: Config, listener: Listener | None = None) -> Results:
    """Run a comparison and return its results, which are in its folder too; of a dry run, what is
    known without training.

    A notebook shows how far it is, and the curves after every epoch; IPython's prompt shows the
    lines of the command; a script shows nothing. With a `listener`, that is called instead with
    each message of the run.

    Raises:
        Refused: the input cannot work; nothing was trained.
        Interrupted: a signal arrived; what was measured until then is in the run folder.
        BenchError: the run folder can no longer be written to.
    """
    with _shown(listener, Run(Path())) as show:
        made = bench.runner.run.run(config, show)
    return results_of(made) if config.dry_run else load_run(made.path)


def resume(
    path: str | Path, listener: Listener | None = None, given: dict[str, Any] | None = None
) -> Results:
    """Resume an interrupted run from where its log and its checkpoints end, shown as by `run`;
    options that are `given`, such as those of a command line, must not have changed.

    Raises:
        Refused: an option, the images or the device changed, or the run is in use.
        Interrupted: a signal arrived; the run can be resumed again.
        BenchError: the run folder can no longer be written to.
    """
    path = Path(path)
    before = load_run(path) if (path / LOG).is_file() else Run(path)
    with _shown(listener, before) as show:
        bench.runner.resume.resume(path, show, given)
    return load_run(path)


@contextmanager
def _shown(listener: Listener | None, run: Run) -> Iterator[Listener]:
    """What to call with the messages of a run: `listener`, if one was given."""
    reporter = None if listener else reporter_here(run)
    if reporter is None:
        yield listener or (lambda message: None)
        return
    try:
        yield reporter.show
    finally:
        reporter.close()
