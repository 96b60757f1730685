"""A listener that is closed brings nobody any more, whatever it is doing then."""

from __future__ import annotations

import socket

import trio
import trio.testing

from wirechat.server.listeners import Address, Listener


async def test_one_that_is_closed_while_a_newcomer_is_looked_at_has_ended() -> None:
    """It waited for a socket that was closed, which ended the server with an error of its own."""
    listener = Listener("tcp", Address("127.0.0.1", 0))
    with socket.create_connection(("127.0.0.1", listener.port)):
        came = 0
        with trio.fail_after(5):
            async for endpoint in listener:
                came += 1
                endpoint.abort()
                listener.close()
    assert came == 1


async def test_one_that_is_closed_while_it_waits_has_ended() -> None:
    listener = Listener("tcp", Address("127.0.0.1", 0))
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_nobody_comes, listener)
            await trio.testing.wait_all_tasks_blocked()
            listener.close()


async def _nobody_comes(listener: Listener) -> None:
    async for _ in listener:
        raise AssertionError("nobody knocked")
