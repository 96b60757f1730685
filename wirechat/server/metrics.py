"""What a node counts, for Prometheus.

Rules:
* The objects that own the state own its counters: plain integers, counted once a frame or once a batch. Here they are
  read when someone asks, so several servers in one process do not mix and a message pays nothing.
* Everything here stands in docs/operations/metrics.md; a test compares.
* Nothing here stops the loop for long: connections and sessions are walked over in slices, others get between.
* Labels have few values: transports, modes, names of the protocol. Never a user, an address or a conversation.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING

import attrs
import trio
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

from wirechat import wire
from wirechat.bus.traffic import Traffic
from wirechat.server import limits
from wirechat.server.cluster import Cluster, Counts
from wirechat.server.histogram import Histogram
from wirechat.server.session import Mode
from wirechat.store.errors import StoreError
from wirechat.store.features import meta, sync
from wirechat.store.features.sync import Held
from wirechat.store.tx import Tx
from wirechat.wire.registries import AuthMethod

if TYPE_CHECKING:
    from wirechat.bus.nats import NatsBus
    from wirechat.server.app import Server

__all__ = ["CONTENT_TYPE", "Metrics"]

Labels = tuple[str, ...]
TRANSPORTS = ("tcp", "tls", "ws", "wss")
SLICE = 1000
"""Connections that are looked at without a pause: 3 ms."""


class Metrics:
    """The metrics of one server, and of the process it runs in."""

    def __init__(self, server: Server, bus: NatsBus | None = None) -> None:
        self._server = server
        self._store = server.store
        self._bus = bus
        self._process = ProcessCollector(registry=None)
        self._version = metadata.version("wirechat")

    async def text(self) -> bytes:
        """The exposition format of Prometheus 0.0.4."""
        registry = CollectorRegistry()
        node = _Node(self._server, self._version, await _census(self._server))
        for collector in (
            node,
            _Others(self._server.cluster, self._bus),
            _Stored(await self._ask()),
            self._process,
        ):
            registry.register(collector)
        return generate_latest(registry)

    async def _ask(self) -> tuple[int, Held] | None:
        with trio.move_on_after(limits.PROBE_SECONDS):
            try:
                return await self._store.read(_size_and_horizon)
            except StoreError:
                pass
        return None


async def _size_and_horizon(tx: Tx) -> tuple[int, Held]:
    return await meta.size(tx), await sync.held(tx)


class _Stored(Collector):
    """What only the store knows; None: it did not answer."""

    def __init__(self, told: tuple[int, Held] | None) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        yield _gauge("store_up", "1 when the store answered a read just now, else 0.", self._told is not None)
        if self._told is not None:
            size, held = self._told
            yield _gauge("store_bytes", "Size of the data with its indexes, without the write-ahead log.", size)
            about = "Age of the oldest transaction of the database that writes; horizons cannot pass it."
            yield _gauge("horizon_held_seconds", about, held.seconds)
            about = "Transactions ended since that one began, at most: so far horizons lie behind."
            yield _gauge("horizon_held_transactions", about, held.transactions)


class _Others(Collector):
    """What is between this node and the others. One that is alone tells zeros, so that no panel has holes."""

    def __init__(self, cluster: Cluster | None, bus: NatsBus | None) -> None:
        self._nodes = 0 if cluster is None else len(cluster.directory.nodes)
        self._counts = Counts() if cluster is None else cluster.counts
        self._traffic = Traffic() if bus is None else bus.traffic
        self._up = bus is None or bus.trouble is None

    def collect(self) -> Iterator[Metric]:
        traffic, counts = self._traffic, self._counts
        messages = {"sent": traffic.sent, "received": traffic.received}
        content = {"sent": traffic.sent_bytes, "received": traffic.received_bytes}
        dropped = {"sent": traffic.unsent, "received": traffic.unreceived}
        hints = {"sent": counts.hints_sent, "heard": counts.hints_heard, "read": counts.hints_read}
        yield _gauge("bus_up", "1 while the bus is reached, or there is none to be reached, else 0.", self._up)
        yield _counters("bus_messages", "Messages given to the bus, and taken from it.", "direction", messages)
        yield _counters("bus_bytes", "What these carried.", "direction", content)
        about = "Messages that were lost at this node: the bus was away, or too many waited."
        yield _counters("bus_dropped", about, "direction", dropped)
        yield _counter("bus_reconnects", "How often the bus was reached again.", traffic.reconnects)
        yield _gauge("cluster_nodes", "Other nodes that are heard now.", self._nodes)
        about = "Conversations named to other nodes, named by them, and of those the ones with something new."
        yield _counters("cluster_hints", about, "kind", hints)
        yield _counter("cluster_garbled", "Messages of other nodes that could not be read.", counts.garbled)


@attrs.define
class _Census:
    """Sums over connections and sessions."""

    transports: dict[str, int]
    modes: dict[str, int]
    pushed: int
    falls: int
    waiting: int = 0
    blocked: int = 0


async def _census(server: Server) -> _Census:
    hub, connections = server.hub, list(server.connections)
    sessions = list(hub.sessions())
    found = _Census(
        dict.fromkeys(TRANSPORTS, 0), dict.fromkeys((mode.value for mode in Mode), 0), hub.pushed, hub.falls
    )
    for start in range(0, len(connections), SLICE):
        for connection in connections[start : start + SLICE]:
            found.transports[connection.endpoint.peer.transport] += 1
            found.waiting += connection.outbox.backlog
            found.blocked += connection.endpoint.blocked
        await trio.lowlevel.checkpoint()
    for start in range(0, len(sessions), SLICE):
        for session in sessions[start : start + SLICE]:
            found.modes[session.mode.value] += 1
            found.pushed += session.sent
            found.falls += session.falls
        await trio.lowlevel.checkpoint()
    return found


class _Node(Collector):
    """Everything that is read from memory."""

    def __init__(self, server: Server, version: str, census: _Census) -> None:
        self._server = server
        self._version = version
        self._census = census

    def collect(self) -> Iterator[Metric]:
        yield self._build()
        yield from self._connections()
        yield from self._sessions()
        yield from self._requests()
        yield from self._journal()
        yield from self._upkeep()

    def _build(self) -> Metric:
        build = GaugeMetricFamily(
            "wirechat_build_info", "Always 1; what runs here.", labels=("version", "python", "engine")
        )
        build.add_metric((self._version, platform.python_version(), self._server.store.engine), 1)
        return build

    def _connections(self) -> Iterator[Metric]:
        server, census = self._server, self._census
        yield _gauges("connections", "Connections now.", "transport", census.transports)
        yield _gauge("connections_blocked", "Connections whose socket takes no more bytes now.", census.blocked)
        yield _gauge("outbox_waiting_bytes", "Bytes of replies that wait for slow readers.", census.waiting)
        yield _counters("connections_accepted", "Connections that came.", "transport", server.accepted)
        yield _counter("connections_refused", "Connections closed at once: there were too many.", server.turned_away)

    def _sessions(self) -> Iterator[Metric]:
        census = self._census
        yield _gauges("sessions", "Devices logged in now, by how they are told what is new.", "mode", census.modes)
        yield _counter("deliveries", "Durable pushes given to sessions: entries, receipts, digest rows.", census.pushed)
        yield _counter("falls_behind", "How often a session's window was full when something new came.", census.falls)
        about = "Digest rounds begun: first (no token), digest, reset (the token was void), behind (after a fall)."
        yield _counters("sync_rounds", about, "kind", self._server.resumption.rounds)

    def _requests(self) -> Iterator[Metric]:
        server = self._server
        calls = {kind.NAME.lower(): handler.calls for kind, handler in server.dispatcher.table.items()}
        yield _counters("frames_received", "Frames of clients by type, requests and others.", "type", calls)
        errors = server.dispatcher.errors + server.journal.refusals
        about = "Requests and connections that failed, by error code and its name."
        named: dict[Labels, float] = {(str(code), _name(code)): n for code, n in errors.items()}
        yield _labelled("errors", about, ("code", "name"), named)
        logins: dict[Labels, float] = {
            (_method(method), _name(code)): n for (method, code), n in server.logins.logins.items()
        }
        yield _labelled("logins", "Attempts to log in; outcome ok or the error.", ("method", "outcome"), logins)

    def _journal(self) -> Iterator[Metric]:
        journal = self._server.journal
        yield _counter("entries", "Entries committed to the log.", journal.entries)
        yield _counter("entries_repeated", "Entries sent again that were in the log already.", journal.repeats)
        yield _gauge("journal_waiting_entries", "Entries that wait for the next commit.", journal.waiting)
        yield _histogram("batch_entries", "Entries in one commit.", journal.batches)
        yield _histogram("commit_seconds", "From handing a batch to the store to its answer.", journal.commits)

    def _upkeep(self) -> Iterator[Metric]:
        pulse, receipts = self._server.pulse, self._server.receipts
        yield _gauge("watermarks_waiting", "Delivered watermarks not yet written.", receipts.waiting)
        about = "How long the oldest of them has been waiting, at most."
        yield _gauge("watermarks_waiting_seconds", about, receipts.waiting_seconds)
        yield _gauge("horizon_age_seconds", "Since the last pass over the store that succeeded.", pulse.horizon_seconds)
        yield _histogram("pass_seconds", "How long the passes over the store took that succeeded.", pulse.passes)
        yield _histogram("loop_lag_seconds", "How late the event loop ran what was due, once a second.", pulse.lag)
        yield _gauge("draining", "1 while the server is stopping, else 0.", self._server.draining)


def _name(code: int) -> str:
    """An error code as its name in protocol/errors.json; 0 is none."""
    info = wire.errors.ERRORS.get(code)
    return "ok" if code == 0 else info.name.lower() if info else "unknown"


def _method(method: int) -> str:
    return AuthMethod(method).name.lower() if method else "unknown"


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"wirechat_{name}", about, value=value)


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(f"wirechat_{name}", about, value=value)


def _gauges(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"wirechat_{name}", about, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _counters(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    return _labelled(name, about, (label,), {(key,): value for key, value in values.items()})


def _labelled(name: str, about: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
    family = CounterMetricFamily(f"wirechat_{name}", about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, about: str, histogram: Histogram) -> Metric:
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, histogram.cumulative(), strict=True))
    return HistogramMetricFamily(f"wirechat_{name}", about, buckets=buckets, sum_value=histogram.total)
