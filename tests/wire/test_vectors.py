"""The vectors in protocol/vectors are what other implementations test against; this one must keep every one of them."""

from typing import Any

import pytest

from tests.wire.plain import FIELDS, SCHEMA, build, octets, plain, vectors
from tools.protocol.schema import camel
from wirechat import wire
from wirechat.wire.registries import ContentType

PACKED = {ContentType.HIDDEN: wire.Hidden}
"""Content types whose data is a struct."""


def by_id(vector: dict[str, Any]) -> str:
    return str(vector["id"])


def refusal(body: bytes, side: wire.Side) -> dict[str, Any]:
    """What decoding a body is answered with, in the form of the vectors."""
    with pytest.raises(wire.ProtocolViolation) as caught:
        wire.decode(body, side=side)
    return expectation(caught.value)


def expectation(violation: wire.ProtocolViolation) -> dict[str, Any]:
    found = {"error": violation.code, "fatal": violation.fatal}
    return found if violation.rid is None else {**found, "rid": violation.rid}


@pytest.mark.parametrize("vector", vectors("valid/*.json"), ids=by_id)
def test_valid_bodies_decode_to_their_value(vector: dict[str, Any]) -> None:
    """A stranger's encoder writes these bytes."""
    message = wire.decode(octets(vector["hex"]), side=vector["from"])
    assert vector["frame"] == message.NAME
    assert plain(message) == vector["value"]


@pytest.mark.parametrize("vector", vectors("valid/*.json"), ids=by_id)
def test_values_encode_to_the_one_canonical_form(vector: dict[str, Any]) -> None:
    """A stranger may compare bytes."""
    body = octets(vector["hex"])
    message = build(camel(vector["frame"]), vector["value"])
    assert message.encode() == len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize("vector", vectors("invalid/*.json"), ids=by_id)
def test_p12_invalid_bodies_get_their_error(vector: dict[str, Any]) -> None:
    """Every failure says what to do, and the same on every implementation."""
    assert refusal(octets(vector["hex"]), vector["from"]) == vector["expect"]


@pytest.mark.parametrize("vector", vectors("lenient/*.json"), ids=by_id)
def test_p11_lenient_bodies_are_understood(vector: dict[str, Any]) -> None:
    """Other encoders choose other widths, and newer peers send more than this version knows."""
    message = wire.decode(octets(vector["hex"]), side=vector["from"])
    if "expect" in vector:
        assert isinstance(message, wire.Unknown)
        assert vector["expect"] == {"ignored": True, "counted": message.range == "counted"}
    else:
        assert vector["frame"] == message.NAME
        assert plain(message) == vector["value"]


@pytest.mark.parametrize("vector", [v for v in vectors("lenient/*.json") if "value" in v], ids=by_id)
def test_lenient_bodies_are_never_produced(vector: dict[str, Any]) -> None:
    """A sender has one form for each value."""
    body = octets(vector["hex"])
    assert build(camel(vector["frame"]), vector["value"]).encode()[4:] != body


@pytest.mark.parametrize("vector", vectors("framing.json"), ids=by_id)
def test_p12_framing_and_state_get_their_error(vector: dict[str, Any]) -> None:
    """What comes before a frame is trusted must be refused before it costs anything."""
    connection = wire.Connection(wire.SERVER if vector["from"] == wire.CLIENT else wire.CLIENT)
    connection.state = wire.ConnectionState[vector["state"]]
    connection.logged_in = vector["state"] not in ("OPEN", "GREETED")
    connection.feed(octets(vector["stream"]))
    with pytest.raises(wire.ProtocolViolation) as caught:
        connection.next_message()
    assert expectation(caught.value) == vector["expect"]
    assert (connection.state is wire.ConnectionState.CLOSED) == vector["expect"]["fatal"]


def test_every_frame_and_struct_has_a_valid_vector() -> None:
    """A frame without a vector is a frame nobody else can get right."""
    valid = vectors("valid/*.json")
    assert {vector["frame"] for vector in valid} == {frame.name for frame in SCHEMA.frames}
    seen: set[str] = set()
    for vector in valid:
        seen |= structs_in(camel(vector["frame"]), vector["value"])
    assert seen == set(SCHEMA.structs)


def structs_in(name: str, value: dict[str, Any]) -> set[str]:
    """Every struct in a plain value, and those packed into the data of a content."""
    found: set[str] = set()
    if name == "Content" and value["type"] in PACKED:
        PACKED[value["type"]].unpack(bytes.fromhex(value["data"]["hex"]))
        found.add(PACKED[value["type"]].__name__)
    for field in FIELDS[name]:
        struct = (field.type.item or field.type).struct
        if struct and field.name in value:
            inner = value[field.name] if field.type.item else [value[field.name]]
            found |= {struct}.union(*(structs_in(struct, each) for each in inner))
    return found


def test_vector_ids_are_unique() -> None:
    """A report that names a vector must name one."""
    ids = [vector["id"] for pattern in ("*/*.json", "framing.json") for vector in vectors(pattern)]
    assert len(ids) == len(set(ids))
