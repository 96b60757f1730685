"""How much goes into one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from wirechat.server.hub import Hub
from wirechat.server.journal import Awaited, Journal
from wirechat.store.records import Append, Appended, Commit, Members

SMALL, LARGE = 1, 2


class Disk:
    """A store that notes the sizes of its batches; it answers when told to."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self._answer: Callable[[], None] = lambda: None

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: dict[int, int], done: Callable[[Commit], None]
    ) -> None:
        self.batches.append([append.cid for append in batch])
        results = [Appended(append.conv, 1, now_ms, True) for append in batch]
        self._answer = lambda: done(Commit(list(results), {}))

    def answer(self) -> None:
        self._answer()


@pytest.mark.parametrize(("conv", "most"), [(SMALL, 455), (LARGE, 10)], ids=["two members", "a thousand members"])
async def test_p10_a_commit_is_no_larger_than_can_be_handed_out_in_one_turn(conv: int, most: int) -> None:
    """And what did not fit is the next, in order."""
    hub, disk = Hub(), Disk()
    hub.remember(SMALL, Members(1, dict.fromkeys(range(2), 1)))
    hub.remember(LARGE, Members(1, dict.fromkeys(range(1000), 1)))
    journal = Journal(disk, hub, lambda: 0)
    cids = [number.to_bytes(8, "big") for number in range(2 * most + 1)]
    waiting = [Awaited(Append(conv, 1, cid, 1, None, None, (), b""), None, lambda: None) for cid in cids]
    for each in waiting:
        journal.submit(each)
    journal.start()
    while not journal.idle:
        disk.answer()
    assert [len(batch) for batch in disk.batches] == [most, most, 1]
    assert [cid for batch in disk.batches for cid in batch] == cids
    assert all(each.known.is_set() for each in waiting)
