"""The wiring diagram: the only place that knows everything.

    listeners -> connection -> dispatcher -> features -> journal -> store
                     ^                                      |
                     +------------ hub <--------------------+   (after the commit, in commit order)

`serve` runs a server until it is cancelled or told to drain. Clock, entropy, network, store come in from outside.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from importlib import metadata
from typing import Any

import structlog
import trio

from wirechat import wire
from wirechat.bus.base import Bus
from wirechat.server import limits, tending
from wirechat.server.account_log import AccountLog
from wirechat.server.cluster import Cluster
from wirechat.server.config import Config
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.endpoint import Endpoint
from wirechat.server.features.accounts import Accounts, Secrets
from wirechat.server.features.conversations import Conversations
from wirechat.server.features.devices import Devices
from wirechat.server.features.history import History
from wirechat.server.features.messages import Messages
from wirechat.server.features.presence import Presence, Typing
from wirechat.server.features.privacy import Privacy
from wirechat.server.features.receipts import Receipts
from wirechat.server.features.session import Sessions
from wirechat.server.features.sync import Sync
from wirechat.server.hub import Hub
from wirechat.server.journal import Journal
from wirechat.server.passwords import Passwords
from wirechat.server.sharing import SharedWrites
from wirechat.server.throttle import Throttle
from wirechat.server.turns import Turns
from wirechat.store.database import Store
from wirechat.wire.registries import GoawayCode
from wirechat.world import World

log = structlog.get_logger(__name__)

Listeners = Sequence[AsyncIterable[Endpoint]]


class Server:
    """Everything of one node, wired."""

    def __init__(
        self, config: Config, world: World, store: Store, bus: Bus | None = None, addresses: Sequence[str] = ()
    ) -> None:
        """`addresses`: where it listens, for an operator who asks."""
        self.config = config
        self.world = world
        self.store = store
        self.hub = Hub()
        self.journal = Journal(store, self.hub, world.now_ms)
        self.turns = Turns(self._settle)
        self.dispatcher = Dispatcher()
        self.connections: dict[Connection, None] = {}
        self.accepted = dict.fromkeys(("tcp", "tls", "ws", "wss"), 0)
        """Connections that came, by transport."""
        self.turned_away = 0
        """Connections closed at once because there were too many."""
        self._entering = 0
        """Connections whose tasks have yet to begin: many may come in one turn."""
        self.pulse = tending.Pulse()
        self._addresses = addresses
        self._host = socket.gethostname()
        self.presence, self.typing = Presence(store, self.hub, world.now_ms), Typing(store, self.hub)
        self.cluster = None if bus is None else Cluster(
            bus, store, self.hub, world.now_ms, self._changed_here, self.typing.heard, self._about, self._host
        )  # fmt: skip
        """What is between this node and the others; None: it is alone."""
        if self.cluster is not None:
            self.hub.others = self.cluster
        self.draining = False
        self._writes = SharedWrites(store)
        passwords, throttle = Passwords(world, config), Throttle(config)
        account_log = AccountLog(world, self.journal)
        self._devices = Devices(world, store, self.hub, account_log)
        self.receipts = Receipts(store, self.hub)
        self._history = History(store)
        digests = keyed_digest(store.digest_key)
        self.resumption = Sync(store, self.hub, self.receipts.reached, lambda: world.uniform(0, 1) < config.grease)
        self.logins = Sessions(
            config, world, store, self._writes, passwords, throttle, account_log, self.resumption.catch_up
        )
        for feature in (
            self.resumption,
            self.logins,
            Accounts(config, world, store, self._writes, passwords, throttle, account_log, self.changed),
            Secrets(config, store, passwords, throttle, account_log, self.hub),
            self._devices,
            Privacy(account_log, self.changed),
            Conversations(world, store, self.journal, digests),
            Messages(self.journal, digests),
            self._history,
            self.receipts,
            self.presence,
            self.typing,
        ):
            feature.register(self.dispatcher)

    def changed(self, user: int) -> None:
        """The profile, the audience or the blocks of a user are others now: who sees him must follow."""
        self._changed_here(user)
        self.hub.others.changed(user)

    def _changed_here(self, user: int) -> None:
        self.presence.changed(user)
        self.typing.changed(user)

    def _about(self) -> dict[str, Any]:
        return {
            "version": metadata.version("wirechat"), "host": self._host, "addresses": list(self._addresses),
            "connections": len(self.connections),
            "horizon_ms": int(1000 * self.pulse.horizon_seconds), "draining": self.draining,
        }  # fmt: skip

    def _settle(self) -> None:
        self.journal.start()
        self.hub.flush()

    async def run(self, listeners: Listeners, stop: trio.Event) -> None:
        """Serve until cancelled, or until `stop` is set and the drain is over."""
        await tending.begin(self.store, self.hub, stop)
        async with trio.open_nursery() as upkeep:
            upkeep.start_soon(_for_ever, self.turns.run)
            upkeep.start_soon(_for_ever, tending.sweep, self.connections, self.hub, self.pulse)
            upkeep.start_soon(_for_ever, tending.keep_passing, self.store, self.hub, self.pulse)
            upkeep.start_soon(_for_ever, self.journal.run)
            upkeep.start_soon(_for_ever, self.receipts.run)
            upkeep.start_soon(_for_ever, self.presence.run)
            upkeep.start_soon(_for_ever, self._writes.run)
            upkeep.start_soon(_for_ever, self._devices.run)
            if self.cluster is not None:
                upkeep.start_soon(_for_ever, self.cluster.run)
            async with trio.open_nursery() as clients:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, clients)
                    await stop.wait()
                    accepting.cancel_scope.cancel()
                await self._drain()
                clients.cancel_scope.cancel()
            upkeep.cancel_scope.cancel()
        with trio.move_on_after(limits.LAST_WRITES_SECONDS, shield=True):
            await self.receipts.flush()
            await self.presence.flush()
            await self._devices.flush()

    async def _accept(self, listener: AsyncIterable[Endpoint], clients: trio.Nursery) -> None:
        async for endpoint in listener:
            if self._full():
                self.turned_away += 1
                endpoint.abort()
            else:
                self.accepted[endpoint.peer.transport] += 1
                self._entering += 1
                clients.start_soon(self._serve, endpoint)

    def _full(self) -> bool:
        here, limits = len(self.connections) + self._entering, self.config.limits
        return here >= limits.connections or here - self.hub.online >= limits.unknown_connections

    async def _serve(self, endpoint: Endpoint) -> None:
        self._entering -= 1
        connection = Connection(endpoint, self.dispatcher, self.hub, self.turns, self.config.limits)
        connection.draining = self.draining
        self.connections[connection] = None
        try:
            await connection.run(self._history.lookup)
        finally:
            del self.connections[connection]

    async def _drain(self) -> None:
        """Answer what was read, ask everyone to come back a little later, and leave within `drain_ms`."""
        self.draining = True
        with trio.move_on_after(wire.limits.DRAIN_MS / 1000 - 1):
            for connection in list(self.connections):
                connection.draining = True
                if connection.nonce:  # HELLO was answered
                    connection.send(wire.Goaway(GoawayCode.DRAIN, 0, limits.GOAWAY_JITTER_MS, "the server stops"))
            self.hub.flush()
            # Polled: this happens once in a server's life, and an event would cost every request.
            while any(connection.inflight for connection in self.connections) or not self.journal.idle:  # noqa: ASYNC110
                await trio.sleep(0.02)
            await self._emptied()  # those who leave by themselves
        for connection in list(self.connections):
            connection.part()
        await self._emptied()

    async def _emptied(self) -> None:
        """Return once everyone has left, at the latest after a second."""
        with trio.move_on_after(1):
            while self.connections:  # noqa: ASYNC110
                await trio.sleep(0.02)


async def _for_ever(work: Callable[..., Awaitable[None]], *args: object) -> None:
    """The exception barrier of the upkeep: a bug there must not end the server."""
    while True:
        try:
            await work(*args)
        except Exception:
            log.exception("upkeep failed and starts again")
            await trio.sleep(1)


async def serve(
    config: Config,
    world: World,
    store: Store,
    listeners: Listeners,
    stop: trio.Event | None = None,
    bus: Bus | None = None,
) -> None:
    """Run a server on an open store until cancelled, or until `stop` is set and the drain is over. No `bus`: it is
    alone.
    """
    await Server(config, world, store, bus).run(listeners, trio.Event() if stop is None else stop)


def keyed_digest(key: bytes) -> Callable[[bytes], bytes]:
    """Sixteen bytes that tell whether two contents are the same and nothing else, to whoever lacks the key."""
    keyed = hashlib.blake2b(key=key, digest_size=16)

    def digest(data: bytes) -> bytes:
        state = keyed.copy()
        state.update(data)
        return state.digest()

    return digest
