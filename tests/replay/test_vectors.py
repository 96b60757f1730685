"""The independent reader keeps the vectors of `protocol/vectors`, as any stranger's client must."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.conformance.decoder import Schema
from tools.conformance.msgpack import Malformed
from tools.conformance.reader import signed_bytes

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"
SCHEMA = Schema()
PROSE = {"fields/magic"}  # the schema says what the magic is in words only


def vectors(pattern: str) -> list[Any]:
    return [vector for path in sorted(VECTORS.glob(pattern)) for vector in json.loads(path.read_text())]


def octets(hexes: Any) -> bytes:
    if isinstance(hexes, str):
        return bytes.fromhex(hexes)
    return b"".join(bytes.fromhex(part) * times for part, times in hexes)


def value_of(plain: Any) -> Any:
    """The value that the vectors write in JSON."""
    if isinstance(plain, list):
        return [value_of(item) for item in plain]
    if isinstance(plain, dict):
        return bytes.fromhex(plain["hex"]) if "hex" in plain else {key: value_of(item) for key, item in plain.items()}
    return plain


def by_id(vector: dict[str, Any]) -> str:
    return str(vector["id"])


@pytest.mark.parametrize("vector", vectors("valid/*.json"), ids=by_id)
def test_valid_frames_encode_to_their_bytes(vector: dict[str, Any]) -> None:
    value = value_of(vector["value"])
    rid = value.pop("rid", None) if SCHEMA.by_name[vector["frame"]].has_rid else None
    assert SCHEMA.encode(vector["frame"], value, rid) == octets(vector["hex"])


@pytest.mark.parametrize("vector", vectors("valid/*.json") + vectors("lenient/*.json"), ids=by_id)
def test_valid_and_lenient_frames_decode_to_their_value(vector: dict[str, Any]) -> None:
    """What was decoded encodes to what the value encodes to, so they are the same."""
    frame = SCHEMA.decode(octets(vector["hex"]), vector["from"])
    if "expect" in vector:
        assert frame.name is None
        return
    value = value_of(vector["value"])
    rid = value.pop("rid", None) if SCHEMA.by_name[vector["frame"]].has_rid else None
    assert (frame.name, frame.rid) == (vector["frame"], rid)
    assert SCHEMA.encode(vector["frame"], frame.fields) == SCHEMA.encode(vector["frame"], value)


INVALID = [vector for vector in vectors("invalid/*.json") if vector["id"] not in PROSE]


@pytest.mark.parametrize("vector", INVALID, ids=by_id)
def test_p10_invalid_frames_are_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        SCHEMA.decode(octets(vector["hex"]), vector["from"])


@pytest.mark.parametrize("vector", vectors("auth.json"), ids=by_id)
def test_a_login_is_signed_as_told(vector: dict[str, Any]) -> None:
    value = value_of(vector)
    signed = signed_bytes(value["nonce"], value["device"], value["binding"], value["bound"])
    assert signed == value["signed"]
    assert Ed25519PrivateKey.from_private_bytes(value["secret_key"]).sign(signed) == value["signature"]


@pytest.mark.parametrize("hexes", ["917b", "92cd0100a178", "92cd8001c0"], ids=["known range", "feature", "vendor"])
def test_an_unknown_frame_with_a_broken_envelope_is_not_passed_over(hexes: str) -> None:
    """Its range says that it has a request id (4-1): only then may a client ignore the rest (5.2)."""
    with pytest.raises(Malformed):
        SCHEMA.decode(bytes.fromhex(hexes), "server")


def test_an_unknown_reply_is_passed_over() -> None:
    """Whatever its fields are, its envelope is sound."""
    frame = SCHEMA.decode(bytes.fromhex("937b07a178"), "server")
    assert (frame.name, frame.code, frame.rid) == (None, 123, 7)
