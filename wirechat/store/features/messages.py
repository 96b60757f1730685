"""What an entry does to the message it is about: its text, its reactions, its pin, whom it mentions."""

from __future__ import annotations

import attrs

from wirechat.store.features import mentions, pins
from wirechat.store.records import Append, Appended, Kind, Refusal, pack_users, unpack_users
from wirechat.store.tx import Tx

REACTIONS_MAX = 1000
"""Users with a reaction on one message: a record must fit into a frame."""


@attrs.frozen
class Message:
    """A message in its latest state."""

    conv: int
    seq: int
    sender: int
    deleted: bool
    mentioned: tuple[int, ...]
    pinned: int | None

    @property
    def mentions(self) -> list[mentions.Mention]:
        """Its rows in the table of mentions."""
        return mentions.of(self.conv, self.seq, self.sender, self.mentioned)


async def find(tx: Tx, conv: int, seq: int) -> Message | None:
    """None for whatever is no message."""
    row = await tx.fetchrow(
        "SELECT sender, content IS NULL, CASE WHEN latest IS NULL THEN users ELSE latest_users END, pinned"
        " FROM entry WHERE conv = $1 AND seq = $2 AND kind = $3",
        conv, seq, int(Kind.MSG),
    )  # fmt: skip
    return None if row is None else Message(conv, seq, row[0], bool(row[1]), unpack_users(row[2]), row[3])


async def refusal(tx: Tx, item: Append, message: Message) -> Refusal | None:
    """Why what the sender may do cannot be done to the message as it is."""
    if message.deleted:
        return Refusal.DELETED
    if item.kind == Kind.REACT and item.content is not None and await _reacted_enough(tx, item):
        return Refusal.LIMIT
    if item.kind in (Kind.PIN, Kind.UNPIN):
        return await pins.refusal(tx, item.conv, item.kind, message.pinned)
    return None


async def _reacted_enough(tx: Tx, item: Append) -> bool:
    others = await tx.fetchrow(
        "SELECT count(*) FROM reaction WHERE conv = $1 AND seq = $2 AND user_id <> $3",
        item.conv, item.ref, item.sender,
    )  # fmt: skip
    assert others is not None
    return int(others[0]) >= REACTIONS_MAX


async def project(tx: Tx, item: Append, done: Appended, message: Message) -> None:
    """The entry changes the message."""
    if item.kind == Kind.EDIT:
        await _edit(tx, item, done, message)
    elif item.kind == Kind.DELETE:
        await _wipe(tx, done, message)
    elif item.kind == Kind.REACT:
        await _react(tx, item, done)
    else:
        await pins.change(tx, message.conv, message.seq, item.kind, done.seq)


async def _edit(tx: Tx, item: Append, done: Appended, message: Message) -> None:
    await tx.execute(
        "UPDATE entry SET latest = $1, latest_users = $2, edited = $3, rev = $4 WHERE conv = $5 AND seq = $6",
        item.content, pack_users(item.users), done.ts, done.seq, message.conv, message.seq,
    )  # fmt: skip
    await mentions.forget(tx, message.mentions)
    await mentions.note(tx, mentions.of(message.conv, message.seq, message.sender, item.users))


async def _wipe(tx: Tx, done: Appended, message: Message) -> None:
    conv, seq = message.conv, message.seq
    await tx.execute(
        "UPDATE entry SET content = NULL, users = NULL, latest = NULL, latest_users = NULL, edited = NULL,"
        " origin_user = NULL, origin_ts = NULL, pinned = NULL, rev = $1 WHERE conv = $2 AND seq = $3",
        done.seq, conv, seq,
    )  # fmt: skip
    await tx.execute(
        "UPDATE entry SET content = NULL, users = NULL WHERE conv = $1 AND seq IN"
        " (SELECT seq FROM entry WHERE conv = $1 AND ref = $2 AND kind = 2)",
        conv,
        seq,
    )  # fmt: skip  the literal 2 (EDIT) lets the partial index serve; a walk of the log would hold up all writers
    await tx.execute("DELETE FROM reaction WHERE conv = $1 AND seq = $2", conv, seq)
    await mentions.forget(tx, message.mentions)


async def _react(tx: Tx, item: Append, done: Appended) -> None:
    conv, ref = item.conv, item.ref
    if item.content is None:
        await tx.execute("DELETE FROM reaction WHERE conv = $1 AND seq = $2 AND user_id = $3", conv, ref, item.sender)
    else:
        await tx.execute(
            "INSERT INTO reaction (conv, seq, user_id, content) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (conv, seq, user_id) DO UPDATE SET content = excluded.content",
            conv, ref, item.sender, item.content,
        )  # fmt: skip
    await tx.execute("UPDATE entry SET rev = $1 WHERE conv = $2 AND seq = $3", done.seq, conv, ref)
