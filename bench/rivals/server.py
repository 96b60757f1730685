"""A rival that runs, and how one connects to it: over TCP, TLS or a WebSocket."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs

from bench.benchmark import BenchError
from bench.process import Processes
from bench.streams import Stream, WebSocket, connect


@attrs.frozen
class Server:
    """Its processes and where it listens.

    trust           the certificate to expect; None without TLS
    subprotocol     of the WebSocket, if it is one and speaks bytes; None else
    """

    processes: Processes
    port: int
    trust: Path | None = None
    subprotocol: str | None = None

    def connect(self) -> Stream:
        """A new connection, which does not block. Raises BenchError."""
        tls = None if self.trust is None else ssl.create_default_context(cafile=str(self.trust))
        try:
            stream = connect(self.port, tls)
        except OSError as error:
            raise BenchError(f"no connection: {error}") from None
        if self.subprotocol is not None:
            stream = WebSocket(stream, self.subprotocol)
        stream.setblocking(False)
        return stream
