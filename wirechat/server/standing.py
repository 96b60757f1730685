"""How the nodes of a cluster are, as they answer an operator over the bus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

from wirechat.bus.base import Bus
from wirechat.server import limits
from wirechat.server.cluster import Kind
from wirechat.wire.packing import MALFORMED, pack, unpack

ANSWER_SECONDS = 1.5
ASKED = 2
"""Times, since the bus may lose a question or an answer."""


@attrs.frozen
class Heard:
    """A node as another one hears it. `age_ms`: since its last word; `ahead_ms`: its clock, against the other's."""

    node: int
    age_ms: int
    ahead_ms: int


@attrs.frozen
class Standing:
    """One node.

    node        its number
    epoch       of its store
    ahead_ms    its clock, against ours
    about       what it says of itself by name: version, host, addresses, users, connections, horizon_ms, draining;
                another version says less or more
    heard       the others it hears
    troubles    a line for each
    """

    node: int
    epoch: bytes
    ahead_ms: int
    about: Mapping[str, Any]
    heard: tuple[Heard, ...]
    troubles: tuple[str, ...]


async def ask(bus: Bus, now_ms: Callable[[], int], seconds: float = ANSWER_SECONDS) -> list[Standing]:
    """Of all nodes that answer in so many seconds, by number."""
    found: dict[int, Standing] = {}
    asked_ms = now_ms()

    def receive(data: bytes) -> None:
        standing = _read(data, (asked_ms + now_ms()) // 2)
        if standing is not None:
            found.setdefault(standing.node, standing)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.run, receive)
        for _ in range(ASKED):
            asked_ms = now_ms()
            bus.send(None, pack((int(Kind.STATUS), bus.node)))
            await trio.sleep(seconds / ASKED)
        nursery.cancel_scope.cancel()
    return [found[node] for node in sorted(found)]


def _read(data: bytes, meanwhile_ms: int) -> Standing | None:
    """None for what is no answer, or cannot be read."""
    try:
        kind, node, epoch, clock_ms, about, heard, troubles, *_ = unpack(data, limits.BUS_ITEMS_MAX)
        if kind != Kind.STANDS:
            return None
        hears = tuple(Heard(*each[:3]) for each in heard)
        return Standing(node, epoch, clock_ms - meanwhile_ms, dict(about), hears, tuple(troubles))
    except MALFORMED:
        return None
