"""What it costs to bring a device up to date that was away: the digest of what changed, then the messages.

The server's store is filled directly before it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import trio

from bench import people
from bench.benchmark import BenchError, Benchmark, Row, Run
from bench.client import Account, Client
from bench.founding import Founding, sqlite
from bench.people import Connect
from bench.process import Process, scratch, serve
from wirechat import wire

PAGE = 200

ROWS = {
    "digest": "10,000 conversations, 1,000 of them changed: SYNC with a token, pages of 200",
    "digest_all": "10,000 conversations and no token: SYNC of a new device",
    "pull": "10,000 messages of one conversation that were missed: CHANGES in pages of 200",
    "pull_many": "1,000 conversations with one missed message each: a CHANGES for each",
}


@attrs.frozen
class Stored:
    """What is in the store."""

    account: Account
    other: Account
    convs: list[int]
    changed: list[int]
    long: int
    """A conversation with many messages."""


def measure(run: Run) -> Iterator[Row]:
    """Each way to catch up."""
    with scratch() as data:
        stored = trio.run(_fill, data, run)
        with serve(run.root, "--tcp", "127.0.0.1:0", data=data) as process:
            yield from _measure(run, process, stored)


async def _fill(data: Path, run: Run) -> Stored:
    async with sqlite(data) as store:
        founding = Founding(store)
        account, other = await founding.people(2)
        convs = await founding.conversations([(account.user, other.user)] * run.size(10_000, 100))
        await founding.say([(convs[0], other.user)] * run.size(10_000, 400))
        return Stored(account, other, convs, convs[1 : 1 + run.size(1_000, 10)], convs[0])


def _measure(run: Run, process: Process, stored: Stored) -> Iterator[Row]:
    connect = people.connector(process.port)
    client = _log_in(connect, stored.account)
    _, horizon = people.sync(client, None)
    client.close()
    (other,) = people.log_in(connect, [stored.other])
    _touch(other, stored.changed)
    other.close()
    for row, since, due in (("digest", horizon, len(stored.changed)), ("digest_all", None, len(stored.convs))):
        if run.wants(row):
            yield Row(row, _digest(process, _log_in(connect, stored.account), since, due))
    client = _log_in(connect, stored.account)
    people.sync(client, None)
    ways: dict[str, tuple[int, Callable[[], int]]] = {
        "pull": (run.size(10_000, 400), lambda: _pull(client, stored.long)),
        "pull_many": (len(stored.changed), lambda: sum(_pull(client, conv, 1) for conv in stored.changed)),
    }
    for row in filter(run.wants, ways):
        count, pull = ways[row]
        before, received = process.cpu_ns(), client.received
        if (records := pull()) < count:
            raise BenchError(f"of {count} messages {records} came")
        yield Row(row, _figures(process.cpu_ns() - before, records, client.received - received))
    client.close()


def _log_in(connect: Connect, account: Account) -> Client:
    client = connect()
    client.greet()
    client.welcomed()
    client.log_in(account)
    client.expect(wire.AuthOk)
    return client


def _touch(client: Client, convs: list[int]) -> None:
    """A message in each."""
    text = wire.Content(1, "t" * 64)
    for at in range(0, len(convs), people.ASKED_TOGETHER):
        some = convs[at : at + people.ASKED_TOGETHER]
        client.send(*[wire.Send(0, conv, conv.to_bytes(8, "big"), 1, text) for conv in some])
        for _ in some:
            client.expect(wire.SendOk)


def _digest(process: Process, client: Client, horizon: bytes | None, due: int) -> dict[str, float]:
    before, received = process.cpu_ns(), client.received
    rows, _ = people.sync(client, horizon)
    figures = _figures(process.cpu_ns() - before, rows, client.received - received)
    client.close()
    if rows != due:
        raise BenchError(f"instead of {due} conversations {rows} had changed")
    return figures


def _pull(client: Client, conv: int, since: int = 0) -> int:
    records, more = 0, True
    while more:
        client.send(wire.Changes(0, conv, since, PAGE))
        page = client.expect(wire.ChangesOk)
        records, since, more = records + len(page.records), page.upto, page.more
    return records


def _figures(cpu_ns: int, records: int, received: int) -> dict[str, float]:
    return {"ms_cpu": cpu_ns / 1e6, "us_per_record": cpu_ns / 1000 / records, "bytes": received}


BENCHMARK = Benchmark("catch_up", "What does it cost to bring a device up to date?", ROWS, measure)
