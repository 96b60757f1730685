"""Passwords that are tried first: the most common ones of lists that were stolen, and the names that anybody knows.

There are no rules about which characters a password has. `common_passwords.bin` is made by `tools.common_passwords`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("common_passwords.bin")

HASH_BYTES = 6
"""Of each common password: one in ten billion others is taken for one of them."""

KNOWN_WORDS = frozenset({"wirechat", "password"})
"""Beside the handle: alone, or with nothing but digits and signs around, they are no secret."""


def digest(password: bytes) -> bytes:
    """What the file holds of a password."""
    return hashlib.sha256(password).digest()[:HASH_BYTES]


def why_guessable(password: str, handle: str) -> str | None:
    """Why anybody would guess it, for people; None when there is nothing against it."""
    folded = password.casefold()
    if _is_common(folded.encode()):
        return "many people have that password, so it is tried first; choose another"
    letters = "".join(filter(str.isalpha, folded))
    if folded == handle or letters in KNOWN_WORDS or (letters and letters == "".join(filter(str.isalpha, handle))):
        return "a name with digits or signs is tried first; choose another password"
    return None


def _is_common(password: bytes) -> bool:
    wanted, hashes = digest(password), _hashes()
    place = bisect_left(range(len(hashes) // HASH_BYTES), wanted, key=lambda n: _hash(hashes, n))
    return _hash(hashes, place) == wanted


def _hash(hashes: bytes, number: int) -> bytes:
    return hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES]


@cache
def _hashes() -> bytes:
    return FILE.read_bytes()
