"""Sections 4 to 7 of docs/protocol.md, where no transcript and no test of a wing shows it: envelope, unknown things,
versions, the life of a connection. Tests are named by the rule they show.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.server.rig import Client, serving
from tests.transcripts.lines import connect_websocket
from tests.transcripts.people import frame, msg, narrow, pong, stalled
from wirechat import wire
from wirechat.server.config import Config


async def test_4_10_and_4_13_later_fields_and_odd_extras_change_nothing(tmp_path: Path) -> None:
    """A client of a later version says more; what this server understands is executed."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        cid = os.urandom(8)
        await alice.stream.send_all(frame(54, 9, conv, cid, 1, [1, "hi", 7], None, None, None, "later", [1], {27: "?"}))
        assert (await alice.expect(wire.SendOk)).seq == 2
        assert (await alice.say(conv, "hi", cid)).dup


async def test_4_14_even_extras_are_not_executed(tmp_path: Path) -> None:
    """Nothing was made, and the cid is free (11-5); in a frame without rid the connection cannot go on."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        cid = os.urandom(8)
        await alice.stream.send_all(frame(54, 9, conv, cid, 1, [1, "hi"], {2: 1}))
        error = await alice.expect(wire.Error)
        assert (error.rid, error.code) == (9, 3005)
        sent = await alice.say(conv, "hi", cid)
        assert (sent.seq, sent.dup) == (2, False)
        await alice.stream.send_all(frame(3, 1, {2: 1}))
        assert await alice.closed() == 1002


@pytest.mark.parametrize(
    "code",
    [0, 13, 21, 65536, 2, 16, 55, 127, 301, 256 + 33],
    ids=lambda code: f"code {code}",
)
async def test_5_2_what_no_client_may_send_ends_the_connection(tmp_path: Path, code: int) -> None:
    """Unknown control frames, counted pushes and replies, and what only a server sends."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        await alice.stream.send_all(frame(code, 1, 1, 1))
        assert await alice.closed() == 1000


@pytest.mark.parametrize("code", [40, 47, 256 + 50, 32768 + 63], ids=lambda code: f"code {code}")
async def test_5_2_unknown_ephemeral_frames_are_ignored(tmp_path: Path, code: int) -> None:
    """As if they had not been sent."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        await alice.stream.send_all(frame(code, "what", [1]))
        await pong(alice)
        assert alice.seen == []


@pytest.mark.parametrize("code", [122, 200, 256, 256 + 30, 32768 + 4], ids=lambda code: f"code {code}")
async def test_5_2_unknown_requests_fail_alone(tmp_path: Path, code: int) -> None:
    """3001 with their rid, whatever they carry."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        await alice.stream.send_all(frame(code, 77, "what", [1], {2: 3}))
        error = await alice.expect(wire.Error)
        assert (error.rid, error.code) == (77, 3001)
        await pong(alice)


