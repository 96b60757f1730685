"""P12: when the store fails the client is told whether anything happened, and the server goes on by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from tests.server.rig import PATIENCE, serving
from wirechat import wire
from wirechat.server import limits
from wirechat.server.tending import one_pass
from wirechat.store.errors import OutcomeUnknown, Unavailable
from wirechat.store.features import receipts
from wirechat.store.records import Append, Commit
from wirechat.store.tx import Tx


async def pages(tx: Tx, most: int | None) -> int:
    """The pages in use; limits them to that and a few more, or lifts the limit."""
    row = await tx.fetchrow("PRAGMA page_count")
    assert row is not None
    limit = 1_000_000_000 if most is None else row[0] + most
    await tx.fetch(f"PRAGMA max_page_count = {limit}")
    return int(row[0])


async def test_a_full_disk_answers_not_executed_and_recovers_without_a_restart(tmp_path: Path) -> None:
    """5004 while it is full, nothing stored, the other requests work; then the same cid goes through."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await rig.server.store.write(pages, 2)
        refused, stored = [], 0
        for _ in range(60):
            cid = os.urandom(8)
            answer = await alice.ask(wire.Send(0, conv, cid, 1, wire.Content(1, "x" * 4000)), wire.Reply | wire.Error)
            if isinstance(answer, wire.Error):
                assert answer.code == 5004
                assert 1000 <= (answer.retry_ms or 0) <= 2000, "not all at once, but back in seconds when there is room"
                refused.append(cid)
            else:
                stored += 1
        assert refused
        page = await bob.ask(wire.Changes(0, conv, 1), wire.ChangesOk)
        assert len(page.records) <= stored
        await rig.server.store.write(pages, None)
        sent = await alice.say(conv, "x" * 4000, refused[0])
        assert (sent.seq, sent.dup) == (stored + 2, False)


class Interrupted:
    """A store whose commits happen, or not, without anyone being told."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.interrupt = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int], done: Callable[[Commit], None]
    ) -> None:
        def forget(commit: Commit) -> None:
            done(Commit([OutcomeUnknown("interrupted")] * len(batch), {}) if self.interrupt else commit)

        self._store.start_append(batch, now_ms, known, forget)


async def test_a_commit_of_unknown_outcome_says_so_and_the_same_cid_settles_it(tmp_path: Path) -> None:
    """6000; asking again returns the entry that was made; the others get it from the pass at the latest (P2, P5)."""
    async with serving(tmp_path, store=Interrupted) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        rig.server.store.interrupt = True
        cid = os.urandom(8)
        error = await alice.ask(wire.Send(0, conv, cid, 1, wire.Content(1, "did it?")), wire.Error)
        assert error.code == 6000
        rig.server.store.interrupt = False
        settled = await alice.say(conv, "did it?", cid)
        assert (settled.seq, settled.dup) == (2, True)
        event = await bob.expect(wire.Event)
        assert (event.seq, event.content) == (2, wire.Content(1, "did it?"))


async def test_p12_the_operator_is_told_once_that_nothing_can_be_stored_and_once_that_it_can_again(
    tmp_path: Path,
) -> None:
    """Clients come back again and again: a line for each would fill what room is left."""
    async with serving(tmp_path, store=Interrupted) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        with capture_logs() as lines:
            for interrupt in (False, True, True, True, False, False):
                rig.server.store.interrupt = interrupt
                await alice.ask(wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, "hello")), wire.Reply | wire.Error)
        told = [(line["log_level"], line["event"], line.get("reason")) for line in lines]
        assert told == [
            ("warning", "entries cannot be stored", "interrupted"),
            ("info", "entries are stored again", None),
        ]


async def test_who_left_in_a_commit_nobody_heard_of_is_told_all_the_same(tmp_path: Path) -> None:
    """An entry after a hole does not close it: its REMOVE was offered to nobody, so the pass must tell him (P5)."""
    async with serving(tmp_path, store=Interrupted) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob, carol)
        rig.server.store.interrupt = True
        assert await alice.refused(wire.MemberDel(0, conv, os.urandom(8), bob.user)) == 6000
        rig.server.store.interrupt = False
        await alice.say(conv, "bob does not see this")
        assert (await carol.expect(wire.Event)).seq == 3
        removed = await bob.expect(wire.Event)
        assert (removed.seq, removed.kind, removed.users) == (2, wire.EntryKind.REMOVE, (bob.user,))
        await bob.silence()


async def test_p9_who_was_removed_by_a_commit_nobody_heard_of_is_told_nothing_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before the next pass finds what became of it."""
    monkeypatch.setattr(limits, "PASS_SECONDS", 1000.0)
    async with serving(tmp_path, store=Interrupted) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await alice.send(wire.Typing(conv, True))
        await bob.expect(wire.Typing)
        rig.server.store.interrupt = True
        assert await alice.refused(wire.MemberDel(0, conv, os.urandom(8), bob.user)) == 6000
        rig.server.store.interrupt = False
        await alice.send(wire.Typing(conv, False))
        await alice.ask(wire.Mark(0, conv, 2), wire.MarkOk)
        assert (await alice.expect(wire.Receipt)).upto == 1
        await bob.silence()
        await one_pass(rig.server.store, rig.server.hub)
        assert (await bob.expect(wire.Event)).kind == wire.EntryKind.REMOVE
        await bob.silence()


