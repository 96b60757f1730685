"""One face for TCP, TLS and WebSocket: whole frames out, stream bytes in.

Rules:
* `try_send` never waits. What the kernel does not take stays in one remainder, and every byte goes through it:
  frames, pongs, closes.
* While a remainder waits (`blocked`) nothing may be sent past it; one task drains it with `wait_sent`, others park.
* TLS repeats the very same bytes after a short write, as OpenSSL demands.
* `recv` returns length-prefixed frames whatever the transport; only the WebSocket endpoint knows that there are
  messages.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import select
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

import attrs
import outcome
import structlog
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from wirechat.server import proxy
from wirechat.wire import limits

if TYPE_CHECKING:
    from wirechat.server.turns import Handle, Turns

RECV_BYTES = 65536
CLOSE_SECONDS = 2.0
"""How long a polite goodbye (close_notify, WebSocket close) may take."""

SUBPROTOCOL = "wirechat.v1"
ORIGIN_SHOWN = 100
"""Characters of a web page's origin in the log."""

log = structlog.get_logger(__name__)


@attrs.frozen
class Peer:
    """Who is at the other end, as far as it can be trusted."""

    address: str
    transport: str
    """"tcp", "tls", "ws" or "wss"."""
    loopback: bool
    """The peer itself runs on this machine; false behind a reverse proxy that forwards someone else."""
    certificate_digest: bytes | None = None
    """SHA-256 of our own leaf certificate, for channel binding; None without TLS."""
    encrypted_before: bool = False
    """A declared proxy says that it took this connection over TLS."""

    @property
    def secure(self) -> bool:
        """Nobody on the way can read along."""
        return self.certificate_digest is not None or self.loopback or self.encrypted_before


class Endpoint(Protocol):
    """The face. The simulator has its own."""

    @property
    def peer(self) -> Peer:
        """Who is there; final once the handshake is over."""

    @property
    def opened_at(self) -> float:
        """Trio time at which the peer came."""

    @property
    def blocked(self) -> bool:
        """A remainder waits for the kernel."""

    @property
    def sent_at(self) -> float:
        """Trio time at which the peer last took something while something waited."""

    async def handshake(self, nursery: trio.Nursery) -> None:
        """TLS and WebSocket handshakes; tasks it needs live in `nursery`. The caller bounds the time."""

    def try_send(self, frames: Sequence[bytes]) -> bool:
        """Send whole frames, length prefix included. Only while not `blocked`. False: the rest waits."""

    async def wait_sent(self) -> None:
        """Return once nothing waits any more, or the connection broke."""

    async def recv(self) -> bytes:
        """Some bytes of the stream of frames; b"" at its end."""

    def gone(self) -> bool:
        """The peer has closed his side, whether that was read already or not."""

    def abort(self) -> None:
        """Close now without a goodbye. Never waits; harmless when repeated."""

    async def aclose(self, code: int) -> None:
        """Close politely within `CLOSE_SECONDS`; `code` is the error code, or 0."""


