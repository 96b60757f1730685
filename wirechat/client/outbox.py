"""Entries that the server has not answered yet, and in which order they may go out.

Rules (P2, P4): an entry goes out only once it is durable here, always with the same cid. For each conversation the
outbox is a queue. Several entries of one conversation may be under way only while none of them has failed; after a
failure, or a lost connection, the first unanswered one goes alone until it is answered.
Pure: no clock, no network; the caller says what time it is.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

import attrs

from wirechat import wire
from wirechat.client.errors import ClientError

__all__ = ["Entry", "Outbox", "Sent", "Waiter"]


@attrs.frozen
class Sent:
    """The entry is durable on the server."""

    seq: int
    ts: int
    """Server time in milliseconds since 1970."""


class Waiter(Protocol):
    """Somebody who wants to know what became of an entry."""

    def settled(self, outcome: Sent | ClientError) -> bool:
        """Takes the outcome; False when nobody is there to notice it."""


@attrs.define(eq=False)
class Entry:
    """One entry on its way to the server."""

    conv: int
    cid: bytes
    kind: int
    content: wire.Content | None = None
    ref: int | None = None
    mentions: tuple[int, ...] = ()
    forward: wire.Source | None = None
    durable: bool = False
    sent: bool = False
    failures: int = 0
    waiter: Waiter | None = None

    def request(self) -> wire.Send:
        """The request that appends it."""
        return wire.Send(0, self.conv, self.cid, self.kind, self.content, self.ref, self.mentions or None, self.forward)


@attrs.define
class _Queue:
    entries: deque[Entry] = attrs.field(factory=deque)
    failed: bool = False
    not_before: float = 0.0

    def ready(self, now: float, depth: int) -> Iterator[Entry]:
        """Entries that may go out now, in order."""
        if now < self.not_before or (self.failed and any(entry.sent for entry in self.entries)):
            return
        for place, entry in enumerate(self.entries):
            if place >= (1 if self.failed else depth) or not entry.durable:
                return
            if not entry.sent:
                yield entry


class Outbox:
    """All queues. `depth`: entries of one conversation that may be under way at once."""

    def __init__(self, depth: int = 1) -> None:
        self._depth = depth
        self._queues: dict[int, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.entries) for queue in self._queues.values())

    def __iter__(self) -> Iterator[Entry]:
        return (entry for queue in self._queues.values() for entry in queue.entries)

    def restore(self, entries: Iterable[Entry]) -> None:
        """Takes over what an earlier run left: nobody knows what of it was sent."""
        for entry in entries:
            self.add(entry)
            self._queues[entry.conv].failed = True

    def add(self, entry: Entry) -> None:
        """Puts an entry behind all others of its conversation."""
        self._queues.setdefault(entry.conv, _Queue()).entries.append(entry)

    def take(self, now: float, count: int) -> list[Entry]:
        """Up to `count` entries to send now; from here on they are under way."""
        taken: list[Entry] = []
        for queue in self._queues.values():
            for entry in queue.ready(now, self._depth):
                if len(taken) >= count:
                    return taken
                entry.sent = True
                taken.append(entry)
        return taken

    def turn(self, entry: Entry) -> bool:
        """It is about to go out at last. False, and it is not under way any more, when one before it has failed since:
        that goes out again first.
        """
        for each in self._queues[entry.conv].entries:
            if each is entry:
                break
            if not each.sent:
                entry.sent = False
        return entry.sent

    def next_time(self, now: float) -> float | None:
        """When a queue that had to wait may try again."""
        return min((queue.not_before for queue in self._queues.values() if queue.not_before > now), default=None)

    def answered(self, entry: Entry) -> None:
        """The server accepted or refused it: it is done."""
        queue = self._queues[entry.conv]
        was_first = queue.entries[0] is entry
        queue.entries.remove(entry)
        if was_first:
            queue.failed = False
        if not queue.entries:
            del self._queues[entry.conv]

    def void(self) -> list[Entry]:
        """Seqs mean something else now: takes out what refers to one, and returns it."""
        voided = [entry for entry in self if entry.ref is not None or entry.forward is not None]
        for entry in voided:
            queue = self._queues[entry.conv]
            queue.entries.remove(entry)
            if not queue.entries:
                del self._queues[entry.conv]
        return voided

    def failed(self, entry: Entry, not_before: float) -> None:
        """No final answer: it must be sent again, before any later one of its conversation."""
        queue = self._queues[entry.conv]
        entry.sent = False
        entry.failures += 1
        queue.failed = True
        queue.not_before = max(queue.not_before, not_before)

    def disconnected(self) -> None:
        """The connection is gone: whatever was under way has to be sent again, in order."""
        for queue in self._queues.values():
            for entry in queue.entries:
                queue.failed = queue.failed or entry.sent
                entry.sent = False
