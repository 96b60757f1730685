"""The judges of the fuzzer see what is wrong: each is shown a product that is broken by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tools.fuzz import codec, session
from tools.fuzz.bodies import build
from tools.fuzz.codec import Codec, blown_up
from tools.fuzz.names import Name
from tools.fuzz.script import Op, Script, Step, unpack
from tools.fuzz.session import play
from wirechat import wire
from wirechat.server.connection import Connection
from wirechat.server.features.history import History
from wirechat.server.features.session import Sessions

PING = build([3, 7])
SEND = build([54, 1, 300, bytes(8), 1, [1, "hi"]])

Decode = Callable[..., wire.Message]


def test_a_sound_codec_has_no_faults() -> None:
    """Whatever the body is."""
    judge = Codec()
    for body in (PING, SEND, b"", b"\x91", b"\xc1", bytes(5000), build([122, 3])):
        assert judge.judge(body) == []
    assert judge.frames >= 14


def broken(change: Callable[[Decode], Decode], monkeypatch: pytest.MonkeyPatch, body: bytes) -> str:
    """What is said of a codec that is broken like this."""
    monkeypatch.setattr(wire, "decode", change(wire.decode))
    return "; ".join(Codec().judge(body))


def test_another_exception_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(decode: Decode) -> Decode:
        def broken(body: bytes, *, side: wire.Side) -> wire.Message:
            raise IndexError("planted")

        return broken

    assert "raises IndexError: planted" in broken(change, monkeypatch, SEND)


def test_a_wrong_field_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(decode: Decode) -> Decode:
        def broken(body: bytes, *, side: wire.Side) -> wire.Message:
            message = decode(body, side=side)
            return attrs.evolve(message, t=message.t + 1) if isinstance(message, wire.Ping) else message

        return broken

    assert "is not Frame" in broken(change, monkeypatch, PING)


def test_what_is_taken_though_it_is_malformed_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(decode: Decode) -> Decode:
        return lambda body, *, side: wire.Ping(7)

    assert "is understood, though" in broken(change, monkeypatch, b"\x92\x03\xff")


def test_what_is_refused_though_it_is_sound_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(decode: Decode) -> Decode:
        def broken(body: bytes, *, side: wire.Side) -> wire.Message:
            raise wire.ProtocolViolation(1002, "no")

        return broken

    assert "1002 no, though it is Frame" in broken(change, monkeypatch, PING)


@pytest.mark.parametrize(("code", "rid"), [(1234, None), (3000, None), (1002, 5)])
def test_an_undocumented_violation_is_a_fault(code: int, rid: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(decode: Decode) -> Decode:
        def broken(body: bytes, *, side: wire.Side) -> wire.Message:
            raise wire.ProtocolViolation(code, "no", rid)

        return broken

    assert str(code) in broken(change, monkeypatch, b"\xc1")


def test_another_encoding_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.Ping, "encode", lambda message: b"\0\0\0\4\x92\x03\xcc" + bytes([message.t]))
    assert "is encoded as" in "; ".join(Codec().judge(PING))


def test_a_frame_that_takes_too_long_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codec.MS_MAX, wire.CLIENT, 0.0)
    assert "it takes" in "; ".join(Codec().judge(SEND))


def test_a_connection_that_makes_something_else_of_it_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.Connection, "next_message", lambda connection: None)
    assert "None, and alone" in "; ".join(Codec().judge(SEND))


@pytest.mark.parametrize("side", codec.SIDES)
def test_bodies_are_blown_up_to_what_is_allowed(side: wire.Side) -> None:
    """Some come out shorter, because lists have an end; most are nearly as long as a frame may be."""
    sizes = [len(blown_up(build([54, n, 300, [1, "hi"]]), side)) for n in range(50)]
    assert max(sizes) <= codec.BYTES_MAX[side]
    assert sorted(sizes)[-10] > codec.BYTES_MAX[side] * 0.8


# sessions

VISIT = Script(0, (Step(Op.LOGIN, 0), Step(Op.BODY, 0, 0, build([58, 9, Name.GROUP.number])), Step(Op.SETTLE, 0)))


def test_a_sound_server_has_no_faults() -> None:
    """And what happened is counted."""
    played = play(VISIT)
    assert played.faults == []
    assert played.frames == 4
    assert played.answers["HISTORY_OK"] == 1


def test_the_same_script_is_the_same_story() -> None:
    """A find replays, also after others."""
    stories: list[list[str]] = [[], []]
    for story in stories:
        play(VISIT, story.append)
        play(attrs.evolve(VISIT, seed=1))
    assert stories[0] == stories[1]
    assert any("HISTORY" in line for line in stories[0])


def faults(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, value: object) -> str:
    """What is said of a server that is broken like this."""
    monkeypatch.setattr(owner, name, value)
    return "; ".join(play(VISIT).faults)


def test_an_error_in_the_log_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise LookupError("planted")

    assert "a request failed LookupError: planted" in faults(monkeypatch, History, "history", fail)


def test_a_server_that_stands_still_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        await session.trio.sleep_forever()

    assert "cannot log in" in faults(monkeypatch, Sessions, "auth", hang)


def test_a_frame_that_is_none_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.Welcome, "encode", lambda message: b"\0\0\0\2\x91\x02")
    monkeypatch.setattr(session, "PATIENCE_SECONDS", 1.0)
    assert "the server sent 91 02" in "; ".join(play(VISIT).faults)


def test_an_answer_too_many_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Connection.send

    def twice(connection: Connection, message: wire.Message) -> None:
        send(connection, message)
        if isinstance(message, wire.HistoryOk):
            send(connection, message)

    assert "request 9 was answered too often" in faults(monkeypatch, Connection, "send", twice)


def test_a_table_that_grows_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(sessions: Sessions, *_: object) -> None:
        vars(sessions).setdefault("_all", []).append(object())

    ping = Step(Op.BODY, 0, 0, PING)
    monkeypatch.setattr(Sessions, "ping", kept)
    played = play(attrs.evolve(VISIT, steps=(*VISIT.steps, ping)))
    assert "Sessions._all holds 1 when everybody has left" in "; ".join(played.faults)


def test_a_damaged_store_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def damaged(tx: object, tell: Callable[[str], None], read_hidden: object) -> None:
        tell("planted")

    monkeypatch.setattr(session, "checking", lambda tell: lambda tx: damaged(tx, tell, None))
    assert "the store: planted" in "; ".join(play(VISIT).faults)


def test_a_damaged_script_is_still_a_script() -> None:
    """The fuzzer changes bytes as it likes."""
    for data in (b"", b"\xc1", b"\x91\x07", b"\x93\x01\x05\x94\x00\x00\x00\xc4\x00", VISIT.pack()[:-1]):
        assert isinstance(unpack(data), Script)
    assert unpack(VISIT.pack()) == VISIT
