"""The client on Trio, as a guest in a program that runs on asyncio.

Rules: both loops take turns in one thread, so what the client answers at once (logs, lists) may be asked from either
side; what waits goes through `call`. When the client gives up, what it has cached stays open until `stop`: the screen
may look at it once more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import outcome
import trio

from wirechat.client import Client, ClientError, Event

__all__ = ["Guest", "Opening"]

T = TypeVar("T")
Opening = Callable[[], AbstractAsyncContextManager[Client]]


class Guest:
    """One client. Make it inside a running asyncio loop. `told` hears every event of the client."""

    def __init__(self, opening: Opening, told: Callable[[Event], None]) -> None:
        self._opening = opening
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[Client] = self._loop.create_future()
        self._scope = trio.CancelScope()
        self._stop = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self.ended: asyncio.Future[ClientError | None] = self._loop.create_future()
        """Why the client has given up; None when it was stopped."""
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> Client:
        """Returns when the client is open. Raises what opening it raises."""
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._loop.call_soon_threadsafe,
            done_callback=self._done,
            host_uses_signal_set_wakeup_fd=True,
        )
        try:
            return await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._soon(self._scope.cancel)
            await asyncio.wait([self._over])
            raise

    async def call(self, fn: Callable[..., Awaitable[T]], *args: object) -> T:
        """Runs `fn(*args)` on Trio and returns its result or raises its error; a cancelled caller cancels it."""
        result: asyncio.Future[T] = self._loop.create_future()
        if not self._soon(self._begin, result, fn, args):
            result.cancel()
        return await result

    async def stop(self) -> None:
        """Says goodbye to the server and returns when everything has ended."""
        self._soon(self._stop.set)
        await asyncio.wait([self._over])

    # --- on Trio

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with self._opening() as client:
                async with trio.open_nursery() as self._nursery:
                    self._nursery.start_soon(self._stopped, self._nursery.cancel_scope)
                    events = client.events()
                    self._opened.set_result(client)
                    try:
                        async for event in events:
                            self._told(event)
                    except ClientError as error:
                        self.ended.set_result(error)
                        self._nursery.cancel_scope.cancel()
                await self._stop.wait()

    async def _stopped(self, scope: trio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    def _begin(self, result: asyncio.Future[T], fn: Callable[..., Awaitable[T]], args: tuple[object, ...]) -> None:
        assert self._nursery is not None
        try:
            self._nursery.start_soon(self._run, result, fn, args)
        except RuntimeError:  # it has ended, and Trio not yet
            result.cancel()

    async def _run(self, result: asyncio.Future[T], fn: Callable[..., Awaitable[T]], args: tuple[object, ...]) -> None:
        with trio.CancelScope() as scope:
            result.add_done_callback(lambda _: self._soon(scope.cancel))
            try:
                value = await fn(*args)
                if not result.done():
                    result.set_result(value)
            except Exception as error:  # noqa: BLE001  it is the caller's
                if not result.done():
                    result.set_exception(error)
            finally:
                result.cancel()

    # --- in between

    def _soon(self, fn: Callable[..., object], *args: object) -> bool:
        """Runs on Trio, and wakes it; False when it has ended."""
        try:
            if self._token is not None:
                self._token.run_sync_soon(fn, *args)
            return self._token is not None
        except trio.RunFinishedError:
            return False

    def _done(self, result: outcome.Outcome[None]) -> None:
        self._over.set_result(None)
        if isinstance(result, outcome.Error) and not self._opened.done():
            self._opened.set_exception(result.error)
        elif isinstance(result, outcome.Error) and not self.ended.done():
            self.ended.set_exception(result.error)
        if not self.ended.done():
            self.ended.set_result(None)
        if not self._opened.done():
            self._opened.cancel()
