"""Making an account, finding people, and what one says of oneself."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

import attrs
import structlog

from wirechat import wire
from wirechat.server.account_log import AccountLog
from wirechat.server.config import Config
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.errors import RequestError
from wirechat.server.guessable import why_guessable
from wirechat.server.hub import Hub
from wirechat.server.identifiers import draw
from wirechat.server.passwords import Passwords
from wirechat.server.sharing import SharedWrites
from wirechat.server.throttle import Throttle
from wirechat.store.database import Store
from wirechat.store.features import accounts, devices, privacy
from wirechat.store.records import Refusal
from wirechat.store.tx import Feature, Tx
from wirechat.wire.registries import Audience, AuthMethod, EntryKind
from wirechat.world import World

P = ParamSpec("P")
T = TypeVar("T")

HANDLE = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")

log = structlog.get_logger(__name__)


class Accounts:
    """REGISTER, USER_GET, USER_FIND, PROFILE_SET, ACCOUNT."""

    def __init__(
        self,
        config: Config,
        world: World,
        store: Store,
        writes: SharedWrites,
        passwords: Passwords,
        throttle: Throttle,
        account_log: AccountLog,
        changed: Callable[[int], None],
    ) -> None:
        self._config = config
        self._world = world
        self._store = store
        self._writes = writes
        self._passwords = passwords
        self._throttle = throttle
        self._account_log = account_log
        self._changed = changed
        """Told which user has another profile or audience."""

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.exclusive(wire.Register, self.register_account)
        dispatcher.beside(wire.UserGet, self.get)
        dispatcher.beside(wire.UserFind, self.find)
        dispatcher.beside(wire.Account, self.account)
        dispatcher.exclusive(wire.ProfileSet, self.set_profile)

    async def register_account(self, connection: Connection, request: wire.Register) -> wire.Message:
        """Make an account, with a password or with a first device and its key."""
        peer = connection.endpoint.peer
        if not self._config.allows_registration(peer):
            raise RequestError(wire.errors.REGISTRATION_CLOSED, "accounts are made by the operator")
        if not peer.loopback:
            self._throttle.newcomer(peer.address)
        check_handle(request.handle)
        if request.method == AuthMethod.PASSWORD:
            if not self._config.allows_password(peer):
                raise RequestError(wire.errors.INSECURE, "no password over this connection; use TLS")
            check_password(request.secret, request.handle)
            phc = await self._passwords.hash(request.secret)
            return await self._create(connection, request, phc)
        if request.method != AuthMethod.DEVICE_KEY or len(request.secret) != 32:
            raise RequestError(wire.errors.BAD_REQUEST, "an account begins with a password or a 32-byte key")
        return await self._create(connection, request, None, FirstDevice(request.secret, request.device_name or ""))

    async def _create(
        self, connection: Connection, request: wire.Register, phc: str | None, first: FirstDevice | None = None
    ) -> wire.Message:
        user, device = await create_account(self._writes, self._world, request.handle, request.name, phc, first)
        log.info("an account was made", peer=connection.endpoint.peer.address, user=user, handle=request.handle)
        return wire.RegisterOk(request.rid, user, device)

    async def get(self, connection: Connection, request: wire.UserGet) -> wire.Message:
        """Accounts by id."""
        found = await self._store.read(accounts.get, request.users)
        return wire.UserGetOk(request.rid, tuple(wire.User(*row) for row in found))

    async def find(self, connection: Connection, request: wire.UserFind) -> wire.Message:
        """One account by its handle."""
        found = await self._store.read(accounts.find, request.handle)
        if found is None:
            raise RequestError(wire.errors.NOT_FOUND, "no such account")
        return wire.UserFindOk(request.rid, wire.User(*found))

    async def account(self, connection: Connection, request: wire.Account) -> wire.Message:
        """One's own account."""
        user = connection.require_session().user
        (account, audience, has_password), blocked = await self._store.read(_own, user)
        return wire.AccountOk(request.rid, wire.User(*account), audience, tuple(blocked), has_password)

    async def set_profile(self, connection: Connection, request: wire.ProfileSet) -> wire.Message:
        """A PROFILE entry, if anything changes."""
        session = connection.require_session()
        user = session.user
        handle, name, about, audience = request.handle, request.name, request.about, request.audience
        if handle is not None:
            check_handle(handle)
        if audience not in (None, Audience.CONTACTS, Audience.NOBODY):
            raise RequestError(wire.errors.BAD_REQUEST, "the audience is 1 (contacts) or 2 (nobody)")

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await accounts.set_profile(tx, user, handle, name, about, audience)

        told = partial(self._changed, user)
        await self._account_log.enter(user, EntryKind.PROFILE, project, device=session.device, done=told)
        account, _, _ = await self._store.read(accounts.own, user)
        return wire.ProfileSetOk(request.rid, wire.User(*account))


