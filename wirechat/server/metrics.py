"""What a node counts, for Prometheus.

Rules:
* The objects that own the state own its counters: plain integers, counted once a frame or once a batch. Here they are
  read when someone asks, so several servers in one process do not mix and a message pays nothing.
* Everything here stands in docs/operations/metrics.md; a test compares.
* Labels have few values: transports, modes, names of the protocol. Never a user, an address or a conversation.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING

import trio
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

from wirechat import wire
from wirechat.server import limits
from wirechat.server.histogram import Histogram
from wirechat.server.session import Mode
from wirechat.store.errors import StoreError
from wirechat.store.features import meta
from wirechat.wire.registries import AuthMethod

if TYPE_CHECKING:
    from wirechat.server.app import Server

__all__ = ["CONTENT_TYPE", "Metrics"]

Labels = tuple[str, ...]
TRANSPORTS = ("tcp", "tls", "ws", "wss")


class Metrics:
    """The metrics of one server, and of the process it runs in."""

    def __init__(self, server: Server) -> None:
        self._store = server.store
        self._process = ProcessCollector(registry=None)
        self._node = _Node(server)

    async def text(self) -> bytes:
        """The exposition format of Prometheus 0.0.4."""
        registry = CollectorRegistry()
        for collector in (self._node, _StoreSize(await self._bytes()), self._process):
            registry.register(collector)
        return generate_latest(registry)

    async def _bytes(self) -> int | None:
        with trio.move_on_after(limits.PROBE_SECONDS):
            try:
                return await self._store.read(meta.size)
            except StoreError:
                pass
        return None


class _StoreSize(Collector):
    """What only the store knows."""

    def __init__(self, size: int | None) -> None:
        self._size = size

    def collect(self) -> Iterator[Metric]:
        answers = self._size is not None
        yield _gauge("store_up", "1 when the store answered a read just now, else 0.", answers)
        if self._size is not None:
            yield _gauge("store_bytes", "Size of the data with its indexes, without the write-ahead log.", self._size)


class _Node(Collector):
    """Everything that is read from memory. The walk over the connections takes a millisecond for 3,000."""

    def __init__(self, server: Server) -> None:
        self._server = server

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
        build.add_metric((metadata.version("wirechat"), platform.python_version(), self._server.store.engine), 1)
        return build

    def _connections(self) -> Iterator[Metric]:
        server = self._server
        here = dict.fromkeys(TRANSPORTS, 0)
        waiting = blocked = 0
        for connection in server.connections:
            here[connection.endpoint.peer.transport] += 1
            waiting += connection.outbox.backlog
            blocked += connection.endpoint.blocked
        yield _gauges("connections", "Connections now.", "transport", here)
        yield _gauge("connections_blocked", "Connections whose socket takes no more bytes now.", blocked)
        yield _gauge("outbox_waiting_bytes", "Bytes of replies that wait for slow readers.", waiting)
        yield _counters("connections_accepted", "Connections that came.", "transport", server.accepted)
        yield _counter("connections_refused", "Connections closed at once: there were too many.", server.turned_away)

    def _sessions(self) -> Iterator[Metric]:
        hub = self._server.hub
        modes = dict.fromkeys((mode.value for mode in Mode), 0)
        pushed, falls = hub.pushed, hub.falls
        for session in hub.sessions():
            modes[session.mode.value] += 1
            pushed += session.sent
            falls += session.falls
        yield _gauges("sessions", "Devices logged in now, by how they are told what is new.", "mode", modes)
        yield _counter("deliveries", "Durable pushes given to sessions: entries, receipts, digest rows.", pushed)
        yield _counter("falls_behind", "How often a session's window was full when something new came.", falls)
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
