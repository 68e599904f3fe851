"""The README keeps its promises: short, two commands, an example per verb, links that lead on."""

import re
from pathlib import Path

import pytest

import bench
from bench.config import PRESETS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_has_the_two_commands_of_a_fresh_machine():
    assert "\npip install -e . && python run_bench.py --models resnet18 googlenet\n" in README
    assert '\npip install -e ".[test]" && pytest\n' in README


def test_it_is_short():
    assert len(README.encode()) <= 6_000


@pytest.mark.parametrize(
    "command",
    [
        "python run_bench.py",
        "python -m bench max-batch",
        "python -m bench list",
        "python -m bench report",
        "python -m bench settle",
        "python -m bench compare",
        "python -m bench history",
        "python -m bench pack",
        "python -m bench collect",
    ],
)
def test_it_has_an_example_of_every_verb(command):
    assert f"\n{command} " in README


def test_its_example_imports_what_is_public():
    names = re.search(r"^from bench import (.+)$", README, re.MULTILINE)
    assert names
    assert set(names[1].split(", ")) <= set(bench.__all__)


def test_every_file_it_links_to_is_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_it_states_the_presets():
    for preset in PRESETS:
        assert f"`{preset}`" in README