@pytest.mark.parametrize("asks_again", [True, False])
async def test_p9_who_was_blocked_by_a_commit_nobody_heard_of_sees_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks_again: bool
) -> None:
    """Who asks again learns that it is done, and changes nothing any more."""
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.05)
    async with serving(tmp_path, store=Interrupted) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        told = await bob.ask(wire.PresenceSub(0, (alice.user,)), wire.PresenceSubOk)
        assert told.users == (wire.Status(alice.user, True),)
        await bob.silence()
        rig.server.store.interrupt = True
        assert await alice.refused(wire.Block(0, bob.user, True)) == 6000
        rig.server.store.interrupt = False
        if asks_again:
            await alice.ask(wire.Block(0, bob.user, True), wire.BlockOk)
        assert (await bob.expect(wire.Presence)).users == (wire.Status(alice.user, False),)


async def test_p9_who_shares_nothing_since_a_commit_nobody_heard_of_sees_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Presence ends with the last conversation that two have in common."""
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.05)
    async with serving(tmp_path, store=Interrupted) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await bob.ask(wire.PresenceSub(0, (alice.user,)), wire.PresenceSubOk)
        await bob.silence()
        rig.server.store.interrupt = True
        assert await alice.refused(wire.MemberDel(0, conv, os.urandom(8), bob.user)) == 6000
        assert (await bob.expect(wire.Presence)).users == (wire.Status(alice.user, False),)


class Unreadable:
    """A store that can be asked in order, and not otherwise."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, *arguments: object) -> None:
        raise Unavailable("simulated: nothing can be read")


async def test_p5_what_a_pass_could_not_read_the_next_one_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not offered, so it must not count as such."""
    monkeypatch.setattr(limits, "PASS_SECONDS", 1000)
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        sent = await alice.say(conv, "hello")
        await bob.expect(wire.Event, lambda event: event.seq == sent.seq)
        hub, store = rig.server.hub, rig.server.store
        hub.doubt(conv)
        unreadable: Any = Unreadable(store)
        with pytest.raises(Unavailable):
            await one_pass(unreadable, hub)
        await one_pass(store, hub)
        rows = await bob.expect(wire.Rows)
        assert [(row.conv, row.head) for row in rows.rows] == [(conv, sent.seq)]


class Forgetful:
    """A store that cannot take watermarks for a while."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, feature: Any, *arguments: Any) -> Any:
        if feature is receipts.flush and self.failures:
            self.failures -= 1
            raise Unavailable("simulated: nothing can be written")
        return await self._store.write(feature, *arguments)


async def test_p7_what_a_device_holds_is_said_once_the_store_can_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """13-2: it has said so, and does not say it again on this connection."""
    monkeypatch.setattr(limits, "FLUSH_SECONDS", 0.05)
    async with serving(tmp_path, store=Forgetful) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        sent = await alice.say(conv, "hello")
        await bob.expect(wire.Event, lambda event: event.seq == sent.seq)
        rig.server.store.failures = 2
        await bob.send(wire.Ack(2))
        receipt = await alice.expect(wire.Receipt)
        assert receipt.marks == (wire.Watermark(bob.user, sent.seq, 0),)
        assert rig.server.store.failures == 0


class Ailing:
    """A store whose first reads fail."""

    def __init__(self, store: Any, left: int = 2) -> None:
        self._store = store
        self.left = left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        if self.left:
            self.left -= 1
            raise Unavailable("not now")
        return await self._store.read(*args, **kwargs)


async def test_p10_a_store_that_fails_as_the_server_begins_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when it was opened; nobody has to start the server again."""
    monkeypatch.setattr(limits, "PASS_SECONDS", 0.01)
    with capture_logs() as logs:
        async with serving(tmp_path, store=Ailing) as rig:
            alice, bob = await rig.person("alice"), await rig.person("bob")
            conv = await rig.group(alice, bob)
            await alice.say(conv, "hello")
    assert [line["reason"] for line in logs if line["log_level"] == "warning"] == ["not now"] * 2


async def test_a_server_whose_store_fails_as_it_begins_can_be_stopped(tmp_path: Path) -> None:
    async with serving(tmp_path, store=lambda store: Ailing(store, 10**9)) as rig:
        rig.stop.set()
        with trio.fail_after(PATIENCE):
            while rig.nursery.child_tasks:  # noqa: ASYNC110
                await trio.sleep(0.01)
