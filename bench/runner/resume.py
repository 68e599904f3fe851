"""Resuming a run that was interrupted."""

import json
from pathlib import Path
from typing import Any

from bench.analysis.claims.reader import keep_claims, read_claims
from bench.analysis.tables import RunTables
from bench.config import Config, current, logged_options
from bench.errors import Refused
from bench.options import flag_of, shown
from bench.records.messages import Prepared
from bench.records.run import read_run
from bench.records.run_folder import RunFolder
from bench.runner.plan import make_plan
from bench.runner.recorder import Listener
from bench.runner.run import carry_out, cluster_of, declaration, prepare
from bench.runner.scratch import scratch_folder
from bench.runner.session import Session
from bench.runner.stopwatch import Stopwatch

CHANGEABLE = (
    *("trial_timeout", "rerun_noisy", "time_limit"),
    *("devices", "ray_address", "node_timeout"),
)
"""Options that a resumed run takes anew: they affect no result except noise."""

HARMLESS = ("output", "resume", "claims", *CHANGEABLE)
"""Options that may change when a run is resumed: they affect no result except noise."""


def resume(
    path: Path, listener: Listener = lambda message: None, given: dict[str, Any] | None = None
) -> RunTables:
    """Resume an interrupted run from where its log and its checkpoints end; options that are
    `given`, such as those of a command line, must not have changed.

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
        before = read_run(RunTables(path))
        check_same_options(before.started.config, given)
        changed = {k: given[k] for k in CHANGEABLE if k in given}
        try:
            logged = logged_options(before.started.config)
            config = Config(**logged | changed | {"output": str(path)})
        except (TypeError, ValueError) as error:
            raise Refused(
                f"--resume {path}: its options are not those of this archbench ({error})."
            ) from error
        for record in (before.dataset, before.device):
            listener(record)
        stopwatch = Stopwatch()
        with scratch_folder() as scratch, cluster_of(config) as cluster:
            prepared = prepare(with_same_data(config, before), scratch, listener, cluster)
            check_same_place(before, prepared)
            if claims is not None:
                keep_claims(Path(claims), path)
            tuning = before.tuning_declared or declaration(config, prepared)
            plan = make_plan(config, prepared.models, prepared.dataset, tuning)
            stopwatch.lap("data")
            how = (config, prepared, scratch, listener, folder, before, stopwatch)
            session = Session(*how, tuning, cluster)
            return carry_out(session, plan, session.catch_up)
    finally:
        folder.close()


def with_same_data(config: Config, before: RunTables) -> Config:
    """The options with the data set that `auto` chose then: CIFAR-10 may have arrived since."""
    facts = before.dataset
    chosen = facts.name if facts.asked == "auto" and facts.name != "folder" else config.dataset
    return Config(**config.to_dict() | {"dataset": chosen})


def check_same_options(before: dict[str, Any], given: dict[str, Any]) -> None:
    """Raises Refused if an option differs from what a run was started with."""
    # As in a log, where sequences are lists and paths are text.
    both = json.loads(json.dumps([logged_options(before), current(given)], default=str))
    for name, value in both[1].items():
        was = both[0].get(name)
        if name not in HARMLESS and value != was:
            raise Refused(
                f"{flag_of(name)} was {shown(was)} in that run and is {shown(value)} now: leave it "
                "out to resume the run, or start a new one."
            )


def check_same_place(before: RunTables, now: Prepared) -> None:
    """Raises Refused if images, device or the files of networks are not what a run was started
    with."""
    for model in now.models:
        facts = before.facts.get(model.name)
        if facts is not None and facts.source_sha256 != model.source_sha256:
            raise Refused(
                f"--resume {before.path}: the file of {model.name} is not the one that the run was "
                "started with; restore it, or start a new run."
            )
    if now.dataset.resident != before.dataset.resident:
        change = "were kept in memory and no longer fit in what is free: free some of it"
        if now.dataset.resident:
            change = "were streamed from disk and now fit in memory: resume it where less is free"
        raise Refused(
            f"--resume {before.path}: the images of {before.dataset.name} {change}, or start a new "
            "run."
        )
    known, whole = before.tuning_declared, now.whole
    other = known is not None and whole is not None and known.retrained_on.sha256 != whole.sha256
    if other or now.dataset.sha256 != before.dataset.sha256:
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
