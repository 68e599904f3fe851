"""The report that several files look at, written once."""

import pytest

from bench.records.run import Run
from tests.report.page import write_page
from tests.report.rich import rich_run


@pytest.fixture(scope="session")
def rich_report(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has an answer to every question, with its report."""
    run = rich_run(tmp_path_factory.mktemp("rich") / "run")
    write_page(run)
    return run
