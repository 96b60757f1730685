"""The PROXY protocol, versions 1 and 2, as reverse proxies speak it (haproxy.org, proxy-protocol.txt).

Read only from addresses the operator declared: from anyone else the bytes are no frame of ours and the connection ends.
"""

from __future__ import annotations

import socket
import struct

import trio

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1_BYTES_MAX = 107
V2_BYTES_MAX = 16 + 512


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
