"""Blocks of trials, spread over slots: a slot trains one trial at a time, on a device of its own.

A block is one seed of every model and setting, or one point of every contestant. What is compared
in pairs is therefore trained on one device, and interleaved there.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from bench.errors import NodeLost
from bench.records.records import Trial
from bench.runner.trial_runner import TrialRunner

Blocks = Mapping[int, Sequence[Trial]]
"""The trials of each seed or point."""

TURN_SECONDS = 0.5
"""How long the main thread waits in one go: on Windows, no signal ends a wait before its time."""


class Waiting:
    """Blocks that wait for a slot; threads may share it.

    Args:
        blocks: all of them, in their order.
        has_time: whether there is time for a block that is not the first.
        cut: called with all blocks so far that there is no time for.
    """

    def __init__(
        self,
        blocks: Blocks,
        has_time: Callable[[Sequence[Trial]], bool],
        cut: Callable[[Blocks], None],
    ) -> None:
        self._blocks = dict(blocks)
        self._has_time = has_time
        self._cut = cut
        self._without: dict[int, Sequence[Trial]] = {}
        self._changed = threading.Condition()
        self._first = True
        self._busy = 0

    def take(self) -> tuple[int, Sequence[Trial]] | None:
        """The next block, with its number; None if there is none, or no time for it. While others
        are trained, which may come back, this waits."""
        with self._changed:
            while True:
                while not self._blocks and self._busy:
                    self._changed.wait()
                number = next(iter(self._blocks), None)
                if number is None:
                    return None
                if self._first or self._has_time(self._blocks[number]):
                    break
                self._without |= self._blocks
                self._blocks = {}
                self._cut(dict(sorted(self._without.items())))
            self._first = False
            self._busy += 1
            return number, self._blocks.pop(number)

    def done(self, number: int, left: Sequence[Trial] = ()) -> None:
        """A block is no longer in a slot; what is left of it waits again, before all others."""
        with self._changed:
            self._busy -= 1
            if left:
                self._blocks = {number: left, **self._blocks}
            self._changed.notify_all()

    @property
    def left(self) -> int:
        """How many blocks wait."""
        return len(self._blocks)


def spread(
    waiting: Waiting,
    runners: Sequence[TrialRunner],
    attempt: Callable[[Trial, TrialRunner], None],
    lost: Callable[[Sequence[Trial], NodeLost], None],
) -> None:
    """Attempt every block that waits, as many at a time as there are runners. If a runner's node is
    `lost`, the others go on with what is left of its block.

    Raises:
        KeyboardInterrupt: a runner was stopped.
        NodeLost: no runner is left.
        BenchError: the run cannot go on; the other runners were stopped.
    """

    def work(runner: TrialRunner) -> None:
        while (taken := waiting.take()) is not None:
            number, left = taken
            try:
                while left:
                    attempt(left[0], runner)
                    left = left[1:]
            except NodeLost as error:
                runner.lost = True
                try:
                    lost(left, error)
                finally:
                    waiting.done(number, left)
                return
            except BaseException:
                waiting.done(number)
                raise
            waiting.done(number)

    if len(runners) < 2:
        for runner in runners:
            work(runner)
        _check_all_taken(waiting)
        return
    with ThreadPoolExecutor(len(runners)) as pool:
        futures = [pool.submit(work, runner) for runner in runners]
        try:
            left = set(futures)
            while left:
                ended, left = wait(left, TURN_SECONDS, FIRST_EXCEPTION)
                if left and any(future.exception() for future in ended):
                    for runner in runners:
                        runner.stop()
        except KeyboardInterrupt:
            for runner in runners:
                runner.end()
            raise
    errors = [error for future in futures if (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, KeyboardInterrupt)):
        raise error
    _check_all_taken(waiting)


def _check_all_taken(waiting: Waiting) -> None:
    if waiting.left:
        raise NodeLost(
            "no node is left to train on; what was measured is kept, and --resume goes on with it."
        )
