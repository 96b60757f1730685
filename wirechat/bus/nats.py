"""The bus of a cluster: NATS. The only file that knows nats-py, and with it asyncio.

`PREFIX.all` is for all nodes, `PREFIX.<node>` for one. A connection is a client of nats-py of its own that never
reconnects: the loop that makes the next one is ours, because it must neither give up nor hang. (nats-py waits for the
last bytes when it closes; behind a server that is stopped but not gone that is for ever.)

asyncio's loop runs in the Trio thread, so nothing crosses threads: `send` leaves a message in a queue and wakes the
task that empties it, once for all messages of a turn; what comes is collected and given to Trio in one piece.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import structlog
import trio
import trio_asyncio
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport

from wirechat.bus import credentials as files
from wirechat.bus.address import Address, addresses
from wirechat.bus.credentials import Credentials
from wirechat.bus.errors import BusError
from wirechat.bus.traffic import Traffic

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 2
PAUSE_SECONDS = 0.1
PAUSE_SECONDS_MAX = 2.0
"""Between two attempts: doubled each time, and a random half of it less, so that nodes do not come in step."""

PROBE_SECONDS = 2.0
PROBE_TIMEOUT = 3
"""Whether somebody is there is asked this often; an answer later than this is none."""

LAST_SECONDS = 1.0
"""For what waits when the bus is closed."""

WAITING_BYTES = 4 * 2**20
"""More does not wait to be sent, or to be taken; each message counts as OVERHEAD more than it carries."""

OVERHEAD = 128
HANDED_A_TURN = 256
"""Messages given to the server before others get between."""

NEVER_SECONDS = 10**6
AWAY = "the bus is away: nodes hear of each other by the store, within a second"
"""In the log."""


class NatsBus:
    """See `base.Bus`."""

    def __init__(self, place: _Place) -> None:
        self.node = secrets.randbelow(2**53 - 1) + 1
        self.trouble: str | None = "the bus was not reached yet"
        self.round_trip = 0.0
        """Seconds to the server and back, when it was looked for last."""
        self.traffic = Traffic()
        self._place = place
        self._subjects = (f"{place.prefix}.all", self._subject(self.node))
        self._connected = False
        self._outgoing: deque[tuple[str, bytes]] = deque()
        self._outgoing_bytes = 0
        self._more = asyncio.Event()
        self._incoming: list[bytes] = []
        self._incoming_bytes = 0
        self._arrived = trio.Event()

    def send(self, node: int | None, data: bytes) -> None:
        """See `base.Bus`."""
        cost = len(data) + OVERHEAD
        if not self._connected or self._outgoing_bytes + cost > WAITING_BYTES:
            self.traffic.unsent += 1
            return
        self._outgoing.append((self._subjects[0] if node is None else self._subject(node), data))
        self._outgoing_bytes += cost
        self._more.set()

    async def run(self, receive: Callable[[bytes], None]) -> None:
        """See `base.Bus`."""
        while True:
            await self._arrived.wait()
            batch, self._incoming, self._incoming_bytes = self._incoming, [], 0
            self._arrived = trio.Event()
            for at, data in enumerate(batch, 1):
                receive(data)
                if at % HANDED_A_TURN == 0:
                    await trio.lowlevel.checkpoint()

    def _subject(self, node: int) -> str:
        return f"{self._place.prefix}.{node:014x}"

    # all below runs in asyncio

    async def reach(self) -> _Link | None:
        """The first connection to whoever answers; None when nobody does. Raises BusError when one will never do."""
        refused: BusError | None = None
        for address in self._place.servers:
            try:
                return await self._connect(address)
            except _Failed as failed:
                self.trouble = str(failed)
                refused = refused or (BusError(self.trouble) if failed.lasting else None)
        if refused is not None:
            raise refused
        return None

    async def keep(self, link: _Link | None) -> None:
        """Be connected, beginning with this connection, for ever."""
        pause, attempts = PAUSE_SECONDS, 0
        while True:
            if link is not None:
                pause = PAUSE_SECONDS
                await self._serve(link)
                log.warning(AWAY, reason=self.trouble)
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, PAUSE_SECONDS_MAX)
            attempts += 1
            try:
                link = await self._connect(self._place.servers[attempts % len(self._place.servers)])
            except _Failed as failed:
                link, self.trouble = None, str(failed)
            else:
                self.traffic.reconnects += 1
                log.info("the bus is back", server=str(link.address))

    async def flush(self) -> None:
        """Return when nothing waits any more. May never do."""
        while self._connected and self._outgoing:  # noqa: ASYNC110  once in a server's life
            await asyncio.sleep(0.01)

    async def _connect(self, address: Address) -> _Link:
        """Raises _Failed."""
        link = _Link(address)
        try:
            async with asyncio.timeout(3 * CONNECT_SECONDS):
                await link.open(self._place, self._subjects, self._heard)
        except (OSError, errors.Error, TimeoutError) as error:
            await link.aclose()
            raise _failed(address, link.failure or error) from None
        except BaseException:
            await link.aclose()
            raise
        self.trouble, self._connected = None, True
        self.round_trip = link.round_trip
        return link

    async def _serve(self, link: _Link) -> None:
        """Use a connection until it breaks."""
        work = [asyncio.ensure_future(each) for each in (self._pump(link), self._watch(link), link.closed.wait())]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connected = False
            self.traffic.unsent += len(self._outgoing)
            self._outgoing.clear()
            self._outgoing_bytes = 0
            for each in work:
                each.cancel()
            ends = await asyncio.gather(*work, return_exceptions=True)
            found = [end for end in ends if isinstance(end, Exception)]
            self.trouble = str(_failed(link.address, link.failure or (found or [errors.UnexpectedEOF()])[0]))
            await link.aclose()

    async def _pump(self, link: _Link) -> None:
        """Whatever waits goes out with one flush; while the socket is full nothing more is taken from the queue."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._outgoing:
                subject, data = self._outgoing.popleft()
                self._outgoing_bytes -= len(data) + OVERHEAD
                try:
                    await link.client.publish(subject, data)
                except errors.MaxPayloadError:
                    self.traffic.unsent += 1
                else:
                    self.traffic.sent += 1
                    self.traffic.sent_bytes += len(data)

    async def _watch(self, link: _Link) -> None:
        """Ends when nobody answers."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await link.ping(PROBE_TIMEOUT)
            self.round_trip = link.round_trip
            self.trouble = link.forbidden

    async def _heard(self, message: Msg) -> None:
        cost = len(message.data) + OVERHEAD
        if self._incoming_bytes + cost > WAITING_BYTES:
            self.traffic.unreceived += 1
            return
        self._incoming.append(message.data)
        self._incoming_bytes += cost
        self.traffic.received += 1
        self.traffic.received_bytes += len(message.data)
        self._arrived.set()


@attrs.frozen(kw_only=True)
class _Place:
    """Where NATS is, who we are there, and what we call ourselves."""

    servers: tuple[Address, ...]
    prefix: str
    credentials: Credentials | None
    tls: ssl.SSLContext
    encrypted: bool
    """Whoever gave us certificates wants TLS."""


class _Link:
    """One connection, from its beginning to its end."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.client = Client()
        self.closed = asyncio.Event()
        self.failure: Exception | None = None
        """What nats-py complained of last."""
        self.forbidden: str | None = None
        """What we may not do there."""
        self.round_trip = 0.0
        self._transport: _Transport | None = None

    async def open(self, place: _Place, subjects: tuple[str, ...], heard: Callable[[Msg], Any]) -> None:
        """Connect, log in, subscribe. Raises OSError, TimeoutError, or an error of nats-py."""
        address, client = self.address, self.client
        # Its way to the network is given to it like this because it has no other door for it.
        client._transport = self._transport = _Transport(address.encrypted or place.encrypted)
        who: dict[str, Any] = {"user": address.user, "password": address.password, "token": address.token}
        if place.credentials is not None:
            token = place.credentials.token
            who = {"user_jwt_cb": lambda: token, "signature_cb": place.credentials.sign}
        await client.connect(
            f"nats://{address}", tls=place.tls, tls_hostname=address.host, no_echo=True, name="wirechat",
            allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0, connect_timeout=CONNECT_SECONDS,
            ping_interval=NEVER_SECONDS, pending_size=WAITING_BYTES, error_cb=self._complain, closed_cb=self._end,
            **who,
        )  # fmt: skip
        for subject in subjects:
            await client.subscribe(subject, cb=heard, pending_bytes_limit=WAITING_BYTES)
        for _ in range(2):  # the ping of the first overtakes the subscriptions, that of the second does not
            await self.ping(CONNECT_SECONDS)
        if self.forbidden is not None:
            raise _Forbidden(self.forbidden)

    async def ping(self, seconds: int) -> None:
        """Measure the way to the server and back. Raises TimeoutError, or an error of nats-py."""
        began = time.monotonic()
        await self.client.flush(seconds)
        self.round_trip = time.monotonic() - began

    async def aclose(self) -> None:
        """Never waits long."""
        if self._transport is not None:
            self._transport.abort()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self.client.close()
        except Exception as error:  # noqa: BLE001  it was broken anyway
            log.debug("a connection to the bus did not close well", reason=repr(error))

    async def _complain(self, error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            self.forbidden = f"{self.address}: {_text(error)}; let our user publish and subscribe on PREFIX.>"
        else:
            self.failure = error

    async def _end(self) -> None:
        self.closed.set()


class _Transport(TcpTransport):
    """Says nothing of us in the clear where TLS was asked for, and can be ended at once."""

    def __init__(self, needs_tls: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._needs_tls = needs_tls

    def __bool__(self) -> bool:
        """Or nats-py would put another in its place."""
        return True

    async def connect_tls(self, *args: Any, **kwargs: Any) -> None:
        """See `TcpTransport`."""
        await super().connect_tls(*args, **kwargs)
        self._needs_tls = False

    def write(self, payload: bytes) -> None:
        """See `TcpTransport`."""
        if self._needs_tls:
            raise _NotEncrypted
        super().write(payload)  # type: ignore[no-untyped-call]

    async def wait_closed(self) -> None:
        """Nothing is worth it: what is closed here is broken, or was flushed."""

    def abort(self) -> None:
        """Close without a word, whatever waits."""
        if self._io_writer is not None:
            self._io_writer.transport.abort()


# failures


class _Failed(Exception):
    """No connection: why, and what to do."""

    def __init__(self, text: str, lasting: bool) -> None:
        super().__init__(text)
        self.lasting = lasting
        """Waiting does not help."""


class _NotEncrypted(errors.Error):
    pass


class _Forbidden(errors.Error):
    pass


def _failed(address: Address, error: Exception) -> _Failed:
    """What an operator must know of it."""
    text = _text(error)
    match error:
        case ssl.SSLCertVerificationError():
            return _Failed(f"{address}: its certificate is not trusted: {error.verify_message}; set bus.ca", True)
        case ssl.SSLError():
            return _Failed(f"{address}: TLS failed: {text}; look at bus.ca, bus.cert and bus.key", True)
        case _NotEncrypted():
            return _Failed(f"{address} offers no TLS; turn it on there, or write nats:// and leave bus.ca out", True)
        case errors.UnexpectedEOF():
            return _Failed(f"{address} closed the connection; look at the log of nats-server", False)
        case _Forbidden():
            return _Failed(str(error), True)
        case socket.gaierror():
            return _Failed(f"{address}: there is no such host; correct bus.url, or look at the name service", False)
        case TimeoutError():
            return _Failed(f"{address} does not answer; look whether nats-server runs there", False)
        case OSError():
            reason = os.strerror(error.errno) if error.errno else text
            return _Failed(f"{address}: {reason}; look whether nats-server runs there", False)
    if "auth" in text.lower():
        return _Failed(f"{address}: {text}; correct the user in bus.url, or bus.credentials", True)
    return _Failed(f"{address}: {text}; look at the log of nats-server", False)


def _text(error: Exception) -> str:
    """Its first line, without what nats-py puts around it."""
    lines = str(error).removeprefix("nats: ").replace("'", "").splitlines()
    return lines[0] if lines else type(error).__name__


# opening


@asynccontextmanager
async def open_nats(
    url: str,
    *,
    prefix: str = "wirechat",
    credentials: Path | None = None,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
) -> AsyncIterator[NatsBus]:
    """A node on the bus until the end of the block. `url`: one or several, with commas between them. Raises BusError
    for what waiting does not mend; a server that is only away is waited for beside the block.
    """
    place = _place(url, prefix, credentials, ca, cert, key)
    logging.getLogger("nats").addHandler(logging.NullHandler())  # what is wrong is told by us, without a traceback
    async with _flat(), trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(_overheard)
        bus = NatsBus(place)
        link = await _cross(loop, bus.reach)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cross, loop, bus.keep, link)
            try:
                yield bus
            finally:
                with trio.move_on_after(LAST_SECONDS, shield=True):
                    await _cross(loop, bus.flush)
                nursery.cancel_scope.cancel()


def _place(
    url: str, prefix: str, credentials: Path | None, ca: Path | None, cert: Path | None, key: Path | None
) -> _Place:
    try:
        servers = list(addresses(url))
        known = None if credentials is None else files.read(credentials)
    except ValueError as error:
        raise BusError(f"the bus: {error}") from None
    random.shuffle(servers)  # or all nodes would begin with the first
    return _Place(
        servers=tuple(servers), prefix=prefix, credentials=known, tls=_tls(ca, cert, key), encrypted=bool(ca or cert)
    )


def _tls(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    for file in (ca, cert, key):
        try:
            if file is not None:
                file.open().close()  # OpenSSL would not say which one it cannot read
        except OSError as error:
            raise BusError(f"the bus cannot read {file}: {error.strerror}") from None
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError):
        raise BusError("bus.ca, bus.cert and bus.key are not certificates and their key in PEM") from None
    return context


async def _cross(loop: Any, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """Run it as an asyncio task and wait for its end."""
    return await trio_asyncio.aio_as_trio(function, loop=loop)(*args)


def _overheard(loop: object, context: dict[str, Any]) -> None:
    """What goes wrong in a task of nats-py that nobody waits for must not end the server."""
    log.debug("nats-py", reason=context.get("message"), error=repr(context.get("exception")))


@asynccontextmanager
async def _flat() -> AsyncIterator[None]:
    """One error as it is, instead of in a group for each nursery on its way."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None
