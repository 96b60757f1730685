"""Every connection is an open file."""

from __future__ import annotations

import resource

SPARE = 64


def raise_limit() -> None:
    """As far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def too_few(connections: int) -> str:
    """Why one process cannot have so many, and what to do; empty if it can."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return ""
    return (
        f"{connections:,} connections in one process need {needed:,} open files, and the hard limit is {hard:,}:"
        f" use more --processes, or raise it as root with ulimit -n {needed}"
    )
