"""`verify` finds each kind of damage, names it in one line, and finds none where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
import trio
from click.testing import CliRunner, Result

from tests.store.cluster import Cluster
from tests.store.oracle import Oracle
from tests.store.talk import (
    Talk,
    about,
    add,
    assign,
    block,
    delete,
    direct,
    edit,
    forward,
    group,
    hide,
    msg,
    notes,
    pin,
    react,
    read_hidden,
    remove,
    title,
    unpin,
)
from tests.store.test_complete import write
from wirechat.cli.main import wirechat as main
from wirechat.store.database import open_sqlite
from wirechat.store.features import devices
from wirechat.store.postgres import open_postgres
from wirechat.store.sqlite import FILE
from wirechat.store.verify import Summary, verify


async def problems(talk: Talk) -> list[str]:
    """The lines."""
    found: list[str] = []
    summary = await talk.store.read(verify, found.append, read_hidden)
    assert summary.problems == len(found)
    assert all(line and "\n" not in line for line in found)
    return found


@pytest.fixture
async def conv(talk: Talk) -> int:
    """A group of 1, 2, 3 and 4 with one of everything in its log; 3 left, 4 came back."""
    conv = (await talk.done(group(1, 2, 3, 4, title=b"title"))).conv
    await talk.results(
        msg(conv, 1, b"edited"),
        msg(conv, 2, b"deleted"),
        edit(conv, 1, 2, b"once"),
        edit(conv, 1, 2, b"twice"),
        edit(conv, 2, 3, b"secret"),
        react(conv, 2, 2),
        react(conv, 1, 2),
        react(conv, 1, 2, None),
        delete(conv, 2, 3),
        msg(conv, 1, b"reply", 3),
        remove(conv, 1, 3),
        remove(conv, 4, 4),
        add(conv, 2, 4),
        msg(conv, 4, b"last"),
    )
    assert await talk.head(1, conv) == 15
    await talk.done(direct(1, 2))
    await talk.done(notes(2))
    await talk.mark(conv, 2, read=5)
    await talk.mark(conv, 1, delivered=4)
    await talk.mark(conv, 2, read=6)
    await talk.store.write(devices.create, 70, 1, None, "phone", 5)
    await talk.store.write(devices.issue_resume, 70, b"token", 5)
    return conv


async def test_a_sound_store_has_no_problems(talk: Talk, conv: int) -> None:
    """And everything was looked at."""
    found: list[str] = []
    assert await talk.store.read(verify, found.append, read_hidden) == Summary(3, 17, 0)
    assert found == []


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_was_written_is_consistent(talk: Talk, seed: int) -> None:
    """Random logs, as the journal wrote them."""
    chance = Random(seed)
    for _ in range(2):
        first = group(1, 2, 3, title=b"title")
        oracle = Oracle(first, await talk.done(first))
        for _ in range(6):
            await write(talk, chance, oracle, 20)
            await talk.mark(oracle.conv, chance.randint(1, 6), chance.randint(0, 40), chance.randint(0, 40))
    assert await problems(talk) == []


ROLES = {
    "UPDATE entry SET role = 2 WHERE conv = {conv} AND seq = 5": [
        "role of user 3 is 3, should be 2", "its title is not as in the log", "its about is not as in the log",
        *[f"entry {seq} changes title or description, which user 3 might not do" for seq in (6, 7)]],
    "UPDATE entry SET role = NULL WHERE conv = {conv} AND seq = 4": [
        "entry 4 gives user 2 the role 0, which user 1 might not do",
        "entry 8 changes message 2 of somebody else", "entry 9 removes user 4, which user 2 might not do",
        "role of user 2 is 4, should be 1", "role of user 3 is 3, should be 4"],
    "UPDATE entry SET users = '[3]' WHERE conv = {conv} AND seq = 4": [
        "entry 5 gives user 3 the role 3, which user 1 might not do",
        "entry 8 changes message 2 of somebody else", "entry 9 removes user 4, which user 2 might not do",
        "role of user 2 is 4, should be 1", "role of user 3 is 3, should be 4"],
    "UPDATE entry SET users = 'x' WHERE conv = {conv} AND seq = 5": [
        "users of entry 5 cannot be read", "role of user 3 is 3, should be 1",
        "its title is not as in the log", "its about is not as in the log",
        *[f"entry {seq} changes title or description, which user 3 might not do" for seq in (6, 7)]],
    "UPDATE entry SET content = NULL WHERE conv = {conv} AND seq = 7": [
        "entry 7 changes title or description, which user 3 might not do", "its about is not as in the log"],
    "UPDATE member SET role = 3 WHERE conv = {conv} AND user_id = 2": ["role of user 2 is 3, should be 4"],
    "UPDATE conv SET title = about WHERE conv = {conv}": ["its title is not as in the log"],
    "UPDATE conv SET version = 5 WHERE conv = {conv}": ["version of the member list is 5, should be 10"],
}  # fmt: skip


@pytest.mark.parametrize("sql", ["", *ROLES])
async def test_roles_are_those_of_the_log(talk: Talk, sql: str) -> None:
    """Who was given which, who followed the owner, and whether each might do what he did."""
    conv = (await talk.done(group(1, 2, 3, 4, title=b"title"))).conv
    await talk.results(
        msg(conv, 4),
        msg(conv, 3),
        assign(conv, 1, 2, 3),
        assign(conv, 1, 3, 3),
        title(conv, 3),
        about(conv, 3),
        delete(conv, 2, 2),
        remove(conv, 2, 4),
        remove(conv, 1, 1),
    )
    assert await talk.roles(2, conv) == {2: 4, 3: 3}
    await harm(talk, sql.format(conv=conv))
    found = await problems(talk)
    expected = ROLES.get(sql, [])
    assert all(any(line in each for each in found) for line in expected), found
    assert len(found) == len(expected), found


async def harm(talk: Talk, sql: str) -> None:
    async def plant(tx: Any) -> None:
        await tx.execute(sql)

    if sql:
        await talk.store.write(plant)


async def test_several_pages(talk: Talk, monkeypatch: pytest.MonkeyPatch, conv: int) -> None:
    """Of conversations and of entries."""
    monkeypatch.setattr("wirechat.store.verify.PAGE", 2)
    for _ in range(5):
        await talk.group(1, 2)
    found: list[str] = []
    assert await talk.store.read(verify, found.append, read_hidden) == Summary(8, 22, 0)


DAMAGE = {
    "DELETE FROM entry WHERE conv = {conv} AND seq = 11": ["entry 11 is missing"],
    "DELETE FROM entry WHERE conv = {conv} AND seq IN (7, 8)": [
        "entries 7 to 8 are missing", "reactions to message 2 are not as in the log"],
    "DELETE FROM entry WHERE conv = {conv} AND seq = 15": ["head is 15, should be 14"],
    "UPDATE conv SET head = 16 WHERE conv = {conv}": ["head is 16, should be 15"],
    "UPDATE conv SET last_ts = 1 WHERE conv = {conv}": ["time of the last entry is 1, should be "],
    "UPDATE conv SET version = 1 WHERE conv = {conv}": ["version of the member list is 1, should be 14"],
    "UPDATE conv SET title = NULL WHERE conv = {conv}": ["its title is not as in the log"],
    "UPDATE conv SET about = title WHERE conv = {conv}": ["its about is not as in the log"],
    "UPDATE conv SET stamp = 1000000000000 WHERE conv = {conv}": [": stamp is 1000000000000, which was never given"],
    "UPDATE conv_rc SET rstamp = 1000000000000 WHERE conv = {conv}": [
        "stamp of its receipts is 1000000000000, which was never given"],
    "UPDATE member SET stamp = 1000000000000 WHERE conv = {conv} AND user_id = 2": [
        "stamp of user 2 is 1000000000000, which was never given"],
    "UPDATE entry SET ts = 1 WHERE conv = {conv} AND seq = 11": ["entry 11 is older than the one before it"],
    "UPDATE entry SET kind = 77 WHERE conv = {conv} AND seq = 11": ["entry 11 has the unknown kind 77"],
    "UPDATE entry SET target = 1 WHERE conv = {conv} AND seq = 11": ["target of entry 11 is 1, should be 11"],
    "UPDATE entry SET ref = 12 WHERE conv = {conv} AND seq = 11": ["refers to entry 12, which is no earlier message"],
    "UPDATE entry SET ref = 1 WHERE conv = {conv} AND seq = 5": [
        "target of entry 5 is 2, should be 1", "entry 5 changes entry 1, which is no earlier message",
        "latest text of message 2 not as in the log"],
    "UPDATE entry SET sender = 9 WHERE conv = {conv} AND seq = 11": ["entry 11 is from user 9, who was no member"],
    "UPDATE entry SET sender = 4 WHERE conv = {conv} AND seq = 5": ["entry 5 changes message 2 of somebody else"],
    "UPDATE entry SET rev = 2, latest = NULL, edited = NULL WHERE conv = {conv} AND seq = 2": [
        *[f"entry {seq} changes message 2, which does not know it" for seq in (4, 5, 7, 8, 9)],
        "reactions to message 2 are not as in the log"],
    "UPDATE entry SET rev = 4 WHERE conv = {conv} AND seq = 2": ["rev of message 2 not as in the log"],
    "UPDATE entry SET latest = content WHERE conv = {conv} AND seq = 2": [
        "latest text of message 2 not as in the log"],
    "UPDATE entry SET edited = 1 WHERE conv = {conv} AND seq = 2": [
        "time of the last edit of message 2 not as in the log"],
    "UPDATE entry SET content = cid WHERE conv = {conv} AND seq = 3": ["deletion of message 3 not as in the log"],
    "UPDATE entry SET content = cid WHERE conv = {conv} AND seq = 6": [
        "message 3 was deleted, but the text of an edit is still there"],
    "UPDATE entry SET content = NULL WHERE conv = {conv} AND seq = 15": ["deletion of message 15 not as in the log"],
    "UPDATE entry SET content = NULL WHERE conv = {conv} AND seq = 4": [
        "message 2 was not deleted, but the text of an edit is gone"],
    "UPDATE entry SET users = 'x' WHERE conv = {conv} AND seq = 12": [
        "users of entry 12 cannot be read", "membership of user 3 is 1 to 12, should be 1 to now",
        "role of user 3 is 0, should be 1"],
    "UPDATE entry SET users = '[2]' WHERE conv = {conv} AND seq = 14": [
        "entry 14 concerns user 2, who is a member", "entry 15 is from user 4, who was no member",
        "membership of user 4 is 1 to 13, 14 to now, should be 1 to 13", "role of user 4 is 1, should be 0"],
    "DELETE FROM reaction WHERE conv = {conv}": ["reactions to message 2 are not as in the log"],
    "INSERT INTO reaction SELECT conv, 15, 1, cid FROM entry WHERE conv = {conv} AND seq = 2": [
        "reactions to message 15 are not as in the log"],
    "UPDATE member SET role = 4 WHERE conv = {conv} AND user_id = 2": ["role of user 2 is 4, should be 1"],
    "UPDATE member SET role = 1 WHERE conv = {conv} AND user_id = 1": ["role of user 1 is 1, should be 4"],
    "UPDATE member SET role = 1 WHERE conv = {conv} AND user_id = 3": ["role of user 3 is 1, should be 0"],
    "UPDATE entry SET sender = 2 WHERE conv = {conv} AND seq = 12": [
        "entry 12 removes user 3, which user 2 might not do"],
    "UPDATE entry SET sender = 1 WHERE conv = {conv} AND seq = 6": ["entry 6 changes message 3 of somebody else"],
    "UPDATE entry SET sender = 4 WHERE conv = {conv} AND seq = 10": ["entry 10 changes message 3 of somebody else"],
    "UPDATE member SET until = NULL WHERE conv = {conv} AND user_id = 3": [
        "membership of user 3 is 1 to now, should be 1 to 12"],
    "DELETE FROM member WHERE conv = {conv} AND user_id = 3": ["membership of user 3 is none, should be 1 to 12"],
    "DELETE FROM past_period WHERE conv = {conv}": [
        "membership of user 4 is 14 to now, should be 1 to 13, 14 to now"],
    "INSERT INTO member VALUES ({conv}, 9, 1, 5, NULL, 1)": [
        "membership of user 9 is 5 to now, should be none", "role of user 9 is 1, should be 0"],
    "DELETE FROM creation WHERE conv = {conv}": [
        "its creation by user 1 is not noted; repeating it would make another"],
    "INSERT INTO direct VALUES (3, 4, {conv})": ["noted as the direct conversation of users 3 and 4, and is not"],
    "UPDATE direct SET high = 7 WHERE low < high": [
        "it is not noted as the direct conversation of its two members",
        "noted as the direct conversation of users 1 and 7, and is not"],
    "DELETE FROM direct": ["it is not noted as the direct conversation of its two members, or"] * 2,
    "UPDATE conv SET kind = 1 WHERE kind = 3": [
        "it is not noted as the direct conversation of its two members, or",
        "noted as the direct conversation of users 2 and 2, and is not"],
    "DELETE FROM conv_rc WHERE conv = {conv}": ["it has no receipt counter"],
    "UPDATE conv_rc SET rrev = 4 WHERE conv = {conv}": ["receipt counter is 4, should be 3"],
    "UPDATE mark SET rrev = 3 WHERE conv = {conv}": ["two watermarks have the receipt counter 3"],
    "UPDATE mark SET read = 9 WHERE conv = {conv} AND user_id = 2": [
        "watermarks of user 2 are read 9, delivered 6 with a head of 15"],
    "UPDATE mark SET delivered = 16 WHERE conv = {conv} AND user_id = 2": [
        "watermarks of user 2 are read 6, delivered 16 with a head of 15"],
    "UPDATE mark SET user_id = 9 WHERE conv = {conv} AND user_id = 1": [
        "user 9 has watermarks and was never a member"],
    "DELETE FROM conv WHERE conv = {conv}": [
        f"does not exist, but there are rows of it in {table}"
        for table in ("conv_rc", "entry", "member", "past_period", "reaction", "mark", "creation")],
    "DELETE FROM account WHERE user_id = 4": ["user 4 has no account, but there are rows of him in member"],
    "DELETE FROM account WHERE user_id = 1": [
        f"user 1 has no account, but there are rows of him in {table}" for table in ("member", "device")],
    "DELETE FROM device": ["device 70 does not exist, but there are tokens of it"],
}  # fmt: skip


@pytest.mark.parametrize("sql", DAMAGE)
async def test_damage_is_found_and_named(talk: Talk, conv: int, sql: str) -> None:
    """Each planted in the rows, each with its lines and no others."""

    await harm(talk, sql.format(conv=conv))
    found = await problems(talk)
    expected = DAMAGE[sql]
    for line in expected:
        assert any(line in each for each in found), found
    assert len(found) == len(expected), found


DAMAGE_OF_MESSAGES = {
    "UPDATE entry SET pinned = NULL WHERE conv = {conv} AND seq = 2": ["pin of message 2 not as in the log"],
    "UPDATE entry SET pinned = 8 WHERE conv = {conv} AND seq = 4": ["pin of message 4 not as in the log"],
    "UPDATE entry SET latest_users = NULL WHERE conv = {conv} AND seq = 2": [
        "mentions of the last edit of message 2 not as in the log"],
    "UPDATE entry SET users = '[3]' WHERE conv = {conv} AND seq = 4": ["mentions of message 4 are not as in the log"],
    "UPDATE entry SET users = '[2' WHERE conv = {conv} AND seq = 4": [
        "the mentions of message 4 cannot be read", "mentions of message 4 are not as in the log"],
    "UPDATE entry SET users = '[2]' WHERE conv = {conv} AND seq = 3": [
        "message 3 was deleted, but whom it mentions or who wrote it first is still there"],
    "UPDATE entry SET origin_user = 2 WHERE conv = {conv} AND seq = 3": [
        "message 3 was deleted, but whom it mentions or who wrote it first is still there"],
    "UPDATE entry SET users = '[2]' WHERE conv = {conv} AND seq = 10": [
        "message 3 was deleted, but whom an edit mentions is still there"],
    "DELETE FROM mention WHERE conv = {conv} AND seq = 2 AND user_id = 3": [
        "mentions of message 2 are not as in the log"],
    "INSERT INTO mention (user_id, conv, seq) VALUES (1, {conv}, 3)": ["mentions of message 3 are not as in the log"],
    "UPDATE entry SET sender = 3 WHERE conv = {conv} AND seq IN (7, 9)": [
        "entry 7 pins message 2 or not, which user 3 might not do",
        "entry 9 pins message 3 or not, which user 3 might not do"],
    "INSERT INTO mention (user_id, conv, seq) VALUES (1, 5, 3)": [
        "conversation 5 does not exist, but there are rows of it in mention"],
}  # fmt: skip


@pytest.mark.parametrize("sql", DAMAGE_OF_MESSAGES)
async def test_damage_to_pins_and_mentions_is_found_and_named(talk: Talk, sql: str) -> None:
    """As above, in a group with a message that is edited and pinned, one that is deleted, one that is as it was."""
    conv = await talk.group(1, 2, 3)
    await talk.results(
        msg(conv, 1, mentions=(2,)),
        msg(conv, 2, mentions=(1, 3)),
        msg(conv, 1, mentions=(2, 1)),
        forward(conv, 3, (conv, 3)),
        edit(conv, 1, 2, mentions=(3,)),
        pin(conv, 1, 2),
        pin(conv, 1, 3),
        unpin(conv, 1, 3),
        edit(conv, 2, 3, mentions=(1,)),
        delete(conv, 2, 3),
    )
    assert await problems(talk) == []

    async def plant(tx: Any) -> None:
        await tx.execute(sql.format(conv=conv))

    await talk.store.write(plant)
    found = await problems(talk)
    for line in DAMAGE_OF_MESSAGES[sql]:
        assert any(line in each for each in found), found
    assert len(found) == len(DAMAGE_OF_MESSAGES[sql]), found


# account logs


@pytest.fixture
async def log(talk: Talk, conv: int) -> int:
    """The account log of 1 with one of everything that something follows from."""
    await talk.results(hide(1, conv, 2, 3), block(1, 3), block(1, 4), hide(1, conv, 3, 15), block(1, 3, on=False))
    (result,) = await talk.results(block(1, 2))
    assert result.seq == 6
    return int(result.conv)


async def test_a_sound_account_log_has_no_problems(talk: Talk, log: int) -> None:
    """Its entries count; it is no conversation."""
    found: list[str] = []
    assert await talk.store.read(verify, found.append, read_hidden) == Summary(3, 23, 0)


LOG_DAMAGE = {
    "DELETE FROM entry WHERE conv = {log} AND seq = 4": ["entries after 3 are missing", "message 15 of"],
    "UPDATE conv SET head = 7 WHERE conv = {log}": ["head is 7, should be 6"],
    "UPDATE conv SET last_ts = 1 WHERE conv = {log}": ["time of the last entry is 1, should be"],
    "UPDATE conv SET version = 2 WHERE conv = {log}": ["version of the member list is 2, should be 1"],
    "UPDATE conv_rc SET rrev = 1 WHERE conv = {log}": ["receipt counter is 1, should be 0"],
    "INSERT INTO mark VALUES ({log}, 1, 1, 1, 1)": ["it has watermarks"],
    "UPDATE entry SET ts = 1 WHERE conv = {log} AND seq = 4": ["entry 4 is older than the one before it"],
    "UPDATE entry SET sender = 2 WHERE conv = {log} AND seq = 4": ["sender of entry 4 is 2, should be 1"],
    "UPDATE entry SET rev = 5 WHERE conv = {log} AND seq = 4": [
        "target and rev of entry 4 is (4, 5), should be (4, 4)"],
    "UPDATE entry SET kind = 1 WHERE conv = {log} AND seq = 2": ["entry 2 has the unknown kind 1"],
    "UPDATE entry SET content = cid WHERE conv = {log} AND seq = 4": ["entry 4 cannot be read", "message 15 of"],
    "UPDATE entry SET users = '[9]' WHERE conv = {log} AND seq = 3": [
        "list of blocked users is [2, 4], should be [2, 9]"],
    "DELETE FROM block WHERE blocked = 2": ["list of blocked users is [4], should be [2, 4]"],
    "INSERT INTO block VALUES (1, 3)": ["list of blocked users is [2, 3, 4], should be [2, 4]"],
    "DELETE FROM hidden WHERE seq = 15": ["is not hidden, not as in the log"],
    "INSERT INTO hidden VALUES (1, 5, 5)": ["message 5 of 5 is hidden, not as in the log"],
    "INSERT INTO hidden VALUES (2, 5, 5)": ["user 2 has no account log, but there are rows of him in hidden"],
    "INSERT INTO block VALUES (2, 1)": ["user 2 has no account log, but there are rows of him in block"],
    "UPDATE account SET log = {log} WHERE user_id = 2": ["it is noted as the log of 2 accounts"],
    "UPDATE account SET log = 7 WHERE user_id = 2": ["user 2 has 7 noted as his account log, and it is none"],
    "UPDATE member SET since = 2 WHERE conv = {log}": ["its member is [(1, 1, 2, None)], should be [(1, 1, 1, None)]"],
}  # fmt: skip


@pytest.mark.parametrize("sql", LOG_DAMAGE)
async def test_damage_of_an_account_log_is_found_and_named(talk: Talk, log: int, sql: str) -> None:
    """Each planted in the rows, each with its lines and no others."""

    async def plant(tx: Any) -> None:
        await tx.execute(sql.format(log=log))

    await talk.store.write(plant)
    found = await problems(talk)
    expected = LOG_DAMAGE[sql]
    for line in expected:
        assert any(line in each for each in found), found
    assert len(found) == len(expected), found


# the command


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A directory with two conversations."""
    async with open_sqlite(tmp_path / "data") as store:
        talk = await Talk(store).people(3)
        await talk.group(1, 2)
        await talk.say(await talk.group(1, 2), 1)
    return tmp_path / "data"


