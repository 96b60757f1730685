"""What only PostgreSQL does: transactions that commit out of order, several nodes, connections that break, data that
moved to another server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from random import Random
from typing import Any

import asyncpg
import pytest
import trio
from asyncpg.pool import PoolConnectionProxy

from tests.store.cluster import Cluster, running
from tests.store.talk import PATIENCE, Talk, append, direct, msg
from wirechat.store import migrations, pools, settling
from wirechat.store.crossing import open_crossing
from wirechat.store.errors import DataError, OutcomeUnknown, Unavailable
from wirechat.store.features import accounts, sync
from wirechat.store.postgres import PostgresStore, look, open_postgres
from wirechat.store.records import Appended, Commit
from wirechat.store.tx import Tx

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("bounded")]


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    async with open_postgres(url) as opened:
        yield opened


class Session:
    """Somebody else's connection to the same database."""

    def __init__(self, cross: Any, connection: Any) -> None:
        self._cross = cross
        self._connection = connection

    async def sql(self, text: str, *args: Any) -> Any:
        """Execute; the first row."""
        return await self._cross(self._connection.fetchrow, text, *args)


@asynccontextmanager
async def session(url: str, **how: Any) -> AsyncIterator[Session]:
    async with open_crossing() as cross:
        connection = await cross(partial(asyncpg.connect, url, **how))
        try:
            yield Session(cross, connection)
        finally:
            with trio.CancelScope(shield=True):
                await cross(connection.close)


# out of order


async def test_a_running_transaction_holds_the_horizon(talk: Talk, url: str) -> None:
    """What it will commit is older than what was committed meanwhile, and must not be passed over."""
    one, two = await talk.group(1, 2), await talk.group(1, 2)
    async with session(url) as other:
        await other.sql("BEGIN")
        await other.sql("SELECT pg_current_xact_id()")
        held = await talk.store.read(sync.horizon)
        await talk.say(one, 1)
        assert await talk.store.read(sync.horizon) == held
        assert [row.conv for row in await talk.store.read(sync.digest, 1, held, 0, 10)] == [one]
        stamp = await other.sql(
            "UPDATE conv SET head = head + 1, stamp = (SELECT value FROM stamp) + pg_current_xact_id()::text::bigint"
            " WHERE conv = $1 RETURNING stamp", two,
        )  # fmt: skip
        await talk.say(one, 1)
        await other.sql("COMMIT")
    assert stamp[0] >= held
    found = {row.conv for row in await talk.store.read(sync.digest, 1, held, 0, 10)}
    assert found == {one, two}
    later = await talk.store.read(sync.horizon)
    assert later > held
    assert await talk.store.read(sync.digest, 1, later, 0, 10) == []


async def test_whoever_holds_the_horizon_is_seen(talk: Talk, url: str) -> None:
    """How long, and how much began since."""
    conv = await talk.group(1, 2)
    async with session(url) as other:
        await other.sql("BEGIN")
        await other.sql("SELECT pg_current_xact_id()")
        first = await talk.store.read(sync.held)
        for _ in range(3):
            await talk.say(conv, 1)
        later = await talk.store.read(sync.held)
        assert 0 < first.seconds < later.seconds
        assert later.transactions >= first.transactions + 3
        await other.sql("ROLLBACK")
    assert await talk.store.read(sync.held) == sync.Held(0.0, 0)


