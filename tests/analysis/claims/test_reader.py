"""A file of claims is read, or refused in one sentence that says where and how to fix it."""

import contextlib
import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.reader import (
    LARGEST_FILE,
    keep_claims,
    lecture_claims,
    read_claims,
    series_claims,
    write_claims,
)
from bench.analysis.claims.rules import NUMBERS, RULES
from bench.analysis.metrics import BY_NAME
from bench.errors import Refused
from bench.records.run import collect
from tests.builders import some_records

HEADER = "id,claim,rule,metric,models,at,threshold,tolerance,needs"
GOOD = "a,It is so,about,params,resnet18,,1000000,10,native"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "mine.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_row_is_a_claim(tmp_path: Path) -> None:
    (claim,) = read_claims(written(tmp_path, HEADER, GOOD))
    assert claim == Claim(
        id="a",
        claim="It is so",
        rule="about",
        metric=("params",),
        models=("resnet18",),
        threshold=1e6,
        tolerance=10,
        needs=("native",),
    )


def test_spreadsheets_byte_order_mark_and_empty_lines_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{GOOD}\r\n\r\n".encode())
    assert len(read_claims(path)) == 1


BAD = [
    ((HEADER,), "has no claims"),
    (("",), "no column 'id'"),
    (("id,claim",), "no column 'rule'"),
    ((f"{HEADER},colour", f"{GOOD},red"), "unknown column 'colour'"),
    ((f"{HEADER},id", f"{GOOD},b"), "column 'id' twice"),
    ((HEADER, "a,b"), "line 2 has 2 cells and the header 9"),
    ((HEADER, GOOD.replace("It is so", "")), "line 2: claim is empty"),
    ((HEADER, GOOD, GOOD), "line 3: the id 'a' is taken"),
    ((HEADER, GOOD.replace("about", "roughly")), "unknown rule 'roughly'; there are about"),
    ((HEADER, GOOD.replace("params", "weight")), "does not take the metric 'weight'"),
    ((HEADER, GOOD.replace("params", "worst_class")), "does not take the metric 'worst_class'"),
    ((HEADER, GOOD.replace("params", "")), "needs metric: 1, not 0"),
    ((HEADER, GOOD.replace("resnet18", "resnet18 vgg16")), "needs models: 1, not 2"),
    ((HEADER, GOOD.replace("1000000", "")), "needs a number in the column 'threshold'"),
    ((HEADER, GOOD.replace("1000000", "lots")), "threshold 'lots' is not a number"),
    ((HEADER, GOOD.replace("1000000", "nan")), "threshold 'nan' is not a number"),
    ((HEADER, GOOD.replace("1000000", "1e999")), "threshold '1e999' is not a number"),
    ((HEADER, GOOD.replace(",10,", ",-1,")), "tolerance is below 0"),
    ((HEADER, GOOD.replace("native", "sunshine")), "unknown condition 'sunshine'"),
    ((HEADER, "a,b,at_epoch,test_accuracy,m,0,0.5,,"), "at '0' is not a whole number above 0"),
    ((HEADER, "a,b,at_epoch,test_accuracy,m,1.5,0.5,,"), "at '1.5' is not a whole number above 0"),
    ((HEADER, "a,b,falls,params,m,,,,"), "does not take the metric 'params'; it takes train_loss"),
    ((HEADER, f'{GOOD}"x'), "line 2: unknown condition"),
    ((HEADER, '"' + GOOD), "is not a CSV file"),
]


@pytest.mark.parametrize(("lines", "said"), BAD, ids=[said for _, said in BAD])
def test_what_cannot_be_judged_is_refused(
    lines: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(Refused) as refused:
        read_claims(path)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"--claims {path}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,claim,rule\n\xff\xfe", "is not UTF-8"),
        (b"x" * (LARGEST_FILE + 1), "is above 1,000,000 bytes"),
        (None, "is not a file"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refused, match=said):
        read_claims(path)


def test_a_folder_and_a_name_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("a\0b")):
        with pytest.raises(Refused):
            read_claims(path)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    with pytest.raises(Refused):
        read_claims(path)


CELL = st.one_of(
    st.text(max_size=12),
    st.sampled_from([*RULES, "params", "test_accuracy", "1", "0.5", "native", "resnet18", ""]),
)


@given(st.lists(CELL, min_size=9, max_size=9))
def test_any_row_is_a_claim_or_refused(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "row.csv"
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows([HEADER.split(","), cells])
    with contextlib.suppress(Refused):
        (claim,) = read_claims(path)
        assert claim.rule in RULES
        assert claim.id
        assert claim.claim


def test_every_rule_is_registered_by_its_own_name_and_says_what_it_judges() -> None:
    for name, rule in RULES.items():
        assert rule.judge.__name__ == name
        assert rule.judge.__doc__


def test_a_claim_is_about_a_figure_that_is_a_number() -> None:
    run = collect(Path("somewhere"), some_records(seeds=2))
    for name, metric in BY_NAME.items():
        values = [metric.value(trial) for trial in run.trials]
        texts = [isinstance(value, str | bool) for value in values if value is not None]
        assert all(is_text is (name not in NUMBERS) for is_text in texts), name


def test_the_lectures_claims_use_every_rule_and_have_names() -> None:
    claims = lecture_claims()
    assert {claim.rule for claim in (*claims, *series_claims())} == set(RULES)
    assert len(claims) >= 20
    assert all(claim.claim for claim in claims)


def test_claims_are_kept_as_they_are_unless_they_are_none(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, GOOD)
    keep_claims(path, tmp_path / "run")
    kept = tmp_path / "run" / "claims.csv"
    assert kept.read_bytes() == path.read_bytes()
    path.write_text("nonsense")
    with pytest.raises(Refused):
        keep_claims(path, tmp_path / "run")
    assert read_claims(kept)


def test_claims_are_read_as_they_were_written(tmp_path: Path) -> None:
    for claims in (lecture_claims(), series_claims()):
        write_claims(claims, tmp_path)
        assert read_claims(tmp_path / "claims.csv") == claims


def test_every_claim_of_the_project_says_where_it_stands() -> None:
    claims = (*lecture_claims(), *series_claims())
    assert all(claim.source for claim in claims)
    assert len({claim.id for claim in claims}) == len(claims)
