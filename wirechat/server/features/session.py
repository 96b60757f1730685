"""Opening a connection, logging in, staying alive."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Callable

import structlog
import trio
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wirechat import wire
from wirechat.server import limits
from wirechat.server.account_log import AccountLog
from wirechat.server.config import Config
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.endpoint import Peer
from wirechat.server.errors import RequestError, of_refusal, of_store
from wirechat.server.identifiers import draw
from wirechat.server.passwords import Passwords
from wirechat.server.session import Session
from wirechat.server.sharing import SharedWrites
from wirechat.server.throttle import Throttle, too_many
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import accounts, devices
from wirechat.store.records import Device, Login, Refusal
from wirechat.store.tx import Tx
from wirechat.wire.registries import AuthMethod, Binding, Capability, EntryKind
from wirechat.world import World

log = structlog.get_logger(__name__)

VERSION = 1
HANDLE_SHOWN = 40
"""Characters of a handle in the log: nobody has a longer one."""

METHODS = frozenset((AuthMethod.PASSWORD, AuthMethod.DEVICE_KEY, AuthMethod.RESUME))

UNTOLD = frozenset({wire.errors.LOCKED, wire.errors.UNAVAILABLE})
"""Not in the log as failed logins: the failures before it are, and nobody has failed."""

CAPABILITIES = frozenset({Capability.ACCOUNT_LOG, Capability.PINS})

_shared = functools.cache(lambda caps: caps)
"""One set for all connections that agreed on the same capabilities."""

NOBODYS_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
"""Checked against when the device does not exist, so that it takes as long (RFC 8032, 7.1, test 1)."""


class Sessions:
    """HELLO, AUTH, PING, PONG, STATE."""

    def __init__(
        self,
        config: Config,
        world: World,
        store: Store,
        writes: SharedWrites,
        passwords: Passwords,
        throttle: Throttle,
        account_log: AccountLog,
        catch_up: Callable[[Connection, Session], None],
    ) -> None:
        self._config = config
        self._world = world
        self._store = store
        self._passwords = passwords
        self._throttle = throttle
        self._account_log = account_log
        self._catch_up = catch_up
        self._writes = writes
        self.logins: Counter[tuple[int, int]] = Counter()
        """By method (0: one this server does not offer) and error code (0: none)."""

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.inline(wire.Hello, self.hello)
        dispatcher.inline(wire.Ping, self.ping)
        dispatcher.inline(wire.Pong, lambda connection, message: None)
        dispatcher.inline(wire.State, self.state)
        dispatcher.exclusive(wire.Auth, self.auth)

    def hello(self, connection: Connection, hello: wire.Hello) -> None:
        """Agree on a version and tell the limits."""
        if hello.magic != "WC" or hello.vmin > hello.vmax:
            raise wire.ProtocolViolation(wire.errors.PROTOCOL, "this is not a wirechat client")
        if not hello.vmin <= VERSION <= hello.vmax:
            raise wire.ProtocolViolation(wire.errors.VERSION, f"this server speaks version {VERSION}")
        peer = connection.endpoint.peer
        connection.nonce = self._world.random_bytes(32)
        connection.caps = _shared(CAPABILITIES.intersection(hello.caps))
        if hello.window is not None:
            connection.window = min(hello.window, connection.limits.window)
        connection.deadline = trio.current_time() + wire.limits.AUTH_MS / 1000
        connection.send(
            wire.Welcome(
                VERSION,
                (*sorted(connection.caps), *self._grease_caps()),
                self._config.agent,
                self._world.now_ms(),
                connection.nonce,
                connection.limits.told(),
                self._methods(peer),
                (Binding.NONE,) if peer.certificate_digest is None else (Binding.NONE, Binding.TLS_SERVER_END_POINT),
                self._config.allows_registration(peer),
            )
        )

    def _grease_caps(self) -> tuple[int, ...]:
        if self._world.uniform(0, 1) >= self._config.grease:
            return ()
        return (31 * int(self._world.uniform(1, 2000)) + 27,)

    def _methods(self, peer: Peer) -> tuple[int, ...]:
        safe = (AuthMethod.DEVICE_KEY, AuthMethod.RESUME)
        return (AuthMethod.PASSWORD, *safe) if self._config.allows_password(peer) else safe

    def ping(self, connection: Connection, ping: wire.Ping) -> None:
        """Answer with the session's horizon, never the node's: it covers only what was sent before it."""
        session = connection.session
        token = session.token(self._store.epoch) if session and session.horizon else None
        connection.send(wire.Pong(ping.t, self._world.now_ms(), token))

    def state(self, connection: Connection, state: wire.State) -> None:
        """The client is looked at, or not; it wants more, fewer or no pushes."""
        if state.window is not None:
            connection.window = min(state.window, connection.limits.window)
        connection.active = state.active
        session = connection.session
        if session is not None:
            connection.hub.look(session, state.active)
            session.window = connection.window
            session.made_room()

    async def auth(self, connection: Connection, auth: wire.Auth) -> wire.Message | None:
        """Prove who you are, and be counted. Five failures end the connection."""
        method = auth.method if auth.method in METHODS else 0
        try:
            reply = await self._log_in(connection, auth)
        except RequestError as error:
            self.logins[method, error.code] += 1
            if error.code not in UNTOLD:
                _note(connection.endpoint.peer, auth, error.code)
            raise
        except StoreError as error:
            self.logins[method, of_store(error).code] += 1
            raise
        self.logins[method, 0 if reply else wire.errors.LOCKED] += 1
        if isinstance(reply, wire.AuthOk):
            log.info(
                "a login", peer=connection.endpoint.peer.address, user=reply.user, device=reply.device,
                method=AuthMethod(method).name.lower(),
            )  # fmt: skip
        return reply

    async def _log_in(self, connection: Connection, auth: wire.Auth) -> wire.Message | None:
        if connection.failures >= wire.limits.AUTH_FAILURES:
            await connection.fail(wire.errors.LOCKED, too_many(limits.FAILURES_PAUSE_MS), limits.FAILURES_PAUSE_MS)
            return None
        named = auth.handle if auth.method == AuthMethod.PASSWORD else auth.device  # others ignore the handle (8-9)
        account = str(named or "")
        address = connection.endpoint.peer.address
        self._throttle.check(address, account)
        token = self._world.random_bytes(32)
        try:
            login = await self._prove(connection, auth, _digest(token))
        except RequestError as error:
            if error.code in (wire.errors.BAD_CREDENTIALS, wire.errors.EXPIRED):
                self._throttle.failed(address, account)
                connection.failures += 1
            raise
        if connection.ending or connection.endpoint.gone():  # its device may have come again: that must not be put out
            raise RequestError(wire.errors.UNAVAILABLE, "the connection ended while it logged in")
        self._enter(connection, login)
        return wire.AuthOk(auth.rid, login.user, login.device, token, wire.limits.RESUME_SECONDS)

    def _enter(self, connection: Connection, login: Login) -> None:
        outbox = connection.outbox
        outbox.user = login.user

        def catch_up(session: Session) -> None:
            self._catch_up(connection, session)

        session = Session(login, connection.window, connection.caps, outbox, catch_up, connection.close)
        session.active = connection.active
        connection.session = session
        connection.deadline = math.inf
        replaced = connection.hub.join(session)
        if replaced is not None:
            replaced.close(wire.errors.REPLACED)
        if replaced is not session:
            connection.hub.others.logged_in(login.user, login.device, login.number)

    async def _prove(self, connection: Connection, auth: wire.Auth, next_token: bytes) -> Login:
        """The login of a valid proof, whose next resume token is stored; raises RequestError otherwise."""
        until = self._world.now_ms() + wire.limits.RESUME_SECONDS * 1000
        if auth.method == AuthMethod.RESUME:
            resumed = await self._writes.write(
                devices.use_resume, _digest(auth.proof), next_token, self._world.now_ms(), until
            )
            if resumed is None:
                raise RequestError(wire.errors.EXPIRED, "log in with your password or key")
            return resumed
        if auth.method == AuthMethod.PASSWORD:
            if not self._config.allows_password(connection.endpoint.peer):
                raise RequestError(wire.errors.INSECURE, "no password over this connection; use TLS")
            return await self._by_password(auth, connection.endpoint.peer.address, next_token, until)
        if auth.method != AuthMethod.DEVICE_KEY:
            raise RequestError(wire.errors.BAD_REQUEST, "this server does not offer that method")
        device = await self._by_key(connection, auth)
        return await self._writes.write(_same_key, device, next_token, until)

    async def _by_password(self, auth: wire.Auth, address: str, token: bytes, until: int) -> Login:
        """The password is looked at once more in the transaction that lets in: nobody gets in by one that was changed
        while it was checked.
        """
        handle = auth.handle
        if handle is None:
            raise RequestError(wire.errors.BAD_REQUEST, "a password needs a handle")
        found = await self._store.read(accounts.login, handle)
        user, phc = found or (0, None)
        if not await self._passwords.check(auth.proof, phc, lambda: self._throttle.check(address, handle)):
            raise of_refusal(Refusal.WRONG_PASSWORD)
        if auth.device is None:
            return await self._new_device(user, phc, auth, token, until)
        return await self._known_device(user, phc, auth.device, auth.key, token, until)

    async def _new_device(self, user: int, phc: str | None, auth: wire.Auth, token: bytes, until: int) -> Login:
        """A DEVICE entry: the others hear of every new one."""
        now_ms = self._world.now_ms()
        login: Login | None = None
        while True:
            device = draw(self._world)

            async def project(tx: Tx, stamp: int, device: int = device) -> bool | Refusal:
                nonlocal login
                if not await accounts.has_password(tx, user, phc):
                    return Refusal.WRONG_PASSWORD
                if await devices.count(tx, user) >= wire.limits.DEVICES:
                    return Refusal.LIMIT
                if (taken := await devices.create(tx, device, user, auth.key, auth.name or "", now_ms)) is not None:
                    return taken
                login = await devices.issue_resume(tx, device, token, until)
                return True

            try:
                await self._account_log.enter(user, EntryKind.DEVICE, project)
            except RequestError as error:
                if error.code != wire.errors.CONFLICT:
                    raise
            else:
                assert login is not None
                return login

    async def _known_device(
        self, user: int, phc: str | None, number: int, key: bytes | None, token: bytes, until: int
    ) -> Login:
        """A device logs in with a password once more. A DEVICE entry, if it has another key from now on. Raises
        RequestError, and then has changed nothing.
        """
        login: Login | None = None

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            nonlocal login
            device = await devices.get(tx, number)
            if device is None or device.user != user or not await accounts.has_password(tx, user, phc):
                return Refusal.WRONG_PASSWORD
            login = await devices.issue_resume(tx, number, token, until)
            if login is None:
                return Refusal.REVOKED
            if key is None or key == device.key:
                return False
            await devices.set_key(tx, number, key)
            return True

        await self._account_log.enter(user, EntryKind.DEVICE, project)
        assert login is not None
        return login

    async def _by_key(self, connection: Connection, auth: wire.Auth) -> Device:
        if auth.device is None:
            raise RequestError(wire.errors.BAD_REQUEST, "a device key needs a device")
        bound = self._bound(connection.endpoint.peer, auth.binding or Binding.NONE)
        signed = wire.auth.signed_bytes(connection.nonce, auth.device, auth.binding or 0, bound)
        device = await self._store.read(devices.get, auth.device)
        key = device.key if device is not None and device.key is not None else None
        try:
            Ed25519PublicKey.from_public_bytes(key or NOBODYS_KEY).verify(auth.proof, signed)
        except (InvalidSignature, ValueError):
            key = None
        if key is None or device is None:
            raise RequestError(wire.errors.BAD_CREDENTIALS, "unknown device or bad signature")
        if device.revoked:
            raise _revoked()
        return device

    def _bound(self, peer: Peer, binding: int) -> bytes:
        if binding == Binding.NONE:
            return b""
        if binding == Binding.TLS_SERVER_END_POINT and peer.certificate_digest is not None:
            return peer.certificate_digest
        raise RequestError(wire.errors.BINDING_MISMATCH, "this connection does not offer that binding")


async def _same_key(tx: Tx, checked: Device, token: bytes, until: int) -> Login:
    """A device logs in with the key that was checked. Raises RequestError, and then has changed nothing."""
    device = await devices.get(tx, checked.device)
    if device is None or device.key != checked.key:
        raise RequestError(wire.errors.BAD_CREDENTIALS, "unknown device or bad signature")
    login = await devices.issue_resume(tx, checked.device, token, until)
    if login is None:
        raise _revoked()
    return login


def _note(peer: Peer, auth: wire.Auth, code: int) -> None:
    """One line for the operator, or for a program that bans addresses. The handle is ASCII and in quotes, whatever the
    stranger sent.
    """
    method = AuthMethod(auth.method).name.lower() if auth.method in METHODS else "unknown"
    handle = None if auth.handle is None else ascii(auth.handle[:HANDLE_SHOWN])
    log.info("a login failed", peer=peer.address, handle=handle, method=method, code=code)


def _revoked() -> RequestError:
    return RequestError(wire.errors.DEVICE_REVOKED, "this device was revoked")


def _digest(token: bytes) -> bytes:
    """What the store keeps of a token."""
    return hashlib.sha256(token).digest()