async def test_no_transaction_of_ours_holds_it_for_long(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short its statements are. It is surely not executed."""
    monkeypatch.setattr(pools, "TRANSACTION_SECONDS", 1)

    async def dawdle(tx: Tx) -> None:
        await accounts.create(tx, 50, "half", None, None, 5)
        while True:
            await tx.execute("SELECT pg_sleep(0.05)")

    async with open_postgres(url) as store:
        with trio.fail_after(PATIENCE), pytest.raises(Unavailable, match="transaction timeout"):
            await store.write(dawdle)
        assert await store.read(sync.held) == sync.Held(0.0, 0)
        assert await store.read(accounts.find, "half") is None


async def test_the_pass_finds_what_commits_late(talk: Talk, url: str) -> None:
    """The horizon of one pass is where the next begins, whatever was still running."""
    one, two = await talk.group(1, 2), await talk.group(1, 2)
    async with session(url) as other:
        await other.sql("BEGIN")
        await other.sql(
            "UPDATE conv SET head = 2, stamp = (SELECT value FROM stamp) + pg_current_xact_id()::text::bigint"
            " WHERE conv = $1", two,
        )  # fmt: skip
        await talk.say(one, 1)
        horizon, changed = await talk.store.read_ordered(sync.changed, 0)
        assert {conv: head for conv, head, *_ in changed} == {one: 2, two: 1}
        await other.sql("COMMIT")
    _, changed = await talk.store.read_ordered(sync.changed, horizon)
    assert {conv: head for conv, head, *_ in changed} == {one: 2, two: 2}


async def test_no_change_is_stamped_below_a_horizon_that_did_not_show_it(talk: Talk, url: str) -> None:
    """I2, with two nodes that write at the same time as a third looks."""
    convs = [await talk.group(1, 2) for _ in range(6)]
    stop = trio.Event()

    async def writer(store: PostgresStore, seed: int) -> None:
        chance = Random(seed)
        while not stop.is_set():
            await append(store, [msg(conv, 1) for conv in chance.sample(convs, 3)], 5, {})

    async def stamped(tx: Tx) -> tuple[int, dict[int, tuple[int, int]]]:
        rows = await tx.fetch("SELECT conv, head, stamp FROM conv")
        return await sync.horizon(tx), {conv: (head, stamp) for conv, head, stamp in rows}

    changes = 0
    async with open_postgres(url) as other, trio.open_nursery() as nursery:
        for seed, each in enumerate((talk.store, talk.store, other, other)):
            nursery.start_soon(writer, each, seed)
        horizon, before = await talk.store.read(stamped)
        with trio.fail_after(60):
            while changes < 40:
                later, after = await talk.store.read(stamped)
                for conv in convs:
                    if after[conv][0] != before[conv][0]:
                        changes += 1
                        assert after[conv][1] >= horizon
                horizon, before = later, after
        stop.set()


async def test_an_ordered_read_waits_for_what_it_saw(
    talk: Talk, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R7: between a commit and its `done` others may see it already; the pass must not be faster than the news."""
    conv = await talk.group(1, 2)
    appending = store._appending

    async def late(*args: Any) -> Commit:
        commit = await appending(*args)
        await asyncio.sleep(1)
        return commit

    monkeypatch.setattr(store, "_appending", late)
    told: list[Commit] = []
    store.start_append([msg(conv, 1)], 5, {}, told.append)
    while await talk.head(1, conv) == 1:
        pass
    assert not told
    assert (await store.read_ordered(sync.changed, 0))[1] == [(conv, 2, 0, 1)]
    assert told


async def test_an_append_that_waits_for_a_lock_holds_up_no_pass(talk: Talk, store: PostgresStore, url: str) -> None:
    """Nothing of it can be seen yet. What a hint read would be pushed when it is old, and deleted perhaps (P8)."""
    conv = await talk.group(1, 2)
    told: list[Commit] = []
    async with session(url) as other:
        await other.sql("BEGIN")
        await other.sql("SELECT 1 FROM conv WHERE conv = $1 FOR UPDATE", conv)
        store.start_append([msg(conv, 1)], 5, {}, told.append)
        assert (await store.read_ordered(sync.changed, 0))[1] == [(conv, 1, 0, 1)]
        assert not told
        await other.sql("ROLLBACK")
    last = (await append(store, [msg(conv, 1)], 5, {})).results[0]
    assert isinstance(last, Appended)
    assert last.seq == 3
    assert told


# several nodes


async def test_two_nodes_append_to_the_same_conversations(talk: Talk, url: str) -> None:
    """P3 and P4 across nodes: no hole, no repeat, nothing refused, each node's order kept."""
    convs = [await talk.group(1, 2) for _ in range(5)]
    sent: dict[int, list[tuple[int, bytes]]] = {1: [], 2: []}

    async def node(store: PostgresStore, user: int) -> None:
        chance = Random(user)
        waiting = 0
        ended = trio.Event()

        def done(batch: list[Any], commit: Commit) -> None:
            nonlocal waiting
            waiting -= 1
            for item, result in zip(batch, commit.results, strict=True):
                assert isinstance(result, Appended), result
                sent[user].append((item.conv, item.cid))
            if not waiting:
                ended.set()

        for _ in range(30):
            batch = [msg(conv, user) for conv in chance.choices(convs, k=8)]
            waiting += 1
            store.start_append(batch, 5, {}, lambda commit, batch=batch: done(batch, commit))  # type: ignore[misc]
            await trio.lowlevel.checkpoint()
        await ended.wait()

    async with open_postgres(url) as other, trio.open_nursery() as nursery:
        nursery.start_soon(node, talk.store, 1)
        nursery.start_soon(node, other, 2)
    for conv in convs:
        records = await talk.records(1, conv)
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        for user in (1, 2):
            mine = [record.cid for record in records if record.sender == user and record.seq > 1]
            assert mine == [cid for at, cid in sent[user] if at == conv]


async def test_the_same_request_on_two_nodes_at_once_is_one_entry(talk: Talk, url: str) -> None:
    """P2: a client that changed nodes before it was answered."""
    conv = await talk.group(1, 2)
    async with open_postgres(url) as other:
        for _ in range(20):
            item = msg(conv, 1)
            found: list[Any] = []

            async def send(store: PostgresStore, item: Any = item, found: list[Any] = found) -> None:
                found.extend((await append(store, [item], 5, {})).results)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, talk.store)
                nursery.start_soon(send, other)
            assert sorted(result.dup for result in found) == [False, True]
            assert len({result.seq for result in found}) == 1
    assert await talk.head(1, conv) == 21


