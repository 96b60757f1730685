"""Opening a connection, logging in, staying alive."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable

import trio
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wirechat import wire
from wirechat.server import limits
from wirechat.server.config import Config
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.endpoint import Peer
from wirechat.server.errors import RequestError, of_store
from wirechat.server.identifiers import new_device
from wirechat.server.passwords import Passwords
from wirechat.server.session import Session
from wirechat.server.throttle import Throttle
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import accounts, devices
from wirechat.wire.registries import AuthMethod, Binding
from wirechat.world import World

VERSION = 1
METHODS = frozenset((AuthMethod.PASSWORD, AuthMethod.DEVICE_KEY, AuthMethod.RESUME))

NOBODYS_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
"""Checked against when the device does not exist, so that it takes as long (RFC 8032, 7.1, test 1)."""


class Sessions:
    """HELLO, AUTH, PING, PONG, STATE."""

    def __init__(
        self,
        config: Config,
        world: World,
        store: Store,
        passwords: Passwords,
        throttle: Throttle,
        catch_up: Callable[[Connection, Session], None],
    ) -> None:
        self._config = config
        self._world = world
        self._store = store
        self._passwords = passwords
        self._throttle = throttle
        self._catch_up = catch_up
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
        if hello.window is not None:
            connection.window = min(hello.window, connection.limits.window)
        connection.deadline = trio.current_time() + wire.limits.AUTH_MS / 1000
        connection.send(
            wire.Welcome(
                VERSION,
                self._grease_caps(),
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
        token = self._store.epoch + session.horizon.to_bytes(8, "big") if session and session.horizon else None
        connection.send(wire.Pong(ping.t, self._world.now_ms(), token))

    def state(self, connection: Connection, state: wire.State) -> None:
        """The client is looked at, or not; it wants more, fewer or no pushes."""
        if state.window is not None:
            connection.window = min(state.window, connection.limits.window)
        session = connection.session
        if session is not None:
            session.active = state.active
            session.window = connection.window
            session.made_room()

    async def auth(self, connection: Connection, auth: wire.Auth) -> wire.Message | None:
        """Prove who you are, and be counted. Five failures end the connection."""
        method = auth.method if auth.method in METHODS else 0
        try:
            reply = await self._log_in(connection, auth)
        except RequestError as error:
            self.logins[method, error.code] += 1
            raise
        except StoreError as error:
            self.logins[method, of_store(error).code] += 1
            raise
        self.logins[method, 0 if reply else wire.errors.LOCKED] += 1
        return reply

    async def _log_in(self, connection: Connection, auth: wire.Auth) -> wire.Message | None:
        if connection.failures >= wire.limits.AUTH_FAILURES:
            await connection.fail(wire.errors.LOCKED, "too many failed logins", limits.FAILURES_PAUSE_MS)
            return None
        account = auth.handle or (str(auth.device) if auth.device else "")
        address = connection.endpoint.peer.address
        self._throttle.check(address, account)
        token = self._world.random_bytes(32)
        try:
            user, device = await self._prove(connection, auth, _digest(token))
        except RequestError as error:
            if error.code in (wire.errors.BAD_CREDENTIALS, wire.errors.EXPIRED):
                self._throttle.failed(address, account)
                connection.failures += 1
            raise
        self._enter(connection, user, device)
        return wire.AuthOk(auth.rid, user, device, token, wire.limits.RESUME_SECONDS)

    def _enter(self, connection: Connection, user: int, device: int) -> None:
        outbox = connection.outbox
        outbox.user = user

        def catch_up(session: Session) -> None:
            self._catch_up(connection, session)

        session = Session(user, device, connection.window, outbox, catch_up, connection.close)
        connection.session = session
        connection.deadline = math.inf
        replaced = connection.hub.join(session)
        if replaced is not None:
            replaced.close(wire.errors.REPLACED)

    async def _prove(self, connection: Connection, auth: wire.Auth, next_token: bytes) -> tuple[int, int]:
        """(user, device) of a valid proof, whose next resume token is stored; raises RequestError otherwise."""
        peer = connection.endpoint.peer
        until = self._world.now_ms() + wire.limits.RESUME_SECONDS * 1000
        if auth.method == AuthMethod.RESUME:
            resumed = await self._store.write(
                devices.use_resume, _digest(auth.proof), next_token, self._world.now_ms(), until
            )
            if resumed is None:
                raise RequestError(wire.errors.EXPIRED, "log in with your password or key")
            return resumed
        if auth.method == AuthMethod.PASSWORD:
            if not self._config.allows_password(peer):
                raise RequestError(wire.errors.INSECURE, "no password over this connection; use TLS")
            user, device = await self._by_password(auth)
        elif auth.method == AuthMethod.DEVICE_KEY:
            user, device = await self._by_key(connection, auth)
        else:
            raise RequestError(wire.errors.BAD_REQUEST, "this server does not offer that method")
        await self._store.write(devices.issue_resume, device, next_token, until)
        return user, device

    async def _by_password(self, auth: wire.Auth) -> tuple[int, int]:
        if auth.handle is None:
            raise RequestError(wire.errors.BAD_REQUEST, "a password needs a handle")
        login = await self._store.read(accounts.login, auth.handle)
        user, phc = login or (0, None)
        if not await self._passwords.check(auth.proof, phc):
            raise RequestError(wire.errors.BAD_CREDENTIALS, "unknown account or wrong password")
        return user, await self._device_of(user, auth)

    async def _device_of(self, user: int, auth: wire.Auth) -> int:
        """The device that logs in with a password: the one it names, or a new one."""
        if auth.device is None:
            return await new_device(self._store, self._world, user, auth.key, auth.name or "")
        device = await self._store.read(devices.get, auth.device)
        if device is None or device.user != user:
            raise RequestError(wire.errors.BAD_CREDENTIALS, "unknown account or wrong password")
        if device.revoked:
            raise RequestError(wire.errors.DEVICE_REVOKED, "this device may not log in any more")
        if auth.key is not None:
            await self._store.write(devices.set_key, auth.device, auth.key)
        return auth.device

    async def _by_key(self, connection: Connection, auth: wire.Auth) -> tuple[int, int]:
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
            raise RequestError(wire.errors.DEVICE_REVOKED, "this device may not log in any more")
        return device.user, auth.device

    def _bound(self, peer: Peer, binding: int) -> bytes:
        if binding == Binding.NONE:
            return b""
        if binding == Binding.TLS_SERVER_END_POINT and peer.certificate_digest is not None:
            return peer.certificate_digest
        raise RequestError(wire.errors.BINDING_MISMATCH, "this connection does not offer that binding")


def _digest(token: bytes) -> bytes:
    """What the store keeps of a token."""
    return hashlib.sha256(token).digest()
