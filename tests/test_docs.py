"""The docs keep their promises: what is generated is complete, and what is written is true."""

import csv
import dataclasses
import io
import re
import sys
import tomllib
import typing
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta
from tyro.conf import arg

import bench
import bench.config
from bench.analysis.claims.reader import lecture_claims, read_claims
from bench.analysis.claims.rules import RULES
from bench.analysis.collected.rows import COLUMNS
from bench.analysis.metrics import METRICS
from bench.analysis.selfcheck import COLUMNS as CHECK_COLUMNS
from bench.analysis.tables import (
    CLASS_COLUMNS,
    EPOCH_COLUMNS,
    PREDICTION_COLUMNS,
    PROBE_COLUMNS,
    REFERENCE_COLUMNS,
    SPEED_COLUMNS,
    SWEEP_COLUMNS,
)
from bench.cli.main import main
from bench.config import DEFAULT_MEMORY_BUDGET, PRESETS, Name
from bench.options import Group, Help
from bench.records.measurement import COLUMNS as COLUMNS_OF_MEASUREMENTS
from bench.records.records import Record
from bench.report.collected.table import SENT
from docs import hooks
from docs.code_reference import plain
from docs.option_reference import option_sections

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "results" / "reference" / "README.md",
    ROOT / "results" / "selfcheck" / "README.md",
]
OPTIONS = getattr(bench.config, "Options", bench.config.Config)
TABLES = sorted((ROOT / "results" / "reference").glob("*/*.csv"))


def page(name: str) -> str:
    """A page as the site has it."""
    return hooks.filled((DOCS / name).read_text(encoding="utf-8"))


