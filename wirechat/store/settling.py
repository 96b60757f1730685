"""An append whose commit was interrupted: whether it happened is found out, never guessed.

The same batch is run again. Its cids tell: what is there now was committed then, whole, and the results of then hold,
so that it is handed out as what it is, new. What is not there is appended on the way.

`pg_xact_status` would need no second run, but after a crash of the server a number may be given to another transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from wirechat.store.errors import OutcomeUnknown, StoreError
from wirechat.store.records import Appended, Commit
from wirechat.store.tx import Tx

SECONDS = 5.0
"""How long the database is asked before the client is told that nobody knows."""

PAUSE, PAUSE_MAX = 0.05, 0.5
"""Seconds between two attempts: the first, doubled each time, and the longest."""

Run = Callable[[Tx], Coroutine[Any, Any, Commit]]
"""What is run in the transaction."""


async def append(write: Callable[[Run], Awaitable[Commit]], run: Run) -> Commit:
    """`write(run)`, asyncio. Raises StoreError; OutcomeUnknown when the database cannot be asked in time."""
    doubted: list[Commit] = []
    result = Commit([], {})

    async def noting(tx: Tx) -> Commit:
        nonlocal result
        result = await run(tx)
        return result

    async def attempt() -> Commit:
        try:
            return await write(noting)
        except OutcomeUnknown:
            doubted.append(result)
            raise

    try:
        return await attempt()
    except OutcomeUnknown as error:
        doubt = error
    try:
        async with asyncio.timeout(SECONDS):
            found = await _until_it_works(attempt)
    except TimeoutError:
        raise doubt from None
    return next((then for then in reversed(doubted) if _happened(then, found)), found)


async def _until_it_works(attempt: Callable[[], Awaitable[Commit]]) -> Commit:
    pause = PAUSE
    while True:
        try:
            return await attempt()
        except StoreError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX)


def _happened(then: Commit, now: Commit) -> bool:
    """Whether an entry of then is there now, in its place. A transaction is committed whole, so one tells of all."""
    return any(
        isinstance(new, Appended) and isinstance(known, Appended) and known.dup and not new.dup
        and (new.conv, new.seq, new.ts) == (known.conv, known.seq, known.ts)
        for new, known in zip(then.results, now.results, strict=True)
    )  # fmt: skip
