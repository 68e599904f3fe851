"""The report of a run: plots, `report.md`, and `report.html` that stands alone."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.analysis.claims.reader import KEPT, Claim, lecture_claims, read_claims
from bench.records.files import write_atomic
from bench.records.run import Run
from bench.report.document import Content, content
from bench.report.forest import write_ranking
from bench.report.inspection import write_inspection
from bench.report.plots import write_plots
from bench.report.render.html import render_html
from bench.report.tables import markdown
from bench.report.variants import write_variants

_TEMPLATES = Path(__file__).parent / "render" / "templates"


def write_report(run: Run) -> None:
    """Replace plots, `report.md` and `report.html` in the run's folder.

    Its claims are those that the run was given (`claims.csv` in its folder), else the lecture's.

    Raises:
        BenchError: a file cannot be written.
        Refused: `claims.csv` was damaged.
    """
    claims = claims_of(run.path)
    drawn = [
        *write_plots(run),
        *write_variants(run),
        *write_inspection(run),
        *write_ranking(run),
    ]
    said = content(run, claims, drawn)
    write_atomic(run.path / "report.md", render(said))
    pictures = {name: (run.path / "plots" / f"{name}.svg").read_text("utf-8") for name in drawn}
    write_atomic(run.path / "report.html", render_html(said, pictures))


def claims_of(folder: Path) -> tuple[Claim, ...]:
    """The claims that a run folder's report checks; Refused if its own are damaged."""
    kept = folder / KEPT
    return read_claims(kept) if kept.is_file() else lecture_claims()


def render(said: Content) -> str:
    """The report in Markdown."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown; `safe` below escapes what comes from outside
    )
    environment.filters |= {"safe_text": safe, "table": markdown}
    return environment.get_template("report.md.jinja").render(said=said, run=said.run)


def safe(text: object) -> str:
    """Text from outside without Markdown's and HTML's special characters, on one line."""
    replaced = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    for mark in "\\`*_{}[]|#":
        replaced = replaced.replace(mark, f"\\{mark}")
    return replaced
