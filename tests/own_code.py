"""Code as users write it, in folders of their own; what importing it leaves is undone."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from bench import own_code

GOOD = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))
"""


def write(folder: Path, **files: str) -> None:
    """Python files by their names without suffix; `__in__` stands for a slash."""
    for name, text in files.items():
        path = folder / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))


def install(folder: Path, package: str, group: str, **points: str) -> None:
    """What pip leaves of a package that offers these entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {place}" for name, place in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """Make `folder` the current one, with nothing of other folders imported, then or later."""
    here, paths, modules = Path.cwd(), list(sys.path), dict(sys.modules)
    os.chdir(folder)
    own_code.plugins.cache_clear()
    try:
        yield folder
    finally:
        os.chdir(here)
        sys.path[:] = paths
        for name in set(sys.modules) - set(modules):
            if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
                del sys.modules[name]
        own_code.plugins.cache_clear()
        own_code._load.cache_clear()
        own_code._theirs.clear()
        own_code._folders.clear()
