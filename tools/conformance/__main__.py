"""`python -m tools.conformance server URL`, or `client -- COMMAND`; beside a copy of protocol/ `-m conformance`."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], f"python -m {__package__}"))
