"""Several hosts: one start, one result; and whoever does not belong is told so in a line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import pytest
import trio
import trio.testing

from tests.loadgen.test_run import SECONDS, TALK
from tools.loadgen import hosts, scenario
from tools.loadgen.hosts import Lines, NoWorker, Remote
from tools.loadgen.run import Failed, Interrupted, Options, Progress, Run, _Process

TOKEN = "a token that is long enough"


@asynccontextmanager
async def waiting(token: str = TOKEN) -> AsyncIterator[tuple[str, list[str]]]:
    """A worker: its address, and what it tells."""
    listeners, told = await trio.open_tcp_listeners(0, host="127.0.0.1"), list[str]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hosts.serve, listeners, token, told.append)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}", told
        nursery.cancel_scope.cancel()


def options(url: str, *workers: str, token: str = TOKEN) -> Options:
    plan = scenario.parse(TALK.replace("seconds = 2", "seconds = 1.5"), "talk")
    return Options("talk", plan, url, workers=workers, token=token)


def silent(told: Progress) -> None: ...


async def test_two_hosts_make_one_load(url: str) -> None:
    async with waiting() as (one, told), waiting() as (other, told_too):
        with trio.fail_after(SECONDS):
            result = await Run(options(url, one, other), silent).run()
            while len(told + told_too) < 4:  # noqa: ASYNC110  told by the workers
                await trio.sleep(0.01)
    assert result.violations == []
    assert result.totals["people"] == 20
    assert result.measures.counts["texts"] > 100
    assert set(result.measures.counts_by_second["durable"]) == {0, 1}
    late = [text for name, text in result.machine.items() if name.startswith("worker 127.0.0.1:")]
    assert len(late) == 2
    assert all(text.startswith("lag p99 ") for text in late)
    for each in (told, told_too):
        assert each == [f"127.0.0.1 puts a load on {url}: 10 people", "the load of 127.0.0.1 is over"]


async def test_times_are_told_in_the_clock_of_the_worker() -> None:
    """Another host was started at another time."""
    sender, receiver = trio.testing.memory_stream_one_way_pair()
    remote = Remote("elsewhere:1", cast(trio.SocketStream, None), Lines(receiver), ahead=1000.0, clock_ms=0.1)
    process = _Process(0, sender, Lines(receiver), remote)
    await process.order({"phase": "hold", "begin": 1.0, "end": 2.5, "run_began": 0.5, "scale": [1, 1]})
    told = json.loads(await Lines(receiver).next() or "")
    assert told == {"phase": "hold", "begin": 1001.0, "end": 1002.5, "run_began": 1000.5, "scale": [1, 1]}


@pytest.mark.parametrize(
    ("greeting", "line"),
    [
        ({"worker": 1, "version": "0.0.7", "nonce": "x"}, f"it has version 0.0.7, this is {hosts.VERSION}"),
        ({"hello": 1}, "what is there is no `wirechat loadgen worker`"),
        ({"worker": 1, "version": hosts.VERSION, "nonce": "x"}, "it does not know the token"),
    ],
)
async def test_what_is_no_worker_of_ours_is_told(greeting: dict[str, Any], line: str) -> None:
    async def pretend(stream: trio.SocketStream) -> None:
        await hosts.say(stream, greeting)
        await stream.receive_some()
        await hosts.say(stream, {"proof": "0" * 64})

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(partial(trio.serve_listeners, pretend, [listener]))
        with pytest.raises(NoWorker, match=f"worker 127.0.0.1:[0-9]*: {line}"):
            await hosts.connect(f"127.0.0.1:{listener.socket.getsockname()[1]}", TOKEN)
        nursery.cancel_scope.cancel()


async def test_a_wrong_token_is_told_to_both() -> None:
    async with waiting() as (one, told):
        with pytest.RaisesGroup(Failed, flatten_subgroups=True) as caught:
            await Run(options("wirechat://127.0.0.1:1", one, token="another one"), silent).run()
        assert str(caught.value.exceptions[0]) == f"worker {one}: the token is wrong"
        assert told == ["127.0.0.1 was turned away: the token is wrong"]


async def test_who_is_no_coordinator_is_turned_away_and_the_next_is_served() -> None:
    async with waiting() as (one, told):
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"proof": 7}\n', b"x" * 100_000):
            stream = await trio.open_tcp_stream(*hosts.parse_address(one))
            with contextlib.suppress(trio.BrokenResourceError):  # the worker may be faster
                await stream.send_all(nonsense)
                await stream.send_eof()
                async for _ in stream:
                    pass
        assert set(told) <= {"127.0.0.1 was turned away: it does not speak as it should", "127.0.0.1 is gone"}
        remote = await hosts.connect(one, TOKEN)
        assert abs(remote.ahead) < 60
        await remote.stream.aclose()


async def test_a_worker_that_dies_is_named(url: str) -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        scope = trio.CancelScope()

        async def worker() -> None:
            with scope:
                await hosts.serve([listener], TOKEN, lambda line: None)

        def tell(told: Progress) -> None:
            if told.stage == "hold":
                scope.cancel()

        nursery.start_soon(worker)
        address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        with trio.fail_after(SECONDS), pytest.RaisesGroup(Interrupted, flatten_subgroups=True) as caught:
            await Run(options(url, address), tell).run()
    assert f"process 0 of the generator on {address} ended" in str(caught.value.exceptions[0])
