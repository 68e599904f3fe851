"""What a history needs of a run, read from its folder; the rest of its log is let go of."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.analysis.compare.pairwise import known
from bench.analysis.metrics import Metric
from bench.analysis.trial_group import TrialGroup, Values, trial_groups
from bench.errors import Refused
from bench.records.run import Run, load_run
from bench.records.run_folder import LOG

_CORES = ("cpu_cores", "cpu_threads", "cpu_affinity", "container_cpus")
_VERSIONS = ("python", "cuda", "cudnn", "driver", "governor")
_PACKAGES = ("torch", "torchvision", "timm")
_CHANGED = "+changes"


@dataclass(frozen=True)
class Measured:
    """The trials of one model under one setting in one run: what they are of (`TRAITS`), what they
    were measured with besides, each metric by seed, and by seed the speed of the fixed matrix
    product beside them (GFLOP/s)."""

    traits: tuple[str, ...]
    conditions: Mapping[str, str]
    values: Mapping[str, Values]
    machine: Values


@dataclass(frozen=True)
class PastRun:
    """One run: the name of its folder, when it started, the commit that it measured and that
    commit's date where they are known, what it ran on, and its groups."""

    name: str
    started_at: datetime
    commit: str | None
    committed_at: datetime | None
    conditions: Mapping[str, str]
    groups: tuple[Measured, ...]

    @property
    def clean(self) -> bool:
        """Whether the commit says all of the code that was measured."""
        return self.commit is not None and not self.commit.endswith(_CHANGED)


@dataclass(frozen=True)
class Unusable:
    """A run that is left out, and why, in a sentence."""

    name: str
    reason: str


def read_runs(
    paths: Sequence[Path], metrics: Sequence[Metric]
) -> tuple[list[PastRun], list[Unusable]]:
    """The runs in their order, and those that cannot be used.

    They are in the order of their commits' dates where all have one, else of their own.

    Args:
        paths: run folders, or folders full of them.
        metrics: what is read of each.

    Raises:
        Refused: a path is not there, or no run can be used.
    """
    runs: list[PastRun] = []
    unusable: list[Unusable] = []
    seen: dict[str, str] = {}
    for folder in _run_folders(paths):
        name = folder.resolve().name
        try:
            digest = _digest(folder)
            if digest in seen:
                raise Refused(f"it is a copy of {seen[digest]}.")
            runs.append(_past_run(load_run(folder), name, metrics))
            seen[digest] = name
        except Refused as error:
            # Where it lies on this machine is nobody else's business.
            reason = str(error).removeprefix(f"{folder}, ")
            if folder != Path():
                reason = reason.replace(str(folder), name)
            unusable.append(Unusable(name, reason))
    if not runs:
        reason = f": {unusable[0].name}: {unusable[0].reason}" if unusable else "."
        raise Refused(f"none of these runs can be used{reason}")
    dated = all(run.committed_at for run in runs)
    runs.sort(key=lambda run: ((dated and run.committed_at) or run.started_at, run.started_at))
    return runs, unusable


def _run_folders(paths: Sequence[Path]) -> list[Path]:
    """Every run folder that the paths name, once each."""
    found: dict[Path, Path] = {}
    for path in paths:
        try:
            if not path.is_dir():
                raise Refused(f"{path} is no folder; name run folders, or a folder full of them.")
            inside = sorted(child for child in path.iterdir() if _has_log(child))
        except OSError as error:
            raise Refused(f"{path} cannot be read: {error.strerror}.") from error
        # A path that is neither is a row with its reason.
        for folder in [path] if (path / LOG).is_file() or not inside else inside:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _has_log(folder: Path) -> bool:
    with contextlib.suppress(OSError):  # Python 3.14 raises none where nobody may read
        return (folder / LOG).is_file()
    return False


def _digest(folder: Path) -> str:
    """The hash of a folder's log; Refused if it cannot be read."""
    if not (folder / LOG).is_file():
        raise Refused("it is no run folder, and there is none in it.")
    try:
        with (folder / LOG).open("rb") as log:
            return hashlib.file_digest(log, "sha256").hexdigest()
    except OSError as error:
        raise Refused(f"its {LOG} cannot be read: {error.strerror}.") from error


def _past_run(run: Run, name: str, metrics: Sequence[Metric]) -> PastRun:
    run.check_begun()
    if not run.complete:
        raise Refused("it did not come to its end; `--resume` continues it.")
    groups = tuple(_measured(g, metrics) for g in trial_groups(run) if g.finished)
    if not groups:
        raise Refused("none of its trials is done.")
    found = run.started.environment
    # What was measured is the user's own code, if that has a repository of its own.
    own = "project_" if found.get("project_commit") else ""
    started_at = _date(run.started.started_at)
    if started_at is None:
        raise Refused("it does not say when it started.")
    return PastRun(
        name,
        started_at,
        _text(found.get(f"{own}commit")) or None,
        _date(found.get(f"{own}committed_at")),
        dict(_conditions(run)),
        groups,
    )


def _measured(group: TrialGroup, metrics: Sequence[Metric]) -> Measured:
    columns = ("batch_size", "epochs", "preset")
    return Measured(
        tuple(group.traits.values()),
        {name.replace("_", " "): ", ".join(group.texts(name)) for name in columns},
        {metric.name: group.values(metric.name) for metric in metrics if known(metric, group)},
        group.machine,
    )


def _conditions(run: Run) -> Iterator[tuple[str, str]]:
    """What a run's figures depend on besides the code: machine, versions, images."""
    found, device, data = run.started.environment, run.device, run.dataset
    yield "device", f"{device.name} ({device.kind})"
    yield "threads", _text(device.threads)
    yield "processor", _text(found.get("cpu"))
    yield "cores", " of ".join(filter(None, (_text(found.get(name)) for name in _CORES)))
    packages = found.get("packages")
    for name in _PACKAGES:
        yield name, _text(packages.get(name)) if isinstance(packages, dict) else ""
    for name in _VERSIONS:
        yield name, _text(found.get(name))
    yield "data", f"{data.name} ({data.train_images} + {data.test_images}, {data.sha256[:8]})"


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:100]


def _date(text: Any) -> datetime | None:
    try:
        date = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
