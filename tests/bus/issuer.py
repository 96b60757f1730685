"""Who says who may use a NATS server: operator, account and user as nsc makes them, as small as they can be."""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0, 20 << 3, 18 << 3


class Key:
    """A key, and how NATS writes it."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._key = Ed25519PrivateKey.generate()
        self.public = _written(bytes([kind]) + self._key.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        """The secret."""
        prefix = bytes([SEED | self._kind >> 5, (self._kind & 31) << 3])
        return _written(prefix + self._key.private_bytes_raw())

    def token(self, name: str, subject: str, claims: dict[str, object]) -> str:
        """Says that `subject` is this, signed."""
        body: dict[str, object] = {"iss": self.public, "sub": subject, "name": name, "iat": 0, "nats": claims}
        body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
        signed = ".".join(_url(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body))
        return f"{signed}.{_url(self._key.sign(signed.encode()))}"


class Issuer:
    """One operator with one account."""

    def __init__(self) -> None:
        self._operator, self._account = Key(OPERATOR), Key(ACCOUNT)

    def configuration(self) -> str:
        """What a server must know."""
        trust = self._operator.token("o", self._operator.public, {"type": "operator", "version": 2})
        limits = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1}
        account = {"type": "account", "version": 2, "limits": limits}
        known = self._operator.token("a", self._account.public, account)
        return f'operator: "{trust}"\nresolver: MEMORY\nresolver_preload: {{ {self._account.public}: "{known}" }}'

    def credentials(self) -> str:
        """The file of a new user."""
        user = Key(USER)
        claims = {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
        token = self._account.token("u", user.public, claims)
        return (
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _written(data: bytes) -> str:
    return base64.b32encode(data + _crc16(data).to_bytes(2, "little")).decode().rstrip("=")


def _crc16(data: bytes) -> int:
    """XMODEM."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value
