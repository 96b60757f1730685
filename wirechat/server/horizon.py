"""The horizon as clients see it: an opaque token.

    epoch     4 bytes; another after a restore
    horizon   8 bytes, big-endian: evidence of everything stamped before it was sent
    scope     1 byte, 1: the account log is covered too; left out: it is not

The scope is there because a device whose client learns of the account log later must be told of it, however new its
horizon is.
"""

from __future__ import annotations

SCOPE = b"\x01"


def pack(epoch: bytes, horizon: int, account_log: bool) -> bytes:
    """The token for a horizon."""
    return epoch + horizon.to_bytes(8, "big") + (SCOPE if account_log else b"")


def unpack(token: bytes, epoch: bytes) -> tuple[int, bool] | None:
    """(horizon, the account log is covered); None for a token of another epoch, or of nobody."""
    if len(token) not in (12, 13) or token[:4] != epoch or token[12:] not in (b"", SCOPE):
        return None
    return int.from_bytes(token[4:12], "big"), len(token) == 13
