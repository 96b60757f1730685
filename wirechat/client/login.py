"""Who we are and how we prove it.

Rules: the resume token of the last login goes first; where the server does not know it any more (2002) the device key
or the password follows on the same connection. Wrong credentials are never tried twice.
"""

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wirechat import wire
from wirechat.client.cache import Identity
from wirechat.client.errors import LoginFailed
from wirechat.client.link import Link
from wirechat.wire import errors
from wirechat.wire.registries import AuthMethod, Binding

__all__ = ["FINAL", "Credentials", "login", "public_key"]

FINAL = frozenset(
    {
        errors.BAD_CREDENTIALS,
        errors.EXPIRED,  # nothing else was left to try
        errors.DEVICE_REVOKED,
        errors.BINDING_MISMATCH,
        errors.INSECURE,
        errors.REPLACED,
        errors.REGISTRATION_CLOSED,
    }
)
"""Codes after which connecting again by ourselves cannot help, or would fight with another connection."""


@attrs.frozen
class Credentials:
    """What the person gave. `key`: 32-byte Ed25519 seed. `name`: of this device, for people."""

    handle: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    key: bytes | None = attrs.field(default=None, repr=False)
    device: int | None = None
    name: str | None = None


def public_key(seed: bytes) -> bytes:
    """The 32-byte public key of an Ed25519 seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


async def login(link: Link, welcome: wire.Welcome, identity: Identity, credentials: Credentials) -> wire.AuthOk:
    """Logs in. Raises LoginFailed, or what else the server said."""
    if identity.resume is not None and AuthMethod.RESUME in welcome.methods:
        try:
            return await link.exchange(wire.Auth(0, AuthMethod.RESUME, proof=identity.resume), wire.AuthOk)
        except LoginFailed as error:
            if error.code != errors.EXPIRED or not _possible(welcome, identity, credentials):
                raise
    return await link.exchange(_proof(link, welcome, identity, credentials), wire.AuthOk)


def _possible(welcome: wire.Welcome, identity: Identity, credentials: Credentials) -> bool:
    return _key_possible(welcome, identity, credentials) or _password_possible(welcome, credentials)


def _key_possible(welcome: wire.Welcome, identity: Identity, credentials: Credentials) -> bool:
    known = credentials.key is not None and (credentials.device or identity.device) is not None
    return known and AuthMethod.DEVICE_KEY in welcome.methods


def _password_possible(welcome: wire.Welcome, credentials: Credentials) -> bool:
    return credentials.password is not None and AuthMethod.PASSWORD in welcome.methods


def _proof(link: Link, welcome: wire.Welcome, identity: Identity, credentials: Credentials) -> wire.Auth:
    handle, device = credentials.handle or identity.handle, credentials.device or identity.device
    key = credentials.key
    if key is not None and device is not None and AuthMethod.DEVICE_KEY in welcome.methods:
        return _signature(link, welcome, handle, device, key)
    if credentials.password is not None and AuthMethod.PASSWORD in welcome.methods:
        public = None if key is None else public_key(key)
        proof = credentials.password.encode()
        return wire.Auth(0, AuthMethod.PASSWORD, handle, proof=proof, device=device, key=public, name=credentials.name)
    if credentials.password is not None:
        raise LoginFailed("the server takes no password on this connection; use TLS", code=errors.INSECURE)
    raise LoginFailed("no way to log in: give a password, or a device key with its device", code=errors.EXPIRED)


def _signature(link: Link, welcome: wire.Welcome, handle: str | None, device: int, key: bytes) -> wire.Auth:
    digest = link.transport.certificate_digest
    bound = digest is not None and Binding.TLS_SERVER_END_POINT in welcome.bindings
    binding = Binding.TLS_SERVER_END_POINT if bound else Binding.NONE
    signed = wire.auth.signed_bytes(welcome.nonce, device, binding, digest if bound and digest else b"")
    proof = Ed25519PrivateKey.from_private_bytes(key).sign(signed)
    return wire.Auth(0, AuthMethod.DEVICE_KEY, handle, proof=proof, device=device, binding=binding)
