"""Networks of the user's own, each examined by a worker before anything else happens.

A worker of its own for each: whatever its code does, it does to no other network.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import Refused, TimedOut, TrialFailed
from bench.own_code import Place
from bench.records.messages import ExamineJob, OwnModel, SimulateJob
from bench.runner.worker_process import Worker

EXAMINE_SECONDS = 120
"""A network that takes longer is refused: most likely its file does more than define it."""


def examine_models(
    places: Mapping[str, Place],
    log: Path,
    *,
    image_sizes: tuple[int | str, ...] = (),
    channels_last: bool = True,
    timeout: float | None = None,
) -> tuple[OwnModel, ...]:
    """The networks at these places by name, ready to be trained; a longer `timeout` in seconds than
    `EXAMINE_SECONDS` holds.

    Raises:
        Refused: one cannot be trained; the message says why, with the line in its file.
    """
    seconds = max(EXAMINE_SECONDS, timeout or 0)
    return tuple(
        _examined(ExamineJob(n, (p.where, p.name), image_sizes, channels_last), log, seconds)
        for n, p in places.items()
    )


def examine_each(places: Mapping[str, Place]) -> tuple[list[OwnModel], list[str]]:
    """The networks at these places that can be trained, and a sentence for each that cannot."""
    models: list[OwnModel] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="archbench-") as scratch:
        for name, place in places.items():
            try:
                models += examine_models({name: place}, Path(scratch) / "worker.log")
            except Refused as error:
                problems.append(f"{name}: {error}")
    return models, problems


def _examined(job: ExamineJob, log: Path, seconds: float) -> OwnModel:
    try:
        with Worker(job, log, timeout=seconds) as worker:
            own = worker.receive()
            worker.end()
    except TimedOut:
        raise Refused(
            f"{job.name} was not built and tried within {seconds:g} s: put training and downloads "
            'under `if __name__ == "__main__":`, or give a longer --trial-timeout.'
        ) from None
    except TrialFailed as error:
        raise Refused(f"{job.name} cannot be examined: {error}") from error
    if not isinstance(own, OwnModel):
        raise Refused(f"{job.name} ended its process without an error: look for os._exit.")
    return own


def one_at_a_time(job: SimulateJob) -> Sequence[SimulateJob]:
    """The same job in parts: networks of the user's own by themselves, all others together."""
    own = {model.facts.name: model for model in job.own}
    others = tuple(shape for shape in job.shapes if shape[0] not in own)
    parts = [replace(job, shapes=others, own=())] if others else []
    shapes = {name: tuple(shape for shape in job.shapes if shape[0] == name) for name in own}
    return [*parts, *(replace(job, shapes=shapes[n], own=(m,)) for n, m in own.items())]