async def run(*args: str) -> Result:
    """The command, in a thread of its own because it has a loop of its own."""
    return await trio.to_thread.run_sync(CliRunner().invoke, main, ["verify", *args])


async def test_the_command_says_what_it_looked_at(data: Path) -> None:
    """Exit status 0."""
    result = await run("--data", str(data))
    assert (result.exit_code, result.output) == (0, "2 conversations, 3 entries: everything is consistent\n")


async def test_beside_a_running_server(data: Path) -> None:
    """The lock of the directory is not needed."""
    async with open_sqlite(data) as store:
        await Talk(store).group(1, 2)
        result = await run("--data", str(data))
    assert (result.exit_code, result.output) == (0, "3 conversations, 4 entries: everything is consistent\n")


async def test_problems_are_listed(data: Path) -> None:
    """One a line, exit status 1; the same as JSON."""
    db = apsw.Connection(str(data / FILE))
    db.execute("UPDATE conv SET head = 9")
    db.close()
    result = await run("--data", str(data))
    lines = result.output.splitlines()
    assert (result.exit_code, len(lines)) == (1, 3)
    assert all("head is 9, should be" in line for line in lines[:2])
    assert lines[2] == "2 conversations, 3 entries: 2 problems"
    result = await run("--data", str(data), "--json")
    told = json.loads(result.output)
    assert result.exit_code == 1
    assert (told["consistent"], told["conversations"], told["entries"]) == (False, 2, 3)
    assert told["problems"] == lines[:2]


