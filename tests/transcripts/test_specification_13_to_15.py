"""Sections 13 to 15 of docs/protocol.md, where no transcript and no test of a wing shows it: receipts, errors, going
away. Tests are named by the rule they show.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.server.rig import Client, Rig, serving
from tests.transcripts.lines import connect_websocket
from tests.transcripts.people import add, done, edit, frame, marks, msg, pong, remove
from tests.transcripts.test_specification_10_11 import many
from tests.transcripts.test_specification_12 import settled
from wirechat import wire
from wirechat.store.errors import StoreError, Unavailable


async def mark(client: Client, conv: int, seq: int) -> int:
    answer: wire.MarkOk = await client.ask(wire.Mark(0, conv, seq), wire.MarkOk)
    return answer.read


async def crowded(rig: Rig, owner: Client, size: int, *others: Client) -> int:
    """A group of this size, with these in it."""
    conv = await rig.group(owner, *others)
    users = await rig.server.store.write(many, size - 1 - len(others))
    await owner.ask(wire.MemberAdd(0, conv, os.urandom(8), tuple(users)), wire.MemberAddOk)
    return conv


async def test_13_2_nothing_but_ack_and_mark_raises_delivered(tmp_path: Path) -> None:
    """Not sending, not SYNC, not reading."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await alice.say(conv, "hello")
        await bob.ask(wire.Changes(0, conv, 0), wire.ChangesOk)
        back = await rig.again(bob)
        await back.sync()
        assert await settled(back, conv) == {conv: 0}
        assert (await marks(alice, conv)).marks == ()


async def test_13_3_mark_is_clamped_only_rises_and_answers_with_what_is(tmp_path: Path) -> None:
    """Also from two requests in one flight."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        for number in range(4):
            await alice.say(conv, str(number))
        assert await mark(alice, conv, 0) == 0
        assert await mark(alice, conv, 3) == 3
        assert await mark(alice, conv, 1) == 3
        await alice.send(wire.Mark(901, conv, 4), wire.Mark(902, conv, 2**53 - 1), wire.Mark(903, conv, 2))
        answers = {(await alice.expect(wire.MarkOk, lambda ok: ok.rid > 900)).read for _ in range(3)}
        assert max(answers) == 5
        assert min(answers) >= 4
        assert (await marks(alice, conv)).marks == (wire.Watermark(alice.user, 5, 5),)


@pytest.mark.parametrize(("size", "raised"), [(64, True), (65, False)])
async def test_13_4_in_a_large_conversation_only_reading_raises_delivered(
    tmp_path: Path, size: int, raised: bool
) -> None:
    """Above `limits.delivered_members`; also by a listed position."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        assert alice.welcome.limits.delivered_members == 64
        conv = await crowded(rig, alice, size, bob)
        await bob.send(wire.Ack(2, (wire.Held(conv, 2),)))
        assert await settled(bob, conv) == {conv: 2 if raised else 0}
        assert await mark(bob, conv, 2) == 2
        assert (await marks(alice, conv)).marks == (wire.Watermark(bob.user, 2, 2),)
        who = await alice.ask(wire.WhoRead(0, conv, 2), wire.WhoReadOk)
        assert wire.Watermark(bob.user, 2, 2) in who.marks


