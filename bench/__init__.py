"""archbench: a list of models goes in; measured, comparable, explained numbers come out.

>>> from bench import Config, load_run, run
>>> run(Config(models=("resnet18",), preset="smoke")).epochs  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.config import Config
    from bench.results import load_run
    from bench.runner import resume, run

__all__ = ["Config", "load_run", "resume", "run"]

_HOMES = {
    "Config": "bench.config",
    "load_run": "bench.results",
    "resume": "bench.runner",
    "run": "bench.runner",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: `--help` needs none of what they
    need."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
