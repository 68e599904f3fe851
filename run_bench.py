"""Compare image classifiers: `python run_bench.py --models resnet18 googlenet`; see `--help`."""

import sys

from bench.cli.console import guarded
from bench.cli.main import run_command

if __name__ == "__main__":
    sys.exit(guarded(lambda: run_command(sys.argv[1:])))
