"""The devices of one's own account, and its secrets.

A device that is revoked is off at once on the node that did it. The others find it in their pass over the store
(tending). When a device was last connected is written behind, never while it logs in.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog
import trio

from wirechat import wire
from wirechat.server import limits
from wirechat.server.account_log import AccountLog
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.hub import Hub
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import devices
from wirechat.store.records import Refusal
from wirechat.store.tx import Tx
from wirechat.wire.registries import EntryKind
from wirechat.world import World

log = structlog.get_logger(__name__)


class Devices:
    """DEVICES, DEVICE_SET, DEVICE_REVOKE."""

    def __init__(self, world: World, store: Store, hub: Hub, account_log: AccountLog) -> None:
        self._world = world
        self._store = store
        self._hub = hub
        self._account_log = account_log

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.beside(wire.Devices, self.list)
        dispatcher.exclusive(wire.DeviceSet, self.rename)
        dispatcher.exclusive(wire.DeviceRevoke, self.revoke)

    async def list(self, connection: Connection, request: wire.Devices) -> wire.Message:
        """All devices that are not revoked."""
        user = connection.require_session().user
        rows = await self._store.read(devices.of, user)
        return wire.DevicesOk(request.rid, tuple(self._device(user, *row) for row in rows[: wire.limits.DEVICES]))

    def _device(self, user: int, device: int, name: str, made: int, seen: int | None, has_key: bool) -> wire.Device:
        online = self._hub.device(device) is not None or self._hub.others.has(user, device)
        return wire.Device(device, name, made, self._world.now_ms() if online else seen, online, has_key)

    async def rename(self, connection: Connection, request: wire.DeviceSet) -> wire.Message:
        """A DEVICE entry, if the name is another one."""
        session, device, name = connection.require_session(), request.device, request.name
        user = session.user

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await devices.rename(tx, user, device, name)

        await self._account_log.enter(user, EntryKind.DEVICE, project, device=session.device)
        return wire.DeviceSetOk(request.rid)

    async def revoke(self, connection: Connection, request: wire.DeviceRevoke) -> wire.Message | None:
        """A DEVICE entry, and the end of that device. Who revokes his own has the answer before he is cut off."""
        session, device = connection.require_session(), request.device
        user = session.user

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await devices.revoke(tx, user, device, stamp)

        await self._account_log.enter(user, EntryKind.DEVICE, project, device=session.device)
        log.info("a device was revoked", peer=connection.endpoint.peer.address, user=user, device=device,
                 by=session.device)  # fmt: skip
        connection.send(wire.DeviceRevokeOk(request.rid))
        self._hub.revoke((device,))
        return None

    async def run(self) -> None:
        """Write down when devices were last connected, until cancelled: when they leave, and now and then, because a
        server that crashes sees nobody leave.
        """
        again = trio.current_time() + limits.SEEN_AGAIN_SECONDS
        while True:
            await trio.sleep(limits.SEEN_SECONDS)
            there: list[int] = []
            if trio.current_time() >= again:
                again += limits.SEEN_AGAIN_SECONDS
                there = [session.device for session in self._hub.sessions()]
            await self.flush(there)

    async def flush(self, there: Iterable[int] = ()) -> None:
        """Those that left since the last time and those that are `there`, in bites, so that messages get between."""
        left = list(dict.fromkeys((*self._hub.take_left(), *there)))
        now_ms = self._world.now_ms()
        try:
            for start in range(0, len(left), limits.SEEN_AT_ONCE):
                bite = left[start : start + limits.SEEN_AT_ONCE]
                await self._store.write(devices.saw, [(device, now_ms) for device in bite])
        except StoreError as error:
            log.warning("when devices were last connected is not written down", reason=str(error))
