"""The account log: one for a user, made when it is needed, written in the transaction of what it tells of."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio

from tests.store.cluster import Cluster
from tests.store.talk import LARGE, Talk, account, add, append, block, edit, msg, react, remove, renamed
from wirechat.store.database import Store
from wirechat.store.features import accounts, conversations, devices, sync
from wirechat.store.postgres import open_postgres
from wirechat.store.records import ACCOUNT, Append, Appended, Kind, Login, Refusal
from wirechat.store.tx import Tx


async def log_of(talk: Talk, user: int) -> int | None:
    async def look(tx: Tx) -> Any:
        return await tx.fetchrow("SELECT log FROM account WHERE user_id = $1", user)

    (log,) = await talk.store.read(look)
    return log  # type: ignore[no-any-return]


async def test_the_log_is_made_with_its_first_entry(talk: Talk) -> None:
    """P3: it begins at 1, its only member is the user, and whatever comes later goes to the same one."""
    assert await log_of(talk, 1) is None
    first = await talk.done(block(1, 2))
    second = await talk.done(block(1, 3))
    assert (first.seq, second.seq, second.conv) == (1, 2, first.conv)
    assert await log_of(talk, 1) == first.conv
    assert await talk.members(first.conv) == {1: 1}
    assert [record.kind for record in await talk.records(1, first.conv)] == [Kind.BLOCK, Kind.BLOCK]
    assert [record.users for record in await talk.records(1, first.conv)] == [(2,), (3,)]


async def test_several_entries_of_one_batch_share_a_new_log(talk: Talk) -> None:
    """P3: also among entries of others, and of conversations."""
    conv = await talk.group(1, 2)
    results = await talk.results(block(1, 2), msg(conv, 1), block(2, 3), block(1, 4), msg(conv, 2))
    places = [(done.conv, done.seq) for done in results]
    mine, other = await log_of(talk, 1), await log_of(talk, 2)
    assert places == [(mine, 1), (conv, 2), (other, 1), (mine, 2), (conv, 3)]


async def test_nothing_changed_is_no_entry(talk: Talk) -> None:
    """It is answered as done, and there is not even a log."""
    (result,) = await talk.results(block(1, 2, on=False))
    assert (result.seq, result.dup) == (0, True)
    assert await log_of(talk, 1) is None
    await talk.done(block(1, 2))
    (result,) = await talk.results(block(1, 2))
    assert result.seq == 0


async def test_a_refusal_is_no_entry(talk: Talk) -> None:
    """And leaves the others of its batch alone."""
    results = await talk.results(block(1, 77), block(1, 2))
    assert results[0] is Refusal.NOT_FOUND
    assert results[1].seq == 1


async def test_a_project_that_breaks_costs_itself_alone(talk: Talk) -> None:
    """P10: whatever is wrong with it, what was asked for beside it is done."""

    async def broken(tx: Tx, stamp: int) -> bool:
        raise RuntimeError("a bug")

    conv = await talk.group(1, 2)
    results = await talk.results(msg(conv, 1), account(1, Kind.PROFILE, broken), block(1, 2))
    assert isinstance(results[0], Appended)
    assert "a bug" in str(results[1])
    assert results[2].seq == 1


async def test_nobody_writes_or_reads_there_like_in_a_conversation(talk: Talk) -> None:
    """The log is written by the server alone; to others it does not exist (P9)."""
    log = (await talk.done(block(1, 2))).conv
    refused = [msg(log, 1), msg(log, 1, ref=1), edit(log, 1, 1), react(log, 1, 1), add(log, 1, 2), remove(log, 1, 1)]
    assert [await talk.refused(item) for item in refused] == [Refusal.FORBIDDEN] * len(refused)
    assert await talk.refused(msg(log, 2)) is Refusal.NO_CONVERSATION
    assert await talk.mark(log, 1, delivered=1, read=1) is Refusal.FORBIDDEN
    assert await talk.mark(log, 2, read=1) is Refusal.NO_CONVERSATION
    described = await talk.store.read(conversations.describe, 1, [log])
    assert [(each.conv, each.kind, each.role, each.members) for each in described] == [(log, ACCOUNT, 1, 1)]
    assert await talk.store.read(conversations.describe, 2, [log]) == []


async def test_the_digest_tells_it_apart(talk: Talk) -> None:
    """P5: who asks from before hears of it, marked as what it is, and who wants none hears nothing."""
    since = await talk.store.read(sync.horizon)
    log = (await talk.done(block(1, 2))).conv
    (row,) = await talk.store.read(sync.digest, 1, since, 0, 10)
    assert (row.conv, row.head, row.account_log) == (log, 1, True)
    assert await talk.store.read(sync.digest, 1, since, 0, 10, sync.NEVER) == []
    _, changed = await talk.store.read(sync.changed, since)
    assert [conv for conv, *_ in changed] == [log]


async def test_renamed_and_revoked(talk: Talk) -> None:
    """A device is renamed and revoked by its user alone; its tokens are void, its row is stamped for other nodes."""
    store = talk.store
    for number, user in ((71, 1), (72, 1), (73, 1), (81, 2)):
        await store.write(devices.create, number, user, b"k" * 32, f"d{number}", 5)
        assert await store.write(devices.issue_resume, number, b"t%d" % number, LARGE) == Login(user, number, 1)
    assert await talk.refused(renamed(1, 81, "mine")) is Refusal.NOT_FOUND
    await talk.done(renamed(1, 71, "phone"))
    since = await store.read(sync.horizon)

    def revoke(user: int, device: int) -> Any:
        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await devices.revoke(tx, user, device, stamp)

        return account(user, Kind.DEVICE, project)

    assert await talk.refused(revoke(1, 81)) is Refusal.NOT_FOUND
    await talk.done(revoke(1, 71))
    assert (await talk.results(revoke(1, 71)))[0].seq == 0
    assert await store.read(devices.revoked_since, since) == [71]
    assert await store.read(devices.revoked_since, await store.read(sync.horizon)) == []
    assert await talk.refused(renamed(1, 71, "phone")) is Refusal.NOT_FOUND
    assert await store.write(devices.use_resume, b"t71", b"new", 0, LARGE) is None
    assert await store.write(devices.issue_resume, 71, b"new", LARGE) is None
    assert [row[:2] for row in await store.read(devices.of, 1)] == [(72, "d72"), (73, "d73")]
    assert await store.write(devices.revoke_others, 1, 73, 99) == [72]
    assert await store.read(devices.count, 1) == 1
    assert await store.write(devices.use_resume, b"t81", b"new", 0, LARGE) == Login(2, 81, 2)


async def test_seen(talk: Talk) -> None:
    """When devices were last connected; those that do not exist are passed over."""
    await talk.store.write(devices.create, 71, 1, None, "phone", 5)
    assert await talk.store.read(devices.of, 1) == [(71, "phone", 5, None, False)]
    await talk.store.write(devices.saw, [(71, 400), (99, 400)])
    assert await talk.store.read(devices.of, 1) == [(71, "phone", 5, 400, False)]


async def test_profile(talk: Talk) -> None:
    """What is left out stays, "" is none, rev counts what others see, a handle belongs to one."""
    store = talk.store
    change = partial(store.write, accounts.set_profile)
    assert await change(1, "ada", "Ada\0", "about\0", 2) is True
    assert await store.read(accounts.own, 1) == ((1, "ada", "Ada\0", "about\0", 1), 2, False)
    assert await change(1, None, None, None, None) is False
    assert await change(1, "ada", "Ada\0", None, 2) is False
    assert await change(1, None, None, None, 1) is True
    assert await store.read(accounts.own, 1) == ((1, "ada", "Ada\0", "about\0", 1), 1, False)
    assert await change(1, "user2", "other", None, None) is Refusal.CONFLICT
    assert await change(1, None, "", "", None) is True
    assert await store.read(accounts.find, "ada") == (1, "ada", None, None, 2)
    assert await store.read(accounts.find, "user1") is None
    assert await change(2, "user1", None, None, None) is True


async def test_passwords(talk: Talk) -> None:
    """A password is looked at again in the transaction that relies on it."""
    store = talk.store
    assert await store.read(accounts.secret, 1) == ("user1", None)
    assert await store.write(accounts.has_password, 1, None) is True
    await store.write(accounts.change_password, 1, "phc")
    assert await store.read(accounts.secret, 1) == ("user1", "phc")
    assert await store.write(accounts.has_password, 1, None) is False
    assert await store.write(accounts.has_password, 1, "phc") is True
    assert (await store.read(accounts.own, 1))[2] is True


@pytest.mark.postgres
async def test_two_nodes_make_one_log(cluster: Cluster) -> None:
    """P3: whoever writes first, on whatever node: one log, without a hole."""
    url = cluster.place()
    async with open_postgres(url) as one, open_postgres(url) as other:
        talk = await Talk(one).people(9)

        async def write(store: Store, others: range) -> None:
            for user in others:
                (result,) = (await append(store, [block(1, user)], 1_000, {})).results
                assert isinstance(result, Appended), result

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, one, range(2, 6))
                nursery.start_soon(write, other, range(6, 10))
        log = await log_of(talk, 1)
        assert log is not None
        assert sorted(record.seq for record in await talk.records(1, log)) == list(range(1, 9))


@pytest.mark.postgres
async def test_two_nodes_never_stand_in_each_others_way(cluster: Cluster) -> None:
    """P1, P3: batches that need the same logs and accounts in other orders; nothing is lost, nothing fails."""
    url = cluster.place()
    async with open_postgres(url) as one, open_postgres(url) as other:
        talk = await Talk(one).people(9)
        conv = await talk.group(1, 2, 3)

        def named(user: int, name: str) -> Append:
            return account(user, Kind.PROFILE, lambda tx, stamp: accounts.set_profile(tx, user, None, name, None, None))

        async def write(store: Store, users: tuple[int, ...], node: int) -> None:
            for turn in range(10):
                batch = [named(user, f"{node} {turn}") for user in users]
                batch.insert(1, msg(conv, users[0]))
                results = (await append(store, batch, 1_000, {})).results
                assert all(isinstance(result, Appended) for result in results), results

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, one, (1, 2, 3), 1)
                nursery.start_soon(write, other, (3, 2, 1), 2)
        for user in (1, 2, 3):
            log = await log_of(talk, user)
            assert log is not None
            assert [record.seq for record in await talk.records(user, log)] == list(range(1, 21))
        assert await talk.head(1, conv) == 21
