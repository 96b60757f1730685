"""The machine: file descriptors, clock, ports, SQLite."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from wirechat.doctor.finding import OK, PROBLEM, WARNING, Finding
from wirechat.server.endpoint import is_loopback
from wirechat.server.listeners import Address, open_socket
from wirechat.settings.schema import Settings, default
from wirechat.store import directory, sqlite

SPARE_FILES = 64
"""Descriptors beyond one for each connection: the store, the listeners, the log."""

FEW_CONNECTIONS = 100
"""Less is no server."""

MANY_CONNECTIONS = 1000
"""Enough, unless the operator asked for more."""

NO_EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock before this was never set."""


def files(settings: Settings) -> Iterator[Finding]:
    """Every connection is an open file. The limit is that of this shell; a service manager has its own."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.limits.connections
    needed = wanted + SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield Finding("files", OK, f"open files are enough for {wanted:,} connections")
        return
    room = max(0, soft - SPARE_FILES)
    if room >= MANY_CONNECTIONS and wanted == default("limits.connections"):
        yield Finding("files", OK, f"open files are enough for {room:,} connections; ulimit -n raises it")
        return
    yield Finding(
        "files",
        WARNING if room >= FEW_CONNECTIONS else PROBLEM,
        f"{soft:,} open files are enough for {room:,} of {wanted:,} connections (limits.connections)",
        f"ulimit -n {needed}, or LimitNOFILE={needed} in the systemd unit; or limits.connections = {room}",
    )


def clock(now: datetime, newest: datetime | None) -> Iterator[Finding]:
    """Plausible, and not behind what is stored: time never runs against seq, so it would stand still until then."""
    shown = now.isoformat(" ", "seconds")
    if now < NO_EARLIER:
        yield Finding(
            "clock", PROBLEM, f"it shows {shown}", "set the clock, and let NTP keep it: timedatectl set-ntp true"
        )
    elif newest is not None and newest > now:
        behind = int((newest - now).total_seconds())
        yield Finding(
            "clock", PROBLEM if behind > 60 else WARNING, f"it shows {shown}, {behind} s before the newest entry",
            "compare it with another clock; until it has caught up new entries get the time of the newest",
        )  # fmt: skip
    else:
        yield Finding("clock", OK, shown)


def encryption(settings: Settings) -> Iterator[Finding]:
    """Whether others on the way can read along. Behind a declared proxy it is the proxy that encrypts."""
    plain = open_to_others(settings, "tcp", "ws")
    if settings.accounts.clear_passwords:
        text = "passwords of other machines are accepted in the clear"
        yield Finding("encryption", WARNING, text, "use tls or wss, and take accounts.clear_passwords back")
    elif plain and not settings.proxy.trust:
        text = f"what other machines send is not encrypted on {', '.join(plain)}; only passwords are refused there"
        yield Finding("encryption", WARNING, text, "use tls or wss, or listen where only a reverse proxy comes in")
    else:
        yield Finding("encryption", OK, "nothing comes from other machines in the clear")


def open_to_others(settings: Settings, *transports: str) -> list[str]:
    """Those listeners of these transports that other machines reach."""
    return [
        f"{transport} {address}"
        for transport, address in settings.addresses()
        if transport in transports and not is_here(address.host)
    ]


def is_here(host: str) -> bool:
    """Whether a name or an address means this machine for everybody who uses it."""
    return host == "localhost" or is_loopback(host)


def ports(settings: Settings) -> Iterator[Finding]:
    """Free, or taken, and by whom."""
    for transport, address in settings.addresses():
        yield _port(f"port {transport}", address, settings)


def _port(check: str, address: Address, settings: Settings) -> Finding:
    try:
        open_socket(address).close()
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            return _taken(check, address, settings)
        reason = getattr(error, "strerror", None) or "there is no such host"
        todo = "choose another address, or name one of this machine"
        if getattr(error, "errno", None) in (errno.EACCES, errno.EPERM):
            todo = (
                "ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit; or choose another"
            )
        return Finding(check, PROBLEM, f"{address}: {reason}", todo)
    return Finding(check, OK, f"{address} is free")


def _taken(check: str, address: Address, settings: Settings) -> Finding:
    holder, data = _listener_on(address.port), settings.data.directory
    server = directory.holder(data) if data is not None else None
    if holder is not None and holder == server:
        return Finding(check, OK, f"{address} is used by the server on this data, process {holder}")
    if holder is None:
        return Finding(check, PROBLEM, f"{address} is taken by a process of someone else", "sudo ss -ltnp shows which")
    text = f"{address} is taken by process {holder} ({_name(holder)})"
    if settings.store.url is not None:  # no lock says whose server it is
        return Finding(check, WARNING, text, "if that is not this server, stop it, or choose another")
    return Finding(check, PROBLEM, text, "stop it, or choose another")


def _listener_on(port: int) -> int | None:
    """The process that listens on a TCP port, as far as we may see."""
    wanted = {f"socket:[{inode}]" for inode in _listening(port)}
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.readlink(each) in wanted for each in descriptors.iterdir()):
                return int(descriptors.parent.name)
        except OSError:
            continue
    return None


def _listening(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return "ended"


def engine() -> Iterator[Finding]:
    """The SQLite that comes with us can do what the store needs."""
    version, missing = sqlite.library()
    if missing:
        todo = "install the apsw of setup.cfg, which brings its own SQLite: pip install --force-reinstall apsw"
        yield Finding("sqlite", PROBLEM, f"{version} lacks {', '.join(missing)}", todo)
    else:
        yield Finding("sqlite", OK, version)
