"""A credentials file of NATS: a token that says who we are, and the seed of the key that proves it."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PART = re.compile(r"-----BEGIN [A-Z ]+-----\s*(\S+)\s*-+END [A-Z ]+-+", re.ASCII)
_SEED = slice(2, 34)
"""Before it: what kind of key it is. Behind it: a checksum."""


@attrs.frozen
class Credentials:
    """Who we are for NATS."""

    token: bytes = attrs.field(repr=False)
    _key: Ed25519PrivateKey = attrs.field(repr=False)

    def sign(self, nonce: str) -> bytes:
        """As NATS wants it: base64."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def read(file: Path) -> Credentials:
    """Raises ValueError with a line for people, which shows nothing of what is in the file."""
    try:
        parts = _PART.findall(file.read_text("ascii"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        parts = []
    if len(parts) != 2:
        raise ValueError(f"{file} is no credentials file of NATS; nsc generate creds writes one")
    token, seed = parts
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
        return Credentials(token.encode(), Ed25519PrivateKey.from_private_bytes(raw[_SEED]))
    except (binascii.Error, ValueError):
        raise ValueError(f"{file}: the seed in it is damaged; nsc generate creds writes it anew") from None
