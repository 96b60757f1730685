"""Small writes of many connections that share commits.

Each login and each new account writes something, and a commit waits for the disk. Thousands may come at once, as after
a restart: were each a transaction of its own, messages would wait in the same queue behind all of them. So here, as in
the journal, one transaction is under way, and the next takes whatever came meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec, TypeVar

import attrs
import outcome
import trio

from wirechat.server import limits
from wirechat.server.errors import RequestError
from wirechat.store.database import Store
from wirechat.store.errors import OutcomeUnknown, StorageFull, StoreError, Unavailable
from wirechat.store.tx import Feature, Tx

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define(eq=False)
class _Wish:
    feature: Callable[[Tx], Coroutine[Any, Any, Any]]
    known: trio.Event = attrs.Factory(trio.Event)
    result: outcome.Outcome[Any] = attrs.Factory(lambda: outcome.Error(Unavailable("it was not done")))


class SharedWrites:
    """`write` for features that change nothing when they raise RequestError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Wish] = []
        self._more = trio.Event()

    async def write(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a feature and return once it is durable. Raises RequestError and StoreError. It goes on even if the
        caller is cancelled.
        """
        wish = _Wish(lambda tx: feature(tx, *args, **kwargs))
        self._waiting.append(wish)
        self._more.set()
        await wish.known.wait()
        result: T = wish.result.unwrap()
        return result

    async def run(self) -> None:
        """Write what comes, for ever."""
        while True:
            await self._more.wait()
            wishes, self._waiting = self._waiting[: limits.WRITES_AT_ONCE], self._waiting[limits.WRITES_AT_ONCE :]
            if not self._waiting:
                self._more = trio.Event()
            try:
                await self._grant(wishes)
            finally:
                for wish in wishes:
                    wish.known.set()

    async def _grant(self, wishes: Sequence[_Wish]) -> None:
        """One that fails for no reason that concerns all does so alone."""
        try:
            results = await self._store.write(_each, wishes)
        except (OutcomeUnknown, StorageFull) as error:
            results = [outcome.Error(error) for _ in wishes]
        except StoreError as error:
            if len(wishes) > 1:
                for wish in wishes:
                    await self._grant([wish])
                return
            results = [outcome.Error(error)]
        for wish, result in zip(wishes, results, strict=True):
            wish.result = result


async def _each(tx: Tx, wishes: Sequence[_Wish]) -> list[outcome.Outcome[Any]]:
    return [await _one(tx, wish) for wish in wishes]


async def _one(tx: Tx, wish: _Wish) -> outcome.Outcome[Any]:
    try:
        return outcome.Value(await wish.feature(tx))
    except RequestError as error:
        return outcome.Error(error)
