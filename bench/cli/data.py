"""The verb `data`: fetch a data set ahead, see what is kept on disk, or remove it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from bench.cli.parsing import parse
from bench.errors import Refused
from bench.options import Folder, one_of, options_of


@dataclass(frozen=True)
class DataOptions:
    """Fetch a data set ahead of time; without one, show where data are looked for and what is kept.

    Data are looked for in the folder that the environment variable ARCHBENCH_DATA names, such as a
    classroom's, and in the user's own, where downloads go.
    """

    dataset: Positional[Annotated[str, one_of(("cifar10", "cifar100"))] | None] = None
    """The data set to fetch."""

    to: Folder | None = None
    """The folder for the archive, also if another folder has the data set."""

    empty_cache: bool = False
    """Remove all prepared images; downloads stay."""


def main(arguments: Sequence[str], prog: str) -> int:
    """Do what the options say, and print where things are."""
    options = parse(DataOptions, arguments, prog)
    for name, option in options_of(DataOptions).items():
        option.checked(getattr(options, name))
    if options.to is not None and options.dataset is None:
        raise Refused("--to needs a data set: name cifar10 or cifar100.")
    from bench.data.cache import open_cache

    if options.empty_cache:
        open_cache().empty()
    if options.dataset is not None:
        _fetch(options)
    else:
        _show()
    return 0


def _fetch(options: DataOptions) -> None:
    from bench.cli.console import Reporter, open_console, print_path
    from bench.data.cifar import download_folder, fetch_archive, locate

    assert options.dataset is not None
    reporter = Reporter(open_console())
    try:
        found = None if options.to else locate(options.dataset, None)
        path = found or fetch_archive(
            options.dataset, options.to or download_folder(), reporter.show
        )
    finally:
        reporter.close()
    print_path(reporter.console, options.dataset, path)


def _show() -> None:
    from bench.cli.console import open_console, print_path
    from bench.data.cache import open_cache
    from bench.data.cifar import locate, places
    from bench.data.published import PUBLISHED
    from bench.units import size_text

    console, cache = open_console(), open_cache()
    for name in PUBLISHED:
        print_path(console, name, locate(name, None) or "not on disk")
    for place in places(None):
        print_path(console, "looked for in", place)
    print_path(console, "prepared images", cache.folder)
    entries, size = len(cache.entries()), size_text(cache.size_bytes())
    console.print(f"{entries} data sets, {size} of at most {size_text(cache.most_bytes)}")
