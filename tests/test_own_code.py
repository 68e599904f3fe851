"""Naming, finding and importing code of the user's own; torch is not needed for any of it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from bench.errors import Refused
from bench.own_code import (
    MODELS,
    Place,
    clashes,
    explained,
    importing,
    labelled,
    line_of,
    load,
    parse_place,
    plugin,
    plugins,
    shown_place,
)
from models.own import named
from tests.own_code import install, working_in, write


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with working_in(tmp_path):
        yield tmp_path


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("mynet.py:Net", Place("mynet.py", "Net")),
        ("/a b/c.d/mynet.py:Net.tiny", Place("/a b/c.d/mynet.py", "Net.tiny")),
        ("package.module:make_net", Place("package.module", "make_net")),
        ("C:\\nets\\mynet.py:Net", Place("C:\\nets\\mynet.py", "Net")),
        ("resnet18", None),
        ("resnet*:*", None),
        ("a-b:c", None),
        ("", None),
    ],
)
def test_places(text: str, place: Place | None) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["mynet.py", "mynet.py:", "mynet.py:3", "a/b.py:x-y"])
def test_a_file_without_a_name_in_it_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"names nothing in that file: write FILE\.py:NAME\."):
        parse_place(text)


@given(st.text())
def test_any_text_is_a_place_or_none_or_refused(text: str) -> None:
    try:
        place = parse_place(text)
    except Refused:
        return
    assert place is None or str(place) == text


def test_labels_are_short_and_different() -> None:
    spelt = ["a/v1/net.py:Net", "a/v2/net.py:Net", "b/other.py:Net", "b/../b/other.py:Net", "m.n:f"]
    places = [parse_place(text) or Place("", "") for text in spelt]
    assert list(labelled(places).values()) == [
        "v1/net.py:Net",
        "v2/net.py:Net",
        "other.py:Net",
        "other.py:Net",
        "m.n:f",
    ]


def test_a_shown_place_has_no_folder() -> None:
    assert shown_place("/home/me/mynet.py:Net") == "mynet.py:Net"
    assert shown_place("torchvision:vgg11") == "torchvision:vgg11"
    assert shown_place("resnet18") == "resnet18"


def test_a_callable_of_a_file_is_found_with_the_hash_of_its_bytes(folder: Path) -> None:
    write(folder, nets__in__mynet="def net(classes): return classes")
    loaded = load(Place("nets/mynet.py", "net"))
    assert loaded.target(3) == 3
    assert loaded.source == folder / "nets" / "mynet.py"
    # Of the bytes `def net(classes): return classes`, by sha256sum.
    assert loaded.sha256 == "1329a089622ca702b3a701845f863e004bbe24648ccf79e5af90b7dd3a7a91f3"


def test_a_changed_file_is_read_again(folder: Path) -> None:
    write(folder, mynet="def net(): return 1")
    before = load(Place("mynet.py", "net"))
    write(folder, mynet="def net(): return 2")
    after = load(Place("mynet.py", "net"))
    assert (before.target(), after.target()) == (1, 2)
    assert before.sha256 != after.sha256


@pytest.mark.parametrize("package", ["package", "namespace"])
def test_a_models_package_of_their_own_is_theirs_there_and_ours_elsewhere(
    folder: Path, package: str
) -> None:
    code = "from models.blocks import NAME\ndef net(): return NAME"
    write(folder, models__in__blocks="NAME = 'theirs'", mynet=code)
    if package == "package":
        (folder / "models" / "__init__.py").touch()
    assert load(Place("mynet.py", "net")).target() == "theirs"
    assert load(Place("models.blocks", "NAME.upper")).target() == "THEIRS"
    assert sys.modules["models"] is models
    assert "models.blocks" not in sys.modules


def test_imports_while_it_is_built_are_theirs_too(folder: Path) -> None:
    late = """
    def net():
        from models.blocks import NAME
        return NAME
    """
    write(folder, models__in__blocks="NAME = 'theirs'", mynet=late)
    place = Place("mynet.py", "net")
    target = load(place).target
    with importing(place):
        assert target() == "theirs"
    with pytest.raises(ImportError):
        target()


def test_two_folders_with_a_package_of_one_name_do_not_meet(folder: Path) -> None:
    for version in ("v1", "v2"):
        code = "from models.blocks import NAME\ndef net(): return NAME"
        write(folder / version, models__in__blocks=f"NAME = {version!r}", net=code)
    assert [load(Place(f"{v}/net.py", "net")).target() for v in ("v1", "v2")] == ["v1", "v2"]


def test_what_stands_beside_the_file_or_in_the_current_folder_can_be_imported(folder: Path) -> None:
    write(folder, nets__in__mynet="import beside, here\ndef net(): return beside.X + here.X")
    write(folder, nets__in__beside="X = 1", here="X = 2")
    assert load(Place("nets/mynet.py", "net")).target() == 3


def test_what_is_loaded_already_is_not_replaced_by_a_decoy(folder: Path) -> None:
    write(folder, pathlib="raise SystemExit", mynet="import pathlib\nnet = pathlib.Path")
    assert load(Place("mynet.py", "net")).target is Path
    write(folder, json="def net(): return 1")
    import json

    assert load(Place("json.py", "net")).target() == 1
    assert sys.modules["json"] is json


BAD = {
    "missing file": ("nowhere.py:Net", "", r"there is no file nowhere\.py"),
    "missing module": ("no.where:Net", "", r"there is no module 'no\.where', neither in"),
    "no models here": ("models.resnet:ResNet18", "", "there is no module 'models.resnet'"),
    "misspelt": ("bad.py:Nett", "def Net(): 0\ndef Block(): 0", "no 'Nett': did you mean Net?"),
    "another name": ("bad.py:Xyz", "def Net(): 0\ndef Block(): 0", "'Xyz': it has Net, Block."),
    "nothing there": ("bad.py:Net", "X = 1", "it defines nothing that can be called."),
    "no callable": ("bad.py:X", "X = 1", "bad.py:X is int, not a function or a class."),
    "unknown name": (
        "bad.py:Net",
        "class Net(\n    nn.Module): 0",
        "bad.py, line 2: NameError: name 'nn' is not defined",
    ),
    "syntax": ("bad.py:Net", "x = 1\nclass Net:\n  def", "bad.py, line 3: SyntaxError: "),
    "missing package": (
        "bad.py:Net",
        "\nimport no_such_package",
        "bad.py, line 2: ModuleNotFoundError: No module named 'no_such_package'",
    ),
    "relative import": (
        "bad.py:Net",
        "from .blocks import x",
        "write package.module:Net in place of the file.",
    ),
    "exit": ("bad.py:Net", "import sys\nsys.exit(3)", "bad.py, line 2: it ends the program; put"),
    "arguments": (
        "bad.py:Net",
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('x')\np.parse_args()",
        "bad.py, line 4: it ends the program",
    ),
    "in a helper": ("bad.py:Net", "import helper", "helper.py, line 2: ZeroDivisionError: "),
    "not text": ("bad.py:Net", "\0", "SyntaxError"),
}


@pytest.mark.parametrize(
    ("text", "code", "sentence"), BAD.values(), ids=[name.replace(" ", "-") for name in BAD]
)
def test_what_cannot_be_imported_is_refused_in_a_sentence(
    folder: Path, text: str, code: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, bad=code, helper="\n1 / 0")
    place = parse_place(text)
    assert place is not None
    with pytest.raises(Refused) as refused:
        load(place)
    said = str(refused.value)
    assert sentence.replace("\\", "") in said
    assert len(said.splitlines()) == 1
    assert sys.modules["models"] is models


def test_an_error_names_the_last_line_of_theirs(folder: Path) -> None:
    write(folder, mynet="import json\ndef net(text):\n    return json.loads(text)")
    place = Place("mynet.py", "net")
    target = load(place).target
    sentence = r"^mynet\.py, line 3: JSONDecodeError: .* \(at last\)$"
    with pytest.raises(Refused, match=sentence), explained(place, " (at last)"):
        target("{")
    assert line_of(ValueError("never raised")) == ""


def test_plugins_are_named_without_being_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    install(folder, "mine", MODELS, plugged="no_such_module:Net", twice="a:b", resnet18="c:d")
    install(folder, "yours", MODELS, twice="c:d")
    assert plugins(MODELS)["plugged"] == {"mine": Place("no_such_module", "Net")}
    assert plugin(MODELS, "plugged") == Place("no_such_module", "Net")
    assert plugin(MODELS, "none") is None
    with pytest.raises(Refused, match="mine and yours both offer 'twice': uninstall one of them"):
        plugin(MODELS, "twice")
    clash, taken = sorted(clashes(MODELS, models.REGISTRY), reverse=True)
    assert clash.startswith("mine and yours both offer 'twice': name the one you mean, such as ")
    assert taken == "'resnet18' is a name of archbench's own: name that of mine c:d."
    names, places = named(["resnet18", "plug*", "resnet18"])
    assert names == ("resnet18", "plugged")
    assert places == {"plugged": Place("no_such_module", "Net")}
    assert set(named(["*"])[1]) == {"plugged"}
    with pytest.raises(Refused, match="both offer 'twice'"):
        named(["twice"])


def test_names_of_models_are_expanded_in_their_order(folder: Path) -> None:
    names, places = named(["./a/net.py:Net", "googlenet*", "timm:*", "m:f", "googlenet:noaux"])
    assert names == ("net.py:Net", "googlenet", "timm:*", "m:f", "googlenet:noaux")
    assert places == {"net.py:Net": Place("./a/net.py", "Net"), "m:f": Place("m", "f")}
    with pytest.raises(Refused, match="googlenet has no variant 'noax': there is googlenet:noaux"):
        named(["googlenet:noax"])
