"""The client's rules for one conversation, as short as they can be written, to try the transcripts for clients on.

`catch` and `rewind` switch off the two rules that only the race transcripts can tell apart.
"""

from wirechat import wire
from wirechat.wire import fold


class ModelClient:
    """Position, gap marks and records of one conversation; what it would send collects in `out`."""

    def __init__(self, *, jumps: bool, catch: bool = True, rewind: bool = True) -> None:
        self.records: dict[int, wire.Record] = {}
        self.out: list[wire.Message] = []
        self.pushes = self.pos = self.want = self.rid = 0
        self.low = 1
        self.catching = False
        self.asked: int | None = None
        self._jumps, self._catch, self._rewind = jumps, catch, rewind

    def hear(self, message: wire.Message) -> None:
        """Takes one message from the server."""
        if message.RANGE == "counted" if not isinstance(message, wire.Unknown) else message.range == "counted":
            self.pushes += 1
            self.out.append(wire.Ack(self.pushes))
        match message:
            case wire.SyncOk():
                self._rows(message)
            case wire.Event():
                self._event(message)
            case wire.ChangesOk():
                self._changes(message)
            case wire.HistoryOk():
                self._history(message)
        self._fill()

    def page(self, conv: int) -> None:
        """Asks for older records."""
        self.rid += 1
        self.out.append(wire.History(self.rid, conv))

    def _rows(self, answer: wire.SyncOk) -> None:
        if answer.mode == wire.SyncMode.RESET:
            self.records.clear()
            self.pos = self.want = 0
        for row in answer.rows:
            self.want = max(self.want, row.head)
            if self._jumps:
                self.pos, self.low = row.head, row.head + 1

    def _event(self, event: wire.Event) -> None:
        if event.seq == self.pos + 1 and not self.catching:
            fold.apply_event(self.records, event)
            self.pos = event.seq
        elif event.seq > self.pos:
            self.want = max(self.want, event.seq)

    def _changes(self, answer: wire.ChangesOk) -> None:
        since, self.asked = self.asked, None
        for record in answer.records:
            fold.upsert(self.records, record)
        if since is not None and since <= self.pos <= answer.upto:
            self.pos, self.catching = answer.upto, answer.more and self._catch
            self.want = max(self.want, self.pos + answer.more)

    def _history(self, page: wire.HistoryOk) -> None:
        for record in page.records:
            fold.upsert(self.records, record)
        self.low = min(self.low, page.lo) if page.hi + 1 >= self.low else self.low
        if self._rewind and page.rev < self.pos:
            self.want = max(self.want, self.pos)
            self.pos, self.catching = page.rev, True

    def _fill(self) -> None:
        if self.asked is None and (self.want > self.pos or self.catching):
            self.rid += 1
            self.asked = self.pos
            self.out.append(wire.Changes(self.rid, 5, self.pos))
