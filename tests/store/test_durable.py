"""P1: what was acknowledged is there after the store was closed, after a cancelled program and after kill -9."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.store.conftest import Opening
from tests.store.talk import PATIENCE, Talk, msg
from wirechat.store.database import Store
from wirechat.store.errors import Unavailable
from wirechat.store.features import accounts, history, sync
from wirechat.store.records import Appended, Commit, HistoryPage, Refusal

pytestmark = pytest.mark.usefixtures("bounded")

ROOT = Path(__file__).parents[2]


async def test_a_store_opened_again_is_the_same(opening: Opening) -> None:
    """Entries, marks, horizon, epoch, key of digests; and its numbers go on."""
    async with opening() as store:
        talk = await Talk(store).people(3)
        conv = await talk.group(1, 2)
        sent = msg(conv, 1)
        await talk.done(sent)
        await talk.mark(conv, 2, read=2)
        before = await talk.records(1, conv), store.epoch, store.digest_key
        horizon = await store.read(sync.horizon)
    async with opening() as store:
        talk = Talk(store)
        assert (await talk.records(1, conv), store.epoch, store.digest_key) == before
        assert await store.read(sync.digest, 1, horizon, 0, 10) == []
        assert (await talk.done(sent)).dup
        assert await talk.say(conv, 2) == 3
        assert [row.conv for row in await store.read(sync.digest, 1, horizon, 0, 10)] == [conv]


async def test_what_was_submitted_is_committed_when_the_program_is_cancelled(opening: Opening) -> None:
    """Ctrl-C: the store is closed only after everything in its queue was done."""
    told: list[Commit] = []
    with trio.CancelScope() as scope:
        async with opening() as store:
            talk = await Talk(store).people(2)
            conv = await talk.group(1, 2)
            for _ in range(30):
                store.start_append([msg(conv, 1), msg(conv, 2)], 5, {}, told.append)
            scope.cancel()
            await trio.sleep_forever()
    async with opening() as store:
        assert await Talk(store).head(1, conv) == 61
    assert [isinstance(result, Appended) for commit in told for result in commit.results] == [True] * 60


async def test_a_write_goes_on_when_nobody_waits_for_it_any_more(opening: Opening) -> None:
    """A client that disconnects in the middle of its login leaves no half of it."""
    async with opening() as store:
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.write(accounts.create, 1, "ann", None, None, 5)
        assert scope.cancelled_caught
        with trio.fail_after(PATIENCE):
            while await store.read(accounts.find, "ann") is None:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_closed_store_says_so(opening: Opening) -> None:
    """To those who come too late: surely not executed, and nobody waits for ever."""
    async with opening() as store:
        talk = await Talk(store).people(2)
        conv = await talk.group(1, 2)
    with trio.fail_after(PATIENCE):
        with pytest.raises(Unavailable):
            await store.read(sync.horizon)
        with pytest.raises(Unavailable):
            await store.write(accounts.create, 9, "late", None, None, 5)
        (result,) = await talk.results(msg(conv, 1))
    assert isinstance(result, Unavailable)


CHILD = """
import sys, trio
from tests.store.talk import Talk, append, msg
from wirechat.store.records import Appended
{opener}

async def main():
    async with {opening} as store:
        talk = await Talk(store).people(3)
        conv = await talk.group(1, 2)
        print("conv", conv, flush=True)
        while True:
            commit = await append(store, [msg(conv, 1), msg(conv, 2), msg(conv, 1)], 5, {{}})
            print("acknowledged", max(result.seq for result in commit.results), flush=True)

trio.run(main)
"""


async def killed(opener: str, opening: str, lines: int) -> tuple[int, int]:
    """Run the child until it has acknowledged that often, kill it, and return (conv, highest acknowledged seq)."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", CHILD.format(opener=opener, opening=opening)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    said = b""
    with trio.fail_after(PATIENCE):
        while said.count(b"\n") <= lines:
            said += await process.stdout.receive_some()
        process.kill()
        while more := await process.stdout.receive_some():
            said += more
        await process.wait()
    words = [line.split() for line in said[: said.rindex(b"\n")].split(b"\n")]
    return int(words[0][1]), int(words[-1][1])


async def gapless(store: Store, conv: int, acknowledged: int) -> None:
    page = await store.read(history.history, 1, conv, None, 1_000_000, 100_000_000)
    assert isinstance(page, HistoryPage), Refusal
    assert [record.seq for record in page.records] == list(range(1, page.rev + 1))
    assert page.rev >= acknowledged


@pytest.mark.parametrize("lines", [1, 20, 60])
async def test_kill_9_loses_nothing_that_was_acknowledged(opening: Opening, lines: int) -> None:
    """A real process, killed while it commits."""
    assert isinstance(opening, partial)
    module, function = opening.func.__module__, opening.func.__name__
    conv, acknowledged = await killed(
        f"from {module} import {function}", f"{function}({str(opening.args[0])!r})", lines
    )
    async with opening() as store:
        await gapless(store, conv, acknowledged)
        assert await Talk(store).say(conv, 1) > acknowledged
