"""The list of conversations: what each is called, what was last said, and what is unread in it.

Rules: knows the client's cache and nothing of the screen. A conversation is looked at again only when an event named
it, so the list stays cheap with a thousand of them.
"""

from collections.abc import Iterable, Mapping

import attrs

from wirechat import wire
from wirechat.cli.chat.people import People
from wirechat.cli.chat.timeline import notice, said
from wirechat.client import Client, Conversation
from wirechat.client.unread import count
from wirechat.wire.registries import ConversationKind, EntryKind

__all__ = ["Chat", "Chats"]

SHOWN_MAX = 99  # beyond that it says 99+
NOTES = "Notes to self"
RECENT = 20  # records in which the last message is looked for


@attrs.frozen
class Chat:
    """One line of the list."""

    conv: int
    kind: int
    """A ConversationKind; 0 until the server has described it."""
    title: str
    peer: int | None
    members: int
    role: int
    former: bool
    head: int
    last_ms: int
    """When something was last said or done; 0: not known."""
    preview: str
    unread: int
    mentions: int
    about: str = ""
    """What a group says of itself."""
    more: bool = False
    """There are more unread messages than were counted."""
    online: bool = False
    """The other one is there."""

    @property
    def count(self) -> str:
        """The unread messages as a word; empty for none."""
        if self.unread > SHOWN_MAX or (self.more and self.unread):
            return f"{min(self.unread, SHOWN_MAX)}+"
        return str(self.unread) if self.unread else ""


class Chats:
    """All conversations of a client."""

    def __init__(self, client: Client, people: People) -> None:
        self._client = client
        self._people = people
        self._chats: dict[int, Chat] = {}
        self._seen: dict[int, int] = {}
        self._told: dict[int, wire.Count] = {}

    def told(self, counts: Mapping[int, wire.Count]) -> None:
        """The server has counted what this device cannot count."""
        self._told.update(counts)
        self.refresh(counts)

    def seen(self, conv: int, seq: int) -> bool:
        """The person has read up to here, whether or not the server knows it yet. False: that was known."""
        if seq <= self._seen.get(conv, 0):
            return False
        self._seen[conv] = seq
        self.refresh([conv])
        return True

    def forget(self) -> None:
        """Seqs mean something else now: what was seen and counted of another log is worth nothing."""
        self._seen.clear()
        self._told.clear()

    def refresh(self, convs: Iterable[int] | None = None) -> None:
        """Looks at these again, None = all."""
        if convs is None:
            self._chats = {each.conv: self._chat(each) for each in self._client.conversations.list()}
            return
        for conv in convs:
            conversation = self._client.conversations.get(conv)
            if conversation is None:
                self._chats.pop(conv, None)
            else:
                self._chats[conv] = self._chat(conversation)

    def get(self, conv: int) -> Chat | None:
        """One of them."""
        return self._chats.get(conv)

    def ordered(self) -> list[Chat]:
        """The liveliest first."""
        return sorted(self._chats.values(), key=lambda chat: (chat.last_ms, chat.conv), reverse=True)

    def matching(self, text: str) -> list[Chat]:
        """Those whose title contains these words."""
        words = text.lower().split()
        return [chat for chat in self.ordered() if all(word in chat.title.lower() for word in words)]

    def unseen(self) -> list[int]:
        """Conversations of which nothing is cached although something was said."""
        return [chat.conv for chat in self._chats.values() if chat.head and not chat.last_ms]

    def _chat(self, conversation: Conversation) -> Chat:
        counted = self._count(conversation)
        records = list(self._client.log(conversation.conv, newest=RECENT).records.values())
        info = conversation.info
        return Chat(
            conv=conversation.conv,
            kind=0 if info is None else info.kind,
            title=self._title(info, records),
            peer=None if info is None else info.peer,
            members=0 if info is None else info.members,
            role=0 if info is None else info.role,
            about="" if info is None else info.about or "",
            former=conversation.former,
            head=conversation.head,
            last_ms=records[-1].ts if records else 0,
            preview=self._preview(records, info),
            unread=0 if counted is None else counted.unread,
            mentions=0 if counted is None else counted.mentions,
            more=counted is not None and counted.more,
        )

    def _count(self, conversation: Conversation) -> wire.Count | None:
        conv = conversation.conv
        known = self._client.receipts.counted([conv]).get(conv) or self._told.get(conv)
        seen = self._seen.get(conv, 0)
        if known is None or seen <= max(known.read, conversation.read):
            return known
        records = self._client.log(conv, newest=conversation.head - seen).records.values()
        me, blocked = self._people.me, self._client.account.blocked
        return count(conv, records, me=me, read=seen, head=conversation.head, blocked=blocked)

    def _title(self, info: wire.Info | None, records: Iterable[wire.Record]) -> str:
        if info is None:
            return "…"
        if info.kind == ConversationKind.SELF:
            return NOTES
        if info.kind == ConversationKind.DIRECT and info.peer is not None:
            return self._people.name(info.peer)
        if info.title:
            return info.title
        others = {record.sender for record in records} - {self._people.me}
        return f"Group with {self._people.names(sorted(others))}" if others else "Group"

    def _preview(self, records: list[wire.Record], info: wire.Info | None) -> str:
        messages = [record for record in records if record.kind == EntryKind.MSG]
        if not messages:
            return notice(records[-1], self._people) if records else ""
        last = messages[-1]
        text = said(last.content) or "deleted message"
        if info is not None and info.kind == ConversationKind.SELF:
            return text
        if last.sender == self._people.me:
            return f"You: {text}"
        direct = info is not None and info.kind == ConversationKind.DIRECT
        return text if direct else f"{self._people.name(last.sender)}: {text}"
