import sys
from pathlib import Path

import pytest

from bench.errors import Refused
from bench.registry import Registry, discover


@pytest.fixture
def colours() -> Registry[int]:
    registry = Registry[int]("colour")
    for value, name in enumerate(("red", "rose", "blue", "blue:pale")):
        registry.add(name, value)
    return registry


def test_an_entry_is_found_by_its_name(colours: Registry[int]) -> None:
    assert colours.get("rose") == 1


def test_add_returns_the_entry() -> None:
    assert Registry[str]("colour").add("red", "#f00") == "#f00"


def test_a_name_is_taken_once(colours: Registry[int]) -> None:
    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        colours.add("red", 9)
    assert colours.get("red") == 0


def test_an_unknown_name_is_refused_with_the_nearest(colours: Registry[int]) -> None:
    with pytest.raises(Refused, match=r"^unknown colour 'rosa': did you mean rose\?$"):
        colours.get("rosa")


def test_where_nothing_is_near_all_names_are_given(colours: Registry[int]) -> None:
    with pytest.raises(Refused, match="there are red, rose, blue, blue:pale"):
        colours.get("xyzxyz")


def test_a_wildcard_keeps_the_order_of_registration(colours: Registry[int]) -> None:
    assert colours.match("r*") == ["red", "rose"]


def test_a_star_leaves_variants_out(colours: Registry[int]) -> None:
    assert colours.match("*") == ["red", "rose", "blue"]


@pytest.mark.parametrize("pattern", ["*:*", "blue:*", "blue:pale"])
def test_a_pattern_with_a_colon_finds_variants(colours: Registry[int], pattern: str) -> None:
    assert colours.match(pattern) == ["blue:pale"]


def test_a_wildcard_without_a_match_is_refused(colours: Registry[int]) -> None:
    with pytest.raises(Refused, match=r"unknown colour 'blu\?\?'"):
        colours.match("blu??")


def test_matching_minds_the_case(colours: Registry[int]) -> None:
    with pytest.raises(Refused):
        colours.match("RED")


def test_it_is_a_collection_of_names(colours: Registry[int]) -> None:
    assert list(colours) == ["red", "rose", "blue", "blue:pale"]
    assert len(colours) == 4
    assert "red" in colours
    assert "green" not in colours


def test_discover_imports_every_file_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "found_by_test"
    package.mkdir()
    for name in ("__init__", "one", "two"):
        (package / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    discover("found_by_test")
    found = {name for name in sys.modules if name.startswith("found_by_test")}
    for name in found:
        monkeypatch.delitem(sys.modules, name)
    assert found == {"found_by_test", "found_by_test.one", "found_by_test.two"}
