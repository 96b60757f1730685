"""Real transports: TCP, TLS and WebSocket under one face.

Rules: a transport moves bytes and knows no message. Its byte stream always carries length prefixes; WebSocket
messages are bare bodies, so the prefix is stripped and put back here. Whatever breaks surfaces as ConnectionFailed.
"""

import contextlib
import hashlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol, cast
from urllib.parse import SplitResult, urlsplit

import attrs
import trio
import trio_websocket

from wirechat.client.errors import ConnectionFailed, WrongServer, cause, network_errors, reason
from wirechat.wire import ProtocolViolation, limits

__all__ = ["ALPN", "SUBPROTOCOL", "Connect", "Network", "Transport", "greeting", "trusting", "untrusted"]

ALPN = "wirechat/1"
SUBPROTOCOL = "wirechat.v1"
RECEIVE_BYTES = 65536
CLOSE_SECONDS = 2.0  # a polite close waits no longer for the other side
PORTS = {"wirechat": 7667, "wirechats": 7668, "ws": 80, "wss": 443}
OTHERS = {
    "wirechat": "ws:// or wirechats://",
    "wirechats": "wss://",
    "ws": "wirechat:// or wss://",
    "wss": "wirechats://",
}
"""What a port may speak where the protocol of this scheme gets no answer."""
HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH = 62, 64  # verify_code of OpenSSL


class Transport(Protocol):
    """One connection as a stream of frames with length prefixes."""

    @property
    def certificate_digest(self) -> bytes | None:
        """SHA-256 of the DER encoding of the server's certificate; None without TLS."""

    async def send(self, data: bytes) -> None:
        """Sends one or several whole frames; only one task at a time. Raises ConnectionFailed."""

    async def recv(self) -> bytes:
        """Some bytes; b"" at the end. Raises ConnectionFailed."""

    async def aclose(self) -> None:
        """Closes politely, within a bounded time; idempotent."""

    def abort(self) -> None:
        """Closes now, without a goodbye; idempotent, never waits."""


Connect = Callable[[str], Awaitable[Transport]]
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@attrs.define
class StreamTransport:
    """Frames on a TCP or TLS stream."""

    stream: Stream
    certificate_digest: bytes | None

    async def send(self, data: bytes) -> None:
        with network_errors():
            await self.stream.send_all(data)

    async def recv(self) -> bytes:
        with network_errors():
            return bytes(await self.stream.receive_some(RECEIVE_BYTES))

    async def aclose(self) -> None:
        await close_politely(self.stream)

    def abort(self) -> None:
        close_now(self.stream)


@attrs.define
class WebSocketTransport:
    """One frame body in each binary WebSocket message."""

    socket: trio_websocket.WebSocketConnection
    stream: Stream
    certificate_digest: bytes | None

    async def send(self, data: bytes) -> None:
        with websocket_errors():
            for body in bodies(data):
                await self.socket.send_message(body)

    async def recv(self) -> bytes:
        try:
            message = await self.socket.get_message()
        except trio_websocket.ConnectionClosed:
            return b""
        if isinstance(message, str):
            raise ConnectionFailed("the server sent a text message; this protocol has binary messages only")
        return len(message).to_bytes(4, "big") + message

    async def aclose(self) -> None:
        await close_politely(self.socket)

    def abort(self) -> None:
        close_now(self.stream)


@attrs.define
class Network:
    """Makes connections over the real network: `await network.connect(url)`.

    `nursery` must live as long as the connections: WebSocket reads in it. `ca` is the path of a PEM file with the
    certificates to trust; None trusts those of the machine.
    """

    nursery: trio.Nursery
    ca: str | None = None

    async def connect(self, url: str) -> Transport:
        """Opens wirechat://, wirechats://, ws:// or wss://. Raises ConnectionFailed, or ValueError for another URL."""
        parts, host, port = parse_url(url)
        with connecting(host, port):
            plain = await trio.open_tcp_stream(host, port)
            try:
                return await self._dressed(plain, parts, host)
            except BaseException:
                close_now(plain)
                raise

    async def _dressed(self, plain: trio.SocketStream, parts: SplitResult, host: str) -> Transport:
        """Puts TLS and WebSocket on a TCP connection, as the scheme says."""
        stream: Stream = plain
        digest = None
        if parts.scheme in ("wirechats", "wss"):
            stream, digest = await self._secure(plain, host, None if parts.scheme == "wss" else ALPN)
        if parts.scheme in ("ws", "wss"):
            return await self._upgrade(stream, parts, digest)
        return StreamTransport(stream, digest)

    async def _secure(
        self, stream: trio.SocketStream, host: str, alpn: str | None
    ) -> tuple[trio.SSLStream[trio.SocketStream], bytes]:
        context = trusting(self.ca)
        if alpn is not None:
            context.set_alpn_protocols([alpn])
        secure = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
        await secure.do_handshake()
        return secure, hashlib.sha256(secure.getpeercert(binary_form=True)).digest()

    async def _upgrade(self, stream: Stream, parts: SplitResult, digest: bytes | None) -> Transport:
        socket = await self.nursery.start(self._websocket, stream, parts)
        if socket.subprotocol != SUBPROTOCOL:
            raise ConnectionFailed(f"the server does not speak {SUBPROTOCOL} at {parts.path or '/'}")
        return WebSocketTransport(socket, stream, digest)

    async def _websocket(
        self, stream: Stream, parts: SplitResult, task_status: trio.TaskStatus[trio_websocket.WebSocketConnection]
    ) -> None:
        """Its reader lives here: what it cannot digest ends this connection and nothing else."""
        opened, failure = False, None
        try:
            async with trio.open_nursery() as nursery:
                with websocket_errors(), trio.CancelScope() as handshake:
                    socket = await trio_websocket.wrap_client_stream(
                        nursery,
                        cast(Stream, EndingStream(stream, handshake.cancel)),  # it takes any stream
                        parts.netloc,
                        parts.path or "/",
                        subprotocols=[SUBPROTOCOL],
                        max_message_size=limits.SERVER_FRAME_BYTES,
                        receive_buffer_size=RECEIVE_BYTES,
                    )
                    opened = True
                    task_status.started(socket)
        except* Exception as group:  # noqa: BLE001  whatever it could not digest
            close_now(stream)
            failure = cause(group)
        if not opened:  # not raised above: early releases of Python 3.11 would put it into a group
            raise no_websocket(parts, failure)


