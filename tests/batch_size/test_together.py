"""What the probes of processes that train together come to."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bench.batch_size.together import together
from bench.records.records import Probe, Setting

SETTING = Setting(32, "adam", 1e-3, "fp32", nproc_per_node=2)
PROBE = Probe("resnet18", SETTING, 8, True, 100, 1.0, steps=3)
PROBES = st.builds(
    lambda peak, seconds, steps: replace(
        PROBE, peak_memory_bytes=peak, seconds=seconds, steps=steps
    ),
    st.integers(0, 1000),
    st.floats(0, 10),
    st.integers(1, 5),
)


@given(st.lists(PROBES, min_size=1, max_size=5))
def test_the_peak_is_that_of_the_fullest(probes: list[Probe]) -> None:
    joined = together(probes)
    assert joined.fits
    assert joined.peak_memory_bytes == max(probe.peak_memory_bytes or 0 for probe in probes)
    assert joined.steps == min(probe.steps for probe in probes)


@given(st.lists(PROBES, max_size=3), st.lists(PROBES, max_size=3))
def test_one_that_fails_fails_all(before: list[Probe], after: list[Probe]) -> None:
    failed = replace(PROBE, fits=False, peak_memory_bytes=None, reason="rank 1: out of memory")
    joined = together([*before, failed, *after])
    assert not joined.fits
    assert joined.peak_memory_bytes is None
    assert joined.reason == failed.reason
