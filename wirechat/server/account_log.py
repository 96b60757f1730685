"""Writing into account logs: what changes for one user alone is told to all his devices, by a log of his own.

What is done and the entry that tells of it are one transaction; there is no entry where nothing changed.
"""

from __future__ import annotations

from collections.abc import Callable

from wirechat import wire
from wirechat.server.identifiers import draw
from wirechat.server.journal import Journal
from wirechat.store.features import devices
from wirechat.store.records import ACCOUNT, Append, Project, Refusal
from wirechat.store.tx import Tx
from wirechat.wire.registries import EntryKind
from wirechat.world import World

CID_BYTES = 8


class AccountLog:
    """The way of every feature into account logs."""

    def __init__(self, world: World, journal: Journal) -> None:
        self._world = world
        self._journal = journal

    async def enter(
        self,
        user: int,
        kind: EntryKind,
        project: Project,
        users: tuple[int, ...] = (),
        content: wire.Content | None = None,
        *,
        device: int | None = None,
        done: Callable[[], None] = lambda: None,
    ) -> bool:
        """Run `project` and tell the user's devices, durably; False when nothing changed. Raises RequestError and
        StoreError.

        `device`: the one that asks. Once it is revoked nothing is done for it, also where that is not known yet.
        `done`: called when something changed, or may have, even when who asked has gone.
        """

        async def checked(tx: Tx, stamp: int) -> bool | Refusal:
            if device is not None and await devices.is_revoked(tx, device):
                return Refusal.REVOKED
            return await project(tx, stamp)

        packed = None if content is None else content.pack()
        cid = self._world.random_bytes(CID_BYTES)
        append = Append(draw(self._world), user, cid, kind, packed, None, users, b"", ACCOUNT, project=checked)
        return (await self._journal.append(append, content, done)).seq > 0
