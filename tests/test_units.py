"""Sizes, times and numbers that people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import Refused
from bench.units import (
    counted,
    duration_option,
    duration_text,
    finite_number,
    parse_bytes,
    parse_duration,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("700MiB", 734_003_200),
        ("2 GiB", 2_147_483_648),
        ("1.5GB", 1_500_000_000),
        ("1kib", 1_024),
        (" 12 ", 12),
        ("3B", 3),
        ("1TiB", 1_099_511_627_776),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "MiB", "-1GB", "1e9", "1 GiB more", "1,5GB", "0", "0.1B"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(Refused, match="--memory-budget"):
        parse_bytes(text)


@given(st.integers(1, 4096), st.sampled_from(["", " "]), st.sampled_from(["MiB", "mib", "MIB"]))
def test_any_whole_number_of_mebibytes_is_exact(number: int, space: str, unit: str) -> None:
    assert parse_bytes(f"{number}{space}{unit}") == number * 1_048_576


@given(st.text(max_size=30))
def test_any_text_is_a_positive_size_or_refused(text: str) -> None:
    try:
        count = parse_bytes(text)
    except Refused:
        return
    assert count > 0


def test_a_size_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(Refused, match="--memory-budget"):
        parse_bytes("9" * 400 + "GB")


def test_the_flag_is_named() -> None:
    with pytest.raises(Refused, match="--card 'x' is not a size"):
        parse_bytes("x", "--card")


@pytest.mark.parametrize(("text", "value"), [("0.75", 0.75), (" 1e3 ", 1000.0), ("-2", -2.0)])
def test_numbers(text: str, value: float) -> None:
    assert finite_number(text) == value


@pytest.mark.parametrize("text", ["", "many", "nan", "inf", "-inf", "1,5"])
def test_no_numbers(text: str) -> None:
    assert finite_number(text) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (73_400, "73 kB"), (170_498_071, "170 MB")],
)
def test_sizes_of_downloads(count: float, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (119, "119 s"), (130, "2 minutes"), (2_335, "39 minutes"), (10_000, "3 hours")],
)
def test_times_that_people_wait(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("50m", 3000), ("2h", 7200), ("1h30m", 5400), ("90 s", 90), (" 1H 5S ", 3605), ("1.5h", 5400)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "50", "m", "-5m", "5m2h", "1d", "0s", "1e3s", "9" * 30 + "h", "10 minutes"]
)
def test_no_times(text: str) -> None:
    with pytest.raises(Refused, match=r"--time-limit .* is not a time; write one like 50m"):
        parse_duration(text)


@given(st.floats(1, 1e8))
def test_a_time_that_is_written_can_be_read_and_is_long_enough(seconds: float) -> None:
    read = parse_duration(duration_option(seconds))
    assert seconds <= read <= seconds + 60


def test_one_thread_is_one() -> None:
    assert [counted(n, "thread") for n in (1, 2, "1", "16")] == [
        *("1 thread", "2 threads", "1 thread", "16 threads")
    ]
