"""A few steps of a trial, timed by a worker as the trial will have."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

from bench.errors import WorkerDied
from bench.records.messages import TrainJob
from bench.records.records import Calibrated, StepsTimed
from bench.runner.worker_handle import Start
from bench.runner.worker_process import Worker


def rehearse(
    job: TrainJob,
    log: Path,
    *,
    limited: bool,
    timeout: float | None,
    start: Start | None = None,
) -> StepsTimed:
    """Seconds of a few steps, and of starting the worker and calibrating it.

    Raises:
        TrialFailed, Refused: the trial itself would fail in the same way.
    """
    checkpoint = Path(job.checkpoint).with_suffix(".rehearsal")
    job = replace(job, checkpoint=str(checkpoint), rehearsal=True, calibrated=None)
    began, calibration, timed = perf_counter(), 0.0, None
    try:
        with (start or Worker)(job, log, limited=limited, timeout=timeout) as worker:
            for message in worker.messages():
                if isinstance(message, Calibrated):
                    calibration = sum(message.seconds)
                elif isinstance(message, StepsTimed):
                    timed = message
                worker.answer()
    finally:
        checkpoint.unlink(missing_ok=True)
    if timed is None:
        raise WorkerDied("its worker ended before it had timed a step.")
    # It is calibrated at both ends; of trials, one shares that with the next.
    rest = perf_counter() - began - 2 * calibration - timed.seconds
    return replace(timed, start_seconds=rest, calibration_seconds=calibration)
