"""What is known of the server's data while there is none to look at, and of what is gone when one looks."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import outcome
import trio

from tools.history.checker import History
from tools.history.entries import Op
from tools.simulate.founding import found
from tools.simulate.memory import MemoryDisk
from tools.simulate.truth import Truth
from wirechat import wire
from wirechat.store.database import open_sqlite
from wirechat.store.lanes import finished
from wirechat.store.records import Append, Appended, Commit
from wirechat.wire.registries import ContentType, EntryKind

GROUP = 1


def test_nobody_shows_that_he_is_there_while_the_restored_data_is_not_open() -> None:
    """A device that has not noticed yet that it is cut off is asked about even then."""
    truth = Truth(History())
    truth.restored({})
    assert not truth.shows_presence(1)


async def commit(disk: MemoryDisk, history: History, ops: Sequence[Op]) -> None:
    """Ask for all of these, and let the real store append them in one transaction."""
    batch = []
    for op in ops:
        cid = str(op.content or op.source or op.kind).encode()[:8].ljust(8)
        content = wire.Content(ContentType.TEXT, op.content).pack() if isinstance(op.content, str) else None
        batch.append(Append(op.conv, op.sender, cid, op.kind, content, op.ref, (), bytes(16), source=op.source))
        history.invoke((op.sender, op.conv, cid), op)
    async with open_sqlite("", connect=disk.connect, locked=False) as store:
        made: Commit = await finished(
            lambda done: store.start_append(batch, 0, {}, lambda made: done(outcome.Value(made)))
        )
    assert all(isinstance(result, Appended) for result in made.results)


def test_an_edit_that_was_forwarded_and_deleted_in_one_commit_was_said() -> None:
    """When one looks only its copy is left."""
    founded, history = found((1, 1)), History(distinct=True)
    user, truth = founded.accounts[0].user, Truth(history)
    message = Op(GROUP, user, EntryKind.MSG, "before")
    edit = Op(GROUP, user, EntryKind.EDIT, "after", ref=2)
    forward = Op(GROUP, user, EntryKind.MSG, source=(GROUP, 2))
    delete = Op(GROUP, user, EntryKind.DELETE, ref=2)
    with contextlib.closing(founded.disk.copy()) as disk:
        trio.run(commit, disk, history, [message])
        trio.run(commit, disk, history, [edit, forward, delete])
        truth.open(disk.holder)
        Truth(History()).open(disk.holder)  # who heard nobody ask for anything can read it too
    assert [entry.content for entry in truth.log(GROUP)] == [None, None, None, "after", None]
    assert history.violations == []
    assert truth.copies.holders("after") == {(GROUP, 2), (GROUP, 4)}
