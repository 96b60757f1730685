"""What the program knows: people, conversations, the one that is open, and the state of the connection.

Rules: events say what to look at again, the client's cache says what is there. `happened` is cheap and may be called a
thousand times; `look` does the work once for all of them.
"""

import datetime
from collections.abc import Callable, Iterable

import attrs

from wirechat import wire
from wirechat.cli.chat import when
from wirechat.cli.chat.chats import Chat, Chats
from wirechat.cli.chat.compose import Draft
from wirechat.cli.chat.people import People
from wirechat.cli.chat.presence import Presence
from wirechat.cli.chat.status import Status
from wirechat.cli.chat.timeline import Hint, Row, Scene, rows
from wirechat.cli.chat.window import Window
from wirechat.client import AccountChanged, Client, Connected, Event, MessageAdded, Refresh, Resynced, SendFailed
from wirechat.wire.registries import ConversationKind, EntryKind

__all__ = ["Desk"]

HINT = Hint("No conversation is open. Ctrl+N begins one; Alt+Down opens the next in the list. F1 shows the keys.")
COUNT_MAX = 999  # messages below those in view
WATCHED_MAX = 256  # as the protocol has it
MEMBERSHIP = frozenset({EntryKind.CREATE, EntryKind.ADD, EntryKind.REMOVE, EntryKind.ROLE})


