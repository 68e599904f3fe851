"""Blocks of trials, spread over slots: a slot trains one trial at a time, on a device of its own.

A block is one seed of every model and setting, or one point of every contestant. What is compared
in pairs is therefore trained on one device, and interleaved there.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from bench.records.records import Trial
from bench.runner.trial_runner import TrialRunner

Blocks = Mapping[int, Sequence[Trial]]
"""The trials of each seed or point."""


class Waiting:
    """Blocks that wait for a slot; threads may share it.

    Args:
        blocks: all of them, in their order.
        has_time: whether there is time for a block that is not the first.
        cut: called with the blocks that there is no time for.
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
        self._lock = threading.Lock()
        self._first = True

    def take(self) -> Sequence[Trial]:
        """The next block; none if nothing waits, or there is no time."""
        with self._lock:
            number = next(iter(self._blocks), None)
            if number is None:
                return ()
            if not self._first and not self._has_time(self._blocks[number]):
                left, self._blocks = self._blocks, {}
                self._cut(left)
                return ()
            self._first = False
            return self._blocks.pop(number)


def spread(
    waiting: Waiting, runners: Sequence[TrialRunner], attempt: Callable[[Trial, TrialRunner], None]
) -> None:
    """Attempt every block that waits, as many at a time as there are runners.

    Raises:
        KeyboardInterrupt: a runner was stopped.
        BenchError: the run cannot go on; the other runners were stopped.
    """

    def work(runner: TrialRunner) -> None:
        while trials := waiting.take():
            for trial in trials:
                attempt(trial, runner)

    if len(runners) == 1:
        work(runners[0])
        return
    with ThreadPoolExecutor(len(runners)) as pool:
        futures = [pool.submit(work, runner) for runner in runners]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                for runner in runners:
                    runner.stop()
            wait(futures)
        except KeyboardInterrupt:
            for runner in runners:
                runner.end()
            raise
    errors = [error for future in futures if (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, KeyboardInterrupt)):
        raise error
