"""`python -m bench VERB`."""

import sys
from pathlib import Path

if not sys.flags.safe_path:
    # The current folder, which may have modules called as some that are needed here.
    sys.path[0] = str(Path(__file__).parents[1])

from bench.cli.main import main

if __name__ == "__main__":
    sys.exit(main("python -m bench"))
