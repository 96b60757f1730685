"""What the store knows of itself, on both engines."""

from __future__ import annotations

import os

from tests.store.talk import Talk
from wirechat.store.features import meta
from wirechat.store.migrations import pending


async def test_all_migrations_are_there(talk: Talk) -> None:
    """What readiness asks for."""
    assert not pending(talk.store.engine, await talk.store.read(meta.applied))
    assert pending(talk.store.engine, [])


async def test_the_size_is_that_of_what_is_stored(talk: Talk) -> None:
    """It grows with what people say, and not by itself."""
    conv = await talk.group(1, 2)
    before = await talk.store.read(meta.size)
    assert before == await talk.store.read(meta.size) > 0
    for _ in range(20):
        await talk.say(conv, 1, os.urandom(10_000))
    assert await talk.store.read(meta.size) > before + 100_000
