"""`wirechat serve --workers N`: several servers that share the listening addresses, and a parent that keeps them alive.

The parent serves nobody. Each worker is a node of its own with sockets of its own (SO_REUSEPORT), and the kernel deals
newcomers out evenly, whatever each of them has to do. (At one socket for all whoever wakes first takes what is there,
and connections that last for days stay where they fell.) Who is gone gets no more newcomers.

A worker is told what to do on its standard input, which stays open: its end is the end of the parent. It tells how it
does as to systemd (`systemd.notify`), on a socket of its own.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import structlog
import trio

from wirechat.cli import systemd
from wirechat.cli.running import die
from wirechat.server.listeners import Address, bind_socket, open_socket
from wirechat.settings import checks
from wirechat.settings.reading import Sources
from wirechat.settings.schema import Settings

log = structlog.get_logger("wirechat")

PAUSE_SECONDS = 0.5
PAUSE_SECONDS_MAX = 30.0
"""Before a worker is started again: doubled each time."""

LONG_SECONDS = 60.0
"""Who lived that long is started again as if it were the first time."""

STOP_SECONDS = 13.0
"""A drain takes ten."""

FAILED = 1

ADVICE = {
    errno.EADDRINUSE: "stop the server that runs there, or choose another port",
    errno.EACCES: "ports below 1024 belong to root, choose another one",
}
"""What to do about an address that cannot be had; else it is none of this machine."""


async def run_workers(settings: Settings, sources: Sources) -> int:
    """Keep the workers alive until a signal, then end with the last of them. Returns the exit status: that of a worker
    that never came to be ready, because of the configuration then, else 0. Raises BadSettings.
    """
    checks.tls(checks.complete(settings))
    with _reserved(settings), tempfile.TemporaryDirectory(prefix="wirechat-") as folder:
        return await Workers(settings.cluster.workers, sources, Path(folder)).run()


@contextmanager
def told(kind: str, address: Address) -> Iterator[None]:
    """One line for an address of this transport that cannot be had."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        code, reason = (error.errno, error.strerror) if isinstance(error, OSError) else (None, "there is no such host")
        advice = ADVICE.get(code or 0, "give an address of this machine")
        context = click.get_current_context(silent=True)  # a worker has none
        command = f"{context.command_path} " if context else ""
        die(f"cannot listen on {address}: {reason}; {advice} with {command}--{kind}")


@contextmanager
def _reserved(settings: Settings) -> Iterator[None]:
    """Hold the addresses, so that nobody takes them while a worker starts again."""
    with ExitStack() as held:
        for kind, address in settings.addresses():
            if kind != "http":
                with told(kind, address):
                    open_socket(address).close()  # one that shares would not notice another server there
                    held.enter_context(bind_socket(address, shared=True))
        yield


class Workers:
    """A number of them. `folder` is for the sockets on which they tell how they do."""

    def __init__(self, count: int, sources: Sources, folder: Path) -> None:
        self._count = count
        self._sources = sources
        self._folder = folder
        self._processes: dict[int, trio.Process] = {}
        self._ready: set[int] = set()
        self._reloading: set[int] = set()
        self._proven: set[int] = set()
        """Those that were ready once."""
        self._begun = trio.Event()
        """One was ready, or none will be."""
        self._stopping = trio.Event()
        self._status = 0

    async def run(self) -> int:
        """See `run_workers`. The first begins alone: it brings the data up to date, and tells once what is wrong."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._heed_signals)
            nursery.start_soon(self._insist)
            async with trio.open_nursery() as keeping:
                keeping.start_soon(self._keep, 0)
                await self._begun.wait()
                for number in range(1, self._count):
                    keeping.start_soon(self._keep, number)
            nursery.cancel_scope.cancel()
        if not self._status:
            log.info("stopped")
        return self._status

    async def _keep(self, number: int) -> None:
        """Start it again and again. One that was never ready ends them all: it has said what is wrong."""
        pause = PAUSE_SECONDS
        while not self._stopping.is_set():
            began = trio.current_time()
            status = await self._live(number)
            if self._stopping.is_set():
                return
            if number not in self._proven:
                self._status = max(status, FAILED)
                self._stop()
                return
            if trio.current_time() - began > LONG_SECONDS:
                pause = PAUSE_SECONDS
            log.error("a worker ended and is started again", worker=number, status=status, seconds=pause)
            with trio.move_on_after(pause):
                await self._stopping.wait()
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _live(self, number: int) -> int:
        """One life of it; the exit status."""
        ear = self._folder / str(number)
        ear.unlink(missing_ok=True)
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
            await heard.bind(str(ear))
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "wirechat.cli.worker"], stdin=subprocess.PIPE,
                env={**os.environ, systemd.SOCKET: str(ear)}, process_group=0,  # Ctrl-C is for the parent
            )  # fmt: skip
            self._processes[number] = process
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._order, process, number)
                    nursery.start_soon(self._listen, heard, number)
                    status = await process.wait()
                    nursery.cancel_scope.cancel()
            finally:
                process.kill()
                del self._processes[number]
                self._ready.discard(number)
                self._reloading.discard(number)
        return status

    async def _order(self, process: trio.Process, number: int) -> None:
        """What to do. Its standard input stays open until its end or ours."""
        file = self._sources.file
        order = {"worker": number, "file": file and str(file), "flags": dict(self._sources.flags)}
        assert process.stdin is not None
        try:
            await process.stdin.send_all(json.dumps(order).encode() + b"\n")
        except trio.BrokenResourceError:
            pass  # it has ended already

    async def _listen(self, heard: trio.socket.SocketType, number: int) -> None:
        """We are ready when each of them is."""
        while True:
            if (await heard.recv(4096)).decode() != systemd.READY:
                continue
            self._ready.add(number)
            self._reloading.discard(number)
            self._proven.add(number)
            self._begun.set()
            if len(self._ready) == self._count and not self._reloading:
                log.info("all workers serve", workers=self._count)
                systemd.notify(systemd.READY)

    async def _heed_signals(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    systemd.notify(systemd.reloading())
                    self._reloading |= self._ready  # the others have yet to read the configuration
                    self._send(signal.SIGHUP, self._ready)
                elif self._stopping.is_set():
                    self._send(signal.SIGKILL, self._processes)
                else:
                    log.info("stopping")
                    systemd.notify(systemd.STOPPING)
                    self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        self._begun.set()
        self._send(signal.SIGTERM, self._processes)

    async def _insist(self) -> None:
        await self._stopping.wait()
        await trio.sleep(STOP_SECONDS)
        self._send(signal.SIGKILL, self._processes)

    def _send(self, number: signal.Signals, workers: Iterable[int]) -> None:
        for worker in workers:
            self._processes[worker].send_signal(number)
