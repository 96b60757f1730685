"""From a URL to a place that lines can connect to."""

from __future__ import annotations

import socket
import ssl

from tools.loadgen.line import ALPN, Place
from wirechat.client.transport import parse_url


class BadPlace(Exception):
    """A URL that leads nowhere, in one line."""


def find_place(url: str, ca: str | None) -> Place:
    """Where this URL leads. The name is looked up once, so that no lookup is measured. Raises BadPlace."""
    try:
        parts, host, port = parse_url(url)
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except ValueError as error:
        raise BadPlace(f"bad URL: {error}") from None
    except OSError as error:
        raise BadPlace(f"the name {host} is not known ({error.strerror or error})") from None
    tls = None
    if parts.scheme in ("wirechats", "wss"):
        try:
            tls = ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise BadPlace(f"{ca} has no certificates to trust: {error.strerror or error}") from None
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if parts.scheme == "wirechats":
            tls.set_alpn_protocols([ALPN])
    websocket = (parts.path or "/", parts.netloc) if parts.scheme in ("ws", "wss") else None
    return Place((str(address[0]), int(address[1])), socket.AddressFamily(family), host, tls, websocket)