@attrs.define
class EndingStream(trio.abc.Stream):
    """A stream that tells of its end. trio-websocket waits for a handshake even when it cannot come any more."""

    inner: Stream
    ended: Callable[[], None]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self.inner.send_all(data)
        except trio.BrokenResourceError:
            self.ended()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray = b""
        try:
            data = await self.inner.receive_some(max_bytes)
        finally:
            if not data:
                self.ended()
        return data

    async def aclose(self) -> None:
        await self.inner.aclose()


def parse_url(url: str) -> tuple[SplitResult, str, int]:
    """Scheme, host and port of a server's URL; the usual port if it names none. Raises ValueError that says why."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError(f"{url!r} must begin with one of {', '.join(f'{name}://' for name in PORTS)}")
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host")
    try:
        port = PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"the port of {url!r} is no number from 1 to 65535")
    return parts, parts.hostname, port


@contextlib.contextmanager
def connecting(host: str, port: int) -> Iterator[None]:
    """As network_errors, but says what a person can do about it."""
    try:
        with network_errors():
            yield
    except ConnectionFailed as error:
        last = cause(error.__cause__ or error)
        text = advice(last, host, port)
        if text is None:
            raise
        wrong = isinstance(last, ssl.SSLError) and not isinstance(last, ssl.SSLEOFError)
        raise (WrongServer if wrong else ConnectionFailed)(text) from error


def advice(error: BaseException, host: str, port: int) -> str | None:
    """Why there is no connection, in words for a person; None when that is not known better."""
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused at {host}:{port}: is the server running?"
    if isinstance(error, socket.gaierror):
        return f"the name {host} is not known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return untrusted(error, host)
    if isinstance(error, ssl.SSLError):
        return f"no TLS at {host}:{port} ({error.reason}): perhaps it speaks wirechat:// or ws://"
    return None


def untrusted(error: ssl.SSLCertVerificationError, host: str) -> str:
    """What is wrong with the certificate of this host, and what to do."""
    if error.verify_code in (HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH):
        return (
            f"the certificate of {host} is for other names: connect by one of them, "
            f"or let the operator make one with wirechat cert DIR {host}"
        )
    return f"the certificate of {host} is not trusted ({error.verify_message}): name one to trust with --ca"


def trusting(ca: str | None, text: str | None = None) -> ssl.SSLContext:
    """TLS that trusts the certificates in this PEM file, or in this text, or those of the machine.

    Raises ConnectionFailed when there are none.
    """
    try:
        context = ssl.create_default_context(cafile=ca, cadata=text)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror
        raise ConnectionFailed(
            f"{ca or 'the text'} has no certificates to trust ({why}): give a PEM file that has"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def no_websocket(parts: SplitResult, failure: BaseException | None) -> ConnectionFailed:
    """Why a WebSocket did not open. `failure`: what came instead of it; None when the connection just ended."""
    where = f"no WebSocket at {parts.hostname}:{parts.port or PORTS[parts.scheme]}{parts.path}"
    if isinstance(failure, ConnectionFailed):  # it was refused, in HTTP
        return ConnectionFailed(f"{where}: {reason(failure)}")
    hint = f"perhaps it speaks {OTHERS[parts.scheme]}"
    if failure is None or isinstance(failure, OSError | trio.BrokenResourceError):
        return ConnectionFailed(f"{where}: the connection ended: {hint}")
    return WrongServer(f"{where}: {hint}")


@contextlib.contextmanager
def greeting(url: str) -> Iterator[None]:
    """What fails here, before the server has said anything that we understand, comes with what else it may speak."""
    try:
        yield
    except ConnectionFailed as error:
        scheme = urlsplit(url).scheme
        if error.__cause__ is None or scheme not in OTHERS:
            raise
        kind = WrongServer if isinstance(error.__cause__, ProtocolViolation) else ConnectionFailed
        raise kind(f"{error.message}: perhaps it speaks {OTHERS[scheme]}") from error


def bodies(frames: bytes) -> Iterator[bytes]:
    """The bodies of whole frames, without their length prefixes."""
    at = 0
    while at < len(frames):
        end = at + 4 + int.from_bytes(frames[at : at + 4], "big")
        yield frames[at + 4 : end]
        at = end


@contextlib.contextmanager
def websocket_errors() -> Iterator[None]:
    """Turns what trio-websocket raises into ConnectionFailed."""
    try:
        yield
    except (trio_websocket.ConnectionClosed, trio_websocket.HandshakeError) as error:
        raise ConnectionFailed(f"the WebSocket closed: {error}") from error


async def close_politely(resource: trio.abc.AsyncResource) -> None:
    """Closes with a goodbye, but waits a bounded time and forgives a peer that is gone."""
    with trio.move_on_after(CLOSE_SECONDS), contextlib.suppress(OSError, trio.BrokenResourceError):
        await resource.aclose()


def close_now(stream: Stream) -> None:
    """Closes the socket below without a goodbye."""
    plain = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    plain.socket.close()
