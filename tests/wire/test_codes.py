"""The code space in the code is the one in protocol/codes.json (P11)."""

from tests.wire.plain import SCHEMA
from tools.protocol.schema import range_of
from wirechat.wire import codes, features


def test_p11_every_code_lies_in_its_range() -> None:
    """A client three versions older decides by range alone, so both must agree on all of them."""
    for code in range(66000):
        expected = range_of(SCHEMA.codes, code)
        if expected == "request" and code % 2:
            expected = "reply"
        assert codes.range_of(code) == expected, code


def test_known_frames_stand_in_the_range_of_their_code() -> None:
    """A push that is counted here and not there would break every ACK."""
    for frame in features.FRAMES:
        assert codes.range_of(frame.CODE) == frame.RANGE, frame.NAME
