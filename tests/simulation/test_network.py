"""The simulated TCP must be as bad as the real one, or what passes here proves nothing."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, cast

import pytest
import trio

from tools.simulate.clock import Deadlock, JumpingClock
from tools.simulate.machine import ServerMachine
from tools.simulate.network import Connection, Listener, Network, SimEndpoint, SimTransport, Weather
from tools.simulate.plan import draw
from tools.simulate.trace import Trace
from wirechat.client.errors import ConnectionFailed

CALM = Weather(delay=0.01, cut_up=0.5, buffer_bytes=10, slow=0.0, tick=0.0)


class Deaf:
    def sent(self, data: bytes) -> None: ...

    def received(self, data: bytes) -> None: ...


def simulated(story: Callable[[Connection, SimEndpoint, SimTransport], Awaitable[None]]) -> None:
    async def main() -> None:
        connection = Connection(1, "someone", CALM, Random("network"))
        await story(connection, SimEndpoint(connection), SimTransport(connection, Deaf()))

    trio.run(main, clock=JumpingClock())


def test_bytes_arrive_in_order_through_a_buffer_smaller_than_they_are() -> None:
    async def story(connection: Connection, endpoint: SimEndpoint, transport: SimTransport) -> None:
        data = bytes(range(100))
        got = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.send, data)
            while len(got) < len(data):
                got += await endpoint.recv()
        assert got == data

    simulated(story)


def test_a_send_into_a_full_buffer_comes_up_short_and_the_rest_waits() -> None:
    async def story(connection: Connection, endpoint: SimEndpoint, transport: SimTransport) -> None:
        assert endpoint.try_send([b"12345"])
        assert not endpoint.blocked
        assert not endpoint.try_send([b"6789", b"0abc"])
        assert endpoint.blocked
        got = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(endpoint.wait_sent)
            while len(got) < 13:
                got += await transport.recv()
        assert got == b"1234567890abc"
        assert not endpoint.blocked

    simulated(story)


def test_a_cut_loses_what_was_under_way_and_both_sides_notice() -> None:
    async def story(connection: Connection, endpoint: SimEndpoint, transport: SimTransport) -> None:
        await transport.send(b"lost")
        connection.cut()
        assert await endpoint.recv() == b""
        with pytest.raises(ConnectionFailed):
            await transport.send(b"x")
        with pytest.raises(ConnectionFailed):
            await transport.recv()

    simulated(story)


def test_a_power_cut_loses_also_what_a_stopped_server_had_sent() -> None:
    """Its process is gone and its connections are closed; the judges of a restored backup know nothing of before."""

    async def main() -> None:
        network, listener, nothing = Network(CALM, Random("network"), Trace(), print), Listener(), cast(Any, None)
        machine = ServerMachine(
            "server", draw(Random("plan")), network, None, nothing, nothing, nothing, nothing, nothing, Random("server")
        )
        network.open("server", listener)
        transport = SimTransport(await network.connect("someone"), Deaf())
        endpoint = await anext(aiter(listener))
        assert endpoint.try_send([b"late"])
        await endpoint.aclose(1000)
        assert network.alive() == []
        machine.crash()
        with pytest.raises(ConnectionFailed):
            await transport.recv()

    trio.run(main, clock=JumpingClock())


def test_a_half_open_connection_takes_bytes_and_delivers_none() -> None:
    async def story(connection: Connection, endpoint: SimEndpoint, transport: SimTransport) -> None:
        connection.up.hole = True
        await transport.send(b"nowhere")
        with trio.move_on_after(1000) as waited:
            await endpoint.recv()
        assert waited.cancelled_caught
        with trio.move_on_after(1000) as waited:
            await transport.send(b"the buffer is full now")
        assert waited.cancelled_caught

    simulated(story)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_time_jumps_and_a_world_that_can_never_go_on_is_noticed() -> None:
    async def story(connection: Connection, endpoint: SimEndpoint, transport: SimTransport) -> None:
        before = trio.current_time()
        await trio.sleep(86_400)
        assert trio.current_time() == before + 86_400
        await endpoint.recv()

    with pytest.raises(trio.TrioInternalError) as caught:
        simulated(story)
    assert isinstance(caught.value.__cause__, Deadlock)
    del caught
    gc.collect()  # Trio broke down, as it should, and left its wake-up sockets to the collector
