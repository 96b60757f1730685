"""What is stored before what is said: crashes between receiving and committing lose nothing (P5, P7).

A crash is the moment at which a write never returns; what the file holds then is what the next run finds.
"""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import DEVICE, ME, Peer, Stage, entry, first, make_world, meet, nothing_unsent, record, row
from wirechat import wire
from wirechat.client import CacheError, Disconnected, MessageAdded, cache_owner
from wirechat.client.cache import Cache
from wirechat.client.commit import Committer
from wirechat.client.log import Log
from wirechat.world import World

A, B = 5, 6


class Disk:
    """Runs blocking calls inline, until it is told to hold them."""

    def __init__(self) -> None:
        self.writes = 0
        self.held = trio.Event()
        self._gate: trio.Event | None = None
        self.hold_at: int | None = None
        self.fail: Exception | None = None

    async def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.writes += 1
        if self.fail is not None:
            raise self.fail
        if self._gate is not None or self.writes == self.hold_at:
            gate = self._gate = trio.Event() if self._gate is None else self._gate
            self.held.set()
            with trio.fail_after(600):
                await gate.wait()
        return fn(*args)

    def hold(self) -> None:
        self._gate = trio.Event()

    def go_on(self) -> None:
        assert self._gate is not None
        self._gate.set()
        self._gate = None

    @property
    def world(self) -> World:
        return make_world(run_blocking=self.run)


def copy(path: Path, name: str) -> Path:
    """The file as it stands at this moment."""
    target = path.parent / name
    for suffix in ("", "-wal"):
        if os.path.exists(f"{path}{suffix}"):
            shutil.copy(f"{path}{suffix}", f"{target}{suffix}")
    return target


def opened_copy(path: Path) -> Cache:
    return Cache(str(copy(path, "crashed")), b"x" * 16)


async def test_r13_no_ack_before_the_commit(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Forty pushes are more than may wait, and still no ACK comes while the disk is busy."""
    disk = Disk()
    async with meet(stage, opened(cache=tmp_path / "cache", world=disk.world), row(A, 0)) as (client, peer):
        await client.synced()
        disk.hold()
        peer.say(*(entry(A, seq) for seq in range(1, 41)))
        await trio.sleep(20)
        assert peer.heard(wire.Ack) == []
        disk.go_on()
        assert (await peer.expect(wire.Ack)).n == 40


async def test_r13_no_question_and_no_event_before_the_commit(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """An answer could move the position past evidence that is not stored."""
    disk = Disk()
    async with meet(stage, opened(cache=tmp_path / "cache", world=disk.world), row(A, 0)) as (client, peer):
        await client.synced()
        feed = client.events()
        disk.hold()
        peer.say(entry(A, 1), entry(A, 3))
        with trio.move_on_after(20) as waiting:
            await first(feed, MessageAdded)
        assert waiting.cancelled_caught
        assert peer.heard(wire.Changes) == []
        disk.go_on()
        assert (await peer.expect(wire.Changes)).since == 1
        assert (await first(feed, MessageAdded)).record.seq == 1


async def test_p2_no_send_before_the_entry_is_stored(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """After a crash the person would write it again, under another cid, and it would stand there twice."""
    disk = Disk()
    async with meet(stage, opened(cache=tmp_path / "cache", world=disk.world), row(A, 0)) as (client, peer):
        await client.synced()
        disk.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.messages.send, A, "hello")
            await trio.sleep(20)
            assert peer.heard(wire.Send) == []
            disk.go_on()
            send = await peer.expect(wire.Send)
            peer.say(wire.SendOk(send.rid, 1, 1))


async def test_a_cancelled_send_still_goes_out(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Otherwise it would stay in the outbox and hold up its conversation."""
    disk = Disk()
    async with meet(stage, opened(cache=tmp_path / "cache", world=disk.world), row(A, 0)) as (client, peer):
        await client.synced()
        with trio.move_on_after(0):
            await client.messages.send(A, "cancelled before it began")
        assert client.messages.unsent() == ()
        disk.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.messages.send, A, "cancelled while it was being stored")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
            nursery.start_soon(release, disk)
        send = await peer.expect(wire.Send)
        peer.say(wire.SendOk(send.rid, 1, 1))
        await nothing_unsent(client)
        assert client.log(A).pos == 1


async def release(disk: Disk) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(5)
        disk.go_on()


