"""Logits come back as they were, or not at all."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.errors import Refused
from bench.records.logits import FOLDER, LABELS, are_small, keep_logits, read_logits
from bench.records.records import KeptLogits
from tests.answers import kept, labels_of, some_logits


@pytest.fixture
def made(tmp_path: Path) -> KeptLogits:
    return kept(tmp_path, 0, some_logits(40, 1.0, 0))


def test_they_come_back(tmp_path: Path, made: KeptLogits) -> None:
    logits, labels = read_logits(tmp_path, made)
    before = some_logits(40, 1.0, 0)
    np.testing.assert_allclose(logits, before - before.max(1, keepdims=True), rtol=1e-3, atol=1e-6)
    assert logits.dtype == np.float16
    assert labels.tolist() == labels_of(40).tolist()


def test_ten_thousand_images_of_ten_classes_take_200_kb(tmp_path: Path) -> None:
    made = kept(tmp_path, 0, some_logits(10_000, 1.0, 0))
    assert 200_000 < (tmp_path / FOLDER / made.file).stat().st_size < 201_000


@given(arrays(np.float32, (3, 4), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_the_highest_stays_the_highest(tmp_path_factory, logits) -> None:
    folder = tmp_path_factory.mktemp("run")
    back, _ = read_logits(folder, kept(folder, 0, logits))
    assert np.isfinite(back).all()
    assert (np.take_along_axis(back, logits.argmax(1)[:, None], 1) == 0).all()
    # What was clearly lower is still lower.
    clearly = logits < logits.max(1, keepdims=True) - 1e-6
    assert (back[clearly] < 0).all()


def test_nothing_is_pickled(tmp_path: Path, made: KeptLogits) -> None:
    path = tmp_path / FOLDER / made.file
    np.save(path, np.array([[object()] * 10] * 40, dtype=object), allow_pickle=True)
    data = path.read_bytes()
    forged = replace(made, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(Refused, match="damaged"):
        read_logits(tmp_path, forged)


@pytest.mark.parametrize("name", ["labels", "logits"])
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(bytes(10**6)), "damaged"),
        (lambda path: (path.unlink(), path.mkdir()), "be read|damaged"),
    ],
)
def test_what_is_not_what_it_was_is_refused(tmp_path, made, name, harm, reason) -> None:
    path = tmp_path / FOLDER / (LABELS if name == "labels" else made.file)
    harm(path)
    with pytest.raises(Refused, match=f"{path.name} .*({reason})"):
        read_logits(tmp_path, made)


@pytest.mark.parametrize(
    "change",
    [
        {"images": 39},
        {"classes": 11},
        {"sha256": "0" * 64},
        {"labels_sha256": "0" * 64},
        {"file": "../logits/00.npy"},
        {"file": "/etc/passwd"},
        {"file": "00.pkl"},
    ],
)
def test_a_log_that_says_something_else_is_refused(tmp_path, made, change) -> None:
    with pytest.raises(Refused):
        read_logits(tmp_path, replace(made, **change))


def test_a_header_that_asks_for_petabytes_is_damage(tmp_path: Path, made: KeptLogits) -> None:
    path, shape = tmp_path / FOLDER / made.file, (2**50,)
    with path.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
    forged = replace(made, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(Refused, match="damaged"):
        read_logits(tmp_path, forged)


@pytest.mark.parametrize("classes", [10, 0])
def test_more_logits_than_are_kept_are_not_read(
    tmp_path: Path, made: KeptLogits, monkeypatch: pytest.MonkeyPatch, classes: int
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    with pytest.raises(Refused, match="more logits than are kept"):
        read_logits(tmp_path, replace(made, images=10**9, classes=classes))


def test_labels_of_no_class_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FOLDER / "00.npy"
    made = keep_logits(path, some_logits(40, 1.0, 0), labels_of(40) + 1)
    with pytest.raises(Refused, match="no class"):
        read_logits(tmp_path, made)


def test_the_large_ones_are_not_kept() -> None:
    assert are_small(10_000, 100)
    assert are_small(10_000, 419)
    assert not are_small(50_000, 1000)
