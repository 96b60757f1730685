"""P10: no bytes on one connection can stop, stall or slow another; each gets its registry code or is closed, in
bounded time and memory.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
import trio
import trio_websocket

from tests.server.rig import PATIENCE, Client, Rig, serving
from wirechat import wire
from wirechat.server.config import Config, Limits
from wirechat.wire.packing import pack

HELLO = wire.Hello("WC", 1, 1, (), "test").encode()


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


STRANGERS = {
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1000),
    "tls client hello": (bytes.fromhex("160301020001000001fc0303") + b"\0" * 64, 1000),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", 1000),
    "huge length": (b"\x00\xff\xff\xff", 1001),
    "length zero": (b"\0\0\0\0", 1001),
    "over 4 KiB before login": (b"\0\0\x10\x01", 1001),
    "no msgpack": (frame(b"\xc1"), 1002),
    "cut off msgpack": (frame(b"\x95\x01"), 1002),
    "bytes after the array": (frame(b"\x91\x01\x01"), 1002),
    "not an array": (frame(b"\x01"), 1002),
    "empty array": (frame(b"\x90"), 1002),
    "a float": (frame(b"\x92\x01\xcb" + b"\0" * 8), 1002),
    "a negative": (frame(b"\x92\x01\xff"), 1002),
    "an ext": (frame(b"\x92\x01\xd4\x01\x00"), 1002),
    "bad utf-8": (frame(b"\x92\x01\xa2\xff\xfe"), 1002),
    "declared array of 4 billion": (frame(b"\xdd\xff\xff\xff\xff"), 1002),
    "declared string of 4 GiB": (frame(b"\x92\x01\xdb\xff\xff\xff\xff"), 1002),
    "too deep": (frame(b"\x91" * 40 + b"\xc0"), 1002),
    "duplicate extras": (frame(b"\x92\x01\x82\x01\x01\x01\x02"), 1002),
    "unknown control frame": (frame(b"\x91\x0f"), 1000),
    "a server's frame": (frame(b"\x92\x07\xc0"), 1000),
    "wrong magic": (wire.Hello("XX", 1, 1, (), "test").encode(), 1000),
    "vmin above vmax": (wire.Hello("WC", 2, 1, (), "test").encode(), 1000),
    "no common version": (wire.Hello("WC", 9, 12, (), "test").encode(), 1005),
    "ping before hello": (wire.Ping(1).encode(), 1003),
    "send before hello": (wire.Send(1, 1, b"8" * 8, 1).encode(), 1003),
    "hello twice": (HELLO + HELLO, 1003),
    "ack before login": (HELLO + wire.Ack(1).encode(), 1003),
}


@pytest.mark.parametrize("what", STRANGERS)
async def test_a_stranger_gets_its_code_and_the_others_do_not_notice(tmp_path: Path, what: str) -> None:
    """The code of the registry, then the connection is closed; a conversation beside it goes on."""
    data, code = STRANGERS[what]
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        stranger = Client(await rig.stream())
        await stranger.stream.send_all(data)
        assert await stranger.closed() == code
        await alice.say(conv, "still here")
        assert (await bob.expect(wire.Event)).content == wire.Content(1, "still here")


@pytest.mark.parametrize(
    ("what", "body", "code"),
    [
        ("wrong type", b"\x95\x36\x07\xa1x\xc4\x08" + b"8" * 8 + b"\x01", 3000),
        ("short cid", b"\x95\x36\x07\x01\xc4\x02ab\x01", 3000),
        ("unknown request", b"\x92\x7a\x07", 3001),
        ("unknown feature block", b"\x92\xcd\x10\x00\x07", 3001),
        ("even extra", b"\x93\x3c\x07\x81\x02\x01", 3005),
        ("no text", b"\x95\x36\x07\x01\xc4\x08" + b"8" * 8 + b"\x01", 3000),
        ("kind of the server", b"\x97\x36\x07\x01\xc4\x08" + b"8" * 8 + b"\x06\xc0\x01", 3000),
        ("auth again is a state error", None, 0),
    ],
)
async def test_a_wrong_request_fails_alone(tmp_path: Path, what: str, body: bytes | None, code: int) -> None:
    """A well-formed request with wrong fields costs itself; the connection lives (P12)."""
    if body is None:
        return
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        await alice.stream.send_all(frame(body))
        error = await alice.expect(wire.Error)
        assert (error.rid, error.code) == (7, code)
        assert (await alice.ask(wire.UserGet(0, (alice.user,)), wire.UserGetOk)).users[0].handle == "alice"


async def test_too_long_a_text_is_refused_alone(tmp_path: Path) -> None:
    """3003, and the next text is fine."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        too_long = wire.Content(1, "é" * 8193)
        assert await alice.refused(wire.Send(0, conv, os.urandom(8), 1, too_long)) == 3003
        assert (await alice.say(conv, "é" * 8192)).seq == 2


