"""One's own account: its devices, password and profile, and whom and what one does not want to see."""

from collections.abc import Iterable

import attrs

from wirechat import wire
from wirechat.client.cache import Cache
from wirechat.client.calls import Call
from wirechat.client.errors import LoginFailed
from wirechat.client.sync import Sync
from wirechat.wire import errors

__all__ = ["Account", "Me"]


@attrs.frozen
class Me:
    """What only the user himself may know. `user` is what everyone may know."""

    user: wire.User
    audience: int
    """Who may see when one is online: see wirechat.wire.registries.Audience."""
    blocked: frozenset[int]
    """Users one has blocked."""
    has_password: bool
    """False: only the keys of devices let in."""


class Account:
    """client.account"""

    def __init__(self, call: Call, sync: Sync, cache: Cache) -> None:
        self._call = call
        self._sync = sync
        self._cache = cache

    async def me(self) -> Me:
        """The account as the server has it."""
        reply = await self._call(wire.Account(0), wire.AccountOk, lambda reply: self._cache.put_me(reply.user))
        return Me(reply.user, reply.audience, frozenset(reply.blocked), reply.password)

    async def set_profile(
        self, handle: str | None = None, name: str | None = None, about: str | None = None, audience: int | None = None
    ) -> wire.User:
        """Changes what is given; an empty name or about is none. Returns the account as it is now.

        `audience`: who may see when one is online, see wirechat.wire.registries.Audience. Raises Refused: a handle that
        is taken (4005) or is none (3000).
        """
        request = wire.ProfileSet(0, handle, name, about, audience)
        return (await self._call(request, wire.ProfileSetOk, lambda reply: self._cache.put_me(reply.user))).user

    async def change_password(self, old: str | None, new: str, revoke_others: bool = False) -> None:
        """Sets another password; `old` is None for an account that has none. `revoke_others`: logs out all other
        devices.

        Raises LoginFailed for a wrong old password (2001), too many wrong ones (2006), or a connection on which no
        password may travel (2005); Refused for a password that is too short (3000).
        """
        before = None if old is None else old.encode()
        await self._call(wire.SecretSet(0, before, new.encode(), None, revoke_others), wire.SecretSetOk)

    async def devices(self) -> tuple[wire.Device, ...]:
        """The devices that may log in, by id."""
        return (await self._call(wire.Devices(0), wire.DevicesOk)).devices

    async def rename_device(self, device: int, name: str) -> None:
        """Gives a device another name. Raises Refused (4000) for one that is not there."""
        await self._call(wire.DeviceSet(0, device, name), wire.DeviceSetOk)

    async def revoke_device(self, device: int) -> None:
        """Logs a device out for ever, this one included. Raises Refused (4000) for one that is not there."""
        mine = device == self._cache.identity.device

        def apply(reply: wire.DeviceRevokeOk) -> None:
            if mine:
                self._cache.log_out()

        try:
            await self._call(wire.DeviceRevoke(0, device), wire.DeviceRevokeOk, apply)
        except LoginFailed as error:
            if not mine or error.code not in (errors.DEVICE_REVOKED, errors.EXPIRED):
                raise

    async def log_out(self) -> None:
        """Ends this device for ever. The client then gives up, and its cache forgets how to log in; its logs stay."""
        await self.revoke_device(self._cache.identity.device or 0)

    async def block(self, user: int) -> None:
        """Blocks a user. Raises Refused: 4000 nobody, 3000 oneself, 4007 too many."""
        await self._call(wire.Block(0, user, True), wire.BlockOk)

    async def unblock(self, user: int) -> None:
        """Takes a block back."""
        await self._call(wire.Block(0, user, False), wire.BlockOk)

    @property
    def blocked(self) -> frozenset[int]:
        """Whom one has blocked, as far as this device knows; asks nobody."""
        return self._sync.account.blocked

    async def hide(self, conv: int, seqs: Iterable[int]) -> None:
        """Deletes up to 256 messages for oneself alone, on all own devices, for ever. Raises Refused."""
        await self._call(wire.Hide(0, conv, tuple(seqs)), wire.HideOk)
