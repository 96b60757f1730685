"""Passwords: Argon2id in threads, few at a time, the same work whether the account exists or not.

A login never stalls delivery: it waits for a thread, and beyond a short queue it is refused with 5000.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from wirechat import wire
from wirechat.server.config import Config
from wirechat.server.errors import RequestError
from wirechat.world import World

ITERATIONS = 2
LANES = 1
MEMORY_KIB = 19 * 1024
"""OWASP's second choice (Password Storage Cheat Sheet): 19 MiB, 2 passes, 1 lane."""


def hash_password(password: bytes, salt: bytes) -> str:
    """The PHC string to store. Blocks for tens of milliseconds."""
    return _argon(salt).derive_phc_encoded(password)


def verify_password(password: bytes, phc: str) -> bool:
    """Whether the password matches the stored string. Blocks for tens of milliseconds."""
    try:
        Argon2id.verify_phc_encoded(password, phc)
    except InvalidKey:
        return False
    return True


def _argon(salt: bytes) -> Argon2id:
    return Argon2id(salt=salt, length=32, iterations=ITERATIONS, lanes=LANES, memory_cost=MEMORY_KIB)


class Passwords:
    """Hashing and checking behind a limiter."""

    def __init__(self, world: World, config: Config | None = None) -> None:
        self._world = world
        self._config = config or Config()
        self._limiter = trio.CapacityLimiter(1)
        self._waiting = 0
        self._nobody: str | None = None

    async def hash(self, password: bytes) -> str:
        """The PHC string to store."""
        salt = self._world.random_bytes(16)
        return str(await self._queued(hash_password, password, salt))

    async def check(self, password: bytes, phc: str | None, admit: Callable[[], None]) -> bool:
        """Whether the password matches; None (no such account) takes as long and is False.

        `admit` is called when its turn has come, and raises when by then there were too many failures: guesses that
        arrive together are counted like those that arrive one by one.
        """
        if self._nobody is None:
            self._nobody = await self.hash(b"nobody's password")
        matches = await self._queued(verify_password, password, phc or self._nobody, admit=admit)
        return bool(matches) and phc is not None

    async def _queued(self, work: object, *args: object, admit: Callable[[], None] = lambda: None) -> object:
        limits = self._config.limits
        self._limiter.total_tokens = limits.logins_at_once
        if self._waiting >= limits.logins_waiting:
            raise RequestError(wire.errors.UNAVAILABLE, "many people log in right now", retry_ms=3000)
        self._waiting += 1
        try:
            async with self._limiter:
                admit()
                return await self._world.run_blocking(work, *args)
        finally:
            self._waiting -= 1
