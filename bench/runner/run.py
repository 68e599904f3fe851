"""The main job: options in, a run folder out.

Everything that can be refused is refused before the folder exists. Then every model is described
and fitted, and every trial trained, each in a process of its own; one that fails costs itself
alone.
"""

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.analysis.claims.reader import keep_claims, read_claims
from bench.config import Config
from bench.errors import BenchError, Interrupted, Refused
from bench.records.messages import (
    Prepared,
    PrepareJob,
    Progress,
)
from bench.records.run import Run, load_run
from bench.records.run_folder import RunFolder, check_output, new_folder
from bench.runner.plan import Plan, make_plan
from bench.runner.session import CPU_LIMIT_HOLDS, Listener, Session
from bench.runner.worker_process import Worker
from models import REGISTRY
from models.zoo import is_zoo


def run(config: Config, listener: Listener = lambda message: None) -> Run:
    """Run a comparison and return its results, which are in its folder too.

    Raises:
        Refused: the input cannot work; nothing was trained.
        Interrupted: a signal; what was measured until then is in the run folder.
        BenchError: the run folder cannot be written to any more.
    """
    refuse_early(config)
    with _scratch() as scratch:
        prepared = _prepare(config, scratch, listener)
        plan = make_plan(config, prepared.models, prepared.dataset)
        folder = RunFolder(_output(config))
        session = Session(config, prepared, scratch, listener, folder, Run(folder.path))
        return _walk(session, plan, session.start)


def resume(
    path: Path, listener: Listener = lambda message: None, given: dict[str, Any] | None = None
) -> Run:
    """Go on with a run that was interrupted, where its log and its checkpoints end.

    Args:
        path: the run folder.
        listener: as for `run`.
        given: options that must be as they were, such as those of a command line.

    Raises:
        Refused: it cannot go on: another option, other images, another device, or it is in use.
        Interrupted: a signal; it can be resumed again.
        BenchError: the run folder cannot be written to any more.
    """
    given = given or {}
    claims = given.get("claims")
    if claims is not None:
        read_claims(Path(claims))
    folder = RunFolder(path, resume=True)
    try:
        before = load_run(path)
        check_same_options(before.started.config, given)
        anew = ("trial_timeout", "rerun_noisy")
        kept = {name: given[name] for name in anew if name in given}
        config = _config_of(path, before.started.config | kept | {"output": str(path)})
        for record in (before.dataset, before.device):
            listener(record)
        with _scratch() as scratch:
            prepared = _prepare(config, scratch, listener)
            check_same_place(before, prepared)
            if claims is not None:
                keep_claims(Path(claims), path)
            plan = make_plan(config, prepared.models, prepared.dataset)
            session = Session(config, prepared, scratch, listener, folder, before)
            return _walk(session, plan, session.catch_up)
    finally:
        folder.close()


def _config_of(path: Path, options: dict[str, Any]) -> Config:
    try:
        return Config(**options)
    except (TypeError, ValueError) as error:
        raise Refused(
            f"--resume {path}: its options are not those of this archbench ({error})."
        ) from error


def _walk(session: "Session", plan: Plan, start: Callable[[], None]) -> Run:
    """Everything that is left to do; raises Refused if no trial could begin."""
    where = session.folder.path
    with session.interrupts.installed():
        try:
            start()
            session.search_all(plan)
            session.predict_all()
            session.train_all(plan)
            session.repeat_noisy(plan)
            session.end()
        except KeyboardInterrupt:
            with suppress(BenchError):
                session.end()
            raise Interrupted(
                f"interrupted; what was measured is in {where}: `python run_bench.py --resume "
                f"{where}` goes on, `python -m bench report {where}` makes its report.",
                session.interrupts.number or signal.SIGINT,
            ) from None
        except BaseException:
            with suppress(BenchError):
                session.end()
            raise
        finally:
            session.folder.close()
    refused = [
        t.ended.reason or "" for t in session.run.trials if t.ended and t.status == "refused"
    ]
    if len(refused) == len(session.run.trials):
        raise Refused(" ".join(dict.fromkeys(refused)))
    return session.run


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="archbench-") as folder:
        yield Path(folder)


HARMLESS = ("output", "resume", "trial_timeout", "claims", "rerun_noisy")
"""Options that may be given anew when a run goes on: they change no result, but for noise."""


def check_same_options(before: dict[str, Any], given: dict[str, Any]) -> None:
    """Raises Refused if an option differs from what a run was started with."""
    for name, value in given.items():
        was = before.get(name)
        if name not in HARMLESS and _plain(value) != _plain(was):
            flag = f"--{name.replace('_', '-')}"
            raise Refused(
                f"{flag} was {_shown(was)} in that run and is {_shown(value)} now: leave it out "
                "to go on with the run, or start a new one."
            )


def check_same_place(before: Run, now: Prepared) -> None:
    """Raises Refused if images or device are not what a run was started with."""
    if now.dataset.sha256 != before.dataset.sha256:
        raise Refused(
            f"--resume {before.path}: the images of {before.dataset.name} are not those that the "
            "run was started with; restore them, or start a new run."
        )
    for what, then, here in (
        ("device", before.device.kind, now.device.kind),
        ("device", before.device.name, now.device.name),
        ("number of threads", before.device.threads, now.device.threads),
    ):
        if then != here:
            raise Refused(
                f"--resume {before.path}: its {what} was {then} and is {here} here, so that "
                "figures would not compare; go on where it began, or start a new run."
            )


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def refuse_early(config: Config) -> None:
    """Find what can be found without torch: unknown names, sizes too small, an unusable folder."""
    check_output(_output(config))
    if config.claims is not None:
        read_claims(config.claims)
    if config.memory_budget is not None and config.device == "cpu" and not CPU_LIMIT_HOLDS:
        raise Refused("--memory-budget on the CPU needs Linux; leave it out.")
    for pattern in config.models:
        if is_zoo(pattern):
            continue
        for name in REGISTRY.match(pattern):
            for size in config.image_size:
                REGISTRY.get(name).facts.pixels(size)


def _output(config: Config) -> Path:
    return new_folder(config.preset) if config.output is None else config.output


def _prepare(config: Config, scratch: Path, listener: Listener) -> Prepared:
    job = PrepareJob(
        models=config.models,
        device=config.device,
        precisions=config.precision,
        dataset=config.dataset,
        data_dir=None if config.data_dir is None else str(config.data_dir),
        train_limit=None if config.train_limit == "all" else config.train_limit,
        test_limit=None if config.test_limit == "all" else config.test_limit,
        image_sizes=config.image_size,
        data_folder=str(scratch),
    )
    listener(Progress("preparing data", 0, 1))
    with Worker(job, scratch / "worker.log") as worker:
        for message in worker.messages():
            if isinstance(message, Prepared):
                return message
            listener(message)
    raise BenchError("the data could not be prepared.")
