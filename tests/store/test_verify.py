"""`wirechat verify` finds what is broken, and nothing where nothing is. Each kind of damage is done by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from tests.store.talk import Talk, add, delete, edit, react, remove
from wirechat.cli.verify import verify as command
from wirechat.store.database import Store, open_sqlite
from wirechat.store.records import Kind
from wirechat.store.tx import Tx
from wirechat.store.verify import Report, verify


async def lively(talk: Talk) -> int:
    """A conversation in which everything has happened."""
    conv = await talk.group(1, 2, 3)
    for text in (b"one", b"two", b"three", b"four"):
        await talk.say(conv, 1, text)
    await talk.append(
        edit(conv, 1, 2), edit(conv, 1, 3), react(conv, 2, 2), react(conv, 3, 2), react(conv, 2, 2, None),
        delete(conv, 1, 3), add(conv, 2, 4), remove(conv, 1, 4), add(conv, 1, 4), remove(conv, 3, 3),
    )  # fmt: skip
    await talk.mark(conv, 2, delivered=5, read=3)
    await talk.mark(conv, 4, delivered=9)
    return conv


async def report_of(store: Store) -> Report:
    return await store.read(verify)


async def test_a_store_that_lived_is_consistent(talk: Talk) -> None:
    """Every kind of entry, receipts, members who came back, a direct conversation."""
    await lively(talk)
    direct = await talk.group(5, 6)
    await talk.say(direct, 6)
    report = await report_of(talk.store)
    assert (report.problems, report.conversations, report.entries) == ([], 2, 17)


DAMAGES: dict[str, tuple[str, str]] = {
    "a hole": ("DELETE FROM entry WHERE conv = $1 AND seq = 4", "entry 4 is missing"),
    "a lost end": ("DELETE FROM entry WHERE conv = $1 AND seq = 15", "is listed with head 15"),
    "time runs back": ("UPDATE entry SET ts = 1 WHERE conv = $1 AND seq = 4", "entry 4 is older"),
    "a wrong head": ("UPDATE conv SET head = head + 1 WHERE conv = $1", "is listed with head 16"),
    "a lost edit": ("UPDATE entry SET latest = NULL WHERE conv = $1 AND seq = 2", "message 2 does not show"),
    "a wrong rev": ("UPDATE entry SET rev = 6 WHERE conv = $1 AND seq = 2", "message 2 is of rev 6"),
    "a lost text": ("UPDATE entry SET content = NULL WHERE conv = $1 AND seq = 4", "message 4 has lost its text"),
    "a text that should be gone": (
        "UPDATE entry SET content = cid WHERE conv = $1 AND seq = 3",
        "message 3 was deleted and its text is still there",
    ),
    "a lost reaction": ("DELETE FROM reaction WHERE conv = $1", "message 2 lacks the reaction of 3"),
    "a strange reaction": ("UPDATE reaction SET seq = 4 WHERE conv = $1", "message 4 has a reaction of 3"),
    "a lost member": ("DELETE FROM member WHERE conv = $1 AND user_id = 2", "member 2 is listed for None"),
    "a member who stays": ("UPDATE member SET until = NULL WHERE conv = $1 AND user_id = 3", "member 3 is listed for"),
    "a wrong owner": ("UPDATE member SET role = 4 WHERE conv = $1 AND user_id = 2", "member 2 has role 4"),
    "a lost period": ("DELETE FROM past_period WHERE conv = $1", "member 4 is listed for"),
    "read beyond delivered": ("UPDATE mark SET read = 7 WHERE conv = $1 AND user_id = 2", "member 2 has read 7 of 5"),
    "delivered beyond the head": (
        "UPDATE mark SET delivered = 99 WHERE conv = $1 AND user_id = 4",
        "member 4 has read 0 of 99 delivered",
    ),
    "receipts beyond their counter": ("UPDATE conv_rc SET rrev = 1 WHERE conv = $1", "counted twice or beyond 1"),
    "a stamp from the future": ("UPDATE conv SET stamp = 4611686018427387904 WHERE conv = $1", "in the future"),
    "an unlisted conversation": ("DELETE FROM conv WHERE conv = $1", "is not listed"),
    "a member without account": (
        "DELETE FROM account WHERE user_id IN (SELECT user_id FROM member WHERE conv = $1 AND user_id = 2)",
        "member 2 of conversation",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_told(talk: Talk, damage: str) -> None:
    """A line that says where."""
    sql, told = DAMAGES[damage]
    conv = await lively(talk)
    assert (await report_of(talk.store)).problems == []

    async def harm(tx: Tx) -> None:
        await tx.execute(sql, conv)

    await talk.store.write(harm)
    problems = (await report_of(talk.store)).problems
    assert any(told in problem for problem in problems), problems


async def test_a_broken_log_does_not_fill_the_screen(talk: Talk) -> None:
    """Some lines and "and more"."""
    conv = await talk.group(1)
    for _ in range(30):
        await talk.say(conv, 1)

    async def harm(tx: Tx) -> None:
        await tx.execute("UPDATE entry SET content = NULL WHERE conv = $1 AND kind = $2", conv, Kind.MSG)

    await talk.store.write(harm)
    problems = (await report_of(talk.store)).problems
    assert len(problems) == 21
    assert problems[-1].endswith("and more")


def a_store(folder: Path, then: Callable[[Talk, int], object] | None = None) -> None:
    """A small store on disk."""

    async def make() -> None:
        async with open_sqlite(folder) as store:
            talk = await Talk(store).people(4)
            conv = await lively(talk)
            if then is not None:
                await then(talk, conv)  # type: ignore[misc]

    trio.run(make)


def test_the_command_says_that_all_is_well(tmp_path: Path) -> None:
    """Exit status 0, a closing line, JSON for machines."""
    a_store(tmp_path)
    plain = CliRunner().invoke(command, ["--data", str(tmp_path)])
    assert (plain.exit_code, plain.output) == (0, "1 conversations, 15 entries: everything is consistent\n")
    machine = CliRunner().invoke(command, ["--data", str(tmp_path), "--json"])
    assert json.loads(machine.output) == {"conversations": 1, "entries": 15, "problems": []}


def test_the_command_works_beside_a_running_server(tmp_path: Path) -> None:
    """It takes no lock and changes nothing."""

    async def beside(talk: Talk, conv: int) -> None:
        result = await trio.to_thread.run_sync(CliRunner().invoke, command, ["--data", str(tmp_path)])
        assert result.exit_code == 0, result.output

    a_store(tmp_path, beside)


def test_the_command_fails_when_something_is_wrong(tmp_path: Path) -> None:
    """Exit status 1 and the list."""

    async def harm(tx: Tx) -> None:
        await tx.execute("DELETE FROM entry WHERE seq = 4")

    async def spoil(talk: Talk, conv: int) -> None:
        await talk.store.write(harm)

    a_store(tmp_path, spoil)
    result = CliRunner().invoke(command, ["--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "entry 4 is missing" in result.output
    assert "problems" in result.output.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["--data", "missing"], ["--data", "x", "--store", "postgresql://x"]])
def test_the_command_refuses_nonsense_in_one_line(arguments: list[str]) -> None:
    """Exit status 2."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2


@pytest.mark.postgres
def test_the_command_reads_postgres(cluster: object) -> None:
    """The same checks, by URL."""
    url = cluster.place()  # type: ignore[attr-defined]

    async def make() -> None:
        from wirechat.store.postgres import open_postgres

        async with open_postgres(url) as store:
            await lively(await Talk(store).people(4))

    trio.run(make)
    result = CliRunner().invoke(command, ["--store", url])
    assert (result.exit_code, result.output) == (0, "1 conversations, 15 entries: everything is consistent\n")
