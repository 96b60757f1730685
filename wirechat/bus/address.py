"""Where NATS is: nats://host:port and tls://host:port, with a user and a password or a token if need be."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, urlsplit

import attrs

PORT = 4222


@attrs.frozen
class Address:
    """One server of NATS."""

    host: str
    port: int
    encrypted: bool
    """It is spoken to over TLS or not at all. Otherwise the server decides."""
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)

    def __str__(self) -> str:
        """Without secrets."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def addresses(text: str) -> tuple[Address, ...]:
    """From one URL, or several with commas between them. Raises ValueError with a line that shows no secret."""
    return tuple(_address(part.strip()) for part in text.split(","))


def _address(text: str) -> Address:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port or PORT
    except ValueError:
        host = None
    if not host or url.scheme not in ("nats", "tls") or url.path.strip("/") or url.query or url.fragment:
        raise ValueError("is not an address of NATS; write it like nats://host:4222 or tls://user:password@host:4222")
    return Address(host, port, url.scheme == "tls", **_secrets(url))


def _secrets(url: SplitResult) -> dict[str, str]:
    """A name without a password is a token."""
    if url.username is None:
        return {}
    if url.password is None:
        return {"token": unquote(url.username)}
    return {"user": unquote(url.username), "password": unquote(url.password)}