async def test_a_damaged_file(data: Path) -> None:
    """SQLite's own check comes first."""
    async with open_sqlite(data) as store:
        talk = Talk(store)
        conv = await talk.group(1, 2)
        await talk.results(*(msg(conv, 1, b"x" * 500) for _ in range(200)))
        store._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    content = bytearray((data / FILE).read_bytes())
    content[-8192:-4096] = b"\xff" * 4096
    (data / FILE).write_bytes(content)
    result = await run("--data", str(data))
    assert result.exit_code == 1, result.output
    assert "damaged: " in result.output.splitlines()[0]
    assert "problem" in result.output.splitlines()[-1]


@pytest.mark.parametrize("args", [[], ["--data", "x", "--store", "y"], ["--data", "/nowhere"], ["--store", "nonsense"]])
async def test_bad_input_is_one_line(args: list[str]) -> None:
    """Exit status 2, no traceback."""
    result = await run(*args)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.output.strip()


@pytest.mark.postgres
async def test_the_command_on_postgres(cluster: Cluster) -> None:
    """The same, by its address, beside a running node."""
    url = cluster.place()
    async with open_postgres(url) as store:
        talk = await Talk(store).people(2)
        await talk.say(await talk.group(1, 2), 1)
        result = await run("--store", url)
        assert (result.exit_code, result.output) == (0, "1 conversation, 2 entries: everything is consistent\n")

        async def plant(tx: Any) -> None:
            await tx.execute("UPDATE conv SET head = 9")

        await store.write(plant)
        result = await run("--store", url, "--json")
    assert (result.exit_code, json.loads(result.output)["consistent"]) == (1, False)
