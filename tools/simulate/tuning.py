"""Makes the product's limits others for one run: a small world then reaches every page, buffer and eviction of a large
one, and its few people share commits as thousands do.

Only numbers that may be anything are touched: what is paged or forgotten sooner must still be right.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random
from types import ModuleType
from typing import Any
from unittest import mock

import attrs

from wirechat import wire
from wirechat.server import limits
from wirechat.server.features import sync

SERVER = {
    "DIGEST_ROWS": (500, 1, 2),
    "ROUND_ROWS": (100, 1, 2),
    "MEMBER_LISTS_MAX": (20_000, 1),
    "POSITIONS_MAX": (200_000, 1),
    "FRAMES_PER_TURN": (128, 1),
    "READY_BYTES_MAX": (262_144, 100),
    "DRAIN_BYTES": (65_536, 100),
    "BACKLOG_BYTES_MAX": (262_144, 50),
    "COMMIT_SPACING_SECONDS": (0.001, 0.2),
    "DELIVERED_AT_ONCE": (100, 1),
}
WIRE = {
    "PAGE": (200, 1, 2, 5),
    "PAGE_BYTES": (32_768, 100),
    "DELIVERED_MEMBERS": (64, 2),
    "HEARTBEAT_MS": (30_000, 2_000),
}
"""The first choice is the product's own."""

GREASE = (sync.COUNTED_GREASE, bytes((0, 0, 0, 4, 0x91, 0xCD, 0x01, 0x20)))
"""Counted pushes that nobody knows: the one of every server, and the first of the first block of features."""


@attrs.frozen
class Tuning:
    """The limits of one run, by name."""

    server: dict[str, float]
    wire: dict[str, int]
    grease: bytes

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the product has these limits and tells its clients so."""
        changes: list[tuple[ModuleType, dict[str, Any]]] = [
            (limits, self.server),
            (wire.limits, self.wire),
            (sync, {"COUNTED_GREASE": self.grease}),
        ]
        with contextlib.ExitStack() as stack:
            for module, values in changes:
                for name, value in values.items():
                    stack.enter_context(mock.patch.object(module, name, value))
            yield


def draw(chance: Random) -> Tuning:
    """Each limit is its own or a small one."""
    return Tuning(
        {name: chance.choice(choices) for name, choices in SERVER.items()},
        {name: chance.choice(choices) for name, choices in WIRE.items()},
        chance.choice(GREASE),
    )
