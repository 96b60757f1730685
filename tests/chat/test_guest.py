"""Trio inside asyncio: results, errors and cancellations cross over, and the end is an end from both sides."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.chat.rig import play
from wirechat.cli.chat.guest import Guest
from wirechat.client import ConnectionFailed, Refresh, Refused
from wirechat.client.events import Events, Feed


class Client:
    """What a guest needs of one."""

    def __init__(self) -> None:
        self.all = Events()
        self.open = True

    def events(self) -> Feed:
        return self.all.feed(100)


def run(story: Callable[[Guest, Client, list[object]], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        client, told = Client(), []  # type: tuple[Client, list[object]]

        @asynccontextmanager
        async def opening() -> AsyncIterator[Client]:
            yield client
            client.open = False
            await trio.sleep(0.05)  # as a client that says goodbye

        guest = Guest(opening, told.append)  # type: ignore[arg-type]
        await guest.start()
        await story(guest, client, told)

    play(main())


def test_results_and_errors_cross_over() -> None:
    async def story(guest: Guest, client: Client, told: list[object]) -> None:
        async def double(number: int) -> int:
            await trio.sleep(0.01)
            return 2 * number

        async def refuse() -> None:
            raise Refused("no")

        assert await asyncio.gather(*(guest.call(double, number) for number in range(20))) == list(range(0, 40, 2))
        with pytest.raises(Refused):
            await guest.call(refuse)
        client.all.publish(Refresh())
        await guest.call(double, 1)
        assert told == [Refresh()]
        await guest.stop()
        assert guest.ended.result() is None

    run(story)


def test_a_cancelled_caller_cancels_what_it_called() -> None:
    async def story(guest: Guest, client: Client, told: list[object]) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            try:
                begun.set()
                await trio.sleep_forever()
            finally:
                ended.set()

        task = asyncio.create_task(guest.call(wait))
        await begun.wait()
        task.cancel()
        await ended.wait()
        left = asyncio.create_task(guest.call(wait))
        await guest.stop()
        with pytest.raises(asyncio.CancelledError):
            await left

    run(story)


def test_calls_that_come_with_the_end_or_after_it_are_cancelled() -> None:
    """Whenever the client gives up, nothing crashes: the reason is known, and whoever asks late is told by that."""

    async def story(guest: Guest, client: Client, told: list[object]) -> None:
        async def give_up() -> None:
            client.all.close(ConnectionFailed("gone"))

        calls = [asyncio.create_task(guest.call(give_up))]
        for _ in range(200):
            calls.append(asyncio.create_task(guest.call(trio.sleep, 0)))
            await asyncio.sleep(0.001)
        late = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(await guest.ended, ConnectionFailed)
        assert {type(outcome) for outcome in late} <= {type(None), asyncio.CancelledError}
        with pytest.raises(asyncio.CancelledError):
            await guest.call(trio.sleep, 0)
        await guest.stop()

    run(story)


def test_what_is_cached_stays_open_until_the_screen_is_gone() -> None:
    """The client gives up whenever it must, and the screen may be about to look at its cache."""

    async def story(guest: Guest, client: Client, told: list[object]) -> None:
        client.all.close(ConnectionFailed("revoked"))
        assert isinstance(await guest.ended, ConnectionFailed)
        await asyncio.sleep(0.1)
        assert client.open
        await guest.stop()
        assert not client.open

    run(story)
