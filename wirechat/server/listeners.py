"""Where connections come from. A listener is an async iterable of endpoints that never fails because of one peer.

Out of file descriptors: a reserve descriptor is given up to accept and close the newcomer at once, so that the backlog
does not turn into connections nobody answers. When not even that helps, because the whole machine has none, the
backlog waits.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import structlog
import trio

from wirechat.server.endpoint import (
    Endpoint,
    Peer,
    StreamEndpoint,
    TlsEndpoint,
    WebSocketEndpoint,
    certificate_digest,
    is_loopback,
)

log = structlog.get_logger(__name__)

BACKLOG = 4096
NOTHING_LEFT_SECONDS = 0.1
"""Until the next attempt when a newcomer can be neither accepted nor refused."""

ACCEPTS_A_TURN = 32
"""A storm of newcomers must not keep the loop from those who are here."""


_NO_HOST = frozenset("\0[]/ ")
_PORT = re.compile(r"\d{1,9}", re.ASCII)
PORT_MAX = 65535


@attrs.frozen
class Address:
    """host:port as given by the operator."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """From "host:port" or "[v6]:port". Raises ValueError with a line for people."""
        host, colon, port = text.rpartition(":")
        bare = host[1:-1] if host[:1] + host[-1:] == "[]" else host
        if not colon or not _PORT.fullmatch(port) or set(bare) & _NO_HOST:
            raise ValueError(f'"{text}" is not host:port')
        if int(port) > PORT_MAX:
            raise ValueError(f'"{text}" has a port above {PORT_MAX}')
        return cls(bare or "0.0.0.0", int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secret and authenticated, which every suite of TLS 1.3 is."""

Tls = tuple[ssl.SSLContext, bytes]
"""A server context and the digest of its certificate for channel binding."""


def tls_context(certificate: Path, key: Path) -> Tls:
    """A server context for TLS 1.2 and up, and the digest for channel binding. Raises OSError or ValueError for
    people.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["wirechat/1", "http/1.1"])
    context.num_tickets = 0  # a ticket costs 250 bytes and 30 us a handshake, and resume tokens do its work
    context.options |= ssl.OP_NO_TICKET  # the same for TLS 1.2, whose tickets also outlive the secrecy of their keys
    for file in (certificate, key):
        file.open().close()  # OpenSSL would not say which one it cannot read
    context.load_cert_chain(certificate, key, password="")  # without one it would ask on the terminal
    pem = certificate.read_text()
    leaf = pem[pem.index("-----BEGIN CERTIFICATE-----") :]
    leaf = leaf[: leaf.index("-----END CERTIFICATE-----") + 25]
    return context, certificate_digest(ssl.PEM_cert_to_DER_cert(leaf))


class Listener:
    """One listening socket and how to make endpoints of what it accepts."""

    def __init__(
        self,
        transport: str,
        address: Address,
        *,
        tls: Tls | None = None,
        trusted_proxies: frozenset[str] = frozenset(),
        origins: frozenset[str] = frozenset(),
        shared: bool = False,
    ) -> None:
        self.transport = transport
        self._tls = tls
        self._trusted = trusted_proxies
        self.origins = origins
        self._sock = open_socket(address, shared=shared)
        self._closed = False
        self._reserve: int | None = None
        self._take_reserve()

    @property
    def port(self) -> int:
        """The port, also when 0 was asked for."""
        return int(self._sock.getsockname()[1])

    @property
    def url(self) -> str:
        """What to give a client."""
        scheme = {"tcp": "wirechat", "tls": "wirechats"}.get(self.transport, self.transport)
        host = self._sock.getsockname()[0]
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def __aiter__(self) -> AsyncIterator[Endpoint]:
        async for stream in self.streams():
            web = self.transport in ("ws", "wss")
            yield WebSocketEndpoint(stream, origins=self.origins) if web else stream

    async def streams(self) -> AsyncIterator[StreamEndpoint]:
        """The newcomers as they are, for who has yet to see what they speak, until `close`."""
        while not self._closed:
            try:
                await trio.lowlevel.wait_readable(self._sock)
            except trio.ClosedResourceError:
                return
            for _ in range(ACCEPTS_A_TURN):
                if self._closed:  # while the one before was looked at
                    return
                try:
                    sock, address = self._sock.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, errno.ENOBUFS, errno.ENOMEM):
                        raise
                    if not self._refuse_one(error):
                        await trio.sleep(NOTHING_LEFT_SECONDS)
                    break
                self._take_reserve()
                yield self._stream(sock, str(address[0]))

    def renew(self, tls: Tls | None) -> None:
        """Handshakes from now on get this certificate and its digest; those that have begun keep theirs."""
        if self._tls is not None and tls is not None:
            self._tls = tls

    def close(self) -> None:
        """Stop accepting. Idempotent."""
        if self._closed:
            return
        self._closed = True
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
        self._give_reserve()

    def _stream(self, sock: socket.socket, address: str) -> StreamEndpoint:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        proxied = address in self._trusted
        peer = Peer(address, self.transport, is_loopback(address), self._tls[1] if self._tls else None)
        return TlsEndpoint(sock, peer, proxied, self._tls[0]) if self._tls else StreamEndpoint(sock, peer, proxied)

    def _refuse_one(self, error: OSError) -> bool:
        """Close the next newcomer with the help of the reserve; False when he stays in the backlog."""
        if error.errno == errno.ECONNABORTED:
            return True
        self._give_reserve()
        refused = True
        try:
            self._sock.accept()[0].close()
        except OSError:
            refused = False
        self._take_reserve()
        told = "a connection was refused" if refused else "newcomers have to wait"
        log.warning(told, reason=os.strerror(error.errno or 0))
        return refused

    def _take_reserve(self) -> None:
        """Have one, if it can be had: others take descriptors too."""
        if self._reserve is None:
            try:
                self._reserve = os.open(os.devnull, os.O_RDONLY)
            except OSError:
                pass

    def _give_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None


def open_socket(address: Address, *, shared: bool = False) -> socket.socket:
    """A listening socket. `shared`: others of this user may listen there, too, and the kernel deals newcomers out.
    Raises OSError, or UnicodeError for a host that cannot be.
    """
    sock = bind_socket(address, shared=shared)
    try:
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def bind_socket(address: Address, *, shared: bool = False) -> socket.socket:
    """A socket that has the address and does not listen: nobody comes to it. Raises as `open_socket` does."""
    family, kind, proto, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(target)
    except OSError:
        sock.close()
        raise
    return sock
