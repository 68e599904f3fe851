"""The main job: options in, a run folder out.

Everything that can be refused is refused before the folder exists. Then every model is described,
its largest batch is searched for, and every trial is trained, each in a process of its own; a
failed trial does not stop the others.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path

from bench.analysis.claims.reader import read_claims
from bench.analysis.tables import RunTables
from bench.analysis.tuning import declare
from bench.config import Config, has_cuda_card, settings_of
from bench.data.published import PUBLISHED
from bench.errors import BenchError, Interrupted, Refused
from bench.prediction.cards import find_card
from bench.records.messages import Prepared, PrepareJob, Progress
from bench.records.records import TuningDeclared
from bench.records.run_folder import RunFolder, check_output, new_folder
from bench.runner.cluster import Cluster, open_cluster
from bench.runner.own_models import examine_models
from bench.runner.plan import Plan, check_image_sizes, check_recipes, check_trials, make_plan
from bench.runner.recorder import Listener
from bench.runner.scratch import scratch_folder
from bench.runner.session import CPU_LIMIT_HOLDS, Session, exit_code
from bench.runner.stopwatch import Stopwatch
from bench.runner.worker_process import Worker, expect_workers
from bench.settings import space_of
from models import REGISTRY
from models.own import named


def run(
    config: Config,
    listener: Listener = lambda message: None,
    planner: Callable[..., Plan] = make_plan,
) -> RunTables:
    """Run a comparison and return its results, which are in its folder too. A dry run has all but
    trials, and no folder. `planner` takes what `make_plan` takes.

    Raises:
        Refused: the input cannot work; nothing was trained.
        Interrupted: a signal arrived; what was measured until then is in the run folder.
        BenchError: the run folder can no longer be written to.
    """
    refuse_early(config)
    stopwatch = Stopwatch()
    on_cpu = config.device == "cpu" or (config.device == "auto" and not has_cuda_card())
    if on_cpu and config.max_batch and CPU_LIMIT_HOLDS:
        expect_workers(limited=True)
    with scratch_folder() as scratch, cluster_of(config) as cluster:
        prepared = prepare(config, scratch, listener, cluster)
        tuning = declaration(config, prepared)
        plan = planner(config, prepared.models, prepared.dataset, tuning)
        stopwatch.lap("data")
        folder = RunFolder(scratch / "dry-run" if config.dry_run else _output(config))
        run = RunTables(folder.path)
        how = (config, prepared, scratch, listener, folder, run, stopwatch)
        session = Session(*how, tuning, cluster)
        return carry_out(session, plan, session.start)


def declaration(config: Config, prepared: Prepared) -> TuningDeclared | None:
    """What a run tunes, if it does."""
    if config.tune is None or prepared.whole is None:
        return None
    settings = [s for facts in prepared.models for s in settings_of(facts, config)]
    return declare(config.tune, dict.fromkeys(map(space_of, settings)), prepared.whole)


def carry_out(session: Session, plan: Plan, start: Callable[[], None]) -> RunTables:
    """Do everything in a plan that is left to do; raises Refused if no trial could begin."""
    with under_way(session):
        start()
        session.refuse_hopeless(plan)
        session.search_all(plan)
        session.predict_all()
        session.predict_time(plan)
        if not session.config.dry_run:
            session.train_all(plan)
            session.repeat_noisy(plan)
    trials = session.run.trials
    refused = [t.ended.reason or "" for t in trials if t.ended and t.status == "refused"]
    if trials and len(refused) == len(trials):
        raise Refused(" ".join(dict.fromkeys(refused)))
    return session.run


@contextmanager
def under_way(session: Session) -> Iterator[None]:
    """A part of a run, which ends with its last record however it ends; a signal asks the worker
    first, and raises Interrupted."""
    where = session.folder.path
    with session.interrupts.installed():
        try:
            yield
            session.end(exit_code(session.run))
        except BaseException as error:
            message = (
                f"interrupted; what was measured is in {where}: `python -m bench run --resume "
                f"{where}` resumes it, `python -m bench report {where}` makes its report."
            )
            reason: BaseException = error
            if isinstance(error, KeyboardInterrupt):
                reason = Interrupted(
                    "interrupted." if session.config.dry_run else message,
                    session.interrupts.number or signal.SIGINT,
                )
            # After any other error, the run has not ended, nor by a refusal once trials have begun:
            # it can go on.
            code = reason.exit_code if isinstance(reason, Interrupted | Refused) else None
            if isinstance(reason, Refused) and any(t.stays for t in session.run.trials):
                code = None
            with suppress(BenchError):
                session.end(code)
            if reason is error:
                raise
            raise reason from None
        finally:
            session.folder.close()


def refuse_early(config: Config) -> None:
    """Refuse what can be refused without torch: unknown names, unusable sizes, too many trials, a
    folder that cannot be written to."""
    check_output(_output(config))
    if config.claims is not None:
        read_claims(config.claims)
    if config.data_dir is not None:
        _check_data_dir(config.dataset, config.data_dir)
    if config.memory_budget is not None and config.device == "cpu" and not CPU_LIMIT_HOLDS:
        raise Refused("--memory-budget on the CPU needs Linux; leave it out.")
    for card in config.card or ():
        find_card(card)
    check_image_sizes(config.image_size, config.memory_budget_bytes)
    names, own = named(config.models)
    if own and "yes" in config.pretrained:
        raise Refused(f"{next(iter(own))} has no published weights: leave out --pretrained.")
    check_trials(config, len(names))
    check_recipes(config.recipe, names)
    known = [name for name in names if name in REGISTRY]
    for name, size in product(known, config.image_size):
        REGISTRY.get(name).facts.pixels(size)
        if "yes" in config.pretrained:
            REGISTRY.get(name).facts.check_pretrained()


def _check_data_dir(dataset: str, folder: Path) -> None:
    """Raises Refused if images in a folder would not be what is trained on."""
    if dataset == "shapes10":
        raise Refused("--data-dir: shapes10 is generated, and read from no folder; leave it out.")
    train, cifar10 = folder / "train", set(PUBLISHED["cifar10"].classes)
    if dataset == "auto" and train.is_dir() and not cifar10 <= {p.name for p in train.iterdir()}:
        raise Refused(f"--data-dir {folder} has images of its own: add --dataset folder.")


def _output(config: Config) -> Path:
    return new_folder(config.preset) if config.output is None else config.output


@contextmanager
def cluster_of(config: Config) -> Iterator[Cluster | None]:
    """The cluster that a run is to use; None if this machine alone."""
    if config.ray_address is None:
        yield None
    else:
        address, timeout = config.ray_address, config.node_timeout
        nodes, cards = max(config.nnodes), max(config.nproc_per_node)
        with open_cluster(
            address, device=config.device, timeout=timeout, nodes=nodes, cards=cards
        ) as cluster:
            if nodes > 1:
                cluster.check_shared(_output(config))
            yield cluster


def prepare(
    config: Config, scratch: Path, listener: Listener, cluster: Cluster | None = None
) -> Prepared:
    """Have a worker look up models and device, and write the images into the scratch folder; in a
    cluster, one on every node."""
    names, places = named(config.models)
    if places:
        listener(Progress(f"examining {', '.join(places)}", 0, 1))
    own = examine_models(
        places,
        scratch / "worker.log",
        image_sizes=config.image_size,
        channels_last="yes" in config.channels_last,
        timeout=config.trial_timeout,
    )
    job = PrepareJob(
        models=names,
        device=config.device,
        precisions=config.precision,
        dataset=config.dataset,
        data_dir=None if config.data_dir is None else str(config.data_dir),
        train_limit=None if config.train_limit == "all" else config.train_limit,
        test_limit=None if config.test_limit == "all" else config.test_limit,
        image_sizes=config.image_size,
        data_folder=str(scratch),
        own=own,
        validation=config.validation or 0,
        whole=config.tune is not None,
        devices=config.devices,
        share_node=config.share_node,
        nproc_per_node=max(config.nproc_per_node),
        sync_batch_norm="yes" in config.sync_batch_norm,
    )
    listener(Progress("preparing data", 0, 1))
    if cluster is not None:
        return cluster.prepare(job, scratch)
    with Worker(job, scratch / "worker.log") as worker:
        for message in worker.messages():
            if isinstance(message, Prepared):
                return message
            listener(message)
    raise BenchError("the data could not be prepared.")
