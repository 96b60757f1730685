"""What a program can watch: typed events and the feed that carries them.

Rules: publishing never waits, because the receiving path publishes. A feed is bounded: when its reader is slow, what
waits is replaced by one Refresh. Nothing is lost by that, since the cached log is the truth; only SendFailed, which
stands nowhere else, is kept.
"""

import weakref
from collections import deque

import attrs
import trio

from wirechat import wire
from wirechat.client.errors import ClientError, Refused

__all__ = [
    "AccountChanged",
    "Connected",
    "ConversationChanged",
    "DevicesChanged",
    "Disconnected",
    "Event",
    "Events",
    "Feed",
    "MessageAdded",
    "MessagesHidden",
    "PresenceChanged",
    "ReceiptChanged",
    "RecordChanged",
    "Refresh",
    "Resynced",
    "SendFailed",
    "TypingChanged",
]


@attrs.frozen
class MessageAdded:
    """A record is new on this device: a message, or a change of membership (see `record.kind`)."""

    conv: int
    record: wire.Record


@attrs.frozen
class RecordChanged:
    """A record was edited, deleted (no content), pinned or unpinned, or got or lost a reaction."""

    conv: int
    record: wire.Record


@attrs.frozen
class ReceiptChanged:
    """Watermarks rose; those of this device's own user may be among them."""

    conv: int
    marks: tuple[wire.Watermark, ...]


@attrs.frozen
class ConversationChanged:
    """A conversation is new, its description changed, the device jumped to its newest entries, or it does not exist."""

    conv: int


@attrs.frozen
class PresenceChanged:
    """Watched users came or went, or changed their profile (`rev`). Only while connected."""

    statuses: tuple[wire.Status, ...]


@attrs.frozen
class TypingChanged:
    """Somebody types in a conversation, or does not any more."""

    conv: int
    user: int
    on: bool


@attrs.frozen
class MessagesHidden:
    """This user has hidden messages, on whatever device: they have left the log and will not come back."""

    conv: int
    seqs: tuple[int, ...]


@attrs.frozen
class AccountChanged:
    """The own profile, its audience, or the list of blocked users is another one; see client.account."""


@attrs.frozen
class DevicesChanged:
    """A device of this user is new, was renamed or revoked, or a password or key was changed."""


@attrs.frozen
class SendFailed:
    """The server refused an entry that nobody waits for any more; it has left the outbox."""

    conv: int
    cid: bytes
    kind: int
    content: wire.Content | None
    ref: int | None
    error: Refused
    forward: wire.Source | None = None


@attrs.frozen
class Connected:
    """Logged in; the digest comes next."""

    user: int
    device: int


@attrs.frozen
class Disconnected:
    """The connection ended. `retry_seconds`: when the next attempt comes; None: never."""

    error: ClientError
    retry_seconds: float | None


@attrs.frozen
class Resynced:
    """The server's log is another one than before (a restore): everything cached was dropped and is read anew."""


@attrs.frozen
class Refresh:
    """Events were dropped because they were not read fast enough: look at the logs again."""


Event = (
    MessageAdded
    | RecordChanged
    | ReceiptChanged
    | ConversationChanged
    | PresenceChanged
    | TypingChanged
    | MessagesHidden
    | AccountChanged
    | DevicesChanged
    | SendFailed
    | Connected
    | Disconnected
    | Resynced
    | Refresh
)


class Feed:
    """An async iterator of events from its creation on. It ends with the client, raising why if that is an error."""

    def __init__(self, events_max: int) -> None:
        self._events_max = events_max
        self._waiting: deque[Event] = deque()
        self._news = trio.Event()
        self._closed = False
        self._error: ClientError | None = None

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            self._news = trio.Event()
            await self._news.wait()
        await trio.lowlevel.checkpoint()
        return self._waiting.popleft()

    def put(self, event: Event) -> None:
        """Adds an event; never waits."""
        if len(self._waiting) >= self._events_max:
            kept = [waiting for waiting in self._waiting if isinstance(waiting, SendFailed)]
            self._waiting = deque([*kept, Refresh()])
        self._waiting.append(event)
        self._news.set()

    def close(self, error: ClientError | None) -> None:
        """No more events will come."""
        self._closed, self._error = True, error
        self._news.set()


class Events:
    """Spreads each event to every feed that is still in use."""

    def __init__(self) -> None:
        self._feeds: list[weakref.ref[Feed]] = []
        self._closed = False
        self._error: ClientError | None = None

    def feed(self, events_max: int) -> Feed:
        """A new feed of at most `events_max` waiting events; it lives as long as somebody holds it."""
        feed = Feed(events_max)
        if self._closed:
            feed.close(self._error)
        self._feeds.append(weakref.ref(feed))
        return feed

    def publish(self, event: Event) -> None:
        """Gives an event to all feeds; never waits."""
        for feed in self._in_use():
            feed.put(event)

    def close(self, error: ClientError | None) -> None:
        """Ends all feeds; the first reason counts."""
        if self._closed:
            return
        self._closed, self._error = True, error
        for feed in self._in_use():
            feed.close(error)

    def _in_use(self) -> list[Feed]:
        feeds = [feed for reference in self._feeds if (feed := reference()) is not None]
        if len(feeds) < len(self._feeds):
            self._feeds = [weakref.ref(feed) for feed in feeds]
        return feeds