async def test_5_2_unknown_numbers_of_a_registry_are_refused(tmp_path: Path) -> None:
    """3000 for a kind of conversation, of entry, of content that this server does not serve."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        for request in (
            wire.ConvNew(0, os.urandom(8), 5, ()),
            wire.Send(0, conv, os.urandom(8), 12, None, 1),
            wire.Send(0, conv, os.urandom(8), 200, wire.Content(1, "x")),
            wire.Send(0, conv, os.urandom(8), 1, wire.Content(3, "x")),
        ):
            assert await alice.refused(request) == 3000


@pytest.mark.parametrize(("vmin", "vmax"), [(0, 255), (1, 1), (1, 9), (0, 1)])
async def test_6_1_the_highest_common_version_is_spoken(tmp_path: Path, vmin: int, vmax: int) -> None:
    """This server speaks 1."""
    async with serving(tmp_path) as rig:
        client = Client(await rig.stream())
        await client.send(wire.Hello("WC", vmin, vmax, (), "test"))
        assert (await client.expect(wire.Welcome)).version == 1


@pytest.mark.parametrize(("vmin", "vmax"), [(2, 9), (0, 0)])
async def test_6_2_without_a_common_version_the_server_names_its_own(tmp_path: Path, vmin: int, vmax: int) -> None:
    """1005 with two bytes: so the person can be told which program is too old."""
    async with serving(tmp_path) as rig:
        client = Client(await rig.stream())
        await client.send(wire.Hello("WC", vmin, vmax, (), "test"))
        error = await client.expect(wire.Error)
        assert (error.rid, error.code, error.detail) == (None, 1005, b"\x01\x01")
        assert await client.recv() is None


async def test_6_4_and_6_5_capabilities_that_are_on_were_asked_for_or_are_grease(tmp_path: Path) -> None:
    """Version 1 has none in use."""
    async with serving(tmp_path, Config(grease=1)) as rig:
        client = Client(await rig.stream())
        await client.send(wire.Hello("WC", 1, 1, (1, 2, 3, 27, 60000), "test"))
        caps = (await client.expect(wire.Welcome)).caps
        assert caps
        assert all(cap % 31 == 27 for cap in caps)


async def test_6_5_counted_grease_counts(tmp_path: Path) -> None:
    """Push 27 is the first of the connection: one more than it was never sent."""
    async with serving(tmp_path, Config(grease=1)) as rig:
        alice = await rig.person("alice")
        grease = await alice.expect(wire.Unknown)
        assert (grease.code, grease.range) == (27, "counted")
        await alice.send(wire.Ack(1))
        await pong(alice)
        await alice.send(wire.Ack(2))
        assert await alice.closed() == 1006


@pytest.mark.parametrize(
    "first",
    [
        frame(3, 1),
        frame(4, 1),
        frame(48, 1, 4, None, b"x"),
        frame(52, 1),
        frame(122, 1),
        frame(43, 1),
        frame(5, 0),
        frame(54, 1, "no conversation"),
    ],
    ids=["PING", "PONG", "AUTH", "SYNC", "unknown request", "unknown ephemeral", "ACK", "SEND with a wrong field"],
)
async def test_7_1_hello_comes_first(tmp_path: Path, first: bytes) -> None:
    """Anything else that is a frame: 1003."""
    async with serving(tmp_path) as rig:
        client = Client(await rig.stream())
        await client.stream.send_all(first)
        assert await client.closed() == 1003


async def test_7_1_before_login_requests_cost_nothing_but_themselves(tmp_path: Path) -> None:
    """2000, while PING, PONG and STATE are taken; ACK is not."""
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        await client.send(wire.State(False, 3), wire.Pong(4))
        for request in (wire.Sync(0), wire.Sync(0, cursor=b"x"), msg(1, "hi"), wire.Marks(0, 1, 0)):
            assert await client.refused(request) == 2000
        await pong(client)
        await client.send(wire.Ack(0))
        assert await client.closed() == 1003


@pytest.mark.parametrize(
    "late",
    [
        wire.Hello("WC", 1, 1, (), "again"),
        wire.Register(9, "bob", 3, bytes(32)),
        wire.Sync(9),
        wire.Sync(9, cursor=b"x"),
    ],
    ids=["HELLO", "REGISTER", "SYNC", "SYNC with cursor"],
)
async def test_7_1_what_live_does_not_accept_ends_the_connection(tmp_path: Path, late: wire.Message) -> None:
    """A frame in the wrong state is a bug of the client, told at once."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        await alice.send(late)
        assert await alice.closed() == 1003


@pytest.mark.parametrize("early", [wire.Ack(0), wire.Sync(9, cursor=b"x")], ids=["ACK", "SYNC with cursor"])
async def test_7_1_what_authed_does_not_accept_ends_the_connection(tmp_path: Path, early: wire.Message) -> None:
    """Before SYNC there is nothing to acknowledge and no page to go on from; requests work (12-12)."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice", sync=False)
        assert (await alice.ask(wire.UserGet(0, ()), wire.UserGetOk)).users == ()
        await alice.send(early)
        assert await alice.closed() == 1003


async def test_7_1_while_syncing_everything_but_a_new_sync_works(tmp_path: Path) -> None:
    """Requests, keep-alive and ACK; a second SYNC without cursor ends the connection."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        for _ in range(2):
            await rig.group(alice)
        back = await rig.again(alice)
        await back.ask(wire.Sync(0, None, 1), wire.SyncOk)
        await back.send(wire.Ack(0), wire.State(True))
        await pong(back)
        assert (await back.ask(wire.ConvGet(0, ()), wire.ConvGetOk)).infos == ()
        await back.send(wire.Sync(9))
        assert await back.closed() == 1003