def section(text: str, title: str) -> str:
    """A section of a page, without its heading."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def described(table: str) -> str:
    """What the page of tables says about one: its section, and that of what all of them have."""
    text = page("reference/tables.md")
    return section(text, table) + section(text, "Settings")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_column_of_models_csv_has_its_row(metric):
    rows = section(page("reference/tables.md"), "models.csv").splitlines()
    (row,) = [row for row in rows if row.startswith(f"| `{metric.name}` |")]
    assert row.endswith(f" | {metric.unit or '–'} | {metric.better or '–'} |")
    assert plain(metric.label) in row
    if hasattr(metric, "description"):
        assert metric.description
        assert plain(metric.description) in row


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("epochs.csv", EPOCH_COLUMNS),
        ("probes.csv", PROBE_COLUMNS),
        ("predictions.csv", (*PREDICTION_COLUMNS, *SPEED_COLUMNS)),
        ("sweep.csv", SWEEP_COLUMNS),
        ("classes.csv", CLASS_COLUMNS),
        ("reference.csv", REFERENCE_COLUMNS),
    ],
)
def test_the_columns_of_the_other_tables_are_there(table, columns):
    text = described(table)
    assert [column for column in columns if f"`{column}`" not in text] == []


def test_every_column_of_a_class_is_there():
    text = section(page("class.md"), "collected.csv")
    assert [column for column in (*SENT, *COLUMNS) if f"`{column}`" not in text] == []


@pytest.mark.parametrize("path", TABLES, ids=relative)
def test_every_column_of_a_measured_run_is_there(path):
    text = described(path.name)
    columns = path.read_text(encoding="utf-8").partition("\n")[0].split(",")
    written = [re.sub("train_loss_aux.*", "train_loss_aux…", column) for column in columns]
    assert [column for column in written if f"`{column}`" not in text] == []


@pytest.mark.parametrize("field", dataclasses.fields(OPTIONS), ids=lambda field: field.name)
def test_every_option_of_a_run_is_there_with_its_help(field):
    text = section(page("reference/options.md"), "run")
    flag = field.name.replace("_", "-")
    _, anchor, rest = text.partition(f"{{ #run-{flag} ")
    assert anchor
    assert len(rest.split("\n\n")[1]) > 20


@dataclasses.dataclass(frozen=True)
class Options:
    models: Annotated[tuple[Name, ...], Help(Group.COMPARED)] = ("a", "b")
    """Models by name, or 'resnet*'."""

    max_batch: Annotated[bool, Help(Group.MEMORY), arg(aliases=["--fit"])] = True
    """Search first."""

    lr: Annotated[float | None, Help(Group.COMPARED, "by optimizer"), Meta(title="RATE")] = None
    """Learning rate."""

    path: Annotated[Path, Meta(title="PATH")] | None = None
    """Where it goes."""


def test_options_have_groups_values_aliases_and_defaults():
    assert option_sections(Options, "run").split("\n\n") == [
        "### What is compared",
        '#### `--models NAME ...` { #run-models data-toc-label="--models" }',
        "Models by name, or 'resnet\\*'. *(default: a b)*",
        '#### `--lr RATE` { #run-lr data-toc-label="--lr" }',
        "Learning rate. *(default: by optimizer)*",
        "### Memory and cards",
        '#### `--max-batch, --no-max-batch` { #run-max-batch data-toc-label="--max-batch" }',
        "Search first. Also `--fit`. *(default: yes)*",
        '#### `--path PATH` { #run-path data-toc-label="--path" }',
        "Where it goes. *(default: none)*",
    ]


@pytest.mark.parametrize(
    "verb",
    [
        *("run", "fit", "choose", "list", "data", "report", "settle", "compare", "history"),
        *("selfcheck", "pack", "collect"),
    ],
)
def test_every_option_that_help_shows_is_there(verb, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", verb, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    shown = capsys.readouterr().out
    flags = {flag for flag in re.findall(r"--[a-z][a-z-]+", shown) if flag[:5] != "--no-"}
    name = {"fit": "max-batch"}.get(verb, verb)
    text = section(page("reference/options.md"), name)
    flags -= {"--help"}
    assert [flag for flag in sorted(flags) if not re.search(rf"`{flag}\b", text)] == []


@pytest.mark.parametrize("kind", typing.get_args(Record), ids=lambda kind: kind.__name__)
def test_every_record_is_there_with_its_fields(kind):
    _, heading, rest = page("reference/records.md").partition(f"\n### {kind.__name__}\n")
    assert heading
    text = rest.partition("\n### ")[0]
    for field in dataclasses.fields(kind):
        assert f"\n{field.name}: " in text


@pytest.mark.parametrize("name", bench.__all__)
def test_every_public_name_is_in_the_api(name):
    assert f"\n::: bench.{name}\n" in page("python.md")


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_file_that_a_page_links_to_is_there(path):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_nothing_of_a_page_is_left_to_generate(path):
    filled = hooks.filled(path.read_text(encoding="utf-8"))
    assert "<!-- generated" not in filled
    assert "*The docs site has this part" not in filled


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_a_page_read_elsewhere_says_where_its_generated_parts_are(path):
    text = path.read_text(encoding="utf-8")
    of_page, of_part = text.count("made from the code when"), text.count("*The docs site has this")
    assert of_page or of_part == text.count("<!-- generated")


def test_a_page_cannot_ask_for_what_there_is_not():
    with pytest.raises(KeyError):
        hooks.filled("<!-- generated: nothing -->")


@pytest.mark.parametrize(
    ("source", "link", "in_site"),
    [
        ("docs/index.md", "ci.md#jobs", "ci.md#jobs"),
        ("docs/index.md", "../results/reference/README.md", "results/reference/README.md"),
        ("docs/reference/tables.md", "../ci.md", "../ci.md"),
        ("CONTRIBUTING.md", "docs/adding.md", "adding.md"),
        ("results/reference/README.md", "../../docs/lecture.md#a", "../../lecture.md#a"),
        ("results/reference/README.md", "small/models.csv", "small/models.csv"),
        ("docs/index.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("docs/index.md", "#sources", "#sources"),
    ],
)
def test_links_lead_to_the_same_place_in_the_site(source, link, in_site):
    assert hooks.site_links(f"see [this]({link}).", source) == f"see [this]({in_site})."


def test_presets_and_the_budget_are_as_they_are():
    budget = DEFAULT_MEMORY_BUDGET.replace("MiB", " MiB")
    assert f"{budget} by default" in page("figures.md")
    for preset in PRESETS:
        assert f"`{preset}`" in page("getting-started.md")


@pytest.mark.parametrize("column", [*CHECK_COLUMNS, *COLUMNS_OF_MEASUREMENTS])
def test_every_column_of_a_self_check_is_explained(column):
    assert f"`{column}`" in page("selfcheck.md")


def test_the_example_of_claims_can_be_judged(tmp_path):
    (example,) = re.findall(r"```csv\n(.+?)```", page("lecture.md"), re.DOTALL)
    path = tmp_path / "claims.csv"
    path.write_text(example, encoding="utf-8")
    assert len(read_claims(path)) == 2
    header = next(csv.reader(io.StringIO(example)))
    assert [column for column in header if f"`{column}`" not in page("lecture.md")] == []


def test_every_rule_of_claims_is_explained():
    rules = {claim.rule for claim in lecture_claims()} | RULES.keys()
    assert [rule for rule in sorted(rules) if f"| `{rule}` | " not in page("lecture.md")] == []


def test_contributing_has_the_layers_that_the_linter_holds():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (contract,) = [c for c in settings["importlinter"]["contracts"] if c["type"] == "layers"]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.partition("**Layers.**")[2].split("```\n")[1]
    layers = [line.partition("  ")[0] for line in block.splitlines()]
    held = [layer.replace("bench.", "").replace(" | ", "|") for layer in contract["layers"]]
    assert [layer.replace(" | ", "|") for layer in layers] == held


def test_contributing_has_every_room():
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = [path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")]
    assert rooms
    assert [room for room in rooms if f"── {room}/" not in tree] == []
