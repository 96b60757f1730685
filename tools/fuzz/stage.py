"""One real server on one disk in memory, in simulated time, with the lines that lead to it.

Everything is a function of the chance that it is given: clock, network and disk are those of the simulation.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

import outcome
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.fuzz.line import SCHEMA, Line
from tools.simulate.device import Account
from tools.simulate.memory import MemoryDisk
from tools.simulate.network import Listener, SimEndpoint
from tools.simulate.run import NOW_MS
from tools.simulate.sealed import describe
from wirechat.server import app
from wirechat.server.config import Config
from wirechat.store.database import Store, open_sqlite
from wirechat.wire.auth import signed_bytes
from wirechat.world import World

T = TypeVar("T")

LANE_SECONDS = 0.0005
SLOW_JOBS = 0.1
PATIENCE_SECONDS = 20.0
"""How long an honest client waits for an answer."""

DEVICE_KEY = 3


class Stage:
    """A server, from its start to its end, and another one if that ends early. `faults`: what it did wrong."""

    def __init__(self, disk: MemoryDisk, chance: Random) -> None:
        self.disk = disk
        self.faults: list[str] = []
        self.server: app.Server
        self.store: Store
        self._chance = chance
        self._lines = 0
        self._listener: Listener
        self._nursery: trio.Nursery
        self._stop: trio.Event
        self._stopped: trio.Event

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Within, the server serves; at the end it is stopped politely."""
        async with trio.open_nursery() as hardware:
            self._nursery = hardware
            async with open_sqlite("", lane=self._lane, connect=self.disk.connect, locked=False) as self.store:
                self._start()
                yield
                self.stop()
                await self._stopped.wait()
            hardware.cancel_scope.cancel()

    def _start(self) -> None:
        self.server = app.Server(Config(), self._world(), self.store)
        self._stop, self._stopped, self._listener = trio.Event(), trio.Event(), Listener()
        self._nursery.start_soon(self._serve, self._stop, self._stopped)

    def stop(self) -> None:
        """The operator wants it to stop; it takes its time."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """It was told to."""
        return self._stop.is_set()

    async def restart(self) -> None:
        """Wait until it has stopped; from then on another one serves, on the same store."""
        self.stop()
        await self._stopped.wait()
        self._start()

    async def _serve(self, stop: trio.Event, stopped: trio.Event) -> None:
        try:
            await self.server.run([self._listener], stop)
        except Exception as error:  # noqa: BLE001  whatever it is, a server must not die of it
            self.faults.append(f"P10 the server died: {describe(error)}")
        finally:
            stopped.set()

    def _lane(self, name: str) -> QuickLane:
        return QuickLane(self._nursery, self._chance)

    def _world(self) -> World:
        return World(self._now_ms, self._chance.randbytes, self._chance.uniform, _inline)

    def _now_ms(self) -> int:
        return NOW_MS + int(trio.current_time() * 1000)

    def connect(self, owner: str) -> Line:
        """A new connection; its other end is with the server."""
        self._lines += 1
        line = Line(self._lines, owner, self._chance, self._nursery)
        self._listener.offer(SimEndpoint(line.connection))
        return line

    async def login(self, line: Line, account: Account, window: int | None = None) -> bool:
        """HELLO, AUTH, and SYNC to the end. False: the server did not let it in."""
        return await self.greet(line, window) and await self.prove(line, account, 1) and await self.sync(line, 2)

    async def greet(self, line: Line, window: int | None = None) -> bool:
        """HELLO, and wait for WELCOME."""
        hello = {"magic": "WC", "vmin": 1, "vmax": 1, "caps": [11, 12], "agent": "fuzz", "window": window}
        line.send_body(SCHEMA.encode("HELLO", hello))
        with trio.move_on_after(PATIENCE_SECONDS):
            return await line.until("WELCOME") is not None
        return False

    async def prove(self, line: Line, account: Account, rid: int) -> bool:
        """AUTH by the key of the account, with the nonce of the last WELCOME."""
        nonce = next((frame["nonce"] for frame in reversed(line.frames) if frame.name == "WELCOME"), bytes(32))
        proof = Ed25519PrivateKey.from_private_bytes(account.key).sign(signed_bytes(nonce, account.device, 0, b""))
        with trio.move_on_after(PATIENCE_SECONDS):
            answer = await line.ask("AUTH", rid, method=DEVICE_KEY, proof=proof, device=account.device)
            return answer is not None and answer.name == "AUTH_OK"
        return False

    async def sync(self, line: Line, rid: int) -> bool:
        """SYNC from the beginning, page after page."""
        cursor = None
        with trio.move_on_after(PATIENCE_SECONDS):
            while True:
                answer = await line.ask("SYNC", rid, cursor=cursor)
                if answer is None or answer.name != "SYNC_OK":
                    return False
                cursor = answer["cursor"]
                if cursor is None:
                    return True
        return False


class QuickLane:
    """A thread of the store: what is submitted runs inline, in order. Others go on before it and before its result is
    told, but it mostly takes no time.
    """

    def __init__(self, nursery: trio.Nursery, chance: Random) -> None:
        self._chance = chance
        self._submit, self._submitted = trio.open_memory_channel[tuple[Callable[[], Any], Callable[[Any], None]]](
            math.inf
        )
        self._done = trio.Event()
        nursery.start_soon(self._work)

    def submit(self, work: Callable[[], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        """See `Lane`."""
        self._submit.send_nowait((work, done))

    async def aclose(self) -> None:
        """See `Lane`."""
        self._submit.close()
        with trio.CancelScope(shield=True):
            await self._done.wait()

    async def _work(self) -> None:
        try:
            async for work, done in self._submitted:
                await self._pause()
                result = outcome.capture(work)
                await self._pause()
                done(result)
        finally:
            self._done.set()

    async def _pause(self) -> None:
        if self._chance.random() < SLOW_JOBS:
            await trio.sleep(LANE_SECONDS)
        else:
            await trio.lowlevel.checkpoint()


async def _inline(fn: Callable[..., Any], *args: Any) -> Any:
    await trio.sleep(LANE_SECONDS)
    return fn(*args)
