"""The part of a conversation that is shown: the newest records, or some around a place further back.

Rules: a window is bounded, so that a long log costs what a short one does. What leaves the outbox stays in `waiting`
until its record is here: nothing anyone wrote vanishes from the screen in between.
"""

from collections.abc import Iterable

from wirechat.client import Client, LogView
from wirechat.client.outbox import Entry

__all__ = ["PAGE", "RECORDS_MAX", "Window"]

PAGE = 100
RECORDS_MAX = 600


class Window:
    """What is shown of `conv`. Call `look` after each change; `view` is what there was then."""

    def __init__(self, client: Client, conv: int) -> None:
        self.conv = conv
        self._client = client
        self._count = PAGE
        self._before: int | None = None
        self._waiting: dict[bytes, Entry] = {}
        self.seen = 0
        """What the person has seen, however long the server takes to learn it."""
        self.view: LogView = self._read()
        self.unseen_after: int | None = None
        """Where to say that something is new; None while the person has seen everything come."""
        self.resume()

    @property
    def live(self) -> bool:
        """The newest record is among those shown."""
        return self._before is None

    @property
    def read(self) -> int:
        """Up to where it was read, here or on another device."""
        return max(self.view.read, self.seen)

    @property
    def shows_unseen(self) -> bool:
        """The first record that was not seen is among those shown."""
        seen, shown = self.unseen_after, self.view.records
        if seen is None:
            return False
        whole = len(shown) < self._count and self.view.low <= seen + 1
        return whole or min(shown, default=seen + 1) <= seen

    @property
    def lacks(self) -> int | None:
        """A page before this seq has to be fetched to show as much as is wanted; None when nothing is missing."""
        return self.view.low if len(self.view.records) < self._count and self.view.low > 1 else None

    @property
    def waiting(self) -> list[Entry]:
        """What is to be sent here, in order."""
        return list(self._waiting.values())

    def look(self) -> None:
        """Reads again what is to be shown."""
        unsent = {entry.cid: entry for entry in self._client.messages.unsent() if entry.conv == self.conv}
        self.view = self._read()
        known = {record.cid for record in self.view.records.values()}
        gone = [cid for cid, entry in self._waiting.items() if cid in known or (entry.ref and cid not in unsent)]
        for cid in gone:
            del self._waiting[cid]
        self._waiting.update((cid, entry) for cid, entry in unsent.items() if cid not in known)

    def resume(self) -> None:
        """Shows the first record that was not read, if it is on this device; otherwise the newest."""
        self.look()
        self.unseen_after = self.read if self.read < self.view.pos else None
        if self.unseen_after is not None and not self.shows_unseen and self.view.low <= self.unseen_after + 1:
            self.around(self.unseen_after + 1)

    def away(self) -> None:
        """The person looks elsewhere: what comes now is new when he is back."""
        self.unseen_after = self.view.pos

    def failed(self, cids: Iterable[bytes]) -> None:
        """These entries were refused."""
        for cid in cids:
            self._waiting.pop(cid, None)

    def older(self) -> None:
        """Shows a page more at the old end."""
        self._count += PAGE
        self.look()
        seqs = list(self.view.records)
        if len(seqs) > RECORDS_MAX:
            self._before, self._count = seqs[RECORDS_MAX], RECORDS_MAX
            self.look()

    def newer(self) -> None:
        """Shows a page more at the new end."""
        if self._before is not None:
            self._show(self._before + PAGE, min(self._count + PAGE, RECORDS_MAX))

    def around(self, seq: int) -> None:
        """Shows the records around this one."""
        self._show(seq + PAGE, 2 * PAGE)

    def newest(self) -> None:
        """Shows the newest records."""
        self._show(None, PAGE)

    def _show(self, before: int | None, count: int) -> None:
        head = self._client.log(self.conv, newest=0).head
        self._before, self._count = before if before is not None and before <= head else None, count
        self.look()

    def _read(self) -> LogView:
        return self._client.log(self.conv, self._count, self._before)
