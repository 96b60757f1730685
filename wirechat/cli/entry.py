"""The entry point of `wirechat`: Ctrl-C ends it without a traceback also while it is still being loaded."""

from __future__ import annotations

import sys


def main() -> None:
    """See `wirechat.cli.main`."""
    try:
        from wirechat.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command.main()
