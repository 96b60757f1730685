"""What has to be done again and again: the sweep over connections and the pass over the store.

One sweep serves all heartbeats, deadlines and rates; a timer per connection would cost more than the connection.
The bus (and the journal's own deliveries) make it fast, the pass makes it right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog
import trio

from wirechat import wire
from wirechat.server import limits, offering
from wirechat.server.connection import Connection
from wirechat.server.histogram import Histogram
from wirechat.server.hub import Hub
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import devices, sync

log = structlog.get_logger(__name__)


LAG_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PASS_TOOK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Pulse:
    """How the node feels: what the sweep and the pass notice of their own punctuality."""

    def __init__(self) -> None:
        self.lag = Histogram(LAG_SECONDS)
        """How much later than due the sweep came to run: the loop was busy that long."""
        self.passes = Histogram(PASS_TOOK_SECONDS)
        """How long the passes took that succeeded."""
        self._passed_at = trio.current_time()

    @property
    def horizon_seconds(self) -> float:
        """Age of the horizon: since the last pass that succeeded began."""
        return trio.current_time() - self._passed_at

    def passed(self, began: float) -> None:
        """A pass succeeded."""
        self.passes.observe(trio.current_time() - began)
        self._passed_at = began


async def sweep(connections: Iterable[Connection], hub: Hub, pulse: Pulse) -> None:
    """Look after every connection once a second, for ever."""
    while True:
        due = trio.current_time() + limits.SWEEP_SECONDS
        await trio.sleep_until(due)
        pulse.lag.observe(trio.current_time() - due)
        await _look_after_all(list(connections), hub, due)  # a list kept here would keep who leaves until the next


async def _look_after_all(everyone: Sequence[Connection], hub: Hub, now: float) -> None:
    for start in range(0, len(everyone), limits.LOOKED_AFTER_AT_ONCE):
        for connection in everyone[start : start + limits.LOOKED_AFTER_AT_ONCE]:
            _look_after(connection, now)  # who spoke while this process stood still was not heard yet
        hub.flush()
        await trio.lowlevel.checkpoint()


def _look_after(connection: Connection, now: float) -> None:
    connection.tokens = min(
        wire.limits.REQUESTS_BURST, connection.tokens + int(wire.limits.REQUESTS_PER_SECOND * limits.SWEEP_SECONDS)
    )
    silent = now - max(connection.heard_at, connection.endpoint.sent_at)  # a slow reader is not read from, but lives
    heartbeat = connection.limits.heartbeat_ms / 1000
    if connection.endpoint.blocked and now - connection.endpoint.sent_at > wire.limits.STALLED_MS / 1000:
        connection.endpoint.abort()
    elif now > connection.deadline:
        connection.close(wire.errors.TIMEOUT, "that took too long")
    elif silent > 2 * heartbeat:
        connection.close(wire.errors.IDLE, "nothing was heard for too long")
    elif silent > heartbeat and connection.session is not None and not connection.pinged:
        connection.pinged = True
        connection.send(wire.Ping(int(now * 1000)))


AWAY = "the store does not answer: nothing can be sent or read until it does"
TODO = "look whether the database runs and has room, or at the disk"
BACK = "the store answers again"


async def begin(store: Store, hub: Hub, stop: trio.Event) -> None:
    """Learn from where the passes read, before anybody is let in. A store that was there when it was opened and fails
    now is asked again, until `stop` is set.
    """
    while not stop.is_set():
        try:
            hub.horizon = hub.horizon_before = await store.read(sync.horizon)
            return
        except StoreError as error:
            log.warning(AWAY, reason=str(error), todo=TODO)
        with trio.move_on_after(limits.PASS_SECONDS):
            await stop.wait()


async def keep_passing(store: Store, hub: Hub, pulse: Pulse) -> None:
    """Pass over the store once a second, for ever. Each reason why that fails is told once, until it works again."""
    told: set[str] = set()
    while True:
        await trio.sleep(limits.PASS_SECONDS)
        began = trio.current_time()
        try:
            await one_pass(store, hub)
            pulse.passed(began)
            if told:
                log.info(BACK)
                told.clear()
        except StoreError as error:
            if (reason := str(error)) not in told:
                log.warning(AWAY, reason=reason, todo=TODO)
                told.add(reason)


async def one_pass(store: Store, hub: Hub) -> None:
    """Offer what changed in the store and was not offered here, then let the horizons advance.

    R7: the horizon comes with the read, not from the end of the pass. The read runs on the writer's lane, so it sees
    exactly what this node's own commits have announced and everything other nodes committed. Revoked devices are looked
    for twice: one may have been logging in while the first pass went by.
    """
    horizon, changed = await store.read_ordered(sync.changed, hub.horizon)
    lagging: dict[int, tuple[int, int]] = {}
    for conv, head, rrev, version in changed:
        if hub.lags(conv, head, rrev):
            hub.check(conv, version)  # another node may have changed the members
            if hub.concerns(conv):
                lagging[conv] = head, rrev
            else:
                hub.offered(conv, head, rrev)
    if lagging:
        await offering.offer(store, hub, lagging)
    if not hub.others.alone:  # also while a long writer holds the horizon
        for device, login in await store.read(devices.entered_since, hub.horizon_before):
            hub.outdated(device, login)
        hub.regrouped(await store.read(sync.regrouped, hub.horizon))
    if horizon != hub.horizon_before or not hub.others.alone:
        hub.revoked(await store.read(devices.revoked_since, hub.horizon_before))
    hub.horizon_before, hub.horizon = hub.horizon, horizon
    for session in hub.sessions():
        session.advance(horizon)
    hub.flush()
