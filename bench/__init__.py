"""archbench: a list of models goes in; measured, comparable, explained numbers come out.

>>> from bench import Config, load_run, run
>>> run(Config(models=("resnet18",), preset="smoke")).epochs  # doctest: +SKIP

The largest batch alone, for your own training script:

>>> from bench import find_max_batch, predict_max_batch
>>> predict_max_batch("resnet18", card="t4", precision="fp16").max_batch  # doctest: +SKIP
>>> find_max_batch(my_module, image_size=64, memory_budget="1GiB").max_batch  # doctest: +SKIP
"""

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import resume, run
    from bench.batch_size.api import find_max_batch, predict_max_batch
    from bench.config import Config
    from bench.optuna_bridge import optuna_objective
    from bench.report.results import load_run

__all__ = [
    "Config",
    "find_max_batch",
    "load_run",
    "optuna_objective",
    "predict_max_batch",
    "resume",
    "run",
]

_HOMES = {
    "Config": "bench.config",
    "find_max_batch": "bench.batch_size.api",
    "load_run": "bench.report.results",
    "optuna_objective": "bench.optuna_bridge",
    "predict_max_batch": "bench.batch_size.api",
    "resume": "bench.api",
    "run": "bench.api",
}


_ROOT = Path(__file__).parents[1]


class _Models:
    """Finds the package `models` beside this one, whatever comes first on the path: where people
    train networks, there often is one of theirs."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(_ROOT)]) if name == "models" else None


sys.meta_path.insert(0, _Models())


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `--help` needs none of what they need.

    Raises:
        ImportError: this process has imported another package called `models`.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    other = getattr(sys.modules.get("models"), "__spec__", None)
    if other is not None and other.origin != str(_ROOT / "models" / "__init__.py"):
        raise ImportError(
            f"another `models` ({other.origin or 'a folder'}) was imported before archbench could "
            "import its own: run the command archbench, with --models FILE.py:NAME for your own."
        )
    return getattr(importlib.import_module(_HOMES[name]), name)
