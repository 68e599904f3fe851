"""Where a run's own time goes: a harness that measures others measures itself."""

from time import perf_counter


class Stopwatch:
    """Seconds by phase. All time belongs to a phase: what passes until a `lap` is that lap's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._first = self._last = perf_counter()

    def passed(self) -> float:
        """Seconds since it was started."""
        return perf_counter() - self._first

    def lap(self, rest: str, **known: float) -> None:
        """Divide the time since the last lap: `known` seconds by phase, and what remains."""
        now = perf_counter()
        for phase, seconds in (known | {rest: now - self._last - sum(known.values())}).items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + max(0.0, seconds)
        self._last = now

    def skip(self) -> None:
        """Count the time since the last lap for no phase: other stopwatches do."""
        self._last = perf_counter()

    def add(self, other: "Stopwatch") -> None:
        """Add the phases of what went on at the same time."""
        for phase, seconds in other.seconds.items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds
