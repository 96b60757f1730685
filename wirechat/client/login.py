"""Who we are and how we prove it.

Rules: the resume token of the last login goes first; where the server does not know it any more (2002) the device key
follows on the same connection, and where it does not know that (2001) the password. Nothing is tried twice.
"""

from collections.abc import Iterator

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
    failure = _nothing_to_try(credentials)
    for proof, next_after in _proofs(link, welcome, identity, credentials):
        try:
            return await link.exchange(proof, wire.AuthOk)
        except LoginFailed as error:
            failure = error
            if error.code != next_after:
                break
    raise failure


def _nothing_to_try(credentials: Credentials) -> LoginFailed:
    if credentials.password is not None:
        return LoginFailed("the server takes no password on this connection; use TLS", code=errors.INSECURE)
    return LoginFailed("no way to log in: give a password, or a device key with its device", code=errors.EXPIRED)


def _proofs(
    link: Link, welcome: wire.Welcome, identity: Identity, credentials: Credentials
) -> Iterator[tuple[wire.Auth, int | None]]:
    """What can be tried, best first, each with the code after which the next one is worth a try."""
    handle, device = credentials.handle or identity.handle, credentials.device or identity.device
    key, password = credentials.key, credentials.password
    if identity.resume is not None and AuthMethod.RESUME in welcome.methods:
        yield wire.Auth(0, AuthMethod.RESUME, proof=identity.resume), errors.EXPIRED
    if key is not None and device is not None and AuthMethod.DEVICE_KEY in welcome.methods:
        yield _signed(link, welcome, handle, device, key), errors.BAD_CREDENTIALS
    if password is not None and AuthMethod.PASSWORD in welcome.methods:
        public, name = None if key is None else public_key(key), credentials.name
        proof = password.encode()
        yield wire.Auth(0, AuthMethod.PASSWORD, handle, proof=proof, device=device, key=public, name=name), None


def _signed(link: Link, welcome: wire.Welcome, handle: str | None, device: int, key: bytes) -> wire.Auth:
    digest = link.transport.certificate_digest
    bound = digest if Binding.TLS_SERVER_END_POINT in welcome.bindings else None
    binding = Binding.NONE if bound is None else Binding.TLS_SERVER_END_POINT
    signed = wire.auth.signed_bytes(welcome.nonce, device, binding, bound or b"")
    proof = Ed25519PrivateKey.from_private_bytes(key).sign(signed)
    return wire.Auth(0, AuthMethod.DEVICE_KEY, handle, proof=proof, device=device, binding=binding)
