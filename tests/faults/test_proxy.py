"""What the proxy does to bytes is what TCP allows: they are late, in pieces, cut off, swallowed; never changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import trio

from tools.faults.proxy import Balancer, Proxy, Way, Weather

PATIENCE = 10.0
DATA = bytes(range(256)) * 20


@asynccontextmanager
async def echoing(weather: Weather) -> AsyncIterator[tuple[Proxy, trio.SocketStream]]:
    """A client of a server that says everything again, through a proxy."""

    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(_serve, echo)
            proxy = Proxy(f"127.0.0.1:{listener.socket.getsockname()[1]}", Random(1), weather)
            await proxy.start(nursery)
            yield proxy, await trio.open_tcp_stream("127.0.0.1", proxy.port)
            nursery.cancel_scope.cancel()


async def _serve(handler: object, task_status: trio.TaskStatus[object]) -> None:
    await trio.serve_tcp(handler, 0, host="127.0.0.1", task_status=task_status)  # type: ignore[arg-type]


async def everything(stream: trio.SocketStream) -> bytes:
    """What comes until the end, however it ends."""
    received = b""
    try:
        while data := await stream.receive_some():
            received += data
    except trio.BrokenResourceError:
        pass
    return received


async def test_late_and_byte_by_byte_everything_arrives_in_order() -> None:
    async with echoing(Weather(delay_seconds=0.01, trickle=0.5)) as (proxy, stream):
        for start in range(0, len(DATA), 512):
            await stream.send_all(DATA[start : start + 512])
        await stream.send_eof()
        assert await everything(stream) == DATA
        assert proxy.counts["trickled"]


async def test_cut_and_truncated_what_arrives_is_the_beginning() -> None:
    for weather, name in ((Weather(cut=1), "cut"), (Weather(truncate=1), "truncated")):
        async with echoing(weather) as (proxy, stream):
            await stream.send_all(DATA)
            received = await everything(stream)
            assert DATA.startswith(received)
            assert len(received) < len(DATA)
            assert proxy.counts[name]


async def test_half_open_one_direction_is_silent_and_the_next_connection_is_not() -> None:
    for way in Way:
        async with echoing(Weather()) as (proxy, stream):
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
            proxy.swallow(way)
            await stream.send_all(b"are you there?")
            with trio.move_on_after(0.3) as silence:
                await stream.receive_some()
            assert silence.cancelled_caught
            other = await trio.open_tcp_stream("127.0.0.1", proxy.port)
            await other.send_all(b"hello")
            assert await other.receive_some() == b"hello"


async def test_a_cut_cable_is_silent_for_all_until_it_is_mended() -> None:
    async with echoing(Weather()) as (proxy, before):
        await before.send_all(b"hello")
        assert await before.receive_some() == b"hello"
        proxy.sever()
        during = await trio.open_tcp_stream("127.0.0.1", proxy.port)
        for stream in (before, during):
            await stream.send_all(b"are you there?")
            with trio.move_on_after(0.3) as silence:
                await stream.receive_some()
            assert silence.cancelled_caught
        proxy.mend()
        assert await everything(before) == await everything(during) == b""
        after = await trio.open_tcp_stream("127.0.0.1", proxy.port)
        await after.send_all(b"hello")
        assert await after.receive_some() == b"hello"


async def test_a_balancer_passes_by_who_is_away() -> None:
    """Each new connection leads to the next one that is there."""

    async def speaking(name: bytes) -> str:
        async def speak(stream: trio.SocketStream) -> None:
            await stream.send_all(name)

        [listener] = await nursery.start(_serve, speak)
        return f"127.0.0.1:{listener.socket.getsockname()[1]}"

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            targets = [await speaking(b"one"), "127.0.0.1:1", await speaking(b"three")]
            balancer = Balancer("", Random(1), targets=targets)
            await balancer.start(nursery)
            heard = [await everything(await trio.open_tcp_stream("127.0.0.1", balancer.port)) for _ in range(4)]
            assert sorted(heard) == [b"one", b"one", b"three", b"three"]
            nursery.cancel_scope.cancel()
