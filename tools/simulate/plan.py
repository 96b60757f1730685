"""What a seed draws before anything runs: the size of the world, the weather, and how often each fault comes.

Small worlds find more in a CPU second than large ones. Each seed draws its own mix of faults (some of them never),
since a bug that needs two of them hides when all come all the time.
"""

from __future__ import annotations

import math
from random import Random

import attrs

from tools.simulate import tuning
from tools.simulate.network import Weather
from tools.simulate.tuning import Tuning
from tools.simulate.workload import DEEDS

NEVER = math.inf


@attrs.frozen
class Faults:
    """Mean seconds between two faults of a kind; NEVER for those this seed leaves out."""

    cut: float
    half_open: float
    straggler: float
    slow_reader: float
    server_crash: float
    server_restart: float
    full_disk: float
    restored_backup: float
    client_crash: float
    reinstall: float
    clock_jump: float
    node_pause: float
    store_cut: float
    bus_away: float
    bus_split: float


@attrs.frozen
class Plan:
    """One world. Times in seconds."""

    devices_of: tuple[int, ...]
    """How many devices each user has."""
    groups: int
    ops: int
    """Operations of each device."""
    churn: int
    """How much more often than usual people are added and removed."""
    erasing: int
    """How much more often than usual people edit and delete."""
    private: int
    """How much more often than usual people change what concerns themselves alone."""
    revokes: bool
    """The first device ends the other one of its user."""
    pause: float
    """Mean pause between two operations of a device."""
    window: int
    """Counted pushes a client lets be unacknowledged."""
    jump: int
    """A client that lacks more entries than this jumps to the newest."""
    pipeline: int
    """Entries of one conversation that a client lets be under way at once."""
    inflight: int
    """Requests that the server lets a connection have unanswered."""
    store_delay: float
    """Mean time of a transaction."""
    store_trouble: float
    """Probability that a transaction fails, or seems to."""
    overlap: float
    """Probability that transactions have begun and not committed when another begins, as on PostgreSQL."""
    steps: float
    """Mean number of steps of the server's tasks until it crashes in one; NEVER: it does not."""
    crash_in_commit: float
    """Probability that a client crashes while it writes to its file."""
    commit_lost: float
    """Probability that a crash lets the running transaction commit without its answer."""
    weather: Weather
    faults: Faults
    tuning: Tuning
    nodes: int
    """Servers that share the database; one alone has no bus."""
    loyalty: float
    """Share of the times that a client comes back to the node where it was, if that is up."""
    bus_loss: float
    """Share of the hints that never come."""
    bus_delay: float
    """Mean seconds until a hint comes."""
    keen: tuple[str, ...]
    """Deeds that come KEEN times as often: a bug that needs two of them hides when all come equally often."""


def draw(chance: Random) -> Plan:
    """The plan of one seed. What one server alone needs is drawn first."""
    pick = chance.choice
    alone = _alone(chance)
    nodes = pick([1, 1, 2, 3])
    return attrs.evolve(
        alone,
        nodes=nodes,
        loyalty=pick([0.0, 0.5, 0.95]),
        bus_loss=pick([0.0, 0.05, 0.3, 0.95]),
        bus_delay=pick([0.001, 0.05, 2.0]),
        faults=alone.faults if nodes == 1 else _together(alone.faults, chance),
    )


def _together(faults: Faults, chance: Random) -> Faults:
    """What else can happen to nodes of a cluster."""
    pick = chance.choice
    return attrs.evolve(
        faults,
        node_pause=pick([5.0, 20.0, NEVER]),
        store_cut=pick([5.0, 20.0, NEVER]),
        bus_away=pick([10.0, NEVER]),
        bus_split=pick([10.0, NEVER]),
    )


def _alone(chance: Random) -> Plan:
    """The world of one server."""
    pick = chance.choice
    return Plan(
        devices_of=pick([(2, 1, 1), (2, 2, 1), (2, 1, 1, 1)]),
        groups=pick([1, 2]),
        ops=pick([2, 4, 8, 16]),
        churn=pick([1, 4, 12]),
        erasing=pick([1, 4]),
        private=pick([1, 1, 6]),
        revokes=pick([False, False, False, True]),
        pause=pick([0.05, 0.5, 2.0]),
        window=pick([1, 2, 4, 8, 64]),
        jump=pick([2, 5, 20, 1000]),
        pipeline=pick([1, 1, 4]),
        inflight=pick([64, 64, 4]),
        store_delay=pick([0.001, 0.01, 0.1]),
        store_trouble=pick([0.0, 0.0, 0.02, 0.1]),
        overlap=pick([0.0, 0.0, 0.5]),
        steps=pick([*[NEVER] * 4, 150.0, 1000.0]),
        crash_in_commit=pick([0.0, 0.0, 0.02]),
        commit_lost=pick([0.0, 0.5, 1.0]),
        weather=Weather(
            delay=pick([0.0005, 0.005, 0.05, 0.2]),
            cut_up=pick([0.0, 0.1, 0.5]),
            buffer_bytes=pick([64, 512, 4096, 65536]),
            tick=pick([0.0, 0.005]),
            slow=pick([0.0, 0.0, 0.5]),
        ),
        faults=Faults(
            cut=pick([2.0, 10.0, NEVER]),
            half_open=pick([10.0, 40.0, NEVER]),
            straggler=pick([1.0, 10.0, NEVER]),
            slow_reader=pick([3.0, 20.0, NEVER]),
            server_crash=pick([4.0, 15.0, NEVER]),
            server_restart=pick([20.0, NEVER, NEVER]),
            full_disk=pick([10.0, NEVER, NEVER]),
            restored_backup=pick([6.0, 30.0, *[NEVER] * 6]),
            client_crash=pick([4.0, 15.0, NEVER]),
            reinstall=pick([20.0, NEVER, NEVER]),
            clock_jump=pick([5.0, NEVER]),
            node_pause=NEVER,
            store_cut=NEVER,
            bus_away=NEVER,
            bus_split=NEVER,
        ),
        tuning=tuning.draw(chance),
        nodes=1,
        loyalty=0.0,
        bus_loss=0.0,
        bus_delay=0.0,
        keen=tuple(chance.sample(list(DEEDS), pick([0, 2, 4]))),
    )
