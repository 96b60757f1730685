"""`wirechat serve`: from the settings to a running server."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
import trio

from wirechat.cli import logs, systemd
from wirechat.cli.opening import open_bus, open_store
from wirechat.cli.options import configured, load
from wirechat.cli.reload import Reloading
from wirechat.cli.running import die, run
from wirechat.cli.workers import run_workers, told
from wirechat.server.app import Server
from wirechat.server.health import NO_BUS, NO_BUS_ADVICE, Health
from wirechat.server.listeners import Address, Listener, Tls, bind_socket
from wirechat.settings import checks
from wirechat.settings.reading import Sources
from wirechat.settings.schema import Settings
from wirechat.store.database import Store
from wirechat.store.features import activity
from wirechat.store.sqlite import COPIES
from wirechat.world import REAL

if TYPE_CHECKING:
    from wirechat.bus.nats import NatsBus
    from wirechat.server.sidedoor import SideDoor

log = structlog.get_logger("wirechat")

GC_THRESHOLD = 10_000
"""Objects made before the youngest are looked through. A thousand entries in flight are ten thousand objects: with less
they would count as old and call for full collections, each a stop of 100 ms when there are 4,000 connections.
"""

EPILOG = """\b
wirechat serve --data ./data --tcp 127.0.0.1:7667
wirechat serve --config wirechat.toml      (wirechat config default > wirechat.toml)
wirechat serve --store postgresql://… --bus nats://… --workers 2 --tcp 0.0.0.0:7667"""


@click.command(epilog=EPILOG)
@configured
def serve(sources: Sources) -> None:
    """Run a server until SIGTERM or Ctrl-C.

    Stopping answers what was read, asks the clients to come back, and takes at most ten seconds. SIGHUP reads
    certificate, limits and rules again. With --store and --bus it is one node of a cluster, with --workers several.
    """
    settings = load(sources).settings
    logs.configure(settings.log)
    if settings.cluster.workers > 1:
        raise SystemExit(run(run_workers, settings, sources))
    run(run_server, settings, sources)


STOPPING = (signal.SIGTERM, signal.SIGINT)

Greeting = Callable[[Store, list[Listener]], Awaitable[None]]
"""Something to do beside the running server, once it listens."""


async def run_server(settings: Settings, sources: Sources | None = None, greeting: Greeting | None = None) -> None:
    """Open the store, listen, serve until a signal, drain. With `sources` SIGHUP reads them again, else it is such a
    signal. Raises BadSettings.
    """
    tls = checks.tls(checks.complete(settings))
    _try_addresses(settings)
    async with open_store(settings) as store, open_bus(settings.bus) as bus:
        if settings.data.directory is not None:
            _remind(settings.data.directory)
        if bus is not None:
            log.info("this node", node=f"{bus.node:014x}", store=str(settings.store.url), bus=str(settings.bus.url))
        if settings.store.url is not None and bus is None and (count := await store.read(activity.servers)):
            log.warning(NO_BUS, others=count, todo=NO_BUS_ADVICE)
        listeners, doors = _listen_all(settings, tls)
        for listener in (*listeners, *doors):
            log.info("listening", url=listener.url)
            if listener in doors and listener.transport != "http":
                log.info("listening", url=listener.url.replace("ws", "http", 1))
        gc.collect()
        gc.freeze()  # what lives now lives for ever
        gc.set_threshold(GC_THRESHOLD)
        config, stop = settings.config(), trio.Event()
        async with trio.open_nursery() as nursery:
            if sources is None:
                await nursery.start(_stop_on_signal, stop, *STOPPING, signal.SIGHUP)
            else:
                await nursery.start(_stop_on_signal, stop, *STOPPING)
                await nursery.start(_reload_on_signal, Reloading(sources, settings, config, (*listeners, *doors)))
            nursery.start_soon(_turn_away, stop, listeners)
            if greeting is not None:
                nursery.start_soon(greeting, store, [*listeners, *doors])
            server = Server(config, REAL, store, bus, [listener.url for listener in (*listeners, *doors)])
            side = [await _open_side_door(nursery, server, doors, settings.data.directory, bus)] if doors else []
            systemd.notify(systemd.READY)
            await server.run([*listeners, *side], stop)
            nursery.cancel_scope.cancel()
        for listener in (*listeners, *doors):
            listener.close()
        log.info("stopped")


async def _open_side_door(
    nursery: trio.Nursery, server: Server, doors: list[Listener], data: Path | None, bus: NatsBus | None
) -> SideDoor:
    """Serve HTTP until the nursery is cancelled. Imported by those who want it: it takes a third of a second."""
    from wirechat.server.http import application
    from wirechat.server.metrics import Metrics
    from wirechat.server.sidedoor import SideDoor

    health = Health(server.store, lambda: server.draining, data, cluster=server.cluster)
    door = SideDoor(doors, application(health, Metrics(server, bus)))
    await nursery.start(door.run)
    return door


def _try_addresses(settings: Settings) -> None:
    """So that a mistake does not leave a new directory. One that is there may be in use, which says more than a port
    that is.
    """
    if settings.data.directory is None or os.path.exists(settings.data.directory):
        return
    for kind, address in settings.addresses():
        with told(kind, address):
            bind_socket(address, shared=True).close()


def _listen_all(settings: Settings, tls: Tls | None) -> tuple[list[Listener], list[Listener]]:
    """Those of the server, and those of the side door: HTTP alone, or one port for WebSocket and HTTP."""
    http, sockets = set(settings.listen.http), {*settings.listen.ws, *settings.listen.wss}
    listeners: list[Listener] = []
    doors: list[Listener] = []
    for kind, address in settings.addresses():
        if kind == "http" and address in sockets:
            continue
        side = kind == "http" or (kind in ("ws", "wss") and address in http)
        (doors if side else listeners).append(_listen(kind, address, tls, settings))
    return listeners, doors


def _remind(data: Path) -> None:
    for kept in sorted(data.glob(COPIES)):
        log.warning(
            "a copy from before a migration holds what was deleted since; remove it when all is well", file=str(kept)
        )


def _listen(kind: str, address: Address, tls: Tls | None, settings: Settings) -> Listener:
    trusted, origins = frozenset(settings.proxy.trust), frozenset(settings.web.origins)
    make = partial(Listener, kind, address, trusted_proxies=trusted, origins=origins)
    with told(kind, address):
        return make(tls=tls if kind in ("tls", "wss") else None, shared=kind != "http" and settings.cluster.workers > 1)


async def _turn_away(stop: trio.Event, listeners: list[Listener]) -> None:
    """Who comes while we stop is refused at once, and finds another server, or this one again."""
    await stop.wait()
    for listener in listeners:
        listener.close()


async def _stop_on_signal(stop: trio.Event, *numbers: signal.Signals, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(*numbers) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                die("stopped at once")
            log.info("stopping")
            systemd.notify(systemd.STOPPING)
            stop.set()


async def _reload_on_signal(reloading: Reloading, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            systemd.notify(systemd.reloading())
            reloading.reload()
            systemd.notify(systemd.READY)
