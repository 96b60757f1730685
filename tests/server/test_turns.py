"""Who handles what arrives, in which turn, and that nobody's piece stops another's (P10)."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
import trio.testing

from wirechat.server.endpoint import Peer, StreamEndpoint
from wirechat.server.turns import Turns


class Reader:
    """An endpoint, its far end, and what was handled."""

    def __init__(self, turns: Turns) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.endpoint = StreamEndpoint(near, Peer("127.0.0.1", "tcp", loopback=True), proxied=False)
        self.turns = turns
        self.pieces: list[bytes] = []
        self.then: Callable[[], bool] = lambda: True
        self.ends: list[bool] = []

    def handle(self, data: bytes) -> bool:
        self.pieces.append(data)
        return self.then()

    async def read(self) -> None:
        self.ends.append(await self.turns.receive(self.endpoint, self.handle))

    def close(self) -> None:
        self.endpoint.abort()
        self.far.close()


@contextmanager
def readers(turns: Turns, count: int) -> Iterator[list[Reader]]:
    each = [Reader(turns) for _ in range(count)]
    try:
        yield each
    finally:
        for reader in each:
            reader.close()


@asynccontextmanager
async def running(turns: Turns, *each: Reader) -> AsyncIterator[trio.Nursery]:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(turns.run)
            for reader in each:
                nursery.start_soon(reader.read)
            await trio.testing.wait_all_tasks_blocked()
            yield nursery
            nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  anything may be waited for
        await trio.sleep(0.001)


async def test_what_arrives_in_one_turn_is_settled_once() -> None:
    settled: list[int] = []
    turns = Turns(lambda: settled.append(sum(len(reader.pieces) for reader in each)))
    with readers(turns, 10) as each:
        for reader in each:
            reader.far.send(b"x")
        async with running(turns, *each):
            await until(lambda: all(reader.pieces for reader in each))
            assert settled == [10]


async def test_who_has_to_wait_is_not_read_from_until_his_task_comes_back() -> None:
    turns = Turns(lambda: None)
    with readers(turns, 2) as (waits, other):
        waits.then = lambda: False
        async with running(turns, waits, other) as nursery:
            waits.far.send(b"one")
            await until(lambda: waits.ends == [True])
            waits.far.send(b"two")
            other.far.send(b"x")
            await until(lambda: bool(other.pieces))
            assert waits.pieces == [b"one"]
            nursery.start_soon(waits.read)
            await until(lambda: waits.ends == [True, True])
            assert waits.pieces == [b"one", b"two"]


async def test_the_end_of_a_stream_ends_its_reader() -> None:
    turns = Turns(lambda: None)
    with readers(turns, 1) as (reader,):
        async with running(turns, reader):
            reader.far.send(b"last")
            reader.far.close()
            await until(lambda: bool(reader.ends))
    assert (reader.pieces, reader.ends) == ([b"last"], [False])


@pytest.mark.parametrize("early", [False, True], ids=["while it waits", "before it waits"])
async def test_an_abort_ends_the_reader(early: bool) -> None:
    turns = Turns(lambda: None)
    with readers(turns, 1) as (reader,):
        if early:
            reader.endpoint.abort()
        async with running(turns, reader):
            reader.endpoint.abort()
            await until(lambda: bool(reader.ends))
    assert reader.ends == [False]


async def test_p10_a_piece_that_fails_ends_its_connection_and_no_other() -> None:
    turns = Turns(lambda: None)
    with readers(turns, 3) as (first, bad, last):

        def fail() -> bool:
            raise ZeroDivisionError

        bad.then = fail
        async with running(turns, first, bad, last):
            for reader in (first, bad, last):
                reader.far.send(b"x")
            await until(lambda: bool(first.pieces and last.pieces and bad.ends))
            first.far.send(b"y")
            await until(lambda: first.pieces == [b"x", b"y"])
    assert bad.ends == [False]


async def test_a_connection_that_another_one_ends_in_the_same_turn_is_not_handled() -> None:
    turns = Turns(lambda: None)
    with readers(turns, 2) as (one, two):

        def end(other: Reader) -> bool:
            other.endpoint.abort()
            return True

        one.then, two.then = (lambda: end(two)), (lambda: end(one))
        for reader in (one, two):
            reader.far.send(b"x")
        async with running(turns, one, two):
            await until(lambda: bool(one.ends or two.ends))
    assert sorted((one.pieces, two.pieces)) == [[], [b"x"]]


async def test_a_cancelled_reader_leaves_nothing_behind() -> None:
    turns = Turns(lambda: None)
    with readers(turns, 1) as (reader,):
        async with running(turns):
            with trio.move_on_after(0.01):
                await reader.read()
            reader.far.send(b"later")
            await reader_ends(reader)
    assert reader.pieces == [b"later"]


async def reader_ends(reader: Reader) -> None:
    reader.then = lambda: False
    await reader.read()
