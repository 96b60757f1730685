"""The PROXY protocol, versions 1 and 2, as reverse proxies speak it (haproxy.org, proxy-protocol.txt).

Read only from addresses the operator declared: from anyone else the bytes are no frame of ours and the connection ends.
What an undeclared proxy says is not believed, but told to the operator.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import OrderedDict

import structlog
import trio

log = structlog.get_logger(__name__)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1_BYTES_MAX = 107
V2_BYTES_MAX = 16 + 512


WARNED_SECONDS = 60.0
WARNED_KEPT = 1000
"""Addresses that were warned of; the oldest go first."""

_warned: OrderedDict[str, float] = OrderedDict()


class NotProxied(Exception):
    """The declared proxy did not say for whom it speaks."""


async def read_header(sock: socket.socket) -> str | None:
    """Consume the header; returns the client's address, or None when the proxy speaks for itself (LOCAL, UNKNOWN)."""
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            seen = sock.recv(V2_BYTES_MAX, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        size, address = parse(seen)
        if size:
            sock.recv(size)
            return address
        if not seen or len(seen) >= V2_BYTES_MAX:
            raise NotProxied("the PROXY header is cut off")
        await trio.sleep(0.01)  # the kernel calls a peeked socket readable at once


async def notice_header(sock: socket.socket, address: str) -> None:
    """`notice` for what has yet to come; consumes nothing."""
    await trio.lowlevel.wait_readable(sock)
    try:
        notice(sock.recv(len(SIGNATURE), socket.MSG_PEEK), address)
    except BlockingIOError:
        return


def notice(first: bytes, address: str) -> None:
    """Warn when a peer that nobody declared begins with a PROXY header."""
    if first.startswith((SIGNATURE, b"PROXY ")):
        warn(address, "a PROXY header")


def warn(address: str, what: str) -> None:
    """Tell the operator that an undeclared proxy speaks for others: once a minute for each address."""
    now = time.monotonic()
    if now - _warned.get(address, -WARNED_SECONDS) < WARNED_SECONDS:
        return
    _warned[address] = now
    _warned.move_to_end(address)
    if len(_warned) > WARNED_KEPT:
        _warned.popitem(last=False)
    log.warning(f"{what} was not believed; if that is your reverse proxy, declare it", peer=address,
                todo=f"--trust-proxy {address}")  # fmt: skip


def parse(data: bytes) -> tuple[int, str | None]:
    """(bytes of the header, client address); (0, None) when more bytes are needed."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _parse_v2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _parse_v1(data)
    raise NotProxied("no PROXY header where one was declared")


def _parse_v1(data: bytes) -> tuple[int, str | None]:
    end = data.find(b"\r\n", 0, V1_BYTES_MAX)
    if end < 0:
        if len(data) >= V1_BYTES_MAX:
            raise NotProxied("the PROXY line is too long")
        return 0, None
    words = data[:end].decode("ascii", "replace").split(" ")
    if words[1:2] == ["UNKNOWN"]:
        return end + 2, None
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise NotProxied("the PROXY line is malformed")
    return end + 2, words[2]


def _parse_v2(data: bytes) -> tuple[int, str | None]:
    if len(data) < 16:
        return 0, None
    version_command, family, length = struct.unpack_from(">BBH", data, 12)
    if version_command >> 4 != 2 or length > V2_BYTES_MAX - 16:
        raise NotProxied("the PROXY header is malformed")
    if len(data) < 16 + length:
        return 0, None
    if version_command & 15 == 0:
        return 16 + length, None
    if family >> 4 == 1 and length >= 12:
        return 16 + length, socket.inet_ntop(socket.AF_INET, data[16:20])
    if family >> 4 == 2 and length >= 36:
        return 16 + length, socket.inet_ntop(socket.AF_INET6, data[16:32])
    return 16 + length, None
