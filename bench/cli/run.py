"""The verb `run`, which `run_bench.py` is short for: a comparison and its report."""

import sys
from collections.abc import Sequence
from typing import Any

from bench.cli.parsing import parse
from bench.config import Config, Options
from bench.errors import Refused

ALIASES = {
    "--fit": ("--max-batch",),
    "--no-fit": ("--no-max-batch",),
    "--no-augment": ("--augment", "none"),
    "--no-channels-last": ("--channels-last", "no"),
    "--no-pretrained": ("--pretrained", "no"),
}
"""Flags as they were written before, and as they are now."""


def main(arguments: Sequence[str], prog: str) -> int:
    """Start a run, resume one, or show its plan; 0 if every trial is done, else 1."""
    arguments = [part for word in arguments for part in ALIASES.get(word, (word,))]
    config = parse(Options, arguments, prog).resolve()
    if config.resume is not None and "output" in given_options(config, arguments):
        raise Refused("--resume goes on in its own folder: leave out --output.")
    from bench.cli.console import Reporter, open_console
    from bench.cli.dry_run import show_plan
    from bench.report.write import write_report
    from bench.runner.resume import resume
    from bench.runner.run import run
    from bench.runner.session import exit_code

    reporter = Reporter(open_console())
    try:
        if config.resume is None:
            result = run(config, reporter.show)
        else:
            result = resume(config.resume, reporter.show, given_options(config, arguments))
    except BrokenPipeError:
        text = "nobody reads the output any more, so this ended; --resume RUN goes on."
        print(f"archbench: {text}", file=sys.stderr)
        raise
    finally:
        reporter.close()
    if config.dry_run:
        return show_plan(result, reporter.console)
    write_report(result)
    reporter.finish(result)
    return exit_code(result)


def given_options(config: Config, arguments: Sequence[str]) -> dict[str, Any]:
    """The options that a command line names, with their values."""
    words = {word.partition("=")[0].removeprefix("--") for word in arguments if word[:2] == "--"}
    names = {word.replace("-", "_").removeprefix("no_") for word in words}
    return {name: value for name, value in config.to_dict().items() if name in names}
