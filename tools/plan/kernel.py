"""Limits of the system that stand in the way of so many connections, and the lines that change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

SPARE_FILES = 64
"""Descriptors beyond one for each connection: the store, the listeners, the log."""
BACKLOG = 4096
"""Connections that may wait to be accepted, as the server asks for: a reconnect storm fits."""


@attrs.frozen
class Line:
    """One limit."""

    name: str
    now: int
    wanted: int
    change: str
    """What to type, as root."""
    about: str

    @property
    def enough(self) -> bool:
        """Nothing is to do."""
        return self.now >= self.wanted


def kernel(name: str) -> int | None:
    """A value of sysctl; None when this system has no such."""
    try:
        return int(Path("/proc/sys", *name.split(".")).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def lines(connections: int, files: int, read: Callable[[str], int | None] = kernel) -> Iterator[Line]:
    """What so many connections need. `files`: what a process may open now, at most."""
    needed = connections + SPARE_FILES
    yield Line(
        "ulimit -n", files, needed, f"ulimit -n {needed}", "open files of the server; LimitNOFILE= in its systemd unit"
    )
    for name, wanted, about in (
        ("fs.nr_open", needed, "the highest ulimit -n"),
        ("fs.file-max", needed + 10_000, "open files of all processes"),
        ("net.core.somaxconn", BACKLOG, "connections that wait to be accepted"),
        ("net.ipv4.tcp_max_syn_backlog", BACKLOG, "connections that are being made"),
        ("net.netfilter.nf_conntrack_max", 2 * connections, "connections that a firewall on this machine remembers"),
    ):
        now = read(name)
        if now is not None:
            yield Line(name, now, wanted, f"sysctl -w {name}={wanted}", about)
