"""The world: everything that is not a function of bytes comes in from outside.

Server and client take a `World` as an argument, so that both run in one deterministic process where a seed replays a
failure exactly. Rules: nothing here keeps state of the program; durations and deadlines use Trio's clock, never
`now_ms`, which is for timestamps alone.
"""

import os
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio

__all__ = ["REAL", "World"]


@attrs.frozen
class World:
    """Clock, entropy, jitter and blocking calls of one process."""

    now_ms: Callable[[], int]
    """Wall clock in milliseconds since 1970; only for timestamps."""

    random_bytes: Callable[[int], bytes]
    """That many unpredictable bytes."""

    uniform: Callable[[float, float], float]
    """A random number between both arguments; for jitter."""

    run_blocking: Callable[..., Awaitable[Any]]
    """`await run_blocking(fn, *args)` runs `fn(*args)` where blocking hurts nobody and returns its result."""


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


async def _in_thread(fn: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(fn, *args)


REAL = World(
    now_ms=_wall_clock_ms, random_bytes=os.urandom, uniform=random.SystemRandom().uniform, run_blocking=_in_thread
)
"""The world outside: the machine's clock, its entropy, and Trio's worker threads behind their limiter."""
