"""What goes into one commit, and how many there are at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from wirechat.server.hub import Hub
from wirechat.server.journal import Awaited, Journal
from wirechat.store.records import Append, Appended, Commit, Members

SMALL, LARGE = 1, 2


class Disk:
    """A store that notes its batches; it answers them when told to, the oldest first."""

    def __init__(self, appends_at_once: int = 1) -> None:
        self.appends_at_once = appends_at_once
        self.batches: list[list[bytes]] = []
        self._answers: list[Callable[[], None]] = []

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: dict[int, int], done: Callable[[Commit], None]
    ) -> None:
        self.batches.append([append.cid for append in batch])
        results = [Appended(append.conv, 1, now_ms, True) for append in batch]
        self._answers.append(lambda: done(Commit(list(results), {})))

    def answer(self, number: int = 0) -> None:
        self._answers.pop(number)()


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