async def test_one_byte_at_a_time_is_as_good_as_any(tmp_path: Path) -> None:
    """Segments mean nothing."""
    async with serving(tmp_path) as rig:
        client = Client(await rig.stream())
        for byte in HELLO:
            await client.stream.send_all(bytes([byte]))
        await client.expect(wire.Welcome)


async def test_more_than_the_inflight_limit_is_told(tmp_path: Path) -> None:
    """5002 for what is too much, answers for the rest."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        sends = [wire.Send(rid, conv, os.urandom(8), 1, wire.Content(1, "x")) for rid in range(1000, 1100)]
        await alice.send(*sends)
        codes = []
        for _ in sends:
            answer = await alice.expect(wire.Message, lambda m: getattr(m, "rid", 0) >= 1000)
            codes.append(answer.code if isinstance(answer, wire.Error) else 0)
        assert set(codes) == {0, 5002}
        assert codes.count(0) >= wire.limits.INFLIGHT


async def test_requests_that_were_refused_are_in_flight_no_more(tmp_path: Path) -> None:
    """However many there were, also of those that wait for a write they share."""
    async with serving(tmp_path, Config(limits=Limits(inflight=4))) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        for _ in range(5):
            assert await bob.refused(wire.Mark(0, conv ^ 1, 1)) == 4002
        assert (await bob.ask(wire.Mark(0, conv, 1), wire.MarkOk)).read == 1


async def test_ack_of_what_was_never_sent_ends_the_connection(tmp_path: Path) -> None:
    """1006: a client that acknowledges the future would move watermarks it does not hold."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        await alice.send(wire.Ack(5))
        assert await alice.closed() == 1006


async def test_a_thousand_silent_connections_cost_nobody_anything(tmp_path: Path) -> None:
    """They hold a little memory until the deadline; who talks is served at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    async with serving(tmp_path) as rig:
        silent = [await rig.stream() for _ in range(1000)]
        with trio.fail_after(PATIENCE):
            alice, bob = await rig.person("alice"), await rig.person("bob")
            conv = await rig.group(alice, bob)
            await alice.say(conv, "hello")
            await bob.expect(wire.Event)
        for stream in silent:
            await stream.aclose()


async def test_silence_before_login_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1004 for no HELLO and for no login."""
    monkeypatch.setattr(wire.limits, "HELLO_MS", 300)
    monkeypatch.setattr(wire.limits, "AUTH_MS", 300)
    async with serving(tmp_path) as rig:
        mute = Client(await rig.stream())
        assert await mute.closed() == 1004
        greeted = await rig.greeted()
        assert await greeted.closed() == 1004


async def _websocket(rig: Rig) -> trio_websocket.WebSocketConnection:
    url = f"ws://127.0.0.1:{rig.listeners['ws'].port}/"
    return await trio_websocket.connect_websocket_url(rig.nursery, url, subprotocols=["wirechat.v1"])


async def test_text_on_websocket_is_refused_with_its_close_code(tmp_path: Path) -> None:
    """4000: the close code carries the error."""
    async with serving(tmp_path) as rig:
        ws = await _websocket(rig)
        await ws.send_message("hello")
        with trio.fail_after(PATIENCE):
            error = wire.decode(await ws.get_message(), side="server")
            assert isinstance(error, wire.Error)
            assert error.code == 1000
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await ws.get_message()
        assert closed.value.reason.code == 4000