async def test_7_4_only_the_last_cursor_goes_on(tmp_path: Path) -> None:
    """Any other is 3000, also one that was good a page ago; the digest goes on with the right one."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        convs = sorted([await rig.group(alice) for _ in range(3)])
        back = await rig.again(alice)
        first = await back.ask(wire.Sync(0, None, 1), wire.SyncOk)
        second = await back.ask(wire.Sync(0, None, 1, first.cursor), wire.SyncOk)
        for cursor in (first.cursor, b"", b"nonsense", second.cursor + b"\0"):
            assert await back.refused(wire.Sync(0, None, 1, cursor)) == 3000
        third = await back.ask(wire.Sync(0, None, 1, second.cursor), wire.SyncOk)
        assert [page.rows[0].conv for page in (first, second, third)] == convs
        assert third.token is not None


@pytest.mark.parametrize(
    "hello",
    [wire.Hello("WX", 1, 1, (), "test"), wire.Hello("WC", 2, 1, (), "test"), wire.Hello("WC", 9, 3, (), "test")],
    ids=["magic", "reversed around 1", "reversed above 1"],
)
async def test_7_5_a_hello_that_makes_no_sense_is_another_protocol(tmp_path: Path, hello: wire.Hello) -> None:
    """1000: not a version that is missing, but a client that is broken."""
    async with serving(tmp_path) as rig:
        client = Client(await rig.stream())
        await client.send(hello)
        assert await client.closed() == 1000


async def test_7_8_nothing_follows_the_last_error(tmp_path: Path) -> None:
    """Not even what was already on its way to a slow reader while others went on talking."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        slow = await narrow(rig, bob)
        await stalled(rig, slow, alice, conv)
        await slow.stream.send_all(frame(13))
        await trio.sleep(0.1)
        await alice.say(conv, "after the end")
        frames = []
        while (message := await slow.recv()) is not None:
            frames.append(message)
        assert isinstance(frames[-1], wire.Error)
        assert (frames[-1].rid, frames[-1].code) == (None, 1000)


async def test_7_8_a_fault_of_the_server_is_said(tmp_path: Path) -> None:
    """1009 before the connection closes, and nobody else notices (P10)."""
    async with serving(tmp_path) as rig:

        async def broken(connection: object, request: object) -> None:
            raise RuntimeError("a bug")

        handler = rig.server.dispatcher.table[wire.UserGet]
        rig.server.dispatcher.table[wire.UserGet] = type(handler)(handler.run, broken)
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await alice.send(wire.UserGet(1, ()))
        assert await alice.closed() == 1009
        await pong(bob)


async def test_7_8_a_bug_in_the_readers_turn_is_said_too(tmp_path: Path) -> None:
    """1009 for frames that are handled inline."""
    async with serving(tmp_path) as rig:

        def broken(connection: object, message: object) -> None:
            raise RuntimeError("a bug")

        handler = rig.server.dispatcher.table[wire.State]
        rig.server.dispatcher.table[wire.State] = type(handler)(handler.run, broken)
        alice = await rig.person("alice")
        await alice.send(wire.State(True))
        assert await alice.closed() == 1009


async def test_7_12_ping_comes_back_in_every_state(tmp_path: Path) -> None:
    """With its number; a token only once SYNC is complete."""
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        answer = await pong(client, 2**53 - 1)
        assert answer.now is not None
        assert answer.token is None
        alice = await rig.person("alice", sync=False)
        assert (await pong(alice)).token is None
        (page,) = await alice.sync()
        assert (await pong(alice)).token is not None
        assert page.token is not None


async def test_7_13_silence_ends_a_connection_and_a_byte_now_and_then_is_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1007; frames keep it alive, pieces of one do not."""
    monkeypatch.setattr(wire.limits, "HEARTBEAT_MS", 1000)
    async with serving(tmp_path) as rig:
        silent, dripping, alive = [await rig.person(name) for name in ("silent", "dripping", "alive")]
        await dripping.stream.send_all(b"\0\0\x40\0")
        codes = {}

        async def until_closed(name: str, client: Client) -> None:
            codes[name] = await client.closed()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_closed, "silent", silent)
            nursery.start_soon(until_closed, "dripping", dripping)
            while len(codes) < 2:
                await alive.send(wire.Pong(0))
                if "dripping" not in codes:
                    try:
                        await dripping.stream.send_all(b"x")
                    except trio.BrokenResourceError:
                        pass
                await trio.sleep(0.25)
        assert codes == {"silent": 1007, "dripping": 1007}
        await pong(alive)


async def test_7_14_a_reader_that_takes_nothing_is_ended_and_a_slow_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: slow is not dead."""
    monkeypatch.setattr(wire.limits, "STALLED_MS", 1500)
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob, carol)
        stuck, slow = await narrow(rig, bob), await narrow(rig, carol)
        await stalled(rig, stuck, alice, conv)
        ended = trio.current_time() + 6
        while trio.current_time() < ended:
            await slow.stream.receive_some(20_000)
            await trio.sleep(0.2)
        users = {each.session.user for each in rig.server.connections if each.session is not None}
        assert bob.user not in users
        assert carol.user in users


