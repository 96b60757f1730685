"""Telling systemd how the service does (sd_notify, `Type=notify` or `notify-reload`). Without it nothing happens."""

from __future__ import annotations

import os
import socket
import time

import structlog

log = structlog.get_logger("wirechat")

SOCKET = "NOTIFY_SOCKET"
READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading() -> str:
    """What to tell before a reload; READY follows. `Type=notify-reload` wants to know when it began."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def notify(state: str) -> None:
    """One datagram to $NOTIFY_SOCKET. A service manager that does not listen hurts nobody."""
    address = os.environ.get(SOCKET, "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            log.warning("systemd was not told", state=state.partition("\n")[0], reason=error.strerror)
