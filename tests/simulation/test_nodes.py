"""Nodes that stand still, stamps of nodes that overlap, and a bus that is as bad as a bus may be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from tools.history.checker import History
from tools.simulate.bus import Exchange, SimBus
from tools.simulate.clock import JumpingClock
from tools.simulate.former import LEARNED_SECONDS, Former
from tools.simulate.freezing import freeze, is_below, thaw
from tools.simulate.lane import SimLane
from tools.simulate.memory import Overlap
from tools.simulate.owners import KNOWN_SECONDS, Owners
from tools.simulate.plan import Plan, draw
from tools.simulate.privacy import Privacy
from tools.simulate.trace import Trace
from tools.simulate.truth import Leaving
from wirechat import wire

DELAY = 0.01


def simulated(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await story()

    trio.run(main, clock=JumpingClock())


# time


def test_a_frozen_task_and_those_below_it_take_no_step_until_the_thaw() -> None:
    ticks: list[str] = []

    async def tick(name: str) -> None:
        while True:
            await trio.sleep(1)
            ticks.append(name)

    async def process(task_status: trio.TaskStatus[trio.lowlevel.Task]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick, "frozen")
            task_status.started(trio.lowlevel.current_task())

    async def story() -> None:
        async with trio.open_nursery() as nursery:
            task = await nursery.start(process)
            nursery.start_soon(tick, "free")
            await trio.sleep(2.5)
            assert sorted(ticks) == ["free", "free", "frozen", "frozen"]
            freeze(task)
            await trio.sleep(10)
            assert ticks.count("frozen") == 2
            thaw(task)
            await trio.sleep(0.1)
            assert ticks.count("frozen") == 3
            assert ticks.count("free") == 12
            nursery.cancel_scope.cancel()

    simulated(story)


def test_what_was_about_to_run_is_frozen_too_and_two_may_be_frozen_at_once() -> None:
    done: list[int] = []

    async def work(number: int, task_status: trio.TaskStatus[trio.lowlevel.Task]) -> None:
        task_status.started(trio.lowlevel.current_task())
        await trio.sleep(1)
        done.append(number)

    async def story() -> None:
        async with trio.open_nursery() as nursery:
            one, other = await nursery.start(work, 1), await nursery.start(work, 2)
            assert is_below(one, one)
            assert not is_below(one, other)
            freeze(one)
            freeze(other)
            await trio.sleep(5)
            assert done == []
            thaw(other)
            await trio.sleep(0.1)
            assert done == [2]
            thaw(one)
        assert done == [2, 1]

    simulated(story)


# the database


def test_a_transaction_has_its_stamp_from_its_beginning_and_holds_the_horizon() -> None:
    """Another node's that began later commits earlier; nothing stamped below the horizon comes after."""
    overlap = Overlap(matters=True)
    stamps: list[int] = []
    horizons: list[int] = []

    def run() -> None:
        stamps.append(overlap.stamp(0))

    async def story() -> None:
        slow, quick = (SimLane(delay, Random(1), lambda: None, overlap) for delay in (1000, DELAY))
        slow.submit(run, lambda _: None)
        quick.submit(run, lambda _: None)
        await trio.sleep(1)
        horizons.append(overlap.horizon(0))
        await slow.aclose()
        horizons.append(overlap.horizon(0))

    simulated(story)
    assert stamps == [2, 1]
    assert horizons == [1, 3]
    assert overlap.late == 1


@pytest.mark.parametrize("committed", [True, False])
def test_a_database_that_others_share_notices_late_that_a_node_is_gone(committed: bool) -> None:
    overlap = Overlap(matters=True)
    ran: list[float] = []

    async def story() -> None:
        lane = SimLane(1000, Random(1), lambda: None, overlap)
        lane.submit(lambda: ran.append(trio.current_time()), lambda _: pytest.fail("nobody is left to be told"))
        lane.cut_power(finish_one=committed, after=2)
        began = trio.current_time()
        assert overlap.horizon(0) == 1
        await lane.aclose()
        assert overlap.horizon(0) == 2
        assert ran == ([began + 2] if committed else [])

    simulated(story)


def test_a_paused_node_leaves_its_transaction_open() -> None:
    overlap = Overlap(matters=True)
    told: list[float] = []

    async def story() -> None:
        lane = SimLane(DELAY, Random(1), lambda: None, overlap)
        lane.submit(lambda: None, lambda _: told.append(trio.current_time()))
        lane.pause()
        await trio.sleep(5)
        assert (told, overlap.horizon(0)) == ([], 1)
        lane.resume()
        await lane.aclose()
        assert (len(told), overlap.horizon(0)) == (1, 2)

    simulated(story)