async def test_7_16_what_is_above_the_limit_is_not_executed(tmp_path: Path) -> None:
    """5002 makes no entry; what was accepted is there once."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        sends = [msg(conv, str(number), rid=number) for number in range(1000, 1200)]
        await alice.send(*sends)
        accepted = []
        for _ in sends:
            answer: Any = await alice.expect(wire.Message, lambda message: getattr(message, "rid", 0) >= 1000)
            if isinstance(answer, wire.SendOk):
                accepted.append(str(answer.rid))
            else:
                assert answer.code == 5002
        assert len(accepted) < len(sends)
        told: list[str] = []
        while len(told) < len(accepted):
            page = await alice.ask(wire.Changes(0, conv, len(told) + 1), wire.ChangesOk)
            told += [str(record.content.data) for record in page.records]
        assert told == accepted
        assert page.more is False


async def test_7_20_writes_are_executed_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    """Messages and membership of one conversation, in one flight."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice)
        flight: list[Any] = []
        for _ in range(5):
            flight += [
                msg(conv, "nobody"),
                wire.MemberAdd(0, conv, os.urandom(8), (bob.user,)),
                msg(conv, "bob"),
                wire.MemberDel(0, conv, os.urandom(8), bob.user),
            ]
        for rid, request in enumerate(flight, 1000):
            request.rid = rid
        await alice.send(*flight)
        for rid in range(1000, 1000 + len(flight)):
            answer: Any = await alice.expect(wire.Reply, lambda reply, rid=rid: reply.rid == rid)  # type: ignore[misc]
            assert answer.seq == 2 + rid - 1000
        await bob.expect(wire.Event, lambda event: event.seq == 21)
        page = await bob.ask(wire.Changes(0, conv, 0), wire.ChangesOk)
        assert [record.kind for record in page.records] == [7, 1, 8] * 5


async def test_7_21_who_asks_after_the_reply_sees_the_effect_on_every_connection(tmp_path: Path) -> None:
    """Messages, membership, watermarks, accounts."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        for number in range(20):
            sent = await alice.say(conv, str(number))
            page = await bob.ask(wire.History(0, conv, None, 1), wire.HistoryOk)
            assert page.records[-1].seq == page.rev == sent.seq
            await bob.ask(wire.Mark(0, conv, sent.seq), wire.MarkOk)
            marks = await alice.ask(wire.Marks(0, conv, 0), wire.MarksOk)
            assert wire.Watermark(bob.user, sent.seq, sent.seq) in marks.marks
        await alice.ask(wire.MemberDel(0, conv, os.urandom(8), bob.user), wire.MemberDelOk)
        assert await bob.refused(wire.Members(0, conv)) == 4001
        carol = await rig.person("carol")
        assert (await bob.ask(wire.UserFind(0, "carol"), wire.UserFindOk)).user.user == carol.user


async def test_7_23_the_older_connection_of_a_device_ends(tmp_path: Path) -> None:
    """2007 comes last, and a third login replaces the second."""
    async with serving(tmp_path) as rig:
        first = await rig.person("alice")
        second = await rig.again(first)
        assert await first.closed() == 2007
        third = await rig.again(first)
        assert await second.closed() == 2007
        await pong(third)


async def test_7_24_state_before_login_sets_the_window(tmp_path: Path) -> None:
    """STATE is taken in every state after WELCOME, and the login keeps it."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        back = await rig.greeted()
        back.key, back.user, back.device = bob.key, bob.user, bob.device
        await back.send(wire.State(False, 0))
        await back.login()
        await back.sync()
        await alice.say(conv, "unheard")
        await back.silence()
        await back.send(wire.State(True, 4))
        assert (await back.expect(wire.Rows)).rows[0].head == 2


async def test_2_12_a_websocket_closes_with_the_code_of_its_error(tmp_path: Path) -> None:
    """4000 + (code - 1000) for class 1, 1000 for all else; the limit before login holds here too."""
    async with serving(tmp_path) as rig:
        for said, code, status in (
            ([frame(3, 1)[4:]], 1003, 4003),
            ([b"\x91" * 4097], 1001, 4001),
            ([b""], 1001, 4001),
        ):
            line = await connect_websocket(rig.listeners["ws"].port, rig.nursery)
            await line.send(*said)
            error = wire.decode(await line.recv() or b"", side="server")
            assert isinstance(error, wire.Error)
            assert (error.code, await line.recv(), line.close_code) == (code, None, status)


async def test_2_12_a_replaced_websocket_closes_with_1000(tmp_path: Path) -> None:
    """2007 is no fault of the protocol."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        line = await connect_websocket(rig.listeners["ws"].port, rig.nursery)
        await line.send(wire.Hello("WC", 1, 1, (), "ws").encode()[4:])
        welcome: Any = wire.decode(await line.recv() or b"", side="server")
        proof = alice.key.sign(wire.auth.signed_bytes(welcome.nonce, alice.device, 0, b""))
        await line.send(wire.Auth(1, 3, proof=proof, device=alice.device).encode()[4:])
        assert isinstance(wire.decode(await line.recv() or b"", side="server"), wire.AuthOk)
        await rig.again(alice)
        error: Any = wire.decode(await line.recv() or b"", side="server")
        assert (error.code, await line.recv(), line.close_code) == (2007, None, 1000)
