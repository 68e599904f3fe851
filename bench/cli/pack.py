"""The verb `pack`: a run as one small file, to send to whoever collects."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from tyro.conf import Positional

from bench.cli.parsing import parse
from bench.errors import Refused
from bench.options import Help


@dataclass(frozen=True)
class PackOptions:
    """Put a run into one small zip file, to send to whoever collects: its log, tables and options,
    without images, checkpoints, local paths and the name of this machine."""

    run: Annotated[Positional[Path], Meta(title="RUN")]
    """The run folder."""

    name: Annotated[str | None, Meta(title="NAME"), Help(default="that of the run folder")] = None
    """What to call the sender; the file is NAME.zip, in this folder."""


def main(arguments: Sequence[str], prog: str) -> int:
    """List what goes in, write the file and print where it is."""
    options = parse(PackOptions, arguments, prog)
    from bench.cli.console import open_console, print_path
    from bench.records.pack import clean_name
    from bench.records.zip_file import write_zip
    from bench.report.render.bundle import check_bundle, pack_files
    from bench.units import size_text

    name = clean_name(options.run.resolve().name if options.name is None else options.name)
    stem = re.sub(r"[^\w.-]+", "-", name).strip(".-")
    if not stem:
        raise Refused(f"--name {name!r} has no letter or digit in it; choose another.")
    path = Path(f"{stem}.zip")
    if path.exists():
        raise Refused(f"{path} is already there; move it away, or choose another --name.")
    check_bundle(path, "--name")
    files = pack_files(options.run, name)
    console = open_console()
    console.print(f"{name}, without images and local paths:", markup=False, highlight=False)
    for file, data in files.items():
        console.print(f"  {file:<24}{size_text(len(data)):>8}", markup=False, highlight=False)
    write_zip(path, files)
    print_path(console, f"pack, {size_text(path.stat().st_size)}", path)
    return 0
