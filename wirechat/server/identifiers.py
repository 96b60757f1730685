"""Ids that tell nothing: random, 32 bits, drawn again when taken. They are no secrets; every access is checked."""

from __future__ import annotations

from wirechat.world import World


def draw(world: World) -> int:
    """A fresh id from 65,536 on: five bytes on the wire as long as a server has fewer than billions of anything."""
    while True:
        value = int.from_bytes(world.random_bytes(4), "big")
        if value >= 65_536:
            return value