# the bus


def listening(loss: float, story: Callable[[Exchange, list[SimBus], list[bytes]], Awaitable[None]]) -> None:
    """Runs it with an exchange, two buses, and what the second one has heard."""

    async def main() -> None:
        exchange, heard = Exchange(loss, 0.1, Random(1), Trace()), []
        buses = [exchange.join("server"), exchange.join("server2")]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buses[1].run, heard.append)
            await trio.lowlevel.checkpoint()
            await story(exchange, buses, heard)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=JumpingClock())


def test_hints_come_late_in_any_order_and_some_twice() -> None:
    async def story(exchange: Exchange, buses: list[SimBus], heard: list[bytes]) -> None:
        sent = [bytes([number]) for number in range(100)]
        for hint in sent:
            buses[0].send(None, hint)
        assert heard == []
        await trio.sleep(60)
        assert set(heard) == set(sent)
        assert 100 < len(heard) < 200
        assert heard != sorted(heard)

    listening(0.0, story)


def test_hints_get_lost() -> None:
    async def story(exchange: Exchange, buses: list[SimBus], heard: list[bytes]) -> None:
        for number in range(100):
            buses[0].send(buses[1].node, bytes([number]))
        buses[0].send(buses[0].node, b"to itself")
        buses[0].send(4711, b"to nobody")
        await trio.sleep(60)
        assert 0 < len(set(heard)) < 40

    listening(0.8, story)


@pytest.mark.parametrize("broken", ["away", "split", "restored"])
def test_nothing_passes_a_bus_that_is_away_or_split(broken: str) -> None:
    async def story(exchange: Exchange, buses: list[SimBus], heard: list[bytes]) -> None:
        if broken == "away":
            exchange.leave(5)
            assert buses[0].trouble
        elif broken == "split":
            exchange.split("server2", "server", 5)
        buses[0].send(None, b"lost")
        if broken == "restored":
            exchange.forget()
        await trio.sleep(6)
        assert buses[0].trouble is None
        buses[0].send(None, b"heard")
        await trio.sleep(60)
        assert set(heard) == {b"heard"}

    listening(0.0, story)


# what is judged


def session(device: int, login: int) -> Any:
    return SimpleNamespace(device=device, login=login)


@pytest.mark.parametrize("revoked", [True, False])
def test_a_device_that_stays_where_it_must_not_be_is_blamed(revoked: bool) -> None:
    history, privacy = History(), Privacy()
    owners = Owners(privacy, history)
    held = [("server", session(7, 1))]
    if revoked:
        privacy.revoked(7)
    else:
        held.append(("server2", session(7, 2)))

    async def story() -> None:
        assert owners.look(held)
        await trio.sleep(KNOWN_SECONDS + 1)
        assert owners.look([("server", session(8, 1))]) == []
        assert owners.look(held)
        await trio.sleep(KNOWN_SECONDS)
        assert owners.look(held)
        assert history.violations == []
        await trio.sleep(1)
        assert owners.look(held)
        assert [violation.rule for violation in history.violations] == ["two owners of a device"]

    simulated(story)


@pytest.mark.parametrize(
    ("left", "informed", "blamed"), [(True, 0.0, 1), (False, 0.0, 0), (True, LEARNED_SECONDS, 0), (True, 999.0, 0)]
)
def test_who_has_left_is_soon_told_no_more_who_types(left: bool, informed: float, blamed: int) -> None:
    history = History()

    async def story() -> None:
        when = trio.current_time()
        truth: Any = SimpleNamespace(left=lambda conv, user: Leaving(when, 0) if left else None)
        former, frames = Former(truth, history), [wire.Typing(1, True, 2).encode(), wire.MarkOk(1, 2).encode()]
        former.leaving(3, frames, when + informed)
        await trio.sleep(LEARNED_SECONDS + 1)
        former.leaving(3, frames, when + informed)
        assert len(history.violations) == blamed

    simulated(story)


# what a seed draws


def plans() -> list[Plan]:
    return [draw(Random(seed)) for seed in range(200)]


def test_half_of_the_seeds_have_one_node_and_no_fault_of_a_cluster() -> None:
    alone = [plan for plan in plans() if plan.nodes == 1]
    assert 60 < len(alone) < 140
    assert {plan.nodes for plan in plans()} == {1, 2, 3}
    for plan in alone:
        faults = plan.faults
        assert {faults.node_pause, faults.store_cut, faults.bus_away, faults.bus_split} == {float("inf")}
