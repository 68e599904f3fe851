"""A report for those who look at its page alone, which has no PNG in it."""

import pytest

from bench.records.run import Run
from bench.report import style
from bench.report.write import write_report


def write_page(run: Run) -> None:
    """Write the report of a run, its pictures as SVG alone: that takes half the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "FORMATS", {"svg": style.FORMATS["svg"]})
        write_report(run)