def is_loopback(address: str) -> bool:
    """Whether an IP address belongs to this machine alone."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


class StreamEndpoint:
    """TCP on a non-blocking socket with direct sending."""

    __slots__ = (
        "_closed",
        "_drainers",
        "_handle",
        "_is_new",
        "_queued",
        "_reader",
        "_rest",
        "_sent_at",
        "_sock",
        "_turns",
        "blocked",
        "opened_at",
        "peer",
        "proxied",
    )

    def __init__(self, sock: socket.socket, peer: Peer, proxied: bool) -> None:
        self._sock = sock
        self.proxied = proxied
        self._rest = b""
        self._closed = False
        self._is_new = peer.transport == "tcp" and not proxied
        """Nothing was read yet, and what he says first is to be looked at."""
        self._drainers: trio.Event | None = None
        self._reader: trio.lowlevel.Task | None = None
        self.peer = peer
        self.blocked = False
        self._queued = 0
        self.opened_at = self._sent_at = trio.current_time()

    @property
    def sent_at(self) -> float:
        """See `Endpoint`. The kernel asks for more only once much of its own queue is gone, which takes a slow peer
        minutes; so what counts is that the queue becomes shorter.
        """
        if self.blocked:
            queued, self._queued = self._queued, self._queue_bytes()
            if self._queued < queued:
                self._sent_at = trio.current_time()
        return self._sent_at

    def _queue_bytes(self) -> int:
        try:
            return int.from_bytes(fcntl.ioctl(self._sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except (OSError, ValueError):
            return 0

    async def handshake(self, nursery: trio.Nursery) -> None:
        """See `Endpoint`. A declared proxy first says for whom it speaks."""
        if self.proxied and self.peer.transport in ("tcp", "tls"):
            address = await proxy.read_header(self._sock)
            loopback = address is not None and is_loopback(address)
            self.peer = attrs.evolve(self.peer, address=address or self.peer.address, loopback=loopback)

    def try_send(self, frames: Sequence[bytes]) -> bool:
        """See `Endpoint`."""
        rest = self._write(frames[0] if len(frames) == 1 else b"".join(frames))
        return not rest or self._keep(rest)

    def send_bytes(self, data: bytes) -> bool:
        """`try_send` for bytes that are on the wire as they are."""
        rest = self._write(data)
        return not rest or self._keep(rest)

    def _keep(self, rest: bytes) -> bool:
        self._rest = rest
        self.blocked = True
        self._sent_at = trio.current_time()
        return False

    def _write(self, data: bytes) -> bytes:
        """Hand bytes to the kernel; returns what it did not take. A broken socket takes everything: the reader will
        notice.
        """
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            return data
        except OSError:
            return b""
        return data[sent:] if sent < len(data) else b""

    async def wait_sent(self) -> None:
        """See `Endpoint`. The first caller drains, the others wait for it."""
        if self._drainers is not None:
            await self._drainers.wait()
            return
        if not self.blocked:
            return
        self._drainers = trio.Event()
        try:
            while self._rest and not self._closed:
                await trio.lowlevel.wait_writable(self._sock)
                before = len(self._rest)
                self._rest = self._write(self._rest)
                if len(self._rest) != before:
                    self._sent_at = trio.current_time()
        except (OSError, trio.ClosedResourceError):
            self._rest = b""
        finally:
            self.blocked = bool(self._rest)
            self._drainers.set()
            self._drainers = None

    async def recv(self) -> bytes:
        """See `Endpoint`."""
        while not self._closed:
            try:
                await trio.lowlevel.wait_readable(self._sock)
                return self._read()
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return b""
        return b""

    def _read(self) -> bytes:
        data = self._sock.recv(RECV_BYTES)
        if self._is_new:
            self._is_new = False
            proxy.notice(data, self.peer.address)
        return data

    async def watched(self, turns: Turns, handle: Handle) -> bool:
        """`Turns.receive`, without a task for each piece."""
        if self._closed:
            return False
        turns.watch(self._sock.fileno(), self)
        self._turns, self._handle, self._reader = turns, handle, trio.lowlevel.current_task()
        return bool(await trio.lowlevel.wait_task_rescheduled(self._unwatch))

    def readable(self) -> None:
        """There is something to read, or it is over."""
        try:
            data = self._read()
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or not self._handle(data):
            self._wake_reader(bool(data))

    def _wake_reader(self, more: bool) -> None:
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader, outcome.Value(more))
            self._unwatch()

    def _unwatch(self, _: object = None) -> trio.lowlevel.Abort:
        self._reader = None
        del self._handle  # it holds its connection, which holds us: a cycle would stay until a full collection
        self._turns.forget(self._sock.fileno())
        return trio.lowlevel.Abort.SUCCEEDED

    def gone(self) -> bool:
        """See `Endpoint`."""
        if self._closed:
            return True
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def abort(self) -> None:
        """See `Endpoint`."""
        if not self._closed:
            self._closed = True
            self._wake_reader(False)
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    async def aclose(self, code: int) -> None:
        """Let the peer read what was sent, then close: bytes of his that nobody reads would make the kernel reset the
        connection, and our last words with it.
        """
        with trio.move_on_after(CLOSE_SECONDS):
            await self.wait_sent()
            self._goodbye()
            await self._discard()
        self.abort()

    async def _discard(self) -> None:
        """Throw away what was not read, if there is anything, and what follows, until the peer has closed too. Polled,
        because the reader may wait for the same socket.
        """
        pause = 0.0
        while True:
            try:
                if not self._sock.recv(RECV_BYTES):
                    return
                pause = pause or 0.001
            except (BlockingIOError, ssl.SSLWantReadError):
                if not pause:
                    return
                pause = min(2 * pause, 0.1)
            except (OSError, ValueError):
                return
            await trio.sleep(pause)

    def _goodbye(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class TlsEndpoint(StreamEndpoint):
    """TLS as `ssl.SSLSocket` on the same non-blocking socket."""

    __slots__ = ("_context",)

    def __init__(self, sock: socket.socket, peer: Peer, proxied: bool, context: ssl.SSLContext) -> None:
        super().__init__(sock, peer, proxied)
        self._context = context

    async def handshake(self, nursery: trio.Nursery) -> None:
        """See `Endpoint`. Raises OSError (ssl.SSLError among them) when the peer speaks no TLS."""
        await super().handshake(nursery)
        if not self.proxied and self.peer.transport == "tls":
            await proxy.notice_header(self._sock, self.peer.address)
        tls = self._context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        self._sock = tls
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._sock)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._sock)
            else:
                return

    def _write(self, data: bytes) -> bytes:
        if not isinstance(self._sock, ssl.SSLSocket):
            return b""  # no handshake yet: nothing may go out in the clear
        try:
            sent = self._sock.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return data
        except OSError:
            return b""
        return data[sent:]

    def _read(self) -> bytes:
        try:
            return self._sock.recv(RECV_BYTES)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None

    def _goodbye(self) -> None:
        try:
            cast("ssl.SSLSocket", self._sock).unwrap()
        except (OSError, ValueError):
            pass


class DirectStream(trio.abc.Stream):
    """A transport as a stream of Trio: everything through the endpoint's one remainder. `head` was read already,
    `ended` is called when nothing more will be.
    """

    def __init__(self, transport: StreamEndpoint, head: bytes = b"", ended: Callable[[], None] = lambda: None) -> None:
        self._transport = transport
        self._head = head
        self._ended = ended

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        while self._transport.blocked:
            await self._transport.wait_sent()
        self._transport.send_bytes(bytes(data))
        await self._transport.wait_sent()

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_sent()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        head, self._head = self._head, b""
        data = head or await self._transport.recv()
        if not data:
            self._ended()
        return data

    async def aclose(self) -> None:
        self._transport.abort()
        await trio.lowlevel.checkpoint()


class WebSocketEndpoint:
    """WebSocket: trio-websocket shakes hands, receives and closes; our frames are built here and written directly.

    `head`: the beginning of the request, when someone else shook hands with the transport and read it. `origins`: whose
    web pages may connect. A browser would also knock at servers that its own machine alone can reach, for any page.
    """

    __slots__ = ("_head", "_origins", "_ws", "transport")

    def __init__(
        self, transport: StreamEndpoint, head: bytes | None = None, origins: frozenset[str] = frozenset()
    ) -> None:
        self.transport = transport
        self._head = head
        self._origins = origins
        self._ws: WebSocketConnection | None = None

    @property
    def peer(self) -> Peer:
        return self.transport.peer

    @property
    def opened_at(self) -> float:
        return self.transport.opened_at

    @property
    def blocked(self) -> bool:
        return self.transport.blocked

    @property
    def sent_at(self) -> float:
        return self.transport.sent_at

    async def handshake(self, nursery: trio.Nursery) -> None:
        """See `Endpoint`. Raises ConnectionClosed or OSError when the peer speaks no WebSocket."""
        if self._head is None:
            await self.transport.handshake(nursery)
        request: WebSocketRequest | None = None
        with trio.CancelScope() as waiting:  # trio-websocket waits for a request even when none can come any more
            stream = DirectStream(self.transport, self._head or b"", waiting.cancel)
            request = await wrap_server_stream(
                nursery, stream, max_message_size=limits.FRAME_BYTES, message_queue_size=1
            )
        if request is None:
            raise ConnectionClosed(None)
        self._note_forwarded(request)
        await self._check_origin(request)
        if SUBPROTOCOL not in request.proposed_subprotocols:
            await request.reject(400, body=b"this server speaks the subprotocol wirechat.v1\n")
            raise ConnectionClosed(None)
        self._ws = await request.accept(subprotocol=SUBPROTOCOL)

    def _note_forwarded(self, request: WebSocketRequest) -> None:
        """A forwarded request is not from this machine; for whom it speaks we believe only from a declared proxy."""
        headers = {name.lower(): value.decode("latin-1") for name, value in request.headers}
        forwarded = headers.get(b"x-forwarded-for", headers.get(b"forwarded"))
        transport = self.transport
        if transport.proxied:
            address = (forwarded or "").split(",")[-1].strip()
            encrypted = headers.get(b"x-forwarded-proto") == "https"
            transport.peer = attrs.evolve(
                self.peer,
                address=address or self.peer.address,
                loopback=is_loopback(address),
                encrypted_before=encrypted,
            )
        elif forwarded is not None:
            proxy.warn(self.peer.address, "a forwarding header")
            transport.peer = attrs.evolve(self.peer, loopback=False)

    async def _check_origin(self, request: WebSocketRequest) -> None:
        """Browsers say which page connects, and only they do. Pages of this machine are welcome to it; what a page from
        elsewhere asks for is not asked by this machine, though the browser that shows it is here. Raises
        ConnectionClosed.
        """
        origins = [value.decode("latin-1") for name, value in request.headers if name.lower() == b"origin"]
        if not all(map(_is_ours, origins)):
            self.transport.peer = attrs.evolve(self.peer, loopback=False)
        for origin in origins:
            if origin not in self._origins and not (self.peer.loopback and _is_ours(origin)):
                log.info("a web page was refused", peer=self.peer.address, origin=ascii(origin[:ORIGIN_SHOWN]))
                await request.reject(403, body=b"the operator of this server has not named this origin (web.origins)\n")
                raise ConnectionClosed(None)

    def try_send(self, frames: Sequence[bytes]) -> bool:
        """See `Endpoint`."""
        if self._ws is None or self._ws.closed is not None:
            return True
        return self.transport.send_bytes(b"".join([_message(frame) for frame in frames]))

    async def wait_sent(self) -> None:
        """See `Endpoint`."""
        await self.transport.wait_sent()

    async def recv(self) -> bytes:
        """See `Endpoint`. A text message comes back as a frame no protocol of ours has."""
        if self._ws is None:
            return b""
        try:
            message = await self._ws.get_message()
        except ConnectionClosed:
            return b""
        if isinstance(message, str):
            return b"\xff\xff\xff\xff"
        return len(message).to_bytes(4, "big") + message

    def gone(self) -> bool:
        """See `Endpoint`."""
        return self.transport.gone()

    def abort(self) -> None:
        """See `Endpoint`."""
        self.transport.abort()

    async def aclose(self, code: int) -> None:
        """See `Endpoint`: fatal errors close with 4000 + code - 1000, anything else with 1000."""
        if self._ws is not None:
            with trio.move_on_after(CLOSE_SECONDS):
                await self._ws.aclose(4000 + code - 1000 if 1000 <= code < 2000 else 1000)
        self.transport.abort()


def _is_ours(origin: str) -> bool:
    """Whether a page with this origin came from this machine."""
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return False
    return host is not None and (host == "localhost" or is_loopback(host))


def _message(frame: bytes) -> bytes:
    """One unmasked binary WebSocket message from a frame with its length prefix."""
    size = len(frame) - 4
    if size < 126:
        return b"\x82" + size.to_bytes(1, "big") + frame[4:]
    if size < 65536:
        return b"\x82\x7e" + frame[2:]
    return b"\x82\x7f" + struct.pack(">Q", size) + frame[4:]


def certificate_digest(der: bytes) -> bytes:
    """What channel binding 1 binds to."""
    return hashlib.sha256(der).digest()
