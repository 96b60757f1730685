"""What follows from what was measured. Everything here is arithmetic, and says so."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tools.plan.kernel import SPARE_FILES
from tools.plan.probe import GROUP, Climbed, Measured

CONNECTIONS = 100_000
"""`LIMIT` of a server whose operator did not say otherwise."""
LIMIT, FILES = "limits.connections", "open files"
MEMORY_SHARE = 0.8
"""Of what is free: the rest is for the page cache and the moment."""
IDLE_CORES = 0.5
"""Of the one core that a server uses, for people who say nothing; the other half is for those who talk."""
LOOP_FULL = 0.85
"""Cores: the loop of the server is one thread, and its store another that mostly waits for the disk."""
COMMIT_MS = 40.0
"""A commit that takes longer is what people wait for: a text waits for the one before and its own."""
PER_HOUR = 60
"""Texts of an active person."""
OTHERS_CORES = 0.3
"""What else runs on this machine may use so much while it is probed."""


@attrs.frozen
class Bound:
    """One thing that ends somewhere."""

    name: str
    people: int


@attrs.frozen
class Most:
    """Of something that was raised until people were badly served."""

    number: float | None
    """None: unknown, not even the least that was tried went well."""
    at_least: bool
    """More was not tried."""


@attrs.frozen
class Answer:
    """How much this machine carries."""

    idle: tuple[Bound, ...]
    """What ends the number of idle people, the first to break first."""
    idle_people: int
    """With the limits as they are now."""
    idle_possible: Bound
    """What ends it once this machine allows as many open files as that takes."""
    active_people: Most
    texts_per_second: Most
    """One to one, p99 below 100 ms."""
    group_texts_per_second: Most
    breaks: str
    """What breaks first when more is said."""
    busy: str
    """Why the figures are too low; empty if they are not."""


def answer(measured: Measured) -> Answer:
    """From measures to numbers of people."""
    bounds = sorted(_bounds(measured), key=lambda bound: bound.people)
    groups, others = _most(measured.groups), measured.others
    return Answer(
        tuple(bounds),
        bounds[0].people,
        next(bound for bound in bounds if bound.name != FILES),
        _active(groups, bounds[0].people),
        _most(measured.pairs),
        groups,
        breaks(measured.pairs, measured.machine.cores),
        f"other processes used {others:.1f} of the {measured.machine.cores} cores of this machine meanwhile"
        if others > OTHERS_CORES
        else "",
    )


def _most(climbed: Climbed) -> Most:
    best = climbed.best
    return Most(None if best is None else best.rate, best is not None and climbed.broken is None)


def _active(texts: Most, connected: int) -> Most:
    """Nobody is more active than connected."""
    if texts.number is None:
        return texts
    people = int(texts.number * 3600 / PER_HOUR)
    return Most(min(people, connected), texts.at_least and people < connected)


def _bounds(measured: Measured) -> Iterator[Bound]:
    idle, machine = measured.idle, measured.machine
    yield Bound(FILES, max(0, machine.files - SPARE_FILES))
    yield Bound(LIMIT, CONNECTIONS)
    if idle.kib > 0:
        yield Bound("memory", int(machine.available_mib * MEMORY_SHARE * 1024 / idle.kib))
    if idle.cores is not None:
        yield Bound("CPU of the server's loop", int(IDLE_CORES / idle.cores))


def breaks(climbed: Climbed, cores: int) -> str:
    """Why the step that was not held was not."""
    step = climbed.broken
    if not climbed.steps:
        return "unknown: no rate was held long enough to tell"
    if step is None:
        return "nothing, as far as it was tried"
    if step.server_cpu >= LOOP_FULL:
        return f"CPU of the server's loop: {step.server_cpu:.2f} cores at {step.rate:,.0f}/s"
    if step.commit_ms >= COMMIT_MS:
        return f"the disk: a commit takes {step.commit_ms:.0f} ms at {step.rate:,.0f}/s"
    if step.machine_cpu >= 0.9 * cores:
        return f"CPU of this machine: {step.machine_cpu:.2f} of {cores} cores at {step.rate:,.0f}/s, all processes"
    return f"the probe itself: nothing of the server was full at {step.rate:,.0f}/s"


def spoken() -> str:
    """What an active person is."""
    return f"{PER_HOUR} texts an hour each, in groups of {GROUP}"
