"""P3 and P4: seq is 1, 2, 3 … without a hole, in the order of the batch, and time never runs against it."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

from tests.store.talk import PATIENCE, Talk, add, append, delete, edit, msg, react, remove
from wirechat.store.database import Store
from wirechat.store.errors import Unavailable
from wirechat.store.features import history, journal
from wirechat.store.records import Append, Appended, Commit, Refusal


async def test_a_batch_keeps_its_order(talk: Talk) -> None:
    """What one connection sends to one conversation is in the log in that order, others in between or not."""
    one, two = await talk.group(1, 2), await talk.group(1, 2)
    batch = [msg(random.choice((one, two)), 1 + number % 2, b"%d" % number) for number in range(200)]
    results = await talk.results(*batch)
    for conv in (one, two):
        assert [result.seq for item, result in zip(batch, results, strict=True) if item.conv == conv] == list(
            range(2, 2 + sum(item.conv == conv for item in batch))
        )
        said = [item.content for item in batch if item.conv == conv]
        assert (await talk.texts(2, conv))[1:] == said


async def test_a_refused_entry_takes_no_seq(talk: Talk) -> None:
    """Outsiders, strangers to the conversation, things that are not there: between good ones."""
    conv = await talk.group(1, 2)
    other = await talk.group(3)
    seq = await talk.say(conv, 1)
    results = await talk.results(
        msg(conv, 1),
        msg(conv, 3),
        msg(other, 1),
        msg(12345, 1),
        edit(conv, 2, seq),
        delete(conv, 1, 99),
        react(conv, 1, 1),
        add(conv, 1, 2),
        add(conv, 1, 777),
        remove(conv, 2, 1),
        remove(conv, 1, 5),
        msg(conv, 2),
    )
    assert [result.seq for result in results if isinstance(result, Appended)] == [3, 4]
    assert results[1:-1] == [
        Refusal.NO_CONVERSATION, Refusal.NO_CONVERSATION, Refusal.NO_CONVERSATION, Refusal.FORBIDDEN,
        Refusal.NOT_FOUND, Refusal.NOT_FOUND, Refusal.CONFLICT, Refusal.NOT_FOUND, Refusal.FORBIDDEN, Refusal.NOT_FOUND,
    ]  # fmt: skip


async def test_time_never_runs_against_seq(talk: Talk) -> None:
    """[9-2]: not even when the clock is set back."""
    conv = await talk.group(1, 2)
    stamps = []
    for now_ms in (5_000, 9_000, 2_000, 0, 9_001):
        commit = await talk.append(msg(conv, 1), msg(conv, 2), now_ms=now_ms)
        stamps += [result.ts for result in commit.results if isinstance(result, Appended)]
    assert stamps == [5_000, 5_000, 9_000, 9_000, 9_000, 9_000, 9_000, 9_000, 9_001, 9_001]


async def test_many_appends_at_once_leave_no_hole(talk: Talk) -> None:
    """Started without waiting for each other; `done` comes in the order of seq."""
    conv = await talk.group(1, 2)
    ended: list[Appended] = []
    finished = trio.Event()

    def done(commit: Commit) -> None:
        ended.extend(result for result in commit.results if isinstance(result, Appended))
        if len(ended) == 120:
            finished.set()

    for _ in range(40):
        talk.store.start_append([msg(conv, 1), msg(conv, 2), msg(conv, 1)], 7_000, {}, done)
    with trio.fail_after(PATIENCE):
        await finished.wait()
    assert [result.seq for result in ended] == list(range(2, 122))


async def test_a_read_sees_every_append_whose_done_was_called(talk: Talk) -> None:
    """Reads run beside the commits, on another connection, and must not be behind."""
    convs = [await talk.group(1, 2) for _ in range(4)]
    missing: list[int] = []

    async def writer(conv: int) -> None:
        for _ in range(50):
            (result,) = (await append(talk.store, [msg(conv, 1)], 5, {})).results
            assert isinstance(result, Appended)
            page = await talk.store.read(history.history, 2, conv, None, 1, 1000)
            assert not isinstance(page, Refusal)
            if page.rev < result.seq:
                missing.append(result.seq)

    async with trio.open_nursery() as nursery:
        for conv in convs:
            nursery.start_soon(writer, conv)
    assert not missing


async def test_an_ordered_read_arrives_after_the_done_of_what_it_saw(talk: Talk) -> None:
    """The pass over the store relies on it (R7): nothing is news that this node is about to announce itself."""
    conv = await talk.group(1, 2)
    announced = [1]

    def done(commit: Commit) -> None:
        announced.extend(result.seq for result in commit.results if isinstance(result, Appended))

    for _ in range(60):
        talk.store.start_append([msg(conv, 1)], 5, {}, done)
        page = await talk.store.read_ordered(history.history, 1, conv, None, 1, 1000)
        assert not isinstance(page, Refusal)
        assert page.rev <= announced[-1]


class Poison(Exception):
    """Something nobody thought of."""


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A text that makes the append fail in a way that is not foreseen."""
    enter = journal._Batch._enter

    def fails(self: Any, log: Any, item: Append, *args: Any) -> Appended:
        if item.content == b"poison":
            raise Poison("unexpected")
        return enter(self, log, item, *args)

    monkeypatch.setattr(journal._Batch, "_enter", fails)
    return b"poison"


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_one_bad_entry_costs_only_itself(talk: Talk, poison: bytes, size: int) -> None:
    """A batch that fails for no known reason is split until the bad one is alone."""
    conv = await talk.group(1, 2)
    bad = size // 2
    batch = [msg(conv, 1, poison if number == bad else b"%d" % number) for number in range(size)]
    results = await talk.results(*batch)
    assert isinstance(results.pop(bad), Unavailable)
    assert [result.seq for result in results] == list(range(2, size + 1))
    assert (await talk.texts(2, conv))[1:] == [item.content for item in batch if item.content != poison]


async def test_several_bad_ones_among_repetitions(talk: Talk, poison: bytes) -> None:
    """Splitting and looking closer do not get in each other's way."""
    conv = await talk.group(1, 2)
    known = msg(conv, 1, b"known")
    await talk.done(known)
    fresh = msg(conv, 2, b"fresh")
    results = await talk.results(known, msg(conv, 1, poison), fresh, msg(conv, 2, poison), fresh, known)
    assert [getattr(result, "seq", None) for result in results] == [2, None, 3, None, 3, 2]
    assert await talk.head(1, conv) == 3


async def test_what_the_engine_cannot_hold_costs_only_itself(talk: Talk) -> None:
    """A number that fits into no column."""
    conv = await talk.group(1, 2)
    results = await talk.results(msg(conv, 1), msg(conv, 1, ref=1 << 70), msg(conv, 2))
    assert [getattr(result, "seq", None) for result in results] == [2, None, 3]


async def test_the_members_are_told_when_the_caller_does_not_know_them(talk: Talk) -> None:
    """R6: the list is never older than the entry it comes with."""
    conv = await talk.group(1, 2)
    assert (await talk.append(msg(conv, 1), known={conv: 1})).members == {}
    commit = await talk.append(msg(conv, 1))
    assert (commit.members[conv].version, commit.members[conv].since) == (1, {1: 1, 2: 1})
    commit = await talk.append(add(conv, 1, 3), msg(conv, 3), remove(conv, 1, 2), known={conv: 1})
    assert (commit.members[conv].version, commit.members[conv].since) == (6, {1: 1, 3: 4})


async def test_nothing_is_no_batch(store: Store) -> None:
    """An empty one is committed and says nothing."""
    assert await append(store, [], 1, {}) == Commit([], {})
