"""P1, P2, P12: what became of an interrupted commit is found out by asking again, never guessed, and the promises hold
either way.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import trio

from tests.store.proxy import Line, Moment, Proxy, between
from tests.store.talk import LARGE, Talk, account, add, append, block, edit, forward, group, msg
from wirechat.store import pools, settling
from wirechat.store.errors import OutcomeUnknown
from wirechat.store.features import devices
from wirechat.store.postgres import PostgresStore, open_postgres
from wirechat.store.records import Append, Appended, Kind, Refusal
from wirechat.store.tx import Tx

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("bounded")]
MOMENTS = [Line.lose_the_answer, Line.lose_the_question, Line.leave_at_once]
BY_NAME = pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    async with between(url) as made:
        yield made


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[PostgresStore]:
    async with open_postgres(proxy.url) as opened:
        yield opened


@BY_NAME
async def test_what_becomes_of_a_batch(talk: Talk, proxy: Proxy, moment: Moment) -> None:
    """Each entry is told as new, once, so that it is handed out: SEND_OK to its sender, the entry to the others."""
    conv, source = await talk.group(1, 2), await talk.group(1, 3)
    told = await talk.say(source, 1, b"to be copied")
    made = group(2, 4)
    batch = [
        msg(conv, 1, b"one"), edit(conv, 1, 2, b"uno"), forward(conv, 1, (source, told)), add(conv, 1, 5),
        made, msg(777, 1), block(1, 6), msg(conv, 2, b"two"),
    ]  # fmt: skip
    proxy.moments = [moment]
    commit = await talk.append(*batch)
    results: list[Any] = commit.results
    assert proxy.moments == []
    assert [getattr(result, "seq", result) for result in results] == [2, 3, 4, 5, 1, Refusal.NO_CONVERSATION, 1, 6]
    assert not any(result.dup for result in results if isinstance(result, Appended))
    assert (results[2].content, results[2].origin) == (b"to be copied", (1, results[2].origin[1]))
    assert commit.members[conv].since == {1: 1, 2: 1, 5: 5}
    assert commit.members[made.conv].since == {2: 1, 4: 1}
    assert await talk.texts(1, conv) == [None, b"uno", b"to be copied", None, b"two"]
    assert [record.kind for record in await talk.records(1, results[6].conv)] == [Kind.BLOCK]


@BY_NAME
async def test_what_an_account_log_tells_of_is_done_once(talk: Talk, proxy: Proxy, moment: Moment) -> None:
    """In the log that is made for it, and in the one that is there."""
    done: list[int] = []

    def counted(number: int) -> Append:
        async def project(tx: Tx, stamp: int) -> bool:
            await tx.execute("UPDATE account SET rev = rev + 1 WHERE user_id = $1", 1)
            done.append(number)
            return True

        return account(1, Kind.PROFILE, project)

    for number in (1, 2):
        proxy.moments = [moment]
        (result,) = await talk.results(counted(number))
        assert (result.seq, result.dup) == (number, False)
        assert proxy.moments == []

    async def revision(tx: Tx) -> Any:
        return await tx.fetchrow("SELECT rev FROM account WHERE user_id = $1", 1)

    assert await talk.store.read(revision) == (2,)
    assert done == ([1, 1, 2, 2] if moment is Line.lose_the_question else [1, 2])


@BY_NAME
async def test_a_login_that_is_no_entry(talk: Talk, proxy: Proxy, moment: Moment) -> None:
    """No cid tells of it, so it is done once more, which changes nothing but its number."""
    token = os.urandom(32)
    await talk.store.write(devices.create, 70, 1, None, "phone", 5)
    numbers: list[int] = []

    async def project(tx: Tx, stamp: int) -> bool:
        login = await devices.issue_resume(tx, 70, token, LARGE)
        assert login is not None
        numbers.append(login.number)
        return False

    proxy.moments = [moment]
    (result,) = await talk.results(account(1, Kind.DEVICE, project))
    assert isinstance(result, Appended)
    assert result.seq == 0
    login = await talk.store.write(devices.use_resume, token, b"next", 0, LARGE)
    assert login is not None
    assert login.number == numbers[-1] + 1


async def test_a_server_that_takes_its_time(talk: Talk, proxy: Proxy) -> None:
    """The client is gone and the transaction still at its commit: the second run waits for what becomes of it."""
    conv = await talk.group(1, 2)

    async def plant(tx: Any) -> None:
        await tx._connection.execute(SLOW)

    await talk.store.write(plant)
    proxy.moments = [Line.leave_at_once]
    (result,) = await talk.results(msg(conv, 1))
    assert (result.seq, result.dup) == (2, False)
    assert await talk.head(1, conv) == 2


SLOW = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER dawdles AFTER INSERT ON entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION dawdle();
"""


@pytest.mark.parametrize("moments", [[Line.lose_the_answer] * 2, [Line.lose_the_question, Line.lose_the_answer] * 2])
async def test_one_interruption_after_another(talk: Talk, proxy: Proxy, moments: list[Moment]) -> None:
    """Whichever of the attempts it was that was committed."""
    conv = await talk.group(1, 2)
    proxy.moments = list(moments)
    results = await talk.results(msg(conv, 1), msg(conv, 2))
    assert [(result.seq, result.dup) for result in results] == [(2, False), (3, False)]
    assert proxy.moments == []
    assert await talk.head(1, conv) == 3


async def test_an_answer_that_never_comes(talk: Talk, proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for it has an end, and so has leaving the connection."""
    monkeypatch.setattr(pools, "COMMAND_SECONDS", 0.3)
    monkeypatch.setattr(pools, "GIVE_UP_SECONDS", 0.3)
    conv = await talk.group(1, 2)
    async with open_postgres(proxy.url) as store:
        proxy.moments = [Line.say_nothing]
        (result,) = (await append(store, [msg(conv, 1)], 5, {})).results
        assert isinstance(result, Appended)
        assert (result.seq, result.dup) == (2, False)


async def test_what_another_node_did_meanwhile_is_not_ours(talk: Talk, proxy: Proxy, url: str) -> None:
    """The client has gone there and sent it again, and it was not committed here: it is a repetition."""
    conv = await talk.group(1, 2)
    item = msg(conv, 1)
    async with open_postgres(url) as other:
        theirs: list[Any] = []

        async def elsewhere(line: Line) -> None:
            proxy.open = trio.Event()
            nursery.start_soon(send)

        async def send() -> None:
            theirs.extend((await append(other, [msg(conv, 2), item], 5, {})).results)
            proxy.open.set()

        proxy.moments = [elsewhere]
        async with trio.open_nursery() as nursery:
            ours = await talk.results(item)
    assert [(result.seq, result.dup) for result in theirs] == [(2, False), (3, False)]
    assert ours == [attrs.evolve(theirs[1], dup=True)]


async def test_when_nobody_can_be_asked(talk: Talk, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, and says that nobody knows; the same cid later is right."""
    monkeypatch.setattr(settling, "SECONDS", 0.3)
    conv = await talk.group(1, 2)
    batch = [msg(conv, 1), msg(conv, 2)]

    async def last(line: Line) -> None:
        proxy.open = trio.Event()
        await line.lose_the_answer()

    proxy.moments = [last]
    results = await talk.results(*batch)
    assert [type(result) for result in results] == [OutcomeUnknown] * 2
    proxy.open.set()
    assert [(result.seq, result.dup) for result in await talk.results(*batch)] == [(2, True), (3, True)]