async def test_13_6_and_13_7_the_counter_has_no_hole_and_everyone_is_told(tmp_path: Path) -> None:
    """RECEIPTs follow each other without a gap, the user they are about included; rows carry the counter."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob, carol)
        for number in range(6):
            seq = (await alice.say(conv, str(number))).seq
            for who in (bob, carol):
                await mark(who, conv, seq)
        for who in (alice, bob, carol):
            rpos, seen = 0, {}
            while rpos < 12:
                receipt = await who.expect(wire.Receipt)
                assert receipt.after == rpos
                assert receipt.after < receipt.upto
                rpos = receipt.upto
                seen.update({each.user: each for each in receipt.marks})
            assert seen == {each.user: wire.Watermark(each.user, 7, 7) for each in (bob, carol)}
        back = await rig.again(carol)
        (page,) = await back.sync()
        assert page.rows == (wire.Row(conv, 7, 12, 7, 7),)


async def test_13_6_marks_are_paged_by_the_counter_each_user_once(tmp_path: Path) -> None:
    """`upto` is the counter of the last one while more follow, then that of the conversation."""
    async with serving(tmp_path) as rig:
        people = [await rig.person(f"person-{number}") for number in range(7)]
        conv = await rig.group(*people)
        await people[0].say(conv, "two")
        for who in (*people, people[2], people[0]):
            await mark(who, conv, 1 if who is not people[2] else 2)
        order = [people[n].user for n in (0, 1, 2, 3, 4, 5, 6)]
        await mark(people[3], conv, 2)
        order.append(order.pop(3))
        for limit in (1, 3, 200):
            found: list[int] = []
            since, more = 0, True
            while more:
                page = await marks(people[1], conv, since, limit)
                assert 0 < len(page.marks) <= limit
                found += [each.user for each in page.marks]
                since, more = page.upto, page.more
            assert found == order
            assert since == 8
        again = await marks(people[1], conv, 8)
        assert (again.upto, again.marks, again.more) == (8, (), False)


async def test_13_10_who_read_names_who_was_there_and_still_is(tmp_path: Path) -> None:
    """Not the sender, not who came later or left; who came back counts for what he saw; by user id."""
    async with serving(tmp_path) as rig:
        alice, bob, carol, dave, erin = [await rig.person(name) for name in ("alice", "bob", "carol", "dave", "erin")]
        conv = await rig.group(alice, bob, carol, dave)
        seq = await done(alice, msg(conv, "who reads this?"))
        await remove(alice, conv, carol)
        await remove(alice, conv, dave)
        unseen = await done(alice, msg(conv, "who reads that?"))
        await add(alice, conv, dave, erin)
        edited = await done(alice, edit(conv, seq, "who read this?"))
        await mark(bob, conv, seq)

        async def who_read(asker: Client, which: int) -> list[tuple[int, int]]:
            answer = await asker.ask(wire.WhoRead(0, conv, which), wire.WhoReadOk)
            return [(each.user, each.read) for each in answer.marks]

        assert await who_read(alice, seq) == sorted([(bob.user, seq), (dave.user, 0)])
        assert await who_read(bob, unseen) == [(bob.user, seq)]
        assert await who_read(bob, edited) == sorted([(bob.user, seq), (dave.user, 0), (erin.user, 0)])
        assert await dave.refused(wire.WhoRead(0, conv, unseen)) == 4000
        assert await erin.refused(wire.WhoRead(0, conv, seq)) == 4000
        assert await carol.refused(wire.WhoRead(0, conv, seq)) == 4001
        assert await alice.refused(wire.WhoRead(0, conv, edited + 1)) == 4000


async def test_14_1_too_many_requests_are_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """5001 with a time to wait; after that time the same request goes through."""
    monkeypatch.setattr(wire.limits, "REQUESTS_BURST", 30)
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        request, accepted = msg(conv, "x"), 0
        while True:
            answer = await alice.ask(request, wire.Message)
            if isinstance(answer, wire.Error):
                break
            accepted += 1
            request = msg(conv, "x")
        assert (answer.code, bool(answer.retry_ms)) == (5001, True)
        await trio.sleep(1.5 * (answer.retry_ms or 0) / 1000)
        sent = await alice.ask(request, wire.SendOk)
        assert (sent.seq, sent.dup) == (accepted + 2, False)


async def test_14_who_goes_on_exceeding_limits_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1008, after it was told many times; others do not notice."""
    monkeypatch.setattr(wire.limits, "REQUESTS_BURST", 500)
    monkeypatch.setattr(wire.limits, "REQUESTS_PER_SECOND", 0)  # or a slow machine would earn them back meanwhile
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        flood = b"".join(wire.UserGet(rid, ()).encode() for rid in range(1, 4000))

        async def go_on() -> None:
            try:
                for _ in range(100):
                    await alice.stream.send_all(flood)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_on)
            codes = set()
            while (message := await alice.recv()) is not None:
                if isinstance(message, wire.Error):
                    codes.add((message.rid is None, message.code))
            nursery.cancel_scope.cancel()
        assert (True, 1008) in codes
        assert (False, 5001) in codes
        await pong(bob)


@pytest.mark.parametrize(
    "request_of",
    [
        lambda conv: wire.History(0, conv),
        lambda conv: wire.Changes(0, conv, 0),
        lambda conv: wire.Marks(0, conv, 0),
        lambda conv: wire.Members(0, conv),
        lambda conv: wire.ConvGet(0, (conv,)),
        lambda conv: wire.UserFind(0, "alice"),
        lambda conv: wire.Mark(0, conv, 1),
        lambda conv: wire.WhoRead(0, conv, 1),
    ],
    ids=["HISTORY", "CHANGES", "MARKS", "MEMBERS", "CONV_GET", "USER_FIND", "MARK", "WHO_READ"],
)
async def test_14_3_when_the_store_does_not_answer_every_request_is_5000(
    tmp_path: Path, request_of: Callable[[int], Any]
) -> None:
    """Surely not executed, ask again later; and later it works on the same connection."""
    async with serving(tmp_path, store=Moody) as rig:
        store: Any = rig.server.store
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        store.fails = True
        error = await alice.ask(request_of(conv), wire.Error)
        assert (error.code, bool(error.retry_ms)) == (5000, True)
        store.fails = False
        request = request_of(conv)
        await alice.ask(request, request.REPLY)


