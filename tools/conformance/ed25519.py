"""Ed25519 signatures (RFC 8032) in plain Python: the standard library has none, and the runner has nothing else.

For the keys of test accounts only: it is slow, and its time tells the key.
"""

import hashlib
from functools import cache

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

Point = tuple[int, int, int, int]  # x, y, z, t in extended coordinates

NEUTRAL: Point = (0, 1, 1, 0)


def public_key(secret: bytes) -> bytes:
    """The public key of a 32-byte secret."""
    return _compress(_times_base(_expand(secret)[0]))


def sign(secret: bytes, message: bytes) -> bytes:
    """The 64-byte signature."""
    scalar, prefix = _expand(secret)
    nonce = _number(prefix + message)
    commitment = _compress(_times_base(nonce))
    challenge = _number(commitment + public_key(secret) + message)
    return commitment + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def signed_bytes(nonce: bytes, device: int, binding: int, bound: bytes) -> bytes:
    """What a device key signs to log in (docs/protocol.md, 8-10)."""
    return b"wirechat-auth-1\0" + nonce + device.to_bytes(8, "big") + bytes([binding]) + bound


def _expand(secret: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    return scalar, digest[32:]


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ORDER


def _add(one: Point, two: Point) -> Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


@cache
def _doublings() -> tuple[Point, ...]:
    """The base point times 1, 2, 4 … 2^255."""
    y = 4 * pow(5, -1, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 else x
    points: list[Point] = [(x, y, 1, x * y % P)]
    while len(points) < 256:
        points.append(_add(points[-1], points[-1]))
    return tuple(points)


def _times_base(scalar: int) -> Point:
    total = NEUTRAL
    for bit, point in enumerate(_doublings()):
        if scalar >> bit & 1:
            total = _add(total, point)
    return total


def _compress(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")