class Secrets:
    """SECRET_SET."""

    def __init__(
        self,
        config: Config,
        store: Store,
        passwords: Passwords,
        throttle: Throttle,
        account_log: AccountLog,
        hub: Hub,
    ) -> None:
        self._config = config
        self._store = store
        self._passwords = passwords
        self._throttle = throttle
        self._account_log = account_log
        self._hub = hub

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handler."""
        dispatcher.exclusive(wire.SecretSet, self.change)

    async def change(self, connection: Connection, request: wire.SecretSet) -> wire.Message:
        """A DEVICE entry. The old password is looked at once more in its transaction."""
        session = connection.require_session()
        user, device, key, revoke = session.user, session.device, request.key, request.revoke
        if request.password is None and key is None:
            raise RequestError(wire.errors.BAD_REQUEST, "give a new password, a new key, or both")
        before = await self._checked(connection, user, request)
        phc = None if request.password is None else await self._passwords.hash(request.password)
        ended: list[int] = []

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            if not await accounts.has_password(tx, user, before):
                return Refusal.WRONG_PASSWORD
            if phc is not None:
                await accounts.change_password(tx, user, phc)
            if key is not None:
                await devices.set_key(tx, device, key)
            ended[:] = await devices.revoke_others(tx, user, device, stamp) if revoke else ()
            return True

        await self._account_log.enter(user, EntryKind.DEVICE, project, device=device)
        self._hub.revoke(ended)
        log.info(
            "a login was changed", peer=connection.endpoint.peer.address, user=user, device=device,
            password=phc is not None, key=key is not None, revoked=ended,
        )  # fmt: skip
        return wire.SecretSetOk(request.rid)

    async def _checked(self, connection: Connection, user: int, request: wire.SecretSet) -> str | None:
        """The stored password, once the old one has proved right. A wrong one counts like a failed login. If the new
        one is right, this was done before and its answer was lost.
        """
        peer, old = connection.endpoint.peer, request.old
        if not self._config.allows_password(peer) and (request.password is not None or old is not None):
            raise RequestError(wire.errors.INSECURE, "no password over this connection; use TLS")
        handle, phc = await self._store.read(accounts.secret, user)
        if request.password is not None:
            check_password(request.password, handle)
        if phc is None:
            return None
        if old is None:
            raise RequestError(wire.errors.BAD_REQUEST, "the present password is missing")
        self._throttle.check(peer.address, handle)
        for each in dict.fromkeys((old, request.password)):
            if each is not None:
                if await self._passwords.check(each, phc, lambda: self._throttle.check(peer.address, handle)):
                    return phc
                self._throttle.failed(peer.address, handle)
        raise RequestError(wire.errors.BAD_CREDENTIALS, "wrong password")


async def _own(tx: Tx, user: int) -> tuple[tuple[accounts.Account, int, bool], list[int]]:
    return await accounts.own(tx, user), await privacy.blocked(tx, user)


@attrs.frozen
class FirstDevice:
    """The device an account begins with, and its Ed25519 key."""

    key: bytes
    name: str


class Writes(Protocol):
    """The store, or writes that share its commits."""

    async def write(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""


async def create_account(
    writes: Writes, world: World, handle: str, name: str | None, phc: str | None, first: FirstDevice | None = None
) -> tuple[int, int | None]:
    """Make an account, all of it or nothing; its id and that of its first device. Raises RequestError 4005 when the
    handle is taken.
    """
    return await writes.write(_begin, world, handle, name, phc, first)


async def _begin(
    tx: Tx, world: World, handle: str, name: str | None, phc: str | None, first: FirstDevice | None
) -> tuple[int, int | None]:
    now_ms = world.now_ms()
    while await accounts.create(tx, user := draw(world), handle, name, phc, now_ms) is not None:
        if await accounts.find(tx, handle) is not None:
            raise RequestError(wire.errors.CONFLICT, "the handle is taken")
    if first is None:
        return user, None
    while await devices.create(tx, device := draw(world), user, first.key, first.name, now_ms) is not None:
        pass  # somebody's device has this number
    return user, device


def check_handle(handle: str) -> None:
    """Raises RequestError 3000 unless it is a handle as protocol/accounts.json says."""
    if not HANDLE.fullmatch(handle):
        raise RequestError(
            wire.errors.BAD_REQUEST, "a handle is 1 to 32 of a-z 0-9 . _ - and begins with a letter or digit"
        )


def check_password(password: bytes, handle: str) -> None:
    """Raises RequestError 3000 unless it is long enough, text, and not what everybody would try for this handle."""
    try:
        text = password.decode()
    except UnicodeDecodeError:
        raise RequestError(wire.errors.BAD_REQUEST, "a password is UTF-8") from None
    if len(password) < wire.limits.PASSWORD_BYTES_MIN:
        raise RequestError(wire.errors.BAD_REQUEST, f"a password has at least {wire.limits.PASSWORD_BYTES_MIN} bytes")
    if (why := why_guessable(text, handle)) is not None:
        raise RequestError(wire.errors.BAD_REQUEST, why)
