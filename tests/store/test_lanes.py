"""The lane: work runs in order on one thread whatever becomes of it and of those who wait."""

from __future__ import annotations

import threading
import time
from typing import Any

import outcome
import pytest
import trio

from tests.store.talk import PATIENCE
from wirechat.store.errors import Unavailable
from wirechat.store.lanes import ThreadLane, finished


async def test_results_come_back_in_the_order_of_submission() -> None:
    """P4 stands on it: workers that finish out of order wake their tasks out of order."""
    lane = ThreadLane("lane")
    came: list[int] = []
    ended = trio.Event()

    def done(result: outcome.Outcome[int]) -> None:
        came.append(result.unwrap())
        if len(came) == 500:
            ended.set()

    for number in range(500):
        lane.submit(lambda number=number: number, done)  # type: ignore[misc]
    with trio.fail_after(PATIENCE):
        await ended.wait()
    assert came == list(range(500))
    await lane.aclose()


class Odd(BaseException):
    """Nothing that `except Exception` would catch."""


@pytest.mark.parametrize("error", [ValueError, SystemExit, Odd])
async def test_no_failure_ends_the_thread(error: type[BaseException]) -> None:
    """The store would hang for ever."""

    def fail() -> None:
        raise error

    lane = ThreadLane("lane")
    with trio.fail_after(PATIENCE):
        with pytest.raises(error):
            await finished(lambda done: lane.submit(fail, done))
        assert await finished(lambda done: lane.submit(lambda: "alive", done)) == "alive"
        await lane.aclose()


async def test_work_goes_on_when_its_waiter_is_cancelled() -> None:
    """What was submitted is done; its result is for nobody."""
    lane = ThreadLane("lane")
    began, go = threading.Event(), threading.Event()
    did: list[str] = []

    def work() -> None:
        began.set()
        go.wait(PATIENCE)
        did.append("done")

    async def wait() -> None:
        await finished(lambda done: lane.submit(work, done))
        did.append("waited")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.to_thread.run_sync(began.wait, PATIENCE)
        nursery.cancel_scope.cancel()
    go.set()
    assert await finished(lambda done: lane.submit(lambda: list(did), done)) == ["done"]
    await lane.aclose()
    assert did == ["done"]


async def test_closing_waits_for_what_is_queued_even_when_cancelled() -> None:
    """The database is closed right after, and the lock of its directory released."""
    lane = ThreadLane("lane")
    did: list[int] = []
    for number in range(5):
        lane.submit(lambda number=number: (time.sleep(0.02), did.append(number)), lambda result: None)  # type: ignore[misc]
    with trio.CancelScope() as scope:
        scope.cancel()
        await lane.aclose()
    assert did == [0, 1, 2, 3, 4]


async def test_after_the_end_everyone_is_told() -> None:
    """Instead of waiting for ever."""
    lane = ThreadLane("lane")
    await lane.aclose()
    with trio.fail_after(PATIENCE), pytest.raises(Unavailable):
        await finished(lambda done: lane.submit(lambda: None, done))
    await lane.aclose()


def test_a_lane_that_outlives_its_loop_ends() -> None:
    """A program that is torn down without closing the store."""
    lanes: list[Any] = []
    go = threading.Event()

    async def main() -> None:
        lane = ThreadLane("lane")
        lanes.append(lane)
        lane.submit(lambda: go.wait(PATIENCE), lambda result: None)

    trio.run(main)
    go.set()
    lanes[0]._thread.join(PATIENCE)
    assert not lanes[0]._thread.is_alive()
