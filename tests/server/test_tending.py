"""The sweep over connections, and the pass over a store that fails."""

from __future__ import annotations

import math
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from wirechat.server import limits
from wirechat.server.hub import Hub
from wirechat.server.tending import AWAY, BACK, Pulse, begin, keep_passing, sweep
from wirechat.store.errors import Unavailable

HEARTBEAT = 2.0


class Quiet:
    """A connection that says nothing any more."""

    def __init__(self) -> None:
        self.heard_at = trio.current_time()
        self.endpoint = SimpleNamespace(sent_at=self.heard_at, blocked=False)
        self.limits = SimpleNamespace(heartbeat_ms=1000 * HEARTBEAT)
        self.tokens, self.deadline, self.session, self.pinged = 0, math.inf, None, False
        self.closed: list[int] = []

    def close(self, code: int, message: str) -> None:
        self.closed.append(code)


@pytest.mark.parametrize("speaks", [True, False])
async def test_7_27_who_spoke_while_the_process_stood_still_is_not_silent(
    mock_clock: trio.testing.MockClock, speaks: bool
) -> None:
    """Stopped for longer than anybody may be silent, it reads first what came meanwhile."""
    connection: Any = Quiet()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, [connection], Hub(), Pulse())
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(10 * HEARTBEAT)
        await trio.testing.wait_all_tasks_blocked()
        assert not connection.closed
        if speaks:
            connection.heard_at = trio.current_time()
        mock_clock.jump(limits.SWEEP_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert bool(connection.closed) is not speaks
        nursery.cancel_scope.cancel()


async def test_7_27_a_slow_reader_is_not_silent(autojump_clock: trio.testing.MockClock) -> None:
    """Its requests wait unread while answers wait for it, and now and then it takes some of them (P6)."""
    connection: Any = Quiet()
    connection.endpoint.blocked = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, [connection], Hub(), Pulse())
        for _ in range(10):
            await trio.sleep(HEARTBEAT)
            connection.endpoint.sent_at = trio.current_time()
        assert not connection.closed
        nursery.cancel_scope.cancel()


async def test_p6_who_leaves_between_two_sweeps_is_forgotten_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """All who were there at the last sweep, kept until the next: a storm needs their memory a second time."""
    connections: list[Any] = [Quiet()]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, connections, Hub(), Pulse())
        await trio.sleep(1.5 * limits.SWEEP_SECONDS)
        there = weakref.ref(connections.pop())
        assert there() is None
        nursery.cancel_scope.cancel()


class Failing:
    """A store that fails as it is told, until it is told nothing."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)

    async def read_ordered(self, *_: Any) -> tuple[int, list[Any]]:
        if self.reasons:
            raise Unavailable(self.reasons.pop(0))
        return 0, []


async def test_a_store_that_is_away_is_told_once_and_its_return_too(autojump_clock: trio.testing.MockClock) -> None:
    """Each reason once: the last of them may say that only a restart helps."""
    store: Any = Failing("gone", "gone", "restored", "gone", "restored")
    with capture_logs() as lines, trio.move_on_after(10 * limits.PASS_SECONDS):
        await keep_passing(store, Hub(), Pulse())
    assert [(line["event"], line.get("reason")) for line in lines] == [(AWAY, "gone"), (AWAY, "restored"), (BACK, None)]
    assert all(line["todo"] for line in lines[:2])


class Away:
    """A store that never answers."""

    async def read(self, *_: Any) -> int:
        raise Unavailable("not there")


async def test_p10_a_server_whose_store_is_away_at_its_start_can_be_stopped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stop, store = trio.Event(), Away()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin, store, Hub(), stop)
        await trio.sleep(3.5 * limits.PASS_SECONDS)
        assert nursery.child_tasks
        stop.set()
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks
