"""Writing into a conversation: messages, forwards, edits, deletions, reactions, pins.

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

    async def send(self, conv: int, text: str, reply_to: int | None = None, mentions: Iterable[int] = ()) -> Sent:
        """Sends a message and waits, across reconnects, until it is durable on the server.

        `reply_to`: seq of the message it answers. `mentions`: users whose attention it wants, at most 50. Raises
        Refused; see Handle.wait for cancellation.
        """
        return await (await self.send_soon(conv, text, reply_to, mentions)).wait()

    async def send_soon(
        self, conv: int, text: str, reply_to: int | None = None, mentions: Iterable[int] = ()
    ) -> Handle:
        """Queues a message durably here and returns at once. Its refusal is a SendFailed event, or raised by wait()."""
        content = wire.Content(ContentType.TEXT, text)
        return await self._append(conv, EntryKind.MSG, content, reply_to, mentions)

    async def forward(self, conv: int, seq: int, to: int) -> Sent:
        """Sends a copy of message `seq` of `conv` into conversation `to`. It says who wrote it, and not where.

        The server copies the text as it is then, so it may be newer than what is shown here. Raises Refused.
        """
        return await (await self._append(to, EntryKind.MSG, None, None, forward=wire.Source(conv, seq))).wait()

    async def edit(self, conv: int, seq: int, text: str, mentions: Iterable[int] = ()) -> Sent:
        """Replaces the text of one's own message, and whom it mentions."""
        content = wire.Content(ContentType.TEXT, text)
        return await (await self._append(conv, EntryKind.EDIT, content, seq, mentions)).wait()

    async def delete(self, conv: int, seq: int) -> Sent:
        """Deletes a message for all: one's own, or in a group, from moderator on, one of somebody of lower role."""
        return await (await self._append(conv, EntryKind.DELETE, None, seq)).wait()

    async def react(self, conv: int, seq: int, emoji: str | None) -> Sent:
        """Sets one's one reaction on a message; None takes it back."""
        content = None if emoji is None else wire.Content(ContentType.EMOJI, emoji)
        return await (await self._append(conv, EntryKind.REACT, content, seq)).wait()

    async def pin(self, conv: int, seq: int) -> Sent:
        """Pins a message, for all."""
        return await (await self._append(conv, EntryKind.PIN, None, seq)).wait()

    async def unpin(self, conv: int, seq: int) -> Sent:
        """Takes a pin back, whoever set it."""
        return await (await self._append(conv, EntryKind.UNPIN, None, seq)).wait()

    def unsent(self) -> Iterable[Entry]:
        """What the server has not confirmed yet, each conversation in order."""
        return tuple(self._outbox)

    async def _append(
        self,
        conv: int,
        kind: EntryKind,
        content: wire.Content | None,
        ref: int | None,
        mentions: Iterable[int] = (),
        forward: wire.Source | None = None,
    ) -> Handle:
        handle = Handle(conv, self._world.random_bytes(CID_BYTES))
        users = tuple(dict.fromkeys(mentions))
        await self._post(Entry(conv, handle.cid, kind, content, ref, users, forward, waiter=handle))
        return handle
