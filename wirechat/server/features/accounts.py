"""Making an account and finding people."""

from __future__ import annotations

import re

from wirechat import wire
from wirechat.server.config import Config
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.errors import RequestError
from wirechat.server.identifiers import draw, new_device
from wirechat.server.passwords import Passwords
from wirechat.store.database import Store
from wirechat.store.features import accounts
from wirechat.wire.registries import AuthMethod
from wirechat.world import World

HANDLE = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


class Accounts:
    """REGISTER, USER_GET, USER_FIND."""

    def __init__(self, config: Config, world: World, store: Store, passwords: Passwords) -> None:
        self._config = config
        self._world = world
        self._store = store
        self._passwords = passwords

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.exclusive(wire.Register, self.register_account)
        dispatcher.beside(wire.UserGet, self.get)
        dispatcher.beside(wire.UserFind, self.find)

    async def register_account(self, connection: Connection, request: wire.Register) -> wire.Message:
        """Make an account, with a password or with a first device and its key."""
        peer = connection.endpoint.peer
        if not self._config.allows_registration(peer):
            raise RequestError(wire.errors.REGISTRATION_CLOSED, "accounts are made by the operator")
        check_handle(request.handle)
        if request.method == AuthMethod.PASSWORD:
            if not self._config.allows_password(peer):
                raise RequestError(wire.errors.INSECURE, "no password over this connection; use TLS")
            check_password(request.secret)
            phc = await self._passwords.hash(request.secret)
            return wire.RegisterOk(request.rid, await self._create(request, phc))
        if request.method != AuthMethod.DEVICE_KEY or len(request.secret) != 32:
            raise RequestError(wire.errors.BAD_REQUEST, "an account begins with a password or a 32-byte key")
        user = await self._create(request, None)
        device = await new_device(self._store, self._world, user, request.secret, request.device_name or "")
        return wire.RegisterOk(request.rid, user, device)

    async def _create(self, request: wire.Register, phc: str | None) -> int:
        return await create_account(self._store, self._world, request.handle, request.name, phc)

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


async def create_account(store: Store, world: World, handle: str, name: str | None, phc: str | None) -> int:
    """Make an account and return its id. Raises RequestError 4005 when the handle is taken."""
    while True:
        user = draw(world)
        refusal = await store.write(accounts.create, user, handle, name, phc, world.now_ms())
        if refusal is None:
            return user
        if await store.read(accounts.find, handle) is not None:
            raise RequestError(wire.errors.CONFLICT, "the handle is taken")


def check_handle(handle: str) -> None:
    """Raises RequestError 3000 unless it is a handle as protocol/accounts.json says."""
    if not HANDLE.fullmatch(handle):
        raise RequestError(
            wire.errors.BAD_REQUEST, "a handle is 1 to 32 of a-z 0-9 . _ - and begins with a letter or digit"
        )


def check_password(password: bytes) -> None:
    """Raises RequestError 3000 unless it is long enough and text."""
    try:
        password.decode()
    except UnicodeDecodeError:
        raise RequestError(wire.errors.BAD_REQUEST, "a password is UTF-8") from None
    if len(password) < wire.limits.PASSWORD_BYTES_MIN:
        raise RequestError(wire.errors.BAD_REQUEST, f"a password has at least {wire.limits.PASSWORD_BYTES_MIN} bytes")
