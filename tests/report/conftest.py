"""The report that several files look at, written once for all processes."""

import os

import pytest
from filelock import FileLock

from bench.records.run import Run, load_run
from tests.report.page import write_page
from tests.report.rich import rich_run


@pytest.fixture(scope="session")
def rich_report(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has an answer to every question, with its report; nobody may change it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "rich"
    with FileLock(shared / "rich.lock"):
        if folder.exists():
            return load_run(folder)
        run = rich_run(folder)
        write_page(run)
    return run
