"""A run that is being written: every record goes to its log, its results and its listener."""

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.analysis.tables import RunTables, write_tables
from bench.config import Config
from bench.errors import BenchError
from bench.records import messages, records
from bench.records.run_folder import RunFolder
from bench.runner.stopwatch import Stopwatch

Listener = Callable[[Any], None]
"""Called with every record, `Planned`, `Progress` and `Warned` message of a run, to show them."""

TABLES_SHARE = 0.05
"""Updating the tables during a run takes at most this share of its time."""


@dataclass
class Recorder:
    """A run in its folder, and what all of its parts need to know; threads may share it.

    `labels` are what to call trials, by their ids; `places` what to call folders in messages.
    """

    config: Config
    prepared: messages.Prepared
    scratch: Path
    listener: Listener
    folder: RunFolder
    run: RunTables
    labels: dict[str, str] = field(default_factory=dict)
    _tables_due: float = 0.0
    _locked: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def log(self) -> Path:
        """The file for the workers' standard error."""
        return self.folder.path / "workers.log"

    @property
    def places(self) -> dict[Path, str]:
        """Folders of this machine, and the words for them in what is recorded."""
        return {self.folder.path.absolute(): "RUN", self.scratch: "SCRATCH"}

    def record(self, record: records.Record) -> None:
        """Write a record to the log, add it to the results, and show it."""
        with self._lock:
            self.folder.append(record)
            self.run.add(record)
            self._show(record)

    def tell(self, message: Any) -> None:
        """Show a message that is no record."""
        with self._lock:
            self._show(message)

    def _show(self, message: Any) -> None:
        try:
            self.listener(message)
        except OSError as error:
            # The terminal was closed: the run may still save what it has.
            if error.errno != errno.EIO:
                raise
            self.listener = _unheard

    def warn(self, trial: records.Trial, text: str) -> None:
        """Show a problem of a trial."""
        self.tell(messages.Warned(f"{self.labels[trial.id]}: {text}"))

    def update_tables(self, stopwatch: Stopwatch) -> None:
        """Write the tables, unless that was done recently: after each of thousands of epochs it
        would take ever longer."""
        with self._lock:
            start = perf_counter()
            if start >= self._tables_due:
                stopwatch.lap("other")
                self._write_tables()
                stopwatch.lap("tables")
                end = perf_counter()
                self._tables_due = end + (end - start) / TABLES_SHARE

    def _write_tables(self) -> None:
        """Write the tables; one that another program has locked, as on Windows, waits for the next
        time."""
        try:
            write_tables(self.run)
        except BenchError as error:
            if not isinstance(error.__cause__, PermissionError):
                raise
            if not self._locked:
                self.tell(messages.Warned(f"{error} The run goes on; close what has it open."))
            self._locked = True


def _unheard(message: Any) -> None:
    """Nobody listens any more."""
