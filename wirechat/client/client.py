"""The client: gives a program its features on top of connections that come and go.

Rules: what a program holds (calls, entries, feeds) survives connections. Once the client has given up (see
connector.py) every call raises why.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from os import PathLike, fspath
from typing import Any, Generic, TypeVar

import trio

from wirechat import wire
from wirechat.client.backoff import Backoff
from wirechat.client.cache import OWNER_BYTES, Cache, LogView
from wirechat.client.calls import check, nothing
from wirechat.client.commit import Committer
from wirechat.client.connector import Connector, Options
from wirechat.client.errors import CacheError, ClientError, Refused, Unavailable, UnknownOutcome
from wirechat.client.events import Events, Feed
from wirechat.client.features.account import Account
from wirechat.client.features.accounts import Accounts, register
from wirechat.client.features.conversations import Conversations
from wirechat.client.features.history import History
from wirechat.client.features.messages import Messages
from wirechat.client.features.presence import Presence
from wirechat.client.features.receipts import Receipts
from wirechat.client.features.search import Search
from wirechat.client.login import Credentials
from wirechat.client.outbox import Entry, Outbox
from wirechat.client.session import Progress, Session, State
from wirechat.client.sync import JUMP_ENTRIES, Sync
from wirechat.client.transport import Connect, Network, parse_url
from wirechat.client.unread import Unread
from wirechat.client.watching import Watching
from wirechat.world import REAL, World

__all__ = ["Client", "open_client"]

FINISH_SECONDS = 2.0  # for the last acknowledgement when the program leaves
EVENTS_MAX = 1000

R = TypeVar("R", bound=wire.Reply)


class Client:
    """A device that is logged in, or trying to be. Made by open_client.

    `account`, `accounts`, `conversations`, `messages`, `history`, `receipts`, `presence`, `search`: what one can do.
    """

    def __init__(self, options: Options, state: State) -> None:
        self._state = state
        self._uniform = options.world.uniform
        self._connector = Connector(options, state)
        cache, sync, world = state.cache, state.sync, options.world
        self.accounts = Accounts(self._call, cache, partial(register, options.url, connect=options.connect))
        self.account = Account(self._call, sync, cache)
        self.conversations = Conversations(self._call, sync, cache, world)
        self.messages = Messages(self._post, state.outbox, world)
        self.history = History(self._call, sync)
        self.receipts = Receipts(self._call, sync, Unread(cache, lambda: sync.me, lambda: sync.account.blocked))
        self.presence = Presence(self._call, sync, state.watching, self._tell)
        self.search = Search(cache)

    @property
    def user(self) -> int:
        """One's own user id."""
        return self._state.cache.identity.user or 0

    @property
    def device(self) -> int:
        """This device's id."""
        return self._state.cache.identity.device or 0

    @property
    def connected(self) -> bool:
        """Logged in right now, as far as one can know."""
        return self._connector.session is not None

    @property
    def failure(self) -> ClientError | None:
        """Why the client has given up; None while it has not."""
        return self._connector.failure

    def events(self, events_max: int = EVENTS_MAX) -> Feed:
        """An async iterator of what happens from now on; see events.py. At most `events_max` events wait in it."""
        return self._state.events.feed(events_max)

    def log(self, conv: int, newest: int | None = None, before: int | None = None) -> LogView:
        """What is stored of a conversation: at most its `newest` records below seq `before`, None = all."""
        return self._state.cache.view(conv, newest, before)

    async def synced(self) -> None:
        """Waits until everything the server has told us of is stored here. Raises why the client has given up."""
        sync, committer = self._state.sync, self._state.committer
        await self._connector.until(lambda: self.connected and sync.idle and committer.clean)

    async def run(self) -> None:
        """Stays connected until the client gives up."""
        await self._connector.run()

    async def opened(self) -> None:
        """Waits for the first login, or raises its failure. A known device may start without a connection."""
        await self._connector.opened()

    async def finish(self) -> None:
        """Tells the server what is stored here before the program leaves, without insisting."""
        session = self._connector.session
        if session is not None:
            with trio.move_on_after(FINISH_SECONDS, shield=True), suppress(ClientError):
                await session.finish()

    def close(self) -> None:
        """Ends every feed and everything that still waits."""
        self._connector.close()

    async def _call(self, request: wire.Request, reply: type[R], apply: Callable[[R], Any] = nothing) -> R:
        check(request)
        sync = self._state.sync
        backoff, resets = Backoff(self._uniform), sync.resets
        while True:
            session = await self._up()
            if isinstance(request, wire.Mark) and sync.resets != resets:
                raise Refused("the server's log is another one; this entry is not known any more")
            outcome: _Outcome[R] = _Outcome()
            session.ask(request, reply, apply, outcome.set)
            try:
                return await outcome.wait()
            except (Unavailable, UnknownOutcome) as error:
                if session is self._connector.session:
                    await trio.sleep(backoff.delay(at_least=(error.retry_ms or 0) / 1000))

    async def _up(self) -> Session:
        """The session, once it is known what seqs mean on it."""
        await self._connector.until(lambda: self.connected and self._state.sync.started)
        session = self._connector.session
        assert session is not None
        return session

    def _tell(self, message: wire.Message) -> None:
        """Says something that nobody answers, unless it cannot be said now."""
        session = self._connector.session
        if session is not None:
            session.tell(message)

    async def _post(self, entry: Entry) -> None:
        check(entry.request())
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        self._state.cache.add_entry(entry)
        self._state.outbox.add(entry)
        self._state.committer.when_durable(partial(self._posted, entry))
        await self._state.committer.commit()

    def _posted(self, entry: Entry, error: CacheError | None) -> None:
        entry.durable = error is None
        session = self._connector.session
        if session is not None:
            session.pump()


