"""A whole replay: accounts, plays, evidence, the independent reader, the verdict."""

import gc
import os
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.conformance.decoder import Malformed
from tools.conformance.reader import Login, Refused, open_reader
from tools.replay.cutting import Lines
from tools.replay.evidence import Account, Evidence, record_of_fields
from tools.replay.meter import Meter
from tools.replay.people import Person, Registrar
from tools.replay.plan import Plan
from tools.replay.play import Play
from tools.replay.pulse import STALLED_SECONDS, Pulse
from tools.replay.sabotage import Sabotage, spoil
from tools.replay.verdict import Verdict, judge
from wirechat.client.errors import ConnectionFailed
from wirechat.client.transport import Network
from wirechat.wire import EntryKind

READER_RETRY_SECONDS = 0.5
GARBAGE = (50_000, 20, 100)  # every device keeps its log to the end: looking for garbage there is time lost


@attrs.frozen
class Options:
    """What to play and how.

    urls    where the connections go, in turn
    speed   times the original pace; None = as fast as it goes
    drop    probability that a connection breaks at a frame
    seed    of the breaks
    stalled_seconds     without any progress; then the replay is given up
    """

    plans: Sequence[Plan]
    urls: Sequence[str]
    ca: str | None = None
    speed: float | None = None
    drop: float = 0.0
    seed: int = 0
    sabotage: Sabotage | None = None
    stalled_seconds: float = STALLED_SECONDS


@attrs.frozen
class Result:
    """`seconds`: from the first step until every device had everything."""

    accounts: int
    entries: int
    replies: int
    receipts: int
    reconnects: int
    seconds: float
    messages: int
    verdict: Verdict


async def replay(options: Options, meter: Meter) -> Result:
    """Plays everything and compares. Raises ClientError when accounts cannot be made."""
    gc.set_threshold(*GARBAGE)
    pulse, dice = Pulse(options.stalled_seconds), random.Random(options.seed)
    people = await _register(options, pulse, meter)
    async with trio.open_nursery() as nursery:
        lines = Lines(Network(nursery, options.ca).connect, options.drop, dice)
        plays = _cast(options, people, lines, nursery, pulse, meter)
        start = trio.current_time()
        await _perform(plays, pulse, options.sabotage)
        seconds = trio.current_time() - start
        for play in plays:
            await play.gather()
        nursery.cancel_scope.cancel()
    read = [await _read(play, options.ca, pulse) for play in plays]
    if options.sabotage is not None:
        spoil(read[0], options.sabotage)
    return _result([play.evidence for play in plays], read, len(people), lines.opened, seconds)


def _warn(line: str) -> None:
    print(f"wirechat replay: {line}", file=sys.stderr, flush=True)


async def _register(options: Options, pulse: Pulse, meter: Meter) -> list[Person]:
    """For each plan its owner, then its people."""
    names = [name for plan in options.plans for name in (plan.name, *plan.accounts)]
    meter.count("accounts", expected=len(names))
    run = f"r{os.urandom(5).hex()}"
    registrar = Registrar(options.urls, run, options.ca, pulse, partial(meter.count, "accounts", done=1), _warn)
    people: list[Person] = []

    async def work() -> None:
        people.extend(await registrar.register(names))

    if not await pulse.guard(work):
        raise ConnectionFailed(f"no account could be made for {pulse.stalled_seconds:g} s")
    return people


def _cast(
    options: Options,
    people: Sequence[Person],
    lines: Lines,
    nursery: trio.Nursery,
    pulse: Pulse,
    meter: Meter,
) -> list[Play]:
    meter.count("steps", expected=sum(len(plan.steps) for plan in options.plans))
    plays, rest = [], list(people)
    for plan in options.plans:
        (owner, *crowd), rest = rest[: 1 + len(plan.accounts)], rest[1 + len(plan.accounts) :]
        moved = partial(meter.count, "steps", done=1)
        plays.append(Play(plan, owner, crowd, lines.open, nursery, pulse, options.speed, moved))
    return plays


async def _perform(plays: Sequence[Play], pulse: Pulse, sabotage: Sabotage | None) -> None:
    """Plays all plans at once and waits until everybody has everything, or nothing moves any more."""
    if not await pulse.guard(lambda: _together([play.perform for play in plays])):
        for play in plays:
            play.give_up()
        return
    if sabotage is Sabotage.DOUBLE:
        await plays[0].double()
    await pulse.guard(lambda: _together([play.settle for play in plays]))


async def _together(work: Sequence[Callable[[], Awaitable[None]]]) -> None:
    async with trio.open_nursery() as nursery:
        for part in work:
            nursery.start_soon(part)


async def _read(play: Play, ca: str | None, pulse: Pulse) -> Account:
    """The server's own account, through the independent reader; a fault when it cannot be had."""
    account = Account(0, {}, {}, ["the reader could not connect"])

    async def work() -> None:
        nonlocal account
        while True:
            try:
                account = await trio.to_thread.run_sync(_read_blocking, play.owner, play.conv, ca)
                return
            except OSError:
                await trio.sleep(READER_RETRY_SECONDS)
            except (Refused, Malformed) as error:
                account.faults[:] = [f"the reader could not read: {error}"]
                return

    await pulse.guard(work)
    return account


def _read_blocking(owner: Person, conv: int, ca: str | None) -> Account:
    login = Login(owner.handle, owner.device, Ed25519PrivateKey.from_private_bytes(owner.key))
    with open_reader(owner.url, login, ca) as reader:
        reading = reader.read(conv)
    records = {seq: record_of_fields(record) for seq, record in reading.records.items()}
    return Account(reading.head, records, reading.marks, reading.faults)


def _result(evidence: list[Evidence], read: list[Account], people: int, opened: int, seconds: float) -> Result:
    verdict = Verdict()
    for part, account in zip(evidence, read, strict=True):
        verdict.add(judge(part, account))
    records = [record for account in read for record in account.records.values()]
    return Result(
        accounts=people,
        entries=sum(account.head for account in read),
        replies=sum(record.kind == EntryKind.MSG and record.ref is not None for record in records),
        receipts=sum(len(account.marks) for account in read),
        reconnects=max(0, opened - people),
        seconds=seconds,
        messages=sum(record.kind == EntryKind.MSG for record in records),
        verdict=verdict,
    )
