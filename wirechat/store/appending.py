"""How a batch gets into the log whatever is wrong with one of its entries. The same for both engines.

When another node did one of them at the same time it is tried again, and answered as done. When it fails for no known
reason it is tried in halves, so that one bad entry costs only itself. A full disk or a lost connection is nobody's
fault and is answered to all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from wirechat.store.errors import StoreError, Unavailable, Violated
from wirechat.store.records import Append, Commit

Attempt = Callable[[Sequence[Append]], Awaitable[Commit]]
"""One transaction over a batch."""


async def append(attempt: Attempt, batch: Sequence[Append]) -> Commit:
    """Append a batch; what fails is told in the results."""
    try:
        return await _twice(attempt, batch)
    except Violated as error:
        return await _in_halves(attempt, batch, error)
    except StoreError as error:
        return Commit([error] * len(batch), {})
    except Exception as error:  # noqa: BLE001  whatever it is, it must cost one entry only
        return await _in_halves(attempt, batch, error)


async def _twice(attempt: Attempt, batch: Sequence[Append]) -> Commit:
    try:
        return await attempt(batch)
    except Violated:
        return await attempt(batch)


async def _in_halves(attempt: Attempt, batch: Sequence[Append], error: Exception) -> Commit:
    if len(batch) == 1:
        refused = Unavailable(f"this entry cannot be stored: {type(error).__name__}: {error}")
        refused.__cause__ = error
        return Commit([refused], {})
    half = len(batch) // 2
    first = await append(attempt, batch[:half])
    second = await append(attempt, batch[half:])
    return Commit(first.results + second.results, {**first.members, **second.members})
