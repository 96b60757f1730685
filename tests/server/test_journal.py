"""What goes into one commit, and how many there are at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from wirechat import wire
from wirechat.server import limits
from wirechat.server.hub import Hub
from wirechat.server.journal import Awaited, Journal, Submission
from wirechat.server.session import Session
from wirechat.store.records import Append, Appended, Commit, Members

SMALL, LARGE = 1, 2


class Disk:
    """A store that notes its batches; it answers them when told to, the oldest first."""

    def __init__(self, appends_at_once: int = 1) -> None:
        self.appends_at_once = appends_at_once
        self.batches: list[list[bytes]] = []
        self.begun: list[float] = []
        self.answers: list[Callable[[], None]] = []

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: dict[int, int], done: Callable[[Commit], None]
    ) -> None:
        self.batches.append([append.cid for append in batch])
        self.begun.append(trio.current_time())
        results = [Appended(append.conv, 1, now_ms, True) for append in batch]
        self.answers.append(lambda: done(Commit(list(results), {})))

    def answer(self, number: int = 0) -> None:
        self.answers.pop(number)()


def entry(conv: int, cid: bytes) -> Awaited:
    return Awaited(Append(conv, 1, cid, 1, None, None, (), b""), None, lambda: None)


@pytest.mark.parametrize(("conv", "most"), [(SMALL, 455), (LARGE, 10)], ids=["two members", "a thousand members"])
async def test_p10_a_commit_is_no_larger_than_can_be_handed_out_in_one_turn(conv: int, most: int) -> None:
    """And what did not fit is the next, in order."""
    hub, disk = Hub(), Disk()
    hub.remember(SMALL, Members(1, dict.fromkeys(range(2), 1)))
    hub.remember(LARGE, Members(1, dict.fromkeys(range(1000), 1)))
    journal = Journal(disk, hub, lambda: 0)
    cids = [number.to_bytes(8, "big") for number in range(2 * most + 1)]
    waiting = [entry(conv, cid) for cid in cids]
    for each in waiting:
        journal.submit(each)
    journal.start()
    while not journal.idle:
        disk.answer()
    assert [len(batch) for batch in disk.batches] == [most, most, 1]
    assert [cid for batch in disk.batches for cid in batch] == cids
    assert all(each.known.is_set() for each in waiting)


async def test_p4_a_conversation_is_in_one_commit_at_a_time_and_others_pass_it() -> None:
    disk = Disk(appends_at_once=2)
    journal = Journal(disk, Hub(), lambda: 0)

    def submit(*names: bytes) -> None:
        for name in names:
            journal.submit(entry(name[0], name))
        journal.start()

    submit(b"a1", b"b1")
    submit(b"a2", b"c1", b"a3")
    submit(b"d1", b"c2", b"a4")  # two are in flight: these wait
    assert disk.batches == [[b"a1", b"b1"], [b"c1"]]
    disk.answer(1)  # the second one overtakes the first
    assert disk.batches[2:] == [[b"d1", b"c2"]]
    disk.answer(0)
    assert disk.batches[3:] == [[b"a2", b"a3", b"a4"]]
    while not journal.idle:
        disk.answer()
    assert len(disk.batches) == 4


class Asker:
    """A session, as far as an answer needs one."""

    def reply(self, message: wire.Message) -> None:
        pass


def written(sender: int, cid: bytes) -> Submission:
    append = Append(sender, sender, cid, 1, None, None, (), b"")
    session = cast(Session, Asker())
    return Submission(append, None, session, 1, lambda rid, done: wire.SendOk(rid, done.seq, done.ts), lambda: None)


@attrs.define
class Paced:
    """A journal whose disk answers at once."""

    journal: Journal
    disk: Disk

    async def writes(self, *each: Any, after: float = 0.0) -> None:
        await trio.sleep(after)
        for submission in each:
            self.journal.submit(submission)
        self.journal.start()
        await self.answered()

    async def answered(self) -> None:
        """Of what is being committed."""
        while self.disk.answers:
            self.disk.answer()


@pytest.fixture
async def paced(nursery: trio.Nursery) -> Paced:
    disk = Disk()
    journal = Journal(disk, Hub(), lambda: 0)
    nursery.start_soon(journal.run)
    return Paced(journal, disk)


SPACING = limits.COMMIT_SPACING_SECONDS


async def test_who_writes_within_a_millisecond_of_another_shares_the_next_commit(
    paced: Paced, autojump_clock: MockClock
) -> None:
    """And those who come meanwhile share it too."""
    began = trio.current_time()
    await paced.writes(written(1, b"a"))
    await paced.writes(written(2, b"b"), after=SPACING / 4)
    await paced.writes(written(1, b"c"), after=SPACING / 4)
    assert paced.disk.batches == [[b"a"]]
    await trio.sleep(SPACING)
    await paced.answered()
    assert paced.disk.batches == [[b"a"], [b"b", b"c"]]
    assert paced.disk.begun[1] - began == pytest.approx(SPACING)
    assert paced.journal.idle


async def test_who_writes_alone_does_not_wait(paced: Paced, autojump_clock: MockClock) -> None:
    """Nor does anybody who comes later than that."""
    for number in range(3):
        await paced.writes(written(1, bytes([number])))
    await paced.writes(written(2, b"later"), after=SPACING)
    assert len(paced.disk.batches) == 4


async def test_a_task_of_the_server_does_not_wait(paced: Paced, autojump_clock: MockClock) -> None:
    """And takes along who does."""
    await paced.writes(written(1, b"a"))
    await paced.writes(written(2, b"b"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(paced.journal.append, entry(SMALL, b"c").append, None, lambda: None)
        await trio.testing.wait_all_tasks_blocked()
        assert paced.disk.batches[1:] == [[b"b", b"c"]]
        await paced.answered()


async def test_what_a_full_commit_left_over_does_not_wait(paced: Paced, autojump_clock: MockClock) -> None:
    """It has waited already; who comes after it does wait."""
    members = Members(1, dict.fromkeys(range(1000), 1))
    texts = [written(sender, b"%d" % sender) for sender in range(21)]
    for text in texts:
        paced.journal._hub.remember(text.append.conv, members)
    began = trio.current_time()
    await paced.writes(*texts)
    assert [len(batch) for batch in paced.disk.batches] == [10, 10, 1]
    assert paced.disk.begun == [began] * 3
    await paced.writes(written(22, b"x"))
    assert len(paced.disk.batches) == 3
    await trio.sleep(2 * SPACING)
    await paced.answered()
    assert paced.disk.begun[3] - began == pytest.approx(SPACING)


async def test_several_commits_at_once_are_not_spaced() -> None:
    """They share nothing but the store, and one that waits for a lock would make the next one late."""
    disk = Disk(appends_at_once=2)
    journal = Journal(disk, Hub(), lambda: 0)
    for sender in (1, 2):
        journal.submit(written(sender, bytes([sender])))
        journal.start()
        disk.answer()
    assert len(disk.batches) == 2