async def test_a_deadlock_loses_nothing(talk: Talk, url: str) -> None:
    """Two batches that make the same two conversations in opposite order: the server undoes one of them, which is done
    again.
    """
    found: list[Any] = []

    async def make(store: PostgresStore, *pairs: tuple[int, int]) -> None:
        found.extend((await append(store, [direct(*pair) for pair in pairs], 5, {})).results)

    async with open_postgres(url) as other:
        for low in (1, 2, 3, 4):
            found.clear()
            one, two = (low, low + 4), (low, low + 5)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(make, talk.store, one, two)
                nursery.start_soon(make, other, two, one)
            assert sorted(result.dup for result in found) == [False, False, True, True]
            assert len({result.conv for result in found}) == 2


async def test_a_transaction_that_is_undone_again_and_again_is_told(store: PostgresStore) -> None:
    """It is tried a few times, from the beginning, and then surely not executed."""
    tried = 0

    async def undone(tx: Tx) -> None:
        nonlocal tried
        tried += 1
        await tx.execute("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$")

    with pytest.raises(Unavailable):
        await store.write(undone)
    assert tried == pools.ATTEMPTS


async def test_a_held_conversation_stalls_no_other(talk: Talk, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each goes on by itself; what waits too long is refused, surely not executed."""
    monkeypatch.setitem(pools.SETTINGS, "statement_timeout", "2000")
    held, free = await talk.group(1, 2), await talk.group(1, 2)
    async with open_postgres(url) as node, session(url) as other:
        await other.sql("BEGIN")
        await other.sql("SELECT 1 FROM conv WHERE conv = $1 FOR UPDATE", held)
        stuck: list[Commit] = []
        node.start_append([msg(held, 1)], 5, {}, stuck.append)
        for _ in range(3):
            assert isinstance((await append(node, [msg(free, 1)], 5, {})).results[0], Appended)
        with trio.fail_after(PATIENCE):
            while not stuck:  # noqa: ASYNC110
                await trio.sleep(0.05)
        assert isinstance(stuck[0].results[0], Unavailable)
        await other.sql("ROLLBACK")
        assert isinstance((await append(node, [msg(held, 1)], 5, {})).results[0], Appended)


async def test_a_node_that_stands_still_in_a_transaction_holds_the_others_up_for_two_seconds(
    talk: Talk, url: str
) -> None:
    """It does not hear of its end; what it holds is free all the same, before another's statement gives up."""
    conv = await talk.group(1, 2)
    async with open_postgres(url) as node, session(url, server_settings=pools.SETTINGS) as still:
        await still.sql("BEGIN")
        await still.sql("SELECT 1 FROM conv WHERE conv = $1 FOR UPDATE", conv)
        assert isinstance((await append(node, [msg(conv, 1)], 5, {})).results[0], Appended)


async def test_nodes_that_start_together_migrate_once(cluster: Cluster) -> None:
    """And agree on who they are."""
    place = cluster.place()
    found: list[tuple[bytes, bytes]] = []

    async def node() -> None:
        async with open_postgres(place) as store:
            found.append((store.epoch, store.digest_key))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(node)
    assert len(set(found)) == 1
    async with open_postgres(cluster.place()) as elsewhere:
        assert elsewhere.epoch != found[0][0]


# what breaks


async def terminate(tx: Tx) -> None:
    await accounts.create(tx, 50, "half", None, None, 5)
    await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def test_a_connection_lost_before_the_commit(store: PostgresStore) -> None:
    """Surely not executed, and the next one gets another connection."""
    with pytest.raises(Unavailable):
        await store.write(terminate)
    with pytest.raises(Unavailable):
        await store.read(lambda tx: tx.execute("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert await store.read(accounts.find, "half") is None
    assert await store.write(accounts.create, 50, "half", None, None, 5) is None


AT_COMMIT = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fail();
"""


@asynccontextmanager
async def failing_commits(store: PostgresStore, what: str) -> AsyncIterator[None]:
    """Whoever inserts an entry fails at its commit."""

    async def plant(tx: Any) -> None:
        await tx._connection.execute(AT_COMMIT.format(what=what))

    async def remove(tx: Any) -> None:
        await tx._connection.execute("DROP FUNCTION fail CASCADE")

    await store.write(plant)
    yield
    await store.write(remove)


async def test_a_connection_lost_at_the_commit(
    talk: Talk, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again and again, so nobody knows; the same cid later is right either way. Here it was not executed."""
    monkeypatch.setattr(settling, "SECONDS", 0.3)
    conv = await talk.group(1, 2)
    batch = [msg(conv, 1), msg(conv, 2)]
    async with failing_commits(store, "PERFORM pg_terminate_backend(pg_backend_pid())"):
        commit = await append(store, batch, 5, {})
    assert [type(result) for result in commit.results] == [OutcomeUnknown] * 2
    assert [(result.seq, result.dup) for result in await talk.results(*batch)] == [(2, False), (3, False)]


async def test_a_commit_whose_answer_was_lost(
    talk: Talk, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, but it was executed."""
    monkeypatch.setattr(settling, "SECONDS", 0.3)
    conv = await talk.group(1, 2)
    execute: Callable[..., Any] = PoolConnectionProxy.execute

    async def lost(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        answer = await execute(self, query, *args, **kwargs)
        if query == "COMMIT":
            self.terminate()
            raise ConnectionResetError
        return answer

    batch = [msg(conv, 1), msg(conv, 2)]
    monkeypatch.setattr(PoolConnectionProxy, "execute", lost)
    commit = await append(store, batch, 5, {})
    with pytest.raises(OutcomeUnknown):
        await store.write(accounts.create, 50, "perhaps", None, None, 5)
    monkeypatch.undo()
    assert [type(result) for result in commit.results] == [OutcomeUnknown] * 2
    assert [(result.seq, result.dup) for result in await talk.results(*batch)] == [(2, True), (3, True)]


async def test_a_commit_that_the_server_refuses(talk: Talk, store: PostgresStore) -> None:
    """It says that it undid it, so that is known."""
    conv = await talk.group(1, 2)
    async with failing_commits(store, "RAISE EXCEPTION 'no' USING ERRCODE = '23505'"):
        (result,) = await talk.results(msg(conv, 1))
        assert isinstance(result, Unavailable)
    assert await talk.say(conv, 1) == 2


async def test_a_crash_of_the_server_loses_nothing_that_was_acknowledged() -> None:
    """P1; while it is away everything is refused, and when it is back the open store goes on."""
    with running() as cluster:
        async with open_postgres(cluster.place()) as store:
            talk = await Talk(store).people(2)
            conv = await talk.group(1, 2)
            for _ in range(20):
                await talk.say(conv, 1)
            cluster.crash()
            (refused,) = await talk.results(msg(conv, 1))
            assert isinstance(refused, Unavailable)
            with pytest.raises(Unavailable):
                await store.read(sync.horizon)
            cluster.start_again()
            assert await talk.head(1, conv) == 21
            assert await talk.say(conv, 1) == 22


async def test_a_server_that_was_restarted_needs_no_restart_of_the_nodes() -> None:
    """Every connection of both pools was open, and is dead: whatever is asked then is answered. What was asked while it
    was away was refused, or nobody knows.
    """
    with running() as cluster:
        async with open_postgres(cluster.place()) as store:
            talk = await Talk(store).people(9)
            convs = [await talk.group(1, 2) for _ in range(12)]
            acknowledged = dict.fromkeys(convs, 1)

            async def say(conv: int) -> None:
                (result,) = await talk.results(msg(conv, 1))
                if isinstance(result, Appended):
                    acknowledged[conv] = result.seq
                else:
                    assert isinstance(result, Unavailable | OutcomeUnknown)

            async def everyone(do: Callable[[int], Any]) -> None:
                async with trio.open_nursery() as nursery:
                    for conv in convs:
                        nursery.start_soon(do, conv)

            async def whatever(conv: int) -> None:
                with suppress(Unavailable):
                    await store.read(slow)

            async def slow(tx: Tx) -> None:
                await tx.execute("SELECT pg_sleep(0.1)")

            for how in (cluster.crash, cluster.stop):
                await everyone(whatever)
                async with trio.open_nursery() as nursery:
                    for do in (say, whatever):
                        nursery.start_soon(everyone, do)
                    await trio.to_thread.run_sync(how)
                cluster.start_again()
                before = dict(acknowledged)
                await everyone(say)
                for conv in convs:
                    assert acknowledged[conv] > before[conv]
                    assert await talk.head(1, conv) == acknowledged[conv]
                assert (await store.read_ordered(sync.changed, 0))[0] > 0
                assert await store.write(accounts.set_password, "user1", "new")


async def test_a_bad_argument_is_a_mistake_and_no_outage(store: PostgresStore) -> None:
    """It comes through as it is, so that it is seen."""
    with pytest.raises(asyncpg.DataError):
        await store.read(sync.digest, 1 << 70, 0, 0, 1)
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await store.read(lambda tx: tx.fetch("SELEC 1"))
    with pytest.raises(ZeroDivisionError):
        await store.write(divide)
    assert await store.read(accounts.find, "half") is None


async def divide(tx: Tx) -> None:
    await accounts.create(tx, 50, "half", None, None, 5)
    raise ZeroDivisionError


# where the data is


async def refused(url: str) -> str:
    """The line for the operator."""
    with pytest.raises(DataError) as caught:
        async with open_postgres(url):
            raise AssertionError("opened")
    text = str(caught.value)
    assert "\n" not in text
    return text


async def test_a_server_that_loses_messages_is_refused(url: str) -> None:
    """P1: synchronous_commit must be on."""
    assert "synchronous_commit is off" in await refused(url + "&synchronous_commit=off")
    assert "synchronous_commit is local" in await refused(url + "&synchronous_commit=local")


async def test_addresses_that_lead_nowhere(url: str) -> None:
    """Each is one line."""
    for bad in ("postgresql:///x?host=/nowhere", "postgresql://127.0.0.1:1/x", "nonsense", "postgresql://h:port/x",
                url.replace("/postgres?", "/unknown?")):  # fmt: skip
        assert "cannot use the database" in await refused(bad)


async def test_a_schema_of_another_program_is_left_alone(url: str) -> None:
    """It must be empty or ours."""
    async with session(url) as other:
        await other.sql("CREATE TABLE theirs (x INT)")
        assert "tables of another program" in await refused(url)
        assert await other.sql("SELECT 1 FROM pg_class WHERE relname = 'entry' AND"
                               " relnamespace = current_schema()::regnamespace") is None  # fmt: skip


async def test_newer_and_changed_data_is_refused(store: PostgresStore, url: str) -> None:
    """As on the embedded store."""
    async with session(url) as other:
        await other.sql("INSERT INTO migration VALUES (99, 'later')")
        assert "newer wirechat" in await refused(url)
        await other.sql("DELETE FROM migration WHERE number = 99")
        await other.sql("UPDATE migration SET checksum = 'other'")
        assert "is not ours" in await refused(url)


async def test_a_failed_migration_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start begins again."""
    ours = migrations.migrations("postgres")
    broken = migrations.Migration(2, "broken", "CREATE TABLE later (x INT); CREATE TABLE account (x INT);")
    monkeypatch.setattr(migrations, "migrations", lambda engine: [*ours, broken])
    assert "already exists" in await refused(url)
    monkeypatch.undo()
    async with open_postgres(url) as store:
        assert await store.read(sync.horizon) > 0


async def test_data_from_another_server_goes_on_above_its_stamps(talk: Talk, store: PostgresStore, url: str) -> None:
    """[C3]: transaction ids begin anew there, stamps must not."""
    one, two = await talk.group(1, 2), await talk.group(1, 2)
    async with session(url) as other:
        await other.sql("UPDATE stamp SET system = 1")
        await other.sql("UPDATE conv SET stamp = $1 WHERE conv = $2", 10**15, one)
    async with open_postgres(url) as moved:
        horizon = await moved.read(sync.horizon)
        assert horizon > 10**15
        await append(moved, [msg(two, 1)], 5, {})
        assert [row.conv for row in await moved.read(sync.digest, 1, horizon, 0, 10)] == [two]
    async with open_postgres(url) as again:
        assert await again.read(sync.horizon) < 2 * 10**15


async def test_another_epoch_ends_the_node(talk: Talk, url: str) -> None:
    """After a restore or failover stamps may be used again, so a node that knows the old epoch must not go on."""
    async with session(url) as other:
        await other.sql("UPDATE meta SET value = $1 WHERE name = 'epoch'", b"else")
        await other.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                        " WHERE application_name LIKE 'wirechat %' AND pid <> pg_backend_pid()")  # fmt: skip
    said = ""
    while "restart this server" not in said:
        with pytest.raises(Unavailable) as caught:
            await talk.store.read(sync.horizon)
        said = str(caught.value)


async def test_looking_changes_nothing(talk: Talk, url: str) -> None:
    """One snapshot, beside running nodes, for reading only."""
    conv = await talk.group(1, 2)

    async def heads(tx: Tx) -> list[Any]:
        return await tx.fetch("SELECT conv, head FROM conv")

    async def spoil(tx: Tx) -> None:
        await tx.execute("DELETE FROM conv")

    assert await look(url, heads) == [(conv, 1)]
    with pytest.raises(DataError, match="read-only"):
        await look(url, spoil)


async def test_looking_at_what_is_not_there(url: str) -> None:
    """An empty schema has to be made by a server first."""

    async def nothing(tx: Tx) -> None:
        raise AssertionError

    with pytest.raises(DataError, match="no data of wirechat in this database; correct the address"):
        await look(url, nothing)