class Moody:
    """A store that can be made to fail."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.fails = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, feature: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        self._maybe_fail()
        return await self._store.read(feature, *args)

    async def write(self, feature: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        self._maybe_fail()
        return await self._store.write(feature, *args)

    def _maybe_fail(self) -> None:
        if self.fails:
            failure: StoreError = Unavailable("moody")
            raise failure


async def test_7_3_a_sync_that_failed_may_be_sent_again(tmp_path: Path) -> None:
    """The first page: the state is AUTHED again. A later page: the same cursor is still good."""
    async with serving(tmp_path, store=Moody) as rig:
        store: Any = rig.server.store
        alice, bob = await rig.person("alice"), await rig.person("bob")
        convs = [await rig.group(alice, bob) for _ in range(2)]
        back = await rig.again(bob)
        store.fails = True
        assert await back.refused(wire.Sync(0, None, 1)) == 5000
        store.fails = False
        first = await back.ask(wire.Sync(0, None, 1), wire.SyncOk)
        store.fails = True
        assert await back.refused(wire.Sync(0, None, 1, first.cursor)) == 5000
        store.fails = False
        last = await back.ask(wire.Sync(0, None, 1, first.cursor), wire.SyncOk)
        assert sorted(row.conv for row in first.rows + last.rows) == sorted(convs)
        await alice.say(convs[0], "live")
        assert (await back.expect(wire.Event)).conv == convs[0]


async def test_15_1_who_was_told_to_go_may_finish(tmp_path: Path) -> None:
    """PING, STATE and ACK are taken after GOAWAY, an ACK still counts, requests are 5003, and so is SYNC."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        syncing = await rig.again(alice)
        rig.stop.set()
        await bob.expect(wire.Goaway)
        await bob.send(wire.Ack(1), wire.State(False))
        await pong(bob)
        assert await bob.refused(wire.Mark(0, conv, 1)) == 5003
        await syncing.expect(wire.Goaway)
        assert await syncing.refused(wire.Sync(0)) == 5003
        with trio.fail_after(wire.limits.DRAIN_MS / 1000):
            assert await bob.closed() is None
    async with serving(tmp_path) as rig:
        back = await rig.again(bob)
        (page,) = await back.sync()
        assert (page.rows[0].conv, page.rows[0].delivered) == (conv, 1)


async def test_15_1_whoever_is_not_logged_in_is_told_too(tmp_path: Path) -> None:
    """Once HELLO was answered; before that the connection just ends. A WebSocket closes with 1000 (2-12)."""
    async with serving(tmp_path) as rig:
        silent, greeted = Client(await rig.stream()), await rig.greeted()
        line = await connect_websocket(rig.listeners["ws"].port, rig.nursery)
        await line.send(wire.Hello("WC", 1, 1, (), "ws").encode()[4:])
        await line.recv()
        rig.stop.set()
        with trio.fail_after(wire.limits.DRAIN_MS / 1000):
            assert (await greeted.expect(wire.Goaway)).code == 1
            assert await greeted.closed() is None
            assert await silent.recv() is None
            assert isinstance(wire.decode(await line.recv() or b"", side="server"), wire.Goaway)
            assert (await line.recv(), line.close_code) == (None, 1000)


async def test_15_1_what_was_read_before_is_answered(tmp_path: Path) -> None:
    """Every request in the flight before GOAWAY gets its reply or 5003, and each SEND_OK is in the log."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        flight = [msg(conv, str(rid), rid=rid) for rid in range(1000, 1050)]
        await alice.send(*flight)
        await alice.expect(wire.SendOk)
        rig.stop.set()
        answered = {1000}
        said = 1
        for _ in range(49):
            answer: Any = await alice.expect(wire.Message, lambda message: getattr(message, "rid", None) is not None)
            assert isinstance(answer, wire.SendOk) or answer.code == 5003
            said += isinstance(answer, wire.SendOk)
            answered.add(answer.rid)
        assert answered == set(range(1000, 1050))
        await alice.closed()
    async with serving(tmp_path) as rig:
        back = await rig.again(alice)
        assert (await back.ask(wire.Changes(0, conv, 0), wire.ChangesOk)).upto == said + 1


async def test_14_1_an_unknown_request_while_draining_is_refused_alone(tmp_path: Path) -> None:
    """3001 or 5003 with its rid; the connection lives on until the end of the drain."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        rig.stop.set()
        await alice.expect(wire.Goaway)
        await alice.stream.send_all(frame(122, 5))
        error = await alice.expect(wire.Error)
        assert error.rid == 5
        assert error.code in (3001, 5003)
        await pong(alice)
