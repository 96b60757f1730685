"""P8: what was deleted is gone from every read, edits and reactions included."""

from __future__ import annotations

from typing import Any

from tests.store.talk import LARGE, Talk, delete, edit, msg, react, remove
from wirechat.store.features import history
from wirechat.store.records import Kind, Refusal

SECRETS = (b"secret-text", b"secret-edit", b"secret-last")


async def told(talk: Talk) -> tuple[int, int]:
    """(conv, seq) of a message that was edited twice and reacted to, and deleted then."""
    conv = await talk.group(1, 2, 3)
    seq = await talk.say(conv, 1, SECRETS[0])
    await talk.results(edit(conv, 1, seq, SECRETS[1]), react(conv, 2, seq), edit(conv, 1, seq, SECRETS[2]))
    await talk.done(delete(conv, 1, seq))
    return conv, seq


async def test_no_read_yields_the_content(talk: Talk) -> None:
    """CHANGES, HISTORY and the entries of pushes that waited, for members and those who left."""
    conv, seq = await told(talk)
    await talk.done(remove(conv, 3, 3))
    for user in (1, 2, 3):
        changes = await talk.store.read(history.changes, user, conv, 0, 100, LARGE)
        older = await talk.store.read(history.history, user, conv, None, 100, LARGE)
        assert not isinstance(changes, Refusal)
        assert not isinstance(older, Refusal)
        for record in changes.records + older.records:
            assert record.content not in SECRETS
            if record.seq == seq:
                assert (record.content, record.edited, record.reactions, record.rev) == (None, None, (), 6)
    entries = await talk.store.read(history.entries, [(conv, number) for number in range(1, 8)])
    assert all(entry.content not in SECRETS for entry in entries)
    assert [entry.kind for entry in entries if entry.content is None] == [
        Kind.CREATE, Kind.MSG, Kind.EDIT, Kind.EDIT, Kind.DELETE, Kind.REMOVE,
    ]  # fmt: skip


async def test_no_row_holds_the_content(talk: Talk) -> None:
    """What is not in the tables cannot come out of them by a new feature either."""
    await told(talk)

    async def everything(tx: Any) -> list[Any]:
        return await tx.fetch("SELECT content, latest FROM entry"), await tx.fetch("SELECT content FROM reaction")

    entries, reactions = await talk.store.read(everything)
    assert not any(value in SECRETS for row in entries for value in row)
    assert reactions == []


async def test_in_the_batch_of_the_message_itself(talk: Talk) -> None:
    """Written and deleted before anybody saw it."""
    conv = await talk.group(1, 2)
    await talk.results(msg(conv, 1, SECRETS[0]), edit(conv, 1, 2, SECRETS[1]), delete(conv, 1, 2))
    assert await talk.texts(2, conv) == [None, None]


async def test_other_messages_keep_theirs(talk: Talk) -> None:
    """Also edits of others at the same time, and replies to what is gone."""
    conv, seq = await told(talk)
    kept = await talk.say(conv, 2, b"kept", seq)
    await talk.results(edit(conv, 2, kept, b"better"), react(conv, 1, kept))
    record = (await talk.records(3, conv))[-1]
    assert (record.seq, record.content, record.ref, record.reactions) == (kept, b"better", seq, ((1, b"+1"),))
