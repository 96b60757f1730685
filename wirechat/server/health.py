"""Whether this node should be given work: one check for each thing it cannot do without, and what to do when it fails.

A probe never hurts: every check is bounded in time and changes nothing, and however many ask, one looks.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import trio

from wirechat.server import limits
from wirechat.server.cluster import Cluster
from wirechat.store.database import Store
from wirechat.store.errors import DataError, Newer, StoreError
from wirechat.store.features import activity, meta
from wirechat.store.migrations import pending

MIB = 1024 * 1024
NO_BUS = "other servers use this database, and this one has no bus"
NO_BUS_ADVICE = (
    "give all of them the same --bus: without it messages between them take up to a second, and who logs in or is"
    " removed on one is not noticed by the other"
)


@attrs.frozen
class Check:
    """What was looked at, and what was seen; the text of one that failed says what to do."""

    name: str
    ok: bool
    text: str
    warning: bool = False
    """It works, but not as it should."""


class Health:
    """Readiness of one server. `folder` holds the embedded store; None when the data is elsewhere."""

    def __init__(
        self,
        store: Store,
        draining: Callable[[], bool],
        folder: Path | None = None,
        free_bytes: int = limits.DISK_FREE_BYTES,
        cluster: Cluster | None = None,
    ) -> None:
        self._store = store
        self._draining = draining
        self._folder = folder
        self._free_bytes = free_bytes
        self._cluster = cluster
        self._looking = trio.Lock()
        self._looked_at = -math.inf
        self._seen: list[Check] = []

    async def checks(self) -> list[Check]:
        """How everything is, or was PROBE_REUSE_SECONDS ago."""
        async with self._looking:
            if trio.current_time() - self._looked_at >= limits.PROBE_REUSE_SECONDS:
                self._seen = await self._look()
                self._looked_at = trio.current_time()
            return [self._serving(), *self._seen, *self._among_others()]

    async def _look(self) -> list[Check]:
        """Each within PROBE_SECONDS."""
        made = [await self._bounded("store", self._reads)]
        made.append(await self._bounded("migrations", self._migrated))
        if (folder := self._folder) is not None:
            made.append(await self._bounded("disk", lambda: self._has_room(folder)))
        if self._cluster is None and self._store.engine == "postgres":
            made.append(await self._bounded("bus", self._is_alone))
        return made

    async def _bounded(self, name: str, check: Callable[[], Awaitable[str]]) -> Check:
        try:
            with trio.fail_after(limits.PROBE_SECONDS):
                return Check(name, True, await check())
        except trio.TooSlowError:
            return Check(
                name, False, f"no answer in {limits.PROBE_SECONDS:g} s; look at the disk or database and its load"
            )
        except _Unwell as error:
            return Check(name, error.bearable, str(error), warning=error.bearable)
        except (StoreError, OSError) as error:
            return Check(name, False, f"{error}; look at the log and at the disk or database")

    def _serving(self) -> Check:
        if self._draining():
            return Check(
                "serving", False, "the server is stopping; send clients to another one, or wait for its return"
            )
        return Check("serving", True, "clients are served")

    def _among_others(self) -> list[Check]:
        """A node that others do not hear still delivers: by its pass over the store, within a second."""
        if self._cluster is None:
            return []
        if troubles := self._cluster.troubles():
            return [Check("bus", True, f"{'; '.join(troubles)}. Until then others' messages take up to a second", True)]
        return [Check("bus", True, f"other nodes heard: {len(self._cluster.directory.nodes)}")]

    async def _reads(self) -> str:
        await self._store.read(meta.identity)
        return "answers"

    async def _migrated(self) -> str:
        try:
            missing = pending(self._store.engine, await self._store.read(meta.applied))
        except Newer:  # that node would not have begun if this one could not go on
            text = "another server has brought the data up to date for a newer wirechat; this one goes on"
            raise _Unwell(f"{text}: restart it with that version", bearable=True) from None
        except DataError as error:
            raise _Unwell(str(error)) from None
        if missing:
            raise _Unwell(f"{len(missing)} are missing; restart the server on this data")
        return "up to date"

    async def _is_alone(self) -> str:
        if count := await self._store.read(activity.servers):
            raise _Unwell(f"{NO_BUS} (others: {count}); {NO_BUS_ADVICE}", bearable=True)
        return "none, and no other server uses the database"

    async def _has_room(self, folder: Path) -> str:
        usage = await trio.to_thread.run_sync(shutil.disk_usage, folder, abandon_on_cancel=True)
        free = f"{usage.free // MIB} MiB are free in {folder}"
        if usage.free < self._free_bytes:
            raise _Unwell(f"{free}, below {self._free_bytes // MIB}; make room, or nothing can be stored soon")
        return free


class _Unwell(Exception):
    """The text says what is wrong and what to do. `bearable`: the node works all the same."""

    def __init__(self, text: str, *, bearable: bool = False) -> None:
        super().__init__(text)
        self.bearable = bearable
