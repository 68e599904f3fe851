"""Data sets as users write them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.data.dataset import Arrays
from bench.data.own import load_own, loader_of
from bench.data.prepare import DataRequest, prepare
from bench.errors import Refused
from bench.own_code import DATASETS, Place
from tests.own_code import install, working_in, write

HEAD = """
import numpy as np
from collections import namedtuple
def arrays(n=6, side=8, **more):
    values = dict(
        train_images=np.arange(n * side * side * 3).reshape(n, side, side, 3).astype(np.uint8),
        train_labels=np.arange(n) % 2,
        test_images=np.zeros((4, side, side, 3), np.uint8),
        test_labels=[0, 1, 0, 1],
        classes=["cat", "dog"],
    )
    return values | more
def load(): return arrays()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with working_in(tmp_path):
        yield tmp_path


def request(name: str) -> DataRequest:
    return DataRequest(name, None, None, None, 32, 2**30)


def test_a_data_set_is_prepared(folder: Path) -> None:
    write(folder, data__in__mydata=HEAD)
    into = folder / "into"
    into.mkdir()
    facts = prepare(request("data/mydata.py:load"), into)
    assert (facts.name, facts.asked) == ("mydata.py:load", "mydata.py:load")
    assert facts.classes == ("cat", "dog")
    assert (facts.train_images, facts.test_images, facts.stored_size) == (6, 4, 8)
    images = np.load(into / "train_images.npy")
    assert images.ravel().tolist() == [n % 256 for n in range(6 * 8 * 8 * 3)]
    assert np.load(into / "test_labels.npy").tolist() == [0, 1, 0, 1]


GOOD = {
    "named tuple": "def f():\n    v = arrays()\n    return namedtuple('Data', v)(**v)",
    "grey": "def f(): return arrays(train_images=np.ones((6, 8, 8), np.uint8))",
    "one channel": "def f(): return arrays(train_images=np.ones((6, 8, 8, 1), np.uint8))",
    "torch": "import torch\ndef f(): return arrays(test_labels=torch.tensor([0, 1, 1, 0]))",
    "data dir": "def f(data_dir): return arrays(classes=[data_dir.name, 'dog'])",
    "data dir or not": "def f(data_dir=None): return arrays()",
    "own models": "def f():\n    from models.blocks import classes\n    return arrays()",
}


@pytest.mark.parametrize("code", GOOD.values(), ids=GOOD)
def test_forms_that_a_data_set_may_have(folder: Path, code: str) -> None:
    write(folder, mydata=HEAD + code, models__in__blocks="classes = 2")
    source = load_own(Place("mydata.py", "f"), folder, print)
    assert isinstance(source.train, Arrays)
    assert isinstance(source.test, Arrays)
    assert source.train.images.shape == (6, 8, 8, 3)
    assert source.train.labels.dtype == source.test.labels.dtype == np.int64
    assert len(source.classes) == 2


LABELS = "np.array([0, 1, 0, 1, 0, 2])"
BAD = {
    "labels out of range": (
        f"return arrays(train_labels={LABELS})",
        "mydata.py:f: train_labels go from 0 to 2: with 2 classes they must be 0 to 1.",
    ),
    "negative labels": ("return arrays(test_labels=[0, -1, 0, 1])", "test_labels go from -1 to 1"),
    "float labels": ("return arrays(test_labels=[0., 1., 0., 1.])", "test_labels are float64 of"),
    "too few labels": ("return arrays(test_labels=[0, 1])", "for each of the 4 images"),
    "float images": (
        "return arrays(test_images=np.zeros((4, 8, 8, 3)))",
        "mydata.py:f: test_images are float64, not uint8: pixels are 0 to 255.",
    ),
    "channels first": (
        "return arrays(test_images=np.zeros((4, 3, 8, 8), np.uint8))",
        "channels come last, images.transpose(0, 2, 3, 1).",
    ),
    "not square": (
        "return arrays(test_images=np.zeros((4, 8, 9, 3), np.uint8))",
        "test_images have shape (4, 8, 9, 3), not (count, side, side, 3): crop or resize",
    ),
    "two sizes": ("return arrays(8, 9) | dict(test_images=arrays()['test_images'])", "of 9 px to"),
    "no images": ("return arrays(0)", "train_images has no images."),
    "one class": ("return arrays(classes=['cat'])", "classes has 1 name; two are the least."),
    "no test part": (
        "v = arrays()\n    del v['test_images'], v['test_labels']\n    return v",
        "mydata.py:f returns no test_images, test_labels.",
    ),
    "a tuple": ("return arrays()['train_images'], 3", "returns tuple, not a dict or named tuple"),
    "an error": ("return 1 / 0", "mydata.py, line 15: ZeroDivisionError: division by zero"),
    "ends": ("raise SystemExit", "mydata.py, line 15: it ends the program"),
}


@pytest.mark.parametrize(("code", "sentence"), BAD.values(), ids=[n.replace(" ", "-") for n in BAD])
def test_what_is_no_data_set_is_refused_in_a_sentence(
    folder: Path, code: str, sentence: str
) -> None:
    write(folder, mydata=HEAD + f"def f():\n    {code}")
    with pytest.raises(Refused) as refused:
        prepare(request("mydata.py:f"), folder)
    said = str(refused.value)
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert list(folder.glob("*.npy")) == []


def test_a_loader_that_needs_more_than_a_folder_is_refused(folder: Path) -> None:
    write(folder, mydata="def f(a, b): ...\ndef g(data_dir): ...")
    with pytest.raises(Refused, match=r"mydata\.py:f needs a, b: it gets --data-dir, or nothing"):
        load_own(Place("mydata.py", "f"), folder, print)
    with pytest.raises(Refused, match=r"mydata\.py:g needs data_dir: give --data-dir"):
        load_own(Place("mydata.py", "g"), None, print)


@pytest.mark.parametrize(
    ("code", "given", "classes"),
    [
        ("download=True, data_dir='x'", True, ("True", "DIR")),
        ("download=True, data_dir='x'", False, ("True", "x")),
        ("data_dir='mine'", False, ("mine", "dog")),
        ("root, data_dir='x'", True, ("DIR", "x")),
        ("*, data_dir", True, ("DIR", "dog")),
    ],
)
def test_a_folder_goes_where_it_is_expected(
    folder: Path, code: str, given: bool, classes: tuple[str, str]
) -> None:
    names = [part.partition("=")[0] for part in code.split(", ") if part != "*"]
    made = f"[str(value) for value in ({', '.join(names)}, 'dog')][:2]"
    write(folder, mydata=f"{HEAD}def f({code}): return arrays(classes={made})")
    source = load_own(Place("mydata.py", "f"), Path("DIR") if given else None, print)
    assert source.classes == classes


def test_a_folder_that_is_needed_by_keyword_is_asked_for(folder: Path) -> None:
    write(folder, mydata="def f(*, data_dir): ...")
    with pytest.raises(Refused, match=r"mydata\.py:f needs data_dir: give --data-dir"):
        load_own(Place("mydata.py", "f"), None, print)


def test_a_plugin_brings_a_data_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    write(folder, brought=HEAD)
    install(folder, "mine", DATASETS, pets="brought:load", cifar10="brought:load")
    assert loader_of("pets")(None, print).classes == ("cat", "dog")
    with pytest.raises(Refused, match="unknown data set 'pest'"):
        loader_of("pest")
