"""Run the command line with `python -m textmix`."""

import sys

from textmix.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
