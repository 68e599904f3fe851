"""Resuming a run that was interrupted."""

from pathlib import Path
from typing import Any

from bench.analysis.claims.reader import keep_claims, read_claims
from bench.config import Config, current_names
from bench.errors import Refused
from bench.records.messages import Prepared
from bench.records.run import Run, load_run
from bench.records.run_folder import RunFolder
from bench.runner.plan import make_plan
from bench.runner.run import carry_out, prepare, scratch_folder
from bench.runner.session import Listener, Session

HARMLESS = ("output", "resume", "trial_timeout", "claims", "rerun_noisy")
"""Options that may change when a run is resumed: they affect no result except noise."""


def resume(
    path: Path, listener: Listener = lambda message: None, given: dict[str, Any] | None = None
) -> Run:
    """Resume an interrupted run from where its log and its checkpoints end.

    Args:
        path: the run folder.
        listener: as for `run`.
        given: options that must not have changed, such as those of a command line.

    Raises:
        Refused: an option, the images or the device changed, or the run is in use.
        Interrupted: a signal arrived; the run can be resumed again.
        BenchError: the run folder can no longer be written to.
    """
    given = given or {}
    claims = given.get("claims")
    if claims is not None:
        read_claims(Path(claims))
    folder = RunFolder(path, resume=True)
    try:
        before = load_run(path)
        check_same_options(before.started.config, given)
        changed = {k: given[k] for k in ("trial_timeout", "rerun_noisy") if k in given}
        config = _config_of(path, before.started.config | changed | {"output": str(path)})
        for record in (before.dataset, before.device):
            listener(record)
        with scratch_folder() as scratch:
            prepared = prepare(config, scratch, listener)
            check_same_place(before, prepared)
            if claims is not None:
                keep_claims(Path(claims), path)
            plan = make_plan(config, prepared.models, prepared.dataset)
            session = Session(config, prepared, scratch, listener, folder, before)
            return carry_out(session, plan, session.catch_up)
    finally:
        folder.close()


def _config_of(path: Path, options: dict[str, Any]) -> Config:
    try:
        return Config(**options)
    except (TypeError, ValueError) as error:
        raise Refused(
            f"--resume {path}: its options are not those of this archbench ({error})."
        ) from error


def check_same_options(before: dict[str, Any], given: dict[str, Any]) -> None:
    """Raises Refused if an option differs from what a run was started with."""
    before = current_names(before)
    for name, value in given.items():
        was = before.get(name)
        if name not in HARMLESS and _plain(value) != _plain(was):
            flag = f"--{name.replace('_', '-')}"
            raise Refused(
                f"{flag} was {_shown(was)} in that run and is {_shown(value)} now: leave it out "
                "to resume the run, or start a new one."
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
                "figures would not be comparable; resume it where it began, or start a new run."
            )


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
