"""From a URL to a place that lines can connect to."""

from __future__ import annotations

import socket
import ssl

from tools.loadgen.line import ALPN, Place
from wirechat.client.errors import ConnectionFailed
from wirechat.client.transport import parse_url, trusting


class BadPlace(Exception):
    """A URL that leads nowhere, in one line."""


def find_place(url: str, ca: str | None) -> Place:
    """Where this URL leads. Raises BadPlace."""
    try:
        parts, host, port = parse_url(url)
    except ValueError as error:
        raise BadPlace(f"bad URL: {error}") from None
    family, address = look_up(host, port)
    tls = None
    if parts.scheme in ("wirechats", "wss"):
        tls = trusted(ca)
        if parts.scheme == "wirechats":
            tls.set_alpn_protocols([ALPN])
    websocket = (parts.path or "/", parts.netloc.rpartition("@")[2]) if parts.scheme in ("ws", "wss") else None
    return Place(address, family, host, tls, websocket)


def look_up(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The address of a name, asked for once, so that no lookup is measured. Raises BadPlace."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except ValueError as error:
        raise BadPlace(f"bad URL: {error}") from None
    except OSError as error:
        raise BadPlace(f"the name {host} is not known ({error.strerror or error})") from None
    return socket.AddressFamily(family), (str(address[0]), int(address[1]))


def trusted(ca: str | None) -> ssl.SSLContext:
    """TLS that trusts the certificates of this file, or in this text, or those of the system. Raises BadPlace."""
    is_text = ca is not None and "\n" in ca
    try:
        return trusting(None, ca) if is_text else trusting(ca)
    except ConnectionFailed as error:
        raise BadPlace(error.message) from None