class _Outcome(Generic[R]):
    """A reply or an error that somebody waits for."""

    def __init__(self) -> None:
        self._known = trio.Event()
        self._result: R | ClientError | None = None

    def set(self, result: R | ClientError) -> None:
        self._result = result
        self._known.set()

    async def wait(self) -> R:
        await self._known.wait()
        assert self._result is not None
        if isinstance(self._result, ClientError):
            raise self._result
        return self._result


@asynccontextmanager
async def open_client(
    url: str,
    *,
    handle: str | None = None,
    password: str | None = None,
    device_key: bytes | None = None,
    device: int | None = None,
    cache: str | PathLike[str] | None = None,
    ca: str | PathLike[str] | None = None,
    world: World = REAL,
    connect: Connect | None = None,
    window: int = 64,
    name: str = "wirechat",
    reconnect: bool = True,
    jump_entries: int = JUMP_ENTRIES,
    pipeline: int = 1,
    wait: bool = True,
) -> AsyncIterator[Client]:
    """A client that stays connected while the block runs.

    url             wirechat://host:port (TCP), wirechats:// (TLS), ws:// or wss://
    handle          whose account; a cache that has logged in before knows it
    password        logs in a new device; a cache that has logged in before goes on without
    device_key      32-byte Ed25519 seed: with `device` logs in without a password; with a password it is registered
    device          which device; the cache knows it after the first login
    cache           path of the file for everything durable; None = in memory, gone with the block
    ca              PEM file with the certificates to trust, instead of the machine's
    world           clock, entropy, jitter and blocking calls
    connect         makes a transport for the URL, instead of the real network
    window          pushes the server may have unacknowledged, 0 to 1024
    name            of this device when it is new, for people
    reconnect       False: give up when a connection fails, instead of connecting again
    jump_entries    a longer gap is not fetched; the device goes on at the newest entry, history.page() shows the rest
    pipeline        entries of one conversation under way at once; more than 1 is faster, but when the server puts one
                    off, a later one may pass it
    wait            False: with a cache that has logged in before, returns at once, whether or not the server answers

    Returns after the first login; with a cache that has logged in before, also when the server cannot be reached.
    Raises LoginFailed, CacheError, ValueError for a bad URL; without `reconnect` also ConnectionFailed.
    """
    path = None if cache is None else fspath(cache)
    if connect is None:
        parse_url(url)
    opened = await _open_cache(path, world, handle)
    state = _state(opened, world, jump_entries, pipeline)
    try:
        failure = None
        async with trio.open_nursery() as wires:  # WebSocket reads here until its goodbye was answered
            async with trio.open_nursery() as nursery:
                network = Network(wires, None if ca is None else fspath(ca))
                credentials = Credentials(handle, password, device_key or opened.identity.key, device, name)
                options = Options(url, connect or network.connect, credentials, world, window, reconnect)
                client = Client(options, state)
                nursery.start_soon(client.run)
                try:
                    if wait or not client.user:
                        await client.opened()
                    yield client
                    await client.finish()
                except Exception as error:  # noqa: BLE001  raised again below, outside of the nursery's group
                    failure = error
                finally:
                    client.close()
                nursery.cancel_scope.cancel()
            wires.cancel_scope.cancel()
        if failure is not None:
            raise failure
    finally:
        with suppress(CacheError):  # if it matters, whoever waited was told
            await state.committer.commit()
        opened.close()


async def _open_cache(path: str | None, world: World, handle: str | None) -> Cache:
    owner = world.random_bytes(OWNER_BYTES)
    cache = Cache(None, owner) if path is None else await world.run_blocking(Cache, path, owner)
    if handle is not None and cache.identity.handle not in (None, handle):
        cache.close()
        raise CacheError(f"this cache belongs to {cache.identity.handle}")
    return cache


def _state(cache: Cache, world: World, jump_entries: int, pipeline: int) -> State:
    outbox = Outbox(pipeline)
    outbox.restore(cache.outbox)
    sync = Sync(cache, jump_entries=jump_entries)
    sync.me = cache.identity.user or 0
    return State(cache, Committer(cache, world), sync, outbox, Events(), Progress(), Watching())
