"""The list of conversations: what each is called, what was last said, and what is unread in it.

Rules: knows the client's cache and nothing of the screen. A conversation is looked at again only when an event named
it, so the list stays cheap with a thousand of them.
"""

from collections.abc import Collection, Iterable

import attrs

from wirechat import wire
from wirechat.cli.chat.people import People
from wirechat.cli.chat.timeline import notice, said
from wirechat.client import Client, Conversation
from wirechat.wire.registries import ConversationKind, EntryKind

__all__ = ["Chat", "Chats"]

COUNTED_MAX = 100  # unread messages are counted up to here; beyond that it says 99+
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

    @property
    def count(self) -> str:
        """The unread messages as a word; empty for none."""
        return "" if not self.unread else "99+" if self.unread >= COUNTED_MAX else str(self.unread)


class Chats:
    """All conversations of a client."""

    def __init__(self, client: Client, people: People) -> None:
        self._client = client
        self._people = people
        self._chats: dict[int, Chat] = {}
        self._seen: dict[int, int] = {}

    def seen(self, conv: int, seq: int) -> bool:
        """The person has read up to here, whether or not the server knows it yet. False: that was known."""
        if seq <= self._seen.get(conv, 0):
            return False
        self._seen[conv] = seq
        self.refresh([conv])
        return True

    def refresh(self, convs: Collection[int] | None = None) -> None:
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
        read = max(conversation.read, self._seen.get(conversation.conv, 0))
        unread = min(max(0, conversation.head - read), COUNTED_MAX)
        view = self._client.log(conversation.conv, newest=max(RECENT, unread))
        records = list(view.records.values())
        fresh = [record for record in records if record.seq > read and self._counts(record)]
        info = conversation.info
        return Chat(
            conv=conversation.conv,
            kind=0 if info is None else info.kind,
            title=self._title(info, records),
            peer=None if info is None else info.peer,
            members=0 if info is None else info.members,
            role=0 if info is None else info.role,
            former=conversation.former,
            head=conversation.head,
            last_ms=records[-1].ts if records else 0,
            preview=self._preview(records, info),
            unread=len(fresh),
            mentions=sum(self._people.me in (record.users or ()) for record in fresh),
        )

    def _counts(self, record: wire.Record) -> bool:
        return record.kind == EntryKind.MSG and record.content is not None and record.sender != self._people.me

    def _title(self, info: wire.Info | None, records: Iterable[wire.Record]) -> str:
        if info is None:
            return "…"
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
        if last.sender == self._people.me:
            return f"You: {text}"
        direct = info is not None and info.kind == ConversationKind.DIRECT
        return text if direct else f"{self._people.name(last.sender)}: {text}"
