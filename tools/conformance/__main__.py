"""`python -m tools.conformance server URL`; beside a copy of protocol/ also `python -m conformance server URL`."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], f"python -m {__package__}"))
