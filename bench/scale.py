"""Whether a message costs more when there is much in the store already.

Two servers stand side by side and take turns: one with nothing but the people of the load, one with a million messages
in ten thousand conversations, those of the load among them. Their stores are filled directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import attrs
import trio

from bench import people
from bench.benchmark import Benchmark, Row, Run
from bench.client import Account
from bench.founding import Founding, sqlite
from bench.hot_path import WARM_UP
from bench.load import Load, Work
from bench.people import Conversation
from bench.process import Process, scratch, serve

PAIRS = 100
ROUNDS = 4
WAYS = {"w10": 10, "w1": 1}
ROWS = {
    f"{store}_{way}": f"100 pairs, {window} unanswered at each sender, {about}"
    for way, window in WAYS.items()
    for store, about in {
        "empty": "on an empty store",
        "million": "on a store of 1,000,000 messages in 10,000 conversations",
    }.items()
}

Side = Callable[[int], float]
"""Runs the load with a window; returns microseconds for each message."""


def measure(run: Run) -> Iterator[Row]:
    """The rows in turns, several times: filling the store takes longer than the load."""
    pairs = run.size(PAIRS, 5)
    sizes = {"empty": (pairs, pairs, 0), "million": (pairs, run.size(10_000, 50), run.size(1_000_000, 500))}
    with ExitStack() as stack:
        stores = {name: _filled(stack.enter_context(scratch()), *size) for name, size in sizes.items()}
        sides = {name: stack.enter_context(_side(run, stored)) for name, stored in stores.items()}
        for number in range(run.size(ROUNDS, 1)):
            for way, window in WAYS.items():
                empty, million = f"empty_{way}", f"million_{way}"
                if run.wants(empty) or run.wants(million):
                    turns = list(sides.items())[:: -1 if number % 2 else 1]
                    costs = {name: side(window) for name, side in turns}
                    yield Row(empty, {"us_per_message": costs["empty"]})
                    ratio = costs["million"] / costs["empty"]
                    yield Row(million, {"us_per_message": costs["million"], "ratio": ratio})


@attrs.frozen
class Stored:
    """A store on disk."""

    data: Path
    accounts: list[Account]
    """The people of the load, two and two."""
    convs: list[int]
    """The conversation of each two."""
    head: int
    """seq of the last entry in each."""


@contextmanager
def _side(run: Run, stored: Stored) -> Iterator[Side]:
    with serve(run.root, "--tcp", "127.0.0.1:0", data=stored.data) as process:
        yield from _loaded(run, process, stored)


def _loaded(run: Run, process: Process, stored: Stored) -> Iterator[Side]:
    clients = people.log_in(people.connector(process.port), stored.accounts)
    known = [Conversation(conv, clients[2 * at : 2 * at + 2], stored.head) for at, conv in enumerate(stored.convs)]
    load = Load(clients)

    def side(window: int) -> float:
        work = Work([(each.members[0], each) for each in known], window)
        seen = load.run(work, WARM_UP * run.seconds, run.seconds, process.cpu_ns)
        return seen.cpu_ns / 1000 / seen.measured

    yield side
    for client in clients:
        client.close()


def _filled(data: Path, pairs: int, conversations: int, messages: int) -> Stored:
    return trio.run(_fill, data, pairs, conversations, messages)


async def _fill(data: Path, pairs: int, conversations: int, messages: int) -> Stored:
    async with sqlite(data) as store:
        founding, chance = Founding(store), Random(4)
        accounts = await founding.people(2 * pairs)
        users = [each.user for each in accounts]
        members: list[tuple[int, ...]] = [(users[at], users[at + 1]) for at in range(0, len(users), 2)]
        directs = await founding.directs(members)
        if conversations > pairs:
            others = [each.user for each in await founding.people(conversations // 5)]
            members += [tuple(chance.sample(others, 5)) for _ in range(conversations - pairs)]
        convs = directs + await founding.conversations(members[pairs:])
        each = messages // len(convs)
        await founding.say(
            (conv, who[at % len(who)]) for conv, who in zip(convs, members, strict=True) for at in range(each)
        )
        return Stored(data, accounts, directs, 1 + each)


BENCHMARK = Benchmark("scale", "Does a message cost more when there is much in the store?", ROWS, measure, repeat_max=1)
