"""The token of a horizon (P5): what it covers, and what is void."""

import pytest

from wirechat.server import horizon

EPOCH = b"\x5e\xed\x00\x01"


@pytest.mark.parametrize("account_log", [False, True])
@pytest.mark.parametrize("at", [0, 1, 2**53, 2**63])
def test_p5_a_token_says_what_it_covers(at: int, account_log: bool) -> None:
    """A client without the account log must not pass for one that knows it."""
    token = horizon.pack(EPOCH, at, account_log)
    assert len(token) <= 64
    assert horizon.unpack(token, EPOCH) == (at, account_log)


@pytest.mark.parametrize(
    "token", [b"", b"x", EPOCH, EPOCH + bytes(7), b"????" + bytes(8), EPOCH + bytes(8) + b"\x02", EPOCH + bytes(10)]
)
def test_p5_a_foreign_token_is_void(token: bytes) -> None:
    """Another epoch, another length, a scope that nobody knows yet: the client gets everything."""
    assert horizon.unpack(token, EPOCH) is None
