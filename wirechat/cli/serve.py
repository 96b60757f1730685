"""`wirechat serve`: from flags to a running server."""

from __future__ import annotations

import gc
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
import trio

from wirechat.cli import logs
from wirechat.cli.running import die, run
from wirechat.server.app import Server
from wirechat.server.config import Config
from wirechat.server.listeners import Address, Listener, Tls, tls_context
from wirechat.store.database import Store, open_sqlite
from wirechat.store.sqlite import COPIES
from wirechat.world import REAL

if TYPE_CHECKING:
    from wirechat.server.sidedoor import SideDoor

log = structlog.get_logger("wirechat")


class AddressType(click.ParamType[Address]):
    """host:port on the command line."""

    name = "host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


GC_THRESHOLD = 10_000
"""Objects made before the youngest are looked through. A thousand entries in flight are ten thousand objects: with less
they would count as old and call for full collections, each a stop of 100 ms when there are 4,000 connections.
"""

ADDRESS = AddressType()
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the embedded store; made if missing.",
)
@click.option("--tcp", multiple=True, type=ADDRESS, help="Listen for plain TCP. May be repeated.")
@click.option("--tls", multiple=True, type=ADDRESS, help="Listen for TLS.")
@click.option("--ws", multiple=True, type=ADDRESS, help="Listen for WebSocket.")
@click.option("--wss", multiple=True, type=ADDRESS, help="Listen for WebSocket over TLS.")
@click.option(
    "--http",
    multiple=True,
    type=ADDRESS,
    help="Listen for HTTP: /livez, /readyz, /metrics. The address of a --ws or --wss shares its port.",
)
@click.option("--cert", type=FILE, help="Certificate chain in PEM, for --tls and --wss.")
@click.option("--key", type=FILE, help="Its private key in PEM.")
@click.option(
    "--trust-proxy",
    multiple=True,
    metavar="ADDRESS",
    help="A reverse proxy: it speaks for others, by PROXY protocol or X-Forwarded-For.",
)
@click.option("--clear-passwords", is_flag=True, help="Accept passwords from other machines without TLS.")
@click.option("--open-registration", is_flag=True, help="Let strangers from other machines make accounts.")
@click.option("--verbose", is_flag=True, help="Log every broken connection.")
def serve(
    data: Path,
    tcp: tuple[Address, ...],
    tls: tuple[Address, ...],
    ws: tuple[Address, ...],
    wss: tuple[Address, ...],
    http: tuple[Address, ...],
    cert: Path | None,
    key: Path | None,
    trust_proxy: tuple[str, ...],
    clear_passwords: bool,
    open_registration: bool,
    verbose: bool,
) -> None:
    """Run a server until SIGTERM or Ctrl-C.

    Stopping answers what was read, asks the clients to come back, and takes at most ten seconds.
    """
    logs.configure(verbose)
    wanted = [
        (kind, address) for kind, given in (("tcp", tcp), ("tls", tls), ("ws", ws), ("wss", wss)) for address in given
    ]
    if not wanted:
        raise click.UsageError("give at least one of --tcp, --tls, --ws, --wss")
    wanted += [("http", address) for address in http]
    context = None
    if tls or wss:
        if cert is None or key is None:
            raise click.UsageError("--tls and --wss need --cert and --key")
        try:
            context = tls_context(cert, key)
        except (OSError, ValueError) as error:
            raise click.UsageError(f"cannot use {cert} with {key}: {error}") from None
    config = Config(clear_passwords=clear_passwords, open_registration=open_registration)
    run(run_server, config, data, wanted, context, frozenset(trust_proxy))


Greeting = Callable[[Store, list[Listener]], Awaitable[None]]
"""Something to do beside the running server, once it listens."""


async def run_server(
    config: Config,
    data: Path,
    wanted: list[tuple[str, Address]],
    tls: Tls | None,
    trusted: frozenset[str],
    greeting: Greeting | None = None,
) -> None:
    """Open the store, listen, serve until a signal, drain."""
    async with open_sqlite(data, tell=log.warning) as store:
        _remind(data)
        listeners, doors = _listen_all(wanted, tls, trusted)
        for listener in (*listeners, *doors):
            log.info("listening", url=listener.url)
            if listener in doors and listener.transport != "http":
                log.info("listening", url=listener.url.replace("ws", "http", 1))
        gc.collect()
        gc.freeze()  # what lives now lives for ever
        gc.set_threshold(GC_THRESHOLD)
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, stop)
            if greeting is not None:
                nursery.start_soon(greeting, store, listeners)
            server = Server(config, REAL, store)
            side = [await _open_side_door(nursery, server, doors, data)] if doors else []
            await server.run([*listeners, *side], stop)
            nursery.cancel_scope.cancel()
        for listener in (*listeners, *doors):
            listener.close()
        log.info("stopped")


async def _open_side_door(nursery: trio.Nursery, server: Server, doors: list[Listener], data: Path) -> SideDoor:
    """Serve HTTP until the nursery is cancelled. Imported by those who want it: it takes a third of a second."""
    from wirechat.server.health import Health
    from wirechat.server.http import application
    from wirechat.server.metrics import Metrics
    from wirechat.server.sidedoor import SideDoor

    door = SideDoor(doors)
    health = Health(server.store, lambda: server.draining, data)
    await nursery.start(door.run, application(health, Metrics(server)))
    return door


def _listen_all(
    wanted: list[tuple[str, Address]], tls: Tls | None, trusted: frozenset[str]
) -> tuple[list[Listener], list[Listener]]:
    """Those of the server, and those of the side door: HTTP alone, or one port for WebSocket and HTTP."""
    http = {address for kind, address in wanted if kind == "http"}
    sockets = {address for kind, address in wanted if kind in ("ws", "wss")}
    listeners: list[Listener] = []
    doors: list[Listener] = []
    for kind, address in wanted:
        if kind == "http" and address in sockets:
            continue
        side = kind == "http" or (kind in ("ws", "wss") and address in http)
        (doors if side else listeners).append(_listen(kind, address, tls, trusted))
    return listeners, doors


def _remind(data: Path) -> None:
    for kept in sorted(data.glob(COPIES)):
        log.warning(
            "a copy from before a migration holds what was deleted since; remove it when all is well", file=str(kept)
        )


def _listen(kind: str, address: Address, tls: Tls | None, trusted: frozenset[str]) -> Listener:
    try:
        return Listener(kind, address, tls=tls if kind in ("tls", "wss") else None, trusted_proxies=trusted)
    except OSError as error:
        die(f"cannot listen on {address.host}:{address.port}: {error.strerror}")


async def _stop_on_signal(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if stop.is_set():
                die("stopped at once")
            log.info("stopping")
            stop.set()