async def test_websocket_speaks_the_same_frames(tmp_path: Path) -> None:
    """One body per binary message, no length prefix, same protocol."""
    async with serving(tmp_path) as rig:
        ws = await _websocket(rig)
        assert ws.subprotocol == "wirechat.v1"
        await ws.send_message(HELLO[4:])
        with trio.fail_after(PATIENCE):
            assert isinstance(wire.decode(await ws.get_message(), side="server"), wire.Welcome)


@pytest.mark.parametrize("request_", [b"", b"GET / HTTP/1.1\r\nUpgrade: webso"])
async def test_p10_who_leaves_in_a_websocket_handshake_is_gone_at_once(tmp_path: Path, request_: bytes) -> None:
    """Its descriptor is not kept until a HELLO would have been due."""
    async with serving(tmp_path) as rig:
        stream = await rig.stream("ws")
        await stream.send_all(request_)
        with trio.fail_after(PATIENCE):
            while not rig.server.connections:  # noqa: ASYNC110
                await trio.sleep(0.01)
        await stream.aclose()
        with trio.fail_after(PATIENCE / 2):
            while rig.server.connections:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_reader_that_never_reads_costs_a_window_and_loses_nothing(tmp_path: Path) -> None:
    """P6: thousands of messages to a socket that takes none: the sender is not slowed, the reader gets all of it
    later.
    """
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice", 1024), await rig.person("bob", 8)
        conv = await rig.group(alice, bob)
        for start in range(0, 2000, 50):
            sends = [
                wire.Send(i, conv, os.urandom(8), 1, wire.Content(1, "x" * 2000)) for i in range(start, start + 50)
            ]
            await alice.send(*sends)
            for send in sends:
                await alice.expect(wire.SendOk, lambda ok, rid=send.rid: ok.rid == rid)
        (session,) = rig.server.hub.of(bob.user)
        assert session.sent - session.acked <= 8
        events = [await bob.expect(wire.Event) for _ in range(7)]
        await bob.send(wire.Ack(8, (wire.Held(conv, events[-1].seq),)))
        rows = await bob.expect(wire.Rows, lambda rows: rows.token is not None)
        assert rows.rows[0].head == 2001
        pos = events[-1].seq
        while True:
            page = await bob.ask(wire.Changes(0, conv, pos), wire.ChangesOk)
            assert [record.seq for record in page.records] == list(range(pos + 1, page.upto + 1))
            pos = page.upto
            if not page.more:
                break
        assert pos == 2001


async def test_who_keeps_flooding_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """5001 for what is over the budget; 1008 for who goes on regardless."""
    monkeypatch.setattr(wire.limits, "REQUESTS_BURST", 100)
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        codes = []
        for rid in range(300):
            await alice.send(wire.UserGet(rid, (alice.user,)))
            answer = await alice.recv()
            if isinstance(answer, wire.Error):
                codes.append(answer.code)
            if answer is None or codes[-1:] == [1008]:
                break
        assert set(codes) == {5001, 1008}
        conv = await rig.group(bob)
        assert (await bob.say(conv, "unharmed")).seq == 2


async def test_requests_that_cannot_be_read_cost_what_others_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P10: unknown and malformed ones too are told 5001, then 1008; until then each is a sign of life."""
    monkeypatch.setattr(wire.limits, "REQUESTS_BURST", 100)
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        (connection,) = rig.server.connections
        connection.heard_at = 0.0
        codes = []
        for rid in range(300):
            code = 122 if rid % 2 else 78  # unknown; known, but without its handle
            await alice.stream.send_all(frame(pack([code, rid])))
            answer = await alice.recv()
            if answer is None:
                break
            assert isinstance(answer, wire.Error)
            codes.append(answer.code)
        assert connection.heard_at > 0
        assert set(codes[:50]) == {3000, 3001}
        assert codes[-2:] == [5001, 1008]
