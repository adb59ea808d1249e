"""``python -m harness``: the command line, where the script ``harness`` is not on the path."""

import sys

from harness.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