class Desk:
    """Everything that is shown, apart from how. `now`: seconds of any steady clock."""

    def __init__(self, client: Client, now: Callable[[], float]) -> None:
        self.client = client
        self.people = People(client.user, client.accounts.known)
        self.presence = Presence(client, self.people)
        self.chats = Chats(client, self.people)
        self.status = Status(now, connected=client.connected)
        self.window: Window | None = None
        self.failures: list[SendFailed] = []
        """Refused entries that the person has not been told of."""
        self.members: dict[int, dict[int, wire.Member]] = {}
        """The members of a conversation, once the server has told us."""
        self._drafts: dict[int, Draft] = {}
        self._stale: set[int] = set()
        self._all_stale = False
        self._outdated: set[int] = set()
        self.chats.refresh()

    # --- what happens

    def happened(self, event: Event) -> None:
        """Takes in an event; look() shows what it changed."""
        self.status.happened(event)
        conv = getattr(event, "conv", None)
        if conv is not None:
            self._stale.add(conv)
        if isinstance(event, Resynced):
            self.chats.forget()
            if self.window is not None:
                self.window.seen = 0
        if isinstance(event, SendFailed):
            self.failures.append(event)
        elif isinstance(event, Refresh | Resynced | Connected | AccountChanged):
            self._all_stale = True
            self._outdated.update(self.members)
        elif isinstance(event, MessageAdded) and event.record.kind in MEMBERSHIP:
            self._outdated.add(event.conv)

    def happened_in(self, conv: int) -> None:
        """Something about this conversation may be new, although no event said so."""
        self._stale.add(conv)

    def look(self) -> None:
        """Looks again at everything that events named, and at who is who."""
        self.people.forget()
        self.chats.refresh(None if self._all_stale else self._stale)
        if self.window is not None:
            self.window.failed(failure.cid for failure in self.failures)
            self.window.look()
        self._stale.clear()
        self._all_stale = False

    def named(self) -> None:
        """People who were asked for are known now."""
        self._all_stale = True

    # --- the open conversation

    @property
    def conv(self) -> int | None:
        """The open conversation."""
        return None if self.window is None else self.window.conv

    @property
    def chat(self) -> Chat | None:
        """Its line in the list."""
        return None if self.conv is None else self.chats.get(self.conv)

    @property
    def draft(self) -> Draft:
        """What is being written in it."""
        return self._drafts.setdefault(self.conv or 0, Draft())

    def open(self, conv: int) -> None:
        """Opens another conversation."""
        if self.conv != conv:
            self.window = Window(self.client, conv)

    def listed(self) -> list[Chat]:
        """The conversations, the liveliest first, and who of those one talks to is there."""
        return [attrs.evolve(chat, online=self.presence.online(chat.peer)) for chat in self.chats.ordered()]

    def neighbour(self, by: int) -> int | None:
        """The conversation that stands so far below the open one in the list."""
        ordered = [chat.conv for chat in self.chats.ordered()]
        if not ordered:
            return None
        at = ordered.index(self.conv) + by if self.conv in ordered else 0
        return ordered[max(0, min(at, len(ordered) - 1))]

    def rows(self) -> list[Row]:
        """The open conversation as rows."""
        window = self.window
        if window is None:
            return [HINT] if self.status.caught_up else []
        known = self.members.get(window.conv)
        scene = Scene(
            people=self.people,
            find=lambda seq: self.record(seq),
            marks=window.view.marks,
            members=self._audience() if known is None else {user: member.since for user, member in known.items()},
            blocked=self.client.account.blocked,
            source=self._source,
            unseen_after=window.unseen_after if window.shows_unseen else None,
        )
        return rows(window.view.records.values(), window.waiting, scene, upto_end=window.live)

    def record(self, seq: int) -> wire.Record | None:
        """A record of the open conversation, if it is cached."""
        if self.window is None:
            return None
        held = self.window.view.records.get(seq)
        return held or self.client.log(self.window.conv, newest=1, before=seq + 1).records.get(seq)

    def _source(self, source: wire.Source) -> wire.Record | None:
        return self.client.log(source.conv, newest=1, before=source.seq + 1).records.get(source.seq)

    def own_last(self) -> wire.Record | None:
        """The last message of one's own that could be edited."""
        records = [] if self.window is None else self.window.view.records.values()
        mine = [
            each for each in records if each.sender == self.people.me and each.kind == EntryKind.MSG and each.content
        ]
        return mine[-1] if mine else None

    def needs_members(self) -> bool:
        """The members of the open conversation have to be asked for (again)."""
        return self.conv is not None and (self.conv not in self.members or self.conv in self._outdated)

    def has_members(self, conv: int, members: Iterable[wire.Member]) -> None:
        """The server said who the members are."""
        self._outdated.discard(conv)
        self.members[conv] = {member.user: member for member in members}

    def handles(self) -> dict[str, int]:
        """Whom one may mention here."""
        users = self.members.get(self.conv or 0) or self._audience()
        found = {self.people.handle(user): user for user in users}
        return {handle: user for handle, user in found.items() if handle is not None}

    def _audience(self) -> dict[int, int]:
        """Who is here as far as the cache tells: the peer, or who was seen to join or speak, and not to leave."""
        chat, window = self.chat, self.window
        if chat is None or window is None:
            return {}
        if chat.kind == ConversationKind.DIRECT and chat.peer is not None:
            return {self.people.me: 0, chat.peer: 0}
        here: dict[int, int] = {}
        for record in window.view.records.values():
            here.setdefault(record.sender, 0)
            if record.kind in (EntryKind.CREATE, EntryKind.ADD):
                here.update(dict.fromkeys(record.users or (), record.seq))
            elif record.kind == EntryKind.REMOVE:
                for user in record.users or ():
                    here.pop(user, None)
        return here

    # --- reading

    def unread_upto(self, seq: int) -> int | None:
        """What to mark as read when the row of `seq` has been seen; None when nothing is to be marked."""
        window = self.window
        if window is None or not window.view.records:
            return None
        newest = next(reversed(window.view.records))
        upto = window.view.pos if window.live and seq >= newest else seq
        return upto if upto > window.read else None

    def has_seen(self, upto: int) -> bool:
        """The person has seen the open conversation up to here. Whether that is news to the list."""
        if self.window is None:
            return False
        self.window.seen = upto
        return self.chats.seen(self.window.conv, upto)

    def newer(self, seq: int) -> str:
        """How many messages stand below this one, for people; empty when there are none."""
        window = self.window
        if window is None:
            return ""
        view = window.view if window.live else self.client.log(window.conv, newest=COUNT_MAX + 1)
        count = sum(record.kind == EntryKind.MSG for record in view.records.values() if record.seq > seq)
        return f"{COUNT_MAX}+" if count > COUNT_MAX else str(count or "")

    @property
    def waiting(self) -> int:
        """How many entries are to be sent."""
        return len(tuple(self.client.messages.unsent()))

    def seen_at(self, device: wire.Device) -> str:
        """When a device was last there."""
        if device.device == self.client.device:
            return "this one"
        if device.online:
            return "connected now"
        return (
            "never connected"
            if device.seen is None
            else f"last seen {when.ago(device.seen, datetime.datetime.now().astimezone())}"
        )

    def watched(self) -> tuple[int, ...]:
        """Whose presence is worth knowing: those one talks to directly, the liveliest first, then who is here."""
        peers = [chat.peer for chat in self.chats.ordered() if chat.peer is not None]
        here = self.members.get(self.conv or 0, {})
        return tuple(dict.fromkeys(user for user in (*peers, *here) if user != self.people.me))[:WATCHED_MAX]

    def place(self, conv: int, ts: int) -> str:
        """Where and when something was said, in a few words."""
        chat = self.chats.get(conv)
        then = when.local(ts)
        return f"{'' if chat is None else chat.title} · {then.day} {then:%b %Y}"

    def title(self) -> tuple[str, str]:
        """The name of the open conversation, and what else there is to say about it."""
        chat = self.chat
        if chat is None:
            return "", ""
        if chat.former:
            return chat.title, "you are not a member any more"
        if chat.kind == ConversationKind.DIRECT:
            handle = None if chat.peer is None else self.people.handle(chat.peer)
            there = "" if chat.peer is None else self.presence.line(chat.peer, datetime.datetime.now().astimezone())
            return chat.title, " · ".join(word for word in (f"@{handle}" if handle else "", there) if word)
        if chat.kind == ConversationKind.SELF:
            return chat.title, "only you can read this, on all your devices"
        members = f"{chat.members} member{'' if chat.members == 1 else 's'}"
        return chat.title, f"{members} · {chat.about}" if chat.about else members
