"""What follows from measures is arithmetic: each bound counts, and what breaks first is what was full."""

from __future__ import annotations

import attrs
import pytest

from tools.plan.answer import CONNECTIONS, Bound, Most, answer, breaks
from tools.plan.kernel import lines
from tools.plan.probe import Climbed, Disk, Idle, Machine, Measured, Step
from wirechat.server.config import Limits

HELD = Step(200.0, 12.0, 0.3, 0.8, 3.0)
PAIRS = Climbed(2, (HELD, attrs.evolve(HELD, rate=320.0, p99_ms=300.0, server_cpu=0.9)), 0.2)
GROUPS = Climbed(10, (attrs.evolve(HELD, rate=20.0), attrs.evolve(HELD, rate=32.0)), 0.2)
MEASURED = Measured(
    75.0, Machine(2, 1000.0, 5000), Disk(100, 1.0, 2.0), Idle(500, 40.0, 10.0, 2**-18, 2**-20), PAIRS, GROUPS, 0.1
)


def test_the_first_bound_holds_and_open_files_can_be_changed() -> None:
    found = answer(MEASURED)
    assert {bound.name: bound.people for bound in found.idle} == {
        "open files": 4936,
        "memory": 81_920,
        "CPU of the server's loop": 131_072,
        "limits.connections": CONNECTIONS,
    }
    assert (found.idle_people, found.idle_possible) == (4936, Bound("memory", 81_920))
    assert (found.texts_per_second, found.group_texts_per_second) == (Most(200.0, False), Most(32.0, True))
    assert found.active_people == Most(32 * 60, True)
    assert found.busy == ""


def test_nobody_is_more_active_than_connected() -> None:
    assert answer(attrs.evolve(MEASURED, machine=Machine(2, 1000.0, 600))).active_people == Most(536, False)


@pytest.mark.parametrize("steps", [(), (attrs.evolve(HELD, p99_ms=300.0),)])
def test_how_many_are_active_is_unknown_when_no_rate_was_held(steps: tuple[Step, ...]) -> None:
    found = answer(attrs.evolve(MEASURED, groups=Climbed(10, steps, 0.2)))
    assert found.active_people == found.group_texts_per_second == Most(None, False)


def test_what_breaks_is_unknown_when_nothing_was_tried() -> None:
    assert breaks(Climbed(2, (), 0.2), 2).startswith("unknown")


def test_a_busy_machine_is_told() -> None:
    busy = answer(attrs.evolve(MEASURED, others=1.2)).busy
    assert busy == "other processes used 1.2 of the 2 cores of this machine meanwhile"


def test_what_cannot_be_seen_bounds_nothing() -> None:
    """A cost below what can be measured says nothing."""
    free = attrs.evolve(MEASURED, idle=attrs.evolve(MEASURED.idle, kib=0.0, cores=None))
    assert answer(free).idle_possible == Bound("limits.connections", CONNECTIONS)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"server_cpu": 0.95}, "CPU of the server's loop: 0.95 cores at 320/s"),
        ({"commit_ms": 80.0}, "the disk: a commit takes 80 ms at 320/s"),
        ({"machine_cpu": 1.95}, "CPU of this machine: 1.95 of 2 cores at 320/s, all processes"),
        ({}, "the probe itself: nothing of the server was full at 320/s"),
        ({"p99_ms": 50.0}, "nothing, as far as it was tried"),
    ],
)
def test_what_was_full_breaks_first(step: dict[str, float], told: str) -> None:
    last = attrs.evolve(HELD, **{"rate": 320.0, "p99_ms": 300.0, **step})
    assert breaks(Climbed(2, (HELD, last), 0.2), 2) == told


def test_the_default_of_the_server_is_the_one_we_count_with() -> None:
    assert Limits().connections == CONNECTIONS


def test_a_line_is_printed_for_what_is_too_low_and_only_where_there_is_such_a_limit() -> None:
    values = {"fs.nr_open": 1_048_576, "fs.file-max": 1000, "net.core.somaxconn": 128}
    found = {line.name: line for line in lines(50_000, 1024, values.get)}
    assert set(found) == {"ulimit -n", *values}
    assert {line.change for line in found.values() if not line.enough} == {
        "ulimit -n 50064", "sysctl -w fs.file-max=60064", "sysctl -w net.core.somaxconn=4096",
    }  # fmt: skip