async def test_r9_one_chunk_is_one_transaction(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    disk = Disk()
    async with meet(stage, opened(cache=tmp_path / "cache", world=disk.world), row(A, 0)) as (client, peer):
        await client.synced()
        before = disk.writes
        peer.say(*(entry(A, seq) for seq in range(1, 20)), wire.Rows((row(B, 3),), b"H2"))
        await peer.expect(wire.Changes)
        assert disk.writes == before + 1


async def scenario(client_peer: Peer) -> None:
    """A server that tells of two conversations, hands over horizons, and answers what is asked."""
    told = {A: 0, B: 3}
    step = 0
    client_peer.say(entry(A, 1), wire.Rows((row(B, 3),), b"H-A1-B3"))
    while True:
        message = await client_peer.next()
        if isinstance(message, wire.Changes):
            records = tuple(record(seq) for seq in range(message.since + 1, told[message.conv] + 1))
            client_peer.say(wire.ChangesOk(message.rid, told[message.conv], records, False))
            step += 1
            if step == 1:
                client_peer.say(entry(A, 2), entry(A, 3))
                client_peer.say(wire.Rows((), b"H-A3-B3"))


# what a token vouches for: these entries are known to exist
VOUCHED: dict[bytes | None, dict[int, int]] = {
    None: {},
    b"H1": {A: 0},
    b"H-A1-B3": {A: 1, B: 3},
    b"H-A3-B3": {A: 3, B: 3},
}


@pytest.mark.parametrize("crash", range(2, 12))
async def test_r9_a_crash_at_any_write_leaves_no_token_without_its_evidence(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path, crash: int
) -> None:
    """Killed between receiving and committing, the next run asks from where the file stands (I4, I6).

    Whatever had been acknowledged by then is in the file.
    """
    disk = Disk()
    disk.hold_at = crash
    path = tmp_path / "cache"
    peers: list[Peer] = []

    async def server() -> None:
        peer = await stage.connection()
        peers.append(peer)
        await peer.synced(row(A, 0))
        await scenario(peer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        nursery.start_soon(run_until_cancelled, opened(cache=path, world=disk.world))
        with trio.move_on_after(20):
            await disk.held.wait()
        cache = opened_copy(path)
        acked = max((ack.n for ack in peers[0].heard(wire.Ack)), default=0)
        if disk.held.is_set():
            disk.go_on()
        nursery.cancel_scope.cancel()
    for conv, head in VOUCHED[cache.token].items():
        assert cache.logs[conv].want >= head
    for log in cache.logs.values():
        assert sorted(cache.view(log.conv).records) == list(range(1, log.pos + 1))
    assert acked == 0 or cache.logs[A].pos >= 1
    cache.close()


async def run_until_cancelled(opening: Any) -> None:
    async with opening:
        await trio.sleep_forever()


async def test_a_crash_loses_nothing_that_comes_again(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """The next run presents the token of the file and ends with the same log as one that never crashed."""
    disk, path = Disk(), tmp_path / "cache"
    async with meet(stage, opened(cache=path, world=disk.world), row(A, 0)) as (client, peer):
        await client.synced()
        peer.say(entry(A, 1))
        await peer.expect(wire.Ack)
        disk.hold()
        peer.say(entry(A, 2), wire.Rows((), b"H2"))
        await disk.held.wait()
        crashed = copy(path, "crashed")
        disk.go_on()
    async with meet(stage, opened(cache=crashed, password=None), row(A, 2), token=b"H2") as (client, peer):
        assert peer.heard(wire.Sync)[0].token == b"H1"
        asked = await peer.expect(wire.Changes)
        assert asked.since == 1
        peer.say(wire.ChangesOk(asked.rid, 2, (record(2),), False))
        await client.synced()
        again = client.log(A)
    with pytest.raises(CacheError):
        client.log(A)
    cache = Cache(str(path), b"y" * 16)
    assert cache.view(A) == again
    cache.close()


async def test_a_full_disk_ends_the_client_and_acknowledges_nothing(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    disk = Disk()
    async with meet(stage, opened(cache=tmp_path / "cache", world=disk.world), row(A, 0)) as (client, peer):
        await client.synced()
        feed = client.events()
        disk.fail = CacheError("the cache failed: disk full")
        peer.say(entry(A, 1))
        assert (await first(feed, Disconnected)).retry_seconds is None
        with pytest.raises(CacheError):
            await client.messages.send(A, "hello")
        assert peer.heard(wire.Ack) == []
        assert client.log(A).pos == 0


async def test_a_full_disk_is_told_to_whoever_sends(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Also to one whose entry the server has: here its removal from the outbox could not be stored."""
    disk = Disk()
    async with meet(stage, opened(cache=tmp_path / "cache", world=disk.world), row(A, 0)) as (client, peer):
        await client.synced()
        handle = await client.messages.send_soon(A, "hello")
        send = await peer.expect(wire.Send)
        disk.fail = CacheError("the cache failed: disk full")
        peer.say(wire.SendOk(send.rid, 1, 1))
        with pytest.raises(CacheError):
            await handle.wait()


# --- the file


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """It holds keys and tokens."""
    path = tmp_path / "cache"
    Cache(str(path), b"a" * 16).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_program_takes_the_file_over(tmp_path: Path) -> None:
    """As on the server the newer one wins; the older one notices before it writes over the newer one's state."""
    path = str(tmp_path / "cache")
    older, newer = Cache(path, b"a" * 16), Cache(path, b"b" * 16)
    for cache in (newer, older):
        cache.set_token(b"H")
    newer.write(newer.take())
    with pytest.raises(CacheError, match="another program"):
        older.write(older.take())
    older.close()
    newer.close()


def test_other_files_are_refused_with_one_line(tmp_path: Path) -> None:
    text, foreign, newer = tmp_path / "text", tmp_path / "foreign", tmp_path / "newer"
    text.write_text("not a database, but long enough to be looked at as one" * 20)
    apsw.Connection(str(foreign)).execute("CREATE TABLE t (a)")
    Cache(str(newer), b"a" * 16).close()
    apsw.Connection(str(newer)).execute("PRAGMA user_version = 99")
    for path in (text, foreign, newer, tmp_path / "no" / "directory"):
        with pytest.raises(CacheError) as error:
            Cache(str(path), b"a" * 16)
        assert "\n" not in str(error.value)


def test_a_file_is_written_with_full_synchronisation(tmp_path: Path) -> None:
    """NORMAL would lose acknowledged pushes when the power goes."""
    cache = Cache(str(tmp_path / "cache"), b"a" * 16)
    assert (cache._writer.pragma("journal_mode"), cache._writer.pragma("synchronous")) == ("wal", 2)
    cache.close()


async def test_who_we_are_is_stored_before_anything_is_asked(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """A device that forgot its id would be a new one at the next login."""
    disk, path = Disk(), tmp_path / "cache"

    async def server() -> None:
        peer = await stage.connection()
        disk.hold()
        await peer.login(b"token")
        await trio.sleep(20)
        assert peer.heard(wire.Sync) == []
        disk.go_on()
        await peer.expect(wire.Sync)
        cache = opened_copy(path)
        assert (cache.identity.user, cache.identity.device, cache.identity.resume) == (ME, DEVICE, b"token")
        cache.close()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        await run_until_cancelled(opened(cache=path, world=disk.world))
    assert nursery.cancel_scope.cancelled_caught


async def test_after_a_failed_write_nothing_is_written(tmp_path: Path) -> None:
    """What follows would stand behind a hole: here a token behind evidence that is not there (I4)."""
    disk = Disk()
    cache = Cache(str(tmp_path / "cache"), b"a" * 16)
    committer = Committer(cache, disk.world)
    told: list[CacheError | None] = []
    cache.put_log(Log(A, want=5))
    committer.when_durable(told.append)
    disk.fail = CacheError("disk full")
    with pytest.raises(CacheError):
        await committer.commit()
    disk.fail = None
    cache.set_token(b"H2")
    with pytest.raises(CacheError):
        await committer.commit()
    assert [str(error) for error in told] == ["disk full"]
    cache.close()
    reopened = Cache(str(tmp_path / "cache"), b"b" * 16)
    assert (reopened.token, reopened.logs) == (None, {})
    reopened.close()


async def test_a_cache_says_whose_it_is_and_stays_with_its_program(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Nobody before the first login; asking takes nothing away from the program that uses the file."""
    assert cache_owner(tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()
    Cache(str(tmp_path / "cache"), b"x" * 16).close()
    assert cache_owner(tmp_path / "cache") is None
    async with meet(stage, opened(cache=tmp_path / "cache"), row(A, 0)) as (client, peer):
        assert cache_owner(tmp_path / "cache") == "ada"
        feed = client.events()
        peer.say(entry(A, 1))
        await first(feed, MessageAdded)
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(CacheError):
        cache_owner(tmp_path / "other")
