"""The search is exact on every monotone memory curve, and cheap on affine ones."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.batch_size.search import Attempt, SearchResult, doubling_probes, largest_batch

Curve = Callable[[int], int]


def search(curve: Curve, limit: int, cap: int, hint: int | None, smallest: int = 1) -> SearchResult:
    """Search a curve of peak memory under a true limit, with a hint that may be off."""

    def attempt(size: int, brief: bool) -> Attempt:
        fits = curve(size) <= limit
        return Attempt(fits, curve(size) if fits else None)

    return largest_batch(attempt, limit_bytes=hint, cap=cap, smallest=smallest)


def scan(curve: Curve, limit: int, cap: int) -> int:
    """The answer by trying every size."""
    return max((n for n in range(1, cap + 1) if curve(n) <= limit), default=0)


def proves(answer: SearchResult, cap: int, *, repeats: bool = False) -> bool:
    """Whether the probes show the answer: it fitted, and one more failed or is above the cap. No
    size is tried twice, unless briefly and in full."""
    seen = {size: attempt.fits for size, attempt in answer.probes}
    below = answer.largest == 0 or seen[answer.largest]
    above = answer.largest == cap or seen[answer.largest + 1] is False
    return below and above and (repeats or len(seen) == len(answer.probes))


@pytest.mark.parametrize("largest", [*range(41), 63, 64, 65, 127, 199, 200])
def test_every_small_answer_of_an_affine_curve_takes_at_most_five_probes(largest):
    def curve(n: int) -> int:
        return 1000 + 7 * n

    answer = search(curve, limit=1000 + 7 * largest + 6, cap=200, hint=1000 + 7 * largest + 6)
    assert answer.largest == largest
    assert proves(answer, cap=200)
    assert len(answer.probes) <= 5


@given(
    largest=st.integers(1, 1_000_000),
    slope=st.integers(1, 10**8),
    fixed=st.integers(0, 10**10),
    room=st.integers(0, 10**6),
)
def test_any_affine_curve_takes_at_most_five_probes(largest, slope, fixed, room):
    limit = fixed + slope * largest + slope - 1
    cap = largest + room
    answer = search(lambda n: fixed + slope * n, limit, cap, hint=limit)
    assert answer.largest == largest
    assert len(answer.probes) <= 5
    assert answer.limited_by == ("memory" if room else "data set")


@given(
    slope=st.integers(1, 50),
    fixed=st.integers(0, 2000),
    limit=st.integers(0, 8000),
    step=st.integers(1, 700),
    kink=st.integers(1, 300),
    steeper=st.integers(0, 60),
    cap=st.integers(1, 400),
    off=st.floats(0.8, 1.25),
    known=st.booleans(),
)
@settings(max_examples=500)
def test_exact_on_stepped_and_kinked_curves_with_a_limit_that_is_off(
    slope, fixed, limit, step, kink, steeper, cap, off, known
):
    def curve(n: int) -> int:
        used = fixed + slope * n + steeper * max(0, n - kink)
        return -(-used // step) * step

    answer = search(curve, limit, cap, hint=int(limit * off) if known else None)
    assert answer.largest == scan(curve, limit, cap)
    assert proves(answer, cap)
    assert len(answer.probes) <= max(6, doubling_probes(answer.largest))


@given(
    increments=st.lists(st.integers(0, 30), min_size=1, max_size=300),
    limit=st.integers(0, 4000),
)
def test_exact_on_any_monotone_curve(increments, limit):
    sizes = [sum(increments[: n + 1]) for n in range(len(increments))]
    cap = len(sizes)
    answer = search(lambda n: sizes[n - 1], limit, cap, hint=limit)
    assert answer.largest == scan(lambda n: sizes[n - 1], limit, cap)
    assert proves(answer, cap)
    assert len(answer.probes) <= max(6, doubling_probes(answer.largest))


@given(largest=st.integers(1, 10**6), fixed=st.integers(0, 10**9), off=st.floats(0.9, 1.1))
def test_a_limit_that_is_off_by_a_tenth_costs_no_more_than_doubling(largest, fixed, off):
    limit = fixed + 1000 * largest
    answer = search(lambda n: fixed + 1000 * n, limit, 10**6, hint=int(limit * off))
    assert answer.largest == largest
    assert len(answer.probes) <= max(6, doubling_probes(largest))


@given(
    largest=st.integers(1, 10**6),
    points_to=st.integers(1, 10**6),
    room=st.integers(1, 10**6),
)
@settings(max_examples=500)
def test_a_line_that_points_anywhere_costs_no_more_than_doubling(largest, points_to, room):
    """Affine up to the answer, but what it points to is not the answer."""
    answer = search(
        lambda n: n if n <= largest else 10**9,
        limit=10**8,
        cap=largest + room,
        hint=points_to,
    )
    assert answer.largest == largest
    assert len(answer.probes) <= max(6, doubling_probes(largest))


@pytest.mark.parametrize("largest", [1, 2, 3, 4, 7, 8, 1337])
def test_doubling_probes_counts_what_doubling_and_bisecting_take(largest):
    probes, low, high = 0, 0, 1
    while high <= largest:
        probes, low, high = probes + 1, high, high * 2
    probes += 1
    while high - low > 1:
        middle = (low + high) // 2
        probes += 1
        low, high = (middle, high) if middle <= largest else (low, middle)
    assert doubling_probes(largest) == probes


def with_hole(hole: range, largest: int) -> SearchResult:
    """Search an affine curve with sizes that fail for a reason of their own."""

    def attempt(size: int, brief: bool) -> Attempt:
        fits = size <= largest and size not in hole
        return Attempt(fits, size * 10 if fits else None)

    return largest_batch(attempt, limit_bytes=10 * largest, cap=5000)


def test_a_size_that_fails_below_one_that_fits_is_said():
    answer = with_hole(range(10, 15), largest=1000)
    assert answer.largest == 9
    assert answer.contradiction == (10, 40)
    assert dict(answer.probes)[40].fits


def test_a_hole_up_to_the_end_is_no_contradiction():
    answer = with_hole(range(10, 5001), largest=1000)
    assert answer.largest == 9
    assert answer.contradiction is None
    assert not dict(answer.probes)[40].fits


def test_nothing_fits():
    answer = search(lambda n: 100, limit=99, cap=50, hint=99)
    assert answer.largest == 0
    assert answer.limited_by == "memory"
    assert min(size for size, _ in answer.probes) == 1


def test_everything_fits_and_the_data_set_is_the_limit():
    answer = search(lambda n: n, limit=10**9, cap=50_000, hint=10**9)
    assert answer.largest == 50_000
    assert answer.limited_by == "data set"
    assert [size for size, _ in answer.probes] == [11, 19, 50_000]


def test_one_image_fits():
    answer = search(lambda n: n * 100, limit=150, cap=50, hint=150)
    assert answer.largest == 1
    assert proves(answer, cap=50)


def test_a_smallest_size_is_never_gone_below():
    answer = search(lambda n: n * 100, limit=150, cap=50, hint=150, smallest=2)
    assert answer.largest == 0
    assert min(size for size, _ in answer.probes) == 2


def test_a_cap_of_one_is_one_probe():
    answer = search(lambda n: 1, limit=1, cap=1, hint=1)
    assert (answer.largest, len(answer.probes)) == (1, 1)


@pytest.mark.parametrize(("smallest", "cap"), [(0, 5), (6, 5), (2, 1)])
def test_bounds_that_leave_nothing_to_try_are_an_error(smallest, cap):
    with pytest.raises(ValueError, match="nothing to try"):
        search(lambda n: n, limit=1, cap=cap, hint=1, smallest=smallest)


class TestFromAPrediction:
    """A prediction saves probes where it is right, and costs at most two where it is wrong."""

    def search(
        self, curve: Curve, limit: int, cap: int, predicted: Curve, brief: Curve | None = None
    ) -> tuple[SearchResult, list[tuple[int, bool]]]:
        tried: list[tuple[int, bool]] = []

        def attempt(size: int, is_brief: bool) -> Attempt:
            tried.append((size, is_brief))
            memory = (brief or curve)(size) if is_brief else curve(size)
            return Attempt(memory <= limit, memory if memory <= limit else None)

        return largest_batch(attempt, limit_bytes=limit, cap=cap, predicted=predicted), tried

    def answers(
        self, largest: int, slope: int, fixed: int, room: int, share: float
    ) -> tuple[SearchResult, SearchResult]:
        """Without a prediction, and with one that says `share` of the true memory per image."""
        limit, cap = fixed + slope * largest + slope - 1, largest + room

        def curve(n: int) -> int:
            return fixed + slope * n

        predicted, _ = self.search(curve, limit, cap, lambda n: int(share * slope * n))
        return search(curve, limit, cap, hint=limit), predicted

    @given(
        largest=st.integers(20, 10**6),
        slope=st.integers(10**4, 10**8),
        own=st.integers(0, 10**9),
        room=st.integers(1, 10**6),
    )
    def test_a_right_one_that_leaves_out_what_libraries_take_needs_four(
        self, largest, slope, own, room
    ):
        _, answer = self.answers(largest, slope, own, room, 1.0)
        assert answer.largest == largest
        assert len(answer.probes) <= 4

    @given(
        largest=st.integers(1, 10**6),
        slope=st.integers(10**4, 10**8),
        fixed=st.integers(0, 10**9),
        room=st.integers(0, 10**6),
        share=st.sampled_from([0.0, 0.5, 0.9, 1.1, 2.0]),
    )
    @settings(max_examples=500)
    def test_a_wrong_one_costs_at_most_two_probes_more(self, largest, slope, fixed, room, share):
        without, answer = self.answers(largest, slope, fixed, room, share)
        assert answer.largest == without.largest == largest
        assert proves(answer, largest + room, repeats=True)
        assert len(answer.probes) <= max(6, len(without.probes)) + 2

    @given(
        increments=st.lists(st.integers(0, 30), min_size=1, max_size=300),
        forecast=st.lists(st.integers(0, 30), min_size=300, max_size=300),
        saved=st.lists(st.integers(0, 20), min_size=300, max_size=300),
        limit=st.integers(0, 4000),
    )
    def test_exact_on_any_monotone_curve_with_any_prediction(
        self, increments, forecast, saved, limit
    ):
        sizes = [sum(increments[: n + 1]) for n in range(len(increments))]
        foreseen = [sum(forecast[:n]) for n in range(301)]
        cap = len(sizes)
        answer, tried = self.search(
            lambda n: sizes[n - 1],
            limit,
            cap,
            lambda n: foreseen[n],
            lambda n: sizes[n - 1] - saved[n - 1],
        )
        largest = scan(lambda n: sizes[n - 1], limit, cap)
        assert answer.largest == largest
        assert largest == 0 or (largest, False) in tried
        assert largest == cap or {(largest + 1, False), (largest + 1, True)} & set(tried)
        assert len(tried) == len(set(tried)) == len(answer.probes)
        # A brief probe that misled is made again in full.
        assert len(tried) <= max(6, doubling_probes(largest)) + 2 + sum(b for _, b in tried)

    def test_neighbours_that_take_the_same_memory_do_not_tilt_the_line(self):
        """From 78 on memory is level, so slopes between neighbours say nothing about the limit."""
        answer, tried = self.search(
            lambda n: 100 + 5 * min(n, 78) if n <= 80 else 10**6,
            500,
            5000,
            lambda n: 5 * n + n // 20,
        )
        assert answer.largest == 80
        assert [size for size, _ in tried] == [19, 76, 79, 80, 81]

    def test_a_line_that_points_too_high_is_followed_down_in_growing_steps(self):
        """It points to 600, and what is above 597 fails."""
        answer, tried = self.search(
            lambda n: 10 * n if n <= 597 else 10**6, 6009, 5000, lambda n: 10 * n
        )
        assert answer.largest == 597
        assert [size for size, _ in tried] == [19, 582, 600, 599, 597, 598]

    def test_below_a_brief_answer_that_fails_in_full_the_next_one_is_certified_too(self):
        saved = {1: 8, 2: 19}
        answer, tried = self.search(
            lambda n: 17 * n,
            17,
            13,
            lambda n: 19 + 30 * max(0, n - 3),
            lambda n: 17 * n - saved.get(n, 0),
        )
        assert answer.largest == 1
        assert tried == [(1, True), (2, True), (3, False), (2, False), (1, False)]

    def test_only_what_is_not_the_answer_is_tried_briefly(self):
        answer, tried = self.search(lambda n: 500 + n, 1500, 5000, lambda n: n)
        assert answer.largest == 1000
        assert tried == [(19, True), (955, True), (1000, False), (1001, False)]

    def test_a_brief_answer_is_certified_in_full(self):
        answer, tried = self.search(lambda n: n, 19, 5000, lambda n: n // 20)
        assert answer.largest == 19
        assert tried[0] == (19, True)
        assert tried[-1] == (19, False)

    def test_the_first_size_is_one_that_is_predicted_to_fit_well(self):
        _, tried = self.search(lambda n: 100 * n, 500, 5000, lambda n: 100 * n)
        assert tried[0] == (2, True)
