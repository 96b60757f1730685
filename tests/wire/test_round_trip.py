"""What one side encodes the other decodes to an equal message, for every class and every value a field may hold."""

from typing import Any

import pytest
from hypothesis import given, settings

from tests.wire.plain import SCHEMA
from tests.wire.strategies import messages, structs
from tools.protocol.schema import camel
from wirechat import wire


def sender(message: wire.Message) -> wire.Side:
    return wire.SERVER if message.SIDE == "server" else wire.CLIENT


@pytest.mark.parametrize("name", [camel(frame.name) for frame in SCHEMA.frames])
def test_every_frame_survives_the_wire(name: str) -> None:
    """A field that is encoded in one place and read from another would be a different message."""

    @settings(max_examples=40)
    @given(structs(name))
    def survives(message: wire.Message) -> None:
        frame = message.encode()
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        assert wire.decode(frame[4:], side=sender(message)) == message

    survives()


@pytest.mark.parametrize("name", list(SCHEMA.structs))
def test_every_struct_survives_storing(name: str) -> None:
    """The store keeps a Content as bytes and gives it back years later."""

    @settings(max_examples=40)
    @given(structs(name))
    def survives(struct: Any) -> None:
        assert type(struct).unpack(struct.pack()) == struct

    survives()


@given(messages())
def test_encoding_is_canonical(message: wire.Message) -> None:
    """Decoding and encoding again gives the same bytes, so there is one form."""
    frame = message.encode()
    assert wire.decode(frame[4:], side=sender(message)).encode() == frame


def test_optional_fields_default_to_nil_or_their_default() -> None:
    """Callers name only what they mean."""
    assert wire.Error(code=1003) == wire.Error(rid=None, code=1003, retry_ms=None, message=None, detail=None)
    assert wire.Sync(2).page == 200
    assert wire.Hello("WC", 1, 1, (), "p").window == 64
    assert wire.Error(5, code=4002).encode() == bytes.fromhex("00000006 93 07 05 cd0fa2")
