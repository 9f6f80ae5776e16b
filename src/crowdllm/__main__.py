"""`crowdllm` and `python -m crowdllm`: the command line, ended in one line also where it is stopped while it loads."""

from __future__ import annotations

import sys


def run() -> None:
    """Entry point of the console script: `crowdllm.cli.main`, imported where an interrupt of the import is caught.

    Always raises SystemExit; with status 130 after an interrupt.
    """
    try:
        from crowdllm.cli import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("crowdllm: stopped; the same command continues where it can\n")
        sys.exit(130)


if __name__ == "__main__":
    run()
