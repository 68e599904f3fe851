"""Compare image classifiers: `python run_bench.py --models resnet18 googlenet`; see `--help`."""

import sys

from bench.__main__ import run_command
from bench.console import guarded

if __name__ == "__main__":
    sys.exit(guarded(lambda: run_command(sys.argv[1:])))
