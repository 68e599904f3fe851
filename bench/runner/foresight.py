"""How long trials take on the processor here, before anything is searched for or timed: from
simulated steps, and from what the processor computes and moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench.errors import TimedOut, TrialFailed
from bench.prediction.cards import Peaks
from bench.prediction.cpu import cpu_step_seconds
from bench.records.kernel_trace import KernelTrace
from bench.records.messages import Abilities, AbilitiesJob, Job, Prepared, SimulateJob
from bench.records.records import StepsTimed, Trial
from bench.runner.own_models import one_at_a_time
from bench.runner.plan import Shape
from bench.runner.worker_process import Worker

START_SECONDS = 2.0
"""An allowance for starting the process of a trial."""

FORWARD = 1 / 3
"""The share of the forward pass in a step: backward has two products for each of its own."""


@dataclass(frozen=True)
class Foresight:
    """What the processor does at most, and the kernels of the shapes that could be simulated."""

    peaks: Peaks
    kernels: dict[Shape, KernelTrace]

    def steps(self, trial: Trial) -> StepsTimed | None:
        """The steps of a trial, as if they had been timed; None if there is no figure."""
        trace, size = self.kernels.get(trial.shape), trial.batch_size or 0
        model, setting = trial.shape
        # How long processes that train together wait for each other is not known.
        if trace is None or size < 1 or setting.ranks > 1:
            return None
        seconds = cpu_step_seconds(trace, setting=setting, batch_size=size, peaks=self.peaks)
        if seconds is None:
            return None
        return StepsTimed(
            model=model,
            setting=setting,
            batch_size=size,
            first_step_seconds=seconds,
            step_seconds=(seconds,),
            first_evaluation_seconds=0.0,
            evaluation_seconds=FORWARD * seconds / size,
            checkpoint_seconds=0.0,
            inspection_seconds=0.0,
            peak_memory_bytes=None,
            seconds=0.0,
            start_seconds=START_SECONDS,
        )


def foresee(shapes: Sequence[Shape], prepared: Prepared, log: Path, *, within: float) -> Foresight:
    """Time the matrix product and a copy, and simulate a step of each shape.

    Raises:
        TrialFailed: the processor could not be timed, trials share it, or all of it takes longer
            than `within` seconds.
        Refused: a model cannot be built.
    """
    if len(prepared.slots) > 1:
        raise TrialFailed("trials that run side by side share the processor.")
    end, kernels = perf_counter() + within, dict[Shape, KernelTrace]()
    classes, fast = len(prepared.dataset.classes), None
    timing = AbilitiesJob(prepared.device.device, timed=True)
    simulation = SimulateJob(tuple(shapes), classes, prepared.dataset, prepared.own, "cpu")
    jobs: tuple[Job, ...] = (timing, *one_at_a_time(simulation))
    try:
        for job in jobs:
            with Worker(job, log, timeout=max(0.1, end - perf_counter())) as worker:
                for found in worker.messages():
                    if isinstance(found, Abilities):
                        fast = found
                    elif found.kernels is not None:
                        kernels[found.model, found.setting] = found.kernels
    except TimedOut:
        raise TrialFailed(f"simulating its steps takes longer than {within:.0f} s.") from None
    if fast is None or fast.flops is None or fast.bandwidth is None:
        raise TrialFailed("the processor could not be timed.")
    return Foresight(Peaks(fast.flops, fast.bandwidth), kernels)
