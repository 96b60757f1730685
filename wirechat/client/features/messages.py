"""Writing into a conversation: messages, edits, deletions, reactions.

Rules: everything goes through the outbox, so it survives a crash of this program, keeps its order within the
conversation, and is executed once, however often the connection breaks.
"""

from collections.abc import Iterable

import trio

from wirechat import wire
from wirechat.client.calls import CID_BYTES, Post
from wirechat.client.errors import ClientError
from wirechat.client.outbox import Entry, Outbox, Sent
from wirechat.wire.registries import ContentType, EntryKind
from wirechat.world import World

__all__ = ["Handle", "Messages"]


class Handle:
    """An entry on its way. `cid` names it for ever."""

    def __init__(self, conv: int, cid: bytes) -> None:
        self.conv = conv
        self.cid = cid
        self._outcome: Sent | ClientError | None = None
        self._known = trio.Event()

    async def wait(self) -> Sent:
        """Where it stands in the log, once it is durable there. Raises Refused, or why the client has given up.

        Cancelled: the entry stays in the outbox and still goes out.
        """
        await self._known.wait()
        if isinstance(self._outcome, Sent):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome

    def settled(self, outcome: Sent | ClientError) -> bool:
        """Takes the outcome; False when nobody is waiting for it."""
        noticed = self._known.statistics().tasks_waiting > 0
        self._outcome = outcome
        self._known.set()
        return noticed


class Messages:
    """client.messages"""

    def __init__(self, post: Post, outbox: Outbox, world: World) -> None:
        self._post = post
        self._outbox = outbox
        self._world = world

    async def send(self, conv: int, text: str, reply_to: int | None = None) -> Sent:
        """Sends a message and waits, across reconnects, until it is durable on the server.

        `reply_to`: seq of the message it answers. Raises Refused; see Handle.wait for cancellation.
        """
        return await (await self.send_soon(conv, text, reply_to)).wait()

    async def send_soon(self, conv: int, text: str, reply_to: int | None = None) -> Handle:
        """Queues a message durably here and returns at once. Its refusal is a SendFailed event, or raised by wait()."""
        return await self._append(conv, EntryKind.MSG, wire.Content(ContentType.TEXT, text), reply_to)

    async def edit(self, conv: int, seq: int, text: str) -> Sent:
        """Replaces the text of one's own message."""
        return await (await self._append(conv, EntryKind.EDIT, wire.Content(ContentType.TEXT, text), seq)).wait()

    async def delete(self, conv: int, seq: int) -> Sent:
        """Deletes a message for all: one's own, or in a group, from moderator on, one of somebody of lower role."""
        return await (await self._append(conv, EntryKind.DELETE, None, seq)).wait()

    async def react(self, conv: int, seq: int, emoji: str | None) -> Sent:
        """Sets one's one reaction on a message; None takes it back."""
        content = None if emoji is None else wire.Content(ContentType.EMOJI, emoji)
        return await (await self._append(conv, EntryKind.REACT, content, seq)).wait()

    def unsent(self) -> Iterable[Entry]:
        """What the server has not confirmed yet, each conversation in order."""
        return tuple(self._outbox)

    async def _append(self, conv: int, kind: EntryKind, content: wire.Content | None, ref: int | None) -> Handle:
        handle = Handle(conv, self._world.random_bytes(CID_BYTES))
        await self._post(Entry(conv, handle.cid, kind, content, ref, waiter=handle))
        return handle
