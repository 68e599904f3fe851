"""Compare image classifiers: `python run_bench.py --models resnet18 googlenet`; see `--help`."""

import sys

from bench.cli.main import main

if __name__ == "__main__":
    sys.exit(main("run_bench.py", verb="run"))
