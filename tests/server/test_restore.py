"""The whole way: a server under load, a backup meanwhile, more messages, kill -9, restore, start; and its clients."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from wirechat.client import Client, Resynced, open_client, register
from wirechat.client.events import Feed
from wirechat.world import REAL

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
IMPATIENT = attrs.evolve(REAL, uniform=lambda low, high: low + (high - low) / 20)
"""Clients that come back soon."""


async def command(*args: object) -> str:
    """What a `wirechat` command prints; it must succeed."""
    done = await trio.run_process(
        [sys.executable, "-m", "wirechat.cli.main", *map(str, args)], cwd=ROOT, capture_stdout=True
    )
    return done.stdout.decode()


@asynccontextmanager
async def serve(data: Path, address: str) -> AsyncIterator[str]:
    """A real server process; yields its address, and kills it in the end."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "wirechat.cli.main", "serve", "--data", str(data), "--tcp", address],
        cwd=ROOT, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        said = b""
        while b"\n" not in said:
            said += await process.stderr.receive_some()
        told = json.loads(said.split(b"\n")[0])
        yield told["url"].removeprefix("wirechat://")
    finally:
        process.kill()
        await process.wait()


class Person:
    """A client that talks all the time, and what it was told of it."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client
        self.acknowledged: dict[str, int] = {}
        self.feed: Feed = client.events(100_000)

    async def talk(self, conv: int) -> None:
        while True:
            text = f"{self.name} {len(self.acknowledged)}"
            self.acknowledged[text] = (await self.client.messages.send(conv, text)).seq

    async def resynced(self) -> None:
        """Wait until the server's log is known to be another one."""
        async for event in self.feed:
            if isinstance(event, Resynced):
                return

    def texts(self, conv: int) -> dict[int, str]:
        """What is said, by seq."""
        records = self.client.log(conv).records
        return {seq: record.content.data for seq, record in records.items() if record.kind == 1}


async def go_beyond(url: str, conv: int, seq: int) -> None:
    """Somebody is back first and writes until every number that was lost is used again: only by the epoch can the
    others tell that theirs mean something else.
    """
    async with open_client(url, handle="eve", password="looking-glass", pipeline=64) as eve:
        handles = [await eve.messages.send_soon(conv, f"eve {number}") for number in range(seq)]
        assert (await handles[-1].wait()).seq > seq


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  what is waited for happens in several processes
        await trio.sleep(0.02)


@pytest.fixture
async def bounded(nursery: trio.Nursery) -> None:
    async def watch() -> None:
        await trio.sleep(PATIENCE * 2)
        raise AssertionError("this test takes too long")

    nursery.start_soon(watch)


async def test_a_restored_server_and_its_clients(tmp_path: Path, bounded: None) -> None:
    """P1, P2, P5, P12. What was acknowledged before the backup is there, at its place, once; what was said after it is
    lost and no client shows it any more; what waited in an outbox is sent; a device that was away the whole time comes
    back like the others. Nobody helps.
    """
    names = ("alice", "bob", "carol")
    open_person = partial(open_client, world=IMPATIENT)
    async with AsyncExitStack() as stack:
        async with serve(tmp_path / "data", "127.0.0.1:0") as address:
            url = f"wirechat://{address}"
            users = [(await register(url, name, password="looking-glass")).user for name in (*names, "dave", "eve")]
            people = []
            for name in names:
                opening = open_person(url, handle=name, password="looking-glass", cache=tmp_path / name)
                people.append(Person(name, await stack.enter_async_context(opening)))
            conv = await people[0].client.conversations.create_group("all", users[1:])
            async with trio.open_nursery() as nursery:
                for person in people:
                    nursery.start_soon(person.talk, conv)
                await until(lambda: all(len(person.acknowledged) >= 20 for person in people))
                async with open_person(url, handle="dave", password="looking-glass", cache=tmp_path / "dave") as dave:
                    await dave.synced()
                before = {text: seq for person in people for text, seq in person.acknowledged.items()}
                taken = json.loads(await command("backup", "--data", tmp_path / "data", tmp_path / "copy", "--json"))
                during = {text: seq for person in people for text, seq in person.acknowledged.items()}
                await until(lambda: all(f"{p.name} {len(during)}" in p.acknowledged for p in people))
                nursery.cancel_scope.cancel()
        later = {text: seq for person in people for text, seq in person.acknowledged.items()}
        for person in people:
            await person.client.messages.send_soon(conv, f"{person.name} while it was down")
        await command("restore", tmp_path / "copy", "--data", tmp_path / "new")
        async with serve(tmp_path / "new", "127.0.0.1:0") as elsewhere:
            await go_beyond(f"wirechat://{elsewhere}", conv, max(later.values()))
        async with serve(tmp_path / "new", address):
            dave = await stack.enter_async_context(open_person(url, cache=tmp_path / "dave"))
            everyone = [*people, Person("dave", dave)]
            await all_of([person.resynced for person in people])
            await until(lambda: not any(person.client.messages.unsent() for person in people))
            end = max([(await person.client.messages.send(conv, f"{person.name} again")).seq for person in people])
            await until(lambda: all(person.client.log(conv).pos == end for person in everyone))
            (log,) = {tuple(sorted(person.texts(conv).items())) for person in everyone}
    assert [seq for seq, _ in log] == list(range(2, end + 1))
    said = {text: seq for seq, text in log}
    assert len(said) == len(log)
    assert {text: seq for text, seq in before.items() if said.get(text) != seq} == {}
    assert all(f"{name} {words}" in said for name in names for words in ("while it was down", "again"))
    lost = later.keys() - said.keys()
    assert lost
    assert not lost & before.keys()
    assert before.items() <= during.items()
    assert taken["entries"] <= end
    assert "everything is consistent" in await command("verify", "--data", tmp_path / "new")


async def all_of(waits: list[Callable[[], Awaitable[None]]]) -> None:
    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(wait)


async def test_a_server_reminds_of_what_it_keeps(tmp_path: Path, bounded: None) -> None:
    """P8: a copy from before a migration holds what was deleted since; each start says where it lies."""
    await command("user", "add", "--data", tmp_path / "data", "alice", "--password", "looking-glass")
    kept = tmp_path / "data" / "wirechat.db.before-0002"
    kept.touch()
    arguments = ["serve", "--data", str(tmp_path / "data"), "--tcp", "127.0.0.1:0"]
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "wirechat.cli.main", *arguments], cwd=ROOT, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = b""
    while b"listening" not in said:
        said += await process.stderr.receive_some()
    process.kill()
    await process.wait()
    told = json.loads(said.splitlines()[0])
    assert (told["file"], told["level"]) == (str(kept), "warning")
