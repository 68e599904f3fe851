"""What all tests share: hypothesis without deadlines, for machines are noisy; one thread each; a
cache of their own.

Tests run in two processes at once, those of a file in one, so that what they share, which may take
seconds to make, is made once. Torch's threads spin while they wait for each other, so that two
processes with two threads each would take many times as long as with one.
"""

import gc
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator

import pytest
from hypothesis import settings

# Workers, and code of one's own, as most people have them: with buffers, and with kept bytecode.
os.environ.pop("PYTHONUNBUFFERED", None)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile("quiet", deadline=None)
settings.load_profile("quiet")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that at the end neither process waits for the other."""
    marks = ("slow", "thorough")
    slow = {item.path for item in items if any(map(item.get_closest_marker, marks))}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What was imported is no garbage: looking through it takes 0.2 s each time. Autograd starts
    its threads when it first runs: on fake tensors one for every card that there seems to be, and
    then no forked child can use it."""
    gc.freeze()
    if torch := sys.modules.get("torch"):
        torch.ones(1, requires_grad=True).sum().backward()


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    """See `pytest_pyfunc_call`: fixtures start workers, too."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call() -> None:
    """One environment for all tests: pytest names the test in it, and a warm template of workers
    serves one environment, so that every test would import torch once more."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without locks."""

    def acquire(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.BaseFileLock.acquire", acquire)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither read nor write what this user keeps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("ARCHBENCH_DATA", raising=False)
        patch.delenv("ARCHBENCH_CACHE_SIZE", raising=False)
        yield
