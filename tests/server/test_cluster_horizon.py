"""P5 on PostgreSQL: transactions commit out of order, and one that writes holds the horizon of all nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio

from tests.server.nodes import Web, node, two_nodes, until
from tests.server.rig import Client
from tests.store.talk import msg, packed
from wirechat import wire
from wirechat.server import limits
from wirechat.store.features import devices, journal, sync
from wirechat.store.postgres import PostgresStore, open_postgres
from wirechat.store.tx import Tx

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty passes a second."""
    monkeypatch.setattr(limits, "PASS_SECONDS", 0.05)


class Writer:
    """A transaction of another node that has done its work and takes its time to commit."""

    def __init__(self, store: PostgresStore, *convs: int, user: int) -> None:
        self._store = store
        self._batch = [msg(conv, user, packed(1, b"late")) for conv in convs]
        self._ends = False

    async def run(self) -> None:
        """Until it may end."""
        await self._store.write(self._write)

    async def begun(self) -> None:
        """It holds the horizon."""
        while (await self._store.read(sync.held)).seconds == 0:
            await trio.lowlevel.checkpoint()

    def end(self) -> None:
        """Let it commit."""
        self._ends = True

    async def _write(self, tx: Tx) -> Any:
        if self._batch:
            await journal.append(tx, self._batch, 5, {})
        else:
            await sync.stamp(tx)
        while not self._ends:  # noqa: ASYNC110  asyncio, which has no idea of Trio's events
            await asyncio.sleep(0.01)


async def horizon(client: Client) -> bytes:
    """As it is told now."""
    await client.send(wire.Ping(1))
    pong = await client.expect(wire.Pong)
    assert pong.token is not None
    return pong.token


async def test_what_commits_late_is_told_late_and_not_lost(url: str) -> None:
    """Many passes went by since it was stamped, and others committed: whoever is there hears of it, and whoever left in
    between and comes back with the horizon of then.
    """
    async with node(url, Web()) as rig, open_postgres(url) as other, trio.open_nursery() as nursery:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        late, meanwhile = await rig.group(alice, bob), await rig.group(alice, bob)
        writer = Writer(other, late, user=alice.user)
        nursery.start_soon(writer.run)
        await writer.begun()
        said = await alice.say(meanwhile, "before it")
        await bob.expect(wire.Event, lambda event: (event.conv, event.seq) == (meanwhile, said.seq))
        await passes(rig)
        then = await horizon(bob)
        writer.end()
        await bob.expect(wire.Message, lambda message: tells(message, late, 2))
        again = await rig.again(bob)
        (page,) = await again.sync(then)
        assert (late, 2) in {(row.conv, row.head) for row in page.rows}


def tells(message: wire.Message, conv: int, seq: int) -> bool:
    """The entry itself, or a row that tells of it."""
    if isinstance(message, wire.Event):
        return (message.conv, message.seq) == (conv, seq)
    return isinstance(message, wire.Rows) and (conv, seq) in {(row.conv, row.head) for row in message.rows}


async def test_a_writer_holds_the_horizon_and_nothing_else(url: str) -> None:
    """Messages go on, and as soon as it ends the horizon does."""
    async with node(url, Web()) as rig, open_postgres(url) as other, trio.open_nursery() as nursery:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        writer = Writer(other, user=alice.user)
        nursery.start_soon(writer.run)
        await writer.begun()
        await passes(rig)
        held = await horizon(bob)
        for text in ("one", "two"):
            said = await alice.say(conv, text)
            await bob.expect(wire.Event, lambda event, seq=said.seq: event.seq == seq)  # type: ignore[misc]
        await passes(rig)
        assert await horizon(bob) == held
        writer.end()
        with trio.fail_after(10):
            while await horizon(bob) == held:
                await passes(rig, 1)


async def passes(rig: Any, count: int = 5) -> None:
    """So many more passes of this node have succeeded."""
    pulse = rig.server.pulse.passes
    enough = pulse.cumulative()[-1] + count
    await until(lambda: pulse.cumulative()[-1] >= enough)


async def test_8_28_a_device_is_cut_off_while_a_writer_holds_the_horizon(url: str) -> None:
    """Although every hint is lost: the pass looks for what ends sessions whether the horizon moves or not."""
    async with two_nodes(url) as (one, there, web), open_postgres(url) as other, trio.open_nursery() as nursery:
        alice = await one.person("alice")
        twin = await there.again(alice)
        await twin.sync()
        web.cut()
        writer = Writer(other, user=alice.user)
        nursery.start_soon(writer.run)
        await writer.begun()
        await passes(there, 3)
        await other.write(_revoke, alice.user, alice.device)
        with trio.fail_after(10):
            assert await twin.closed() == wire.errors.DEVICE_REVOKED
        writer.end()


async def _revoke(tx: Tx, user: int, device: int) -> None:
    assert await devices.revoke(tx, user, device, await sync.stamp(tx)) is True
