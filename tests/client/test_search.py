"""Searching what is stored on this device: without a connection, and never what was deleted."""

from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import OTHER, Peer, Stage, edit, entry, first, meet, row
from wirechat import wire
from wirechat.client import Client, MessageAdded, RecordChanged

A, B = 5, 6


async def found(client: Client, text: str, conv: int | None = None, limit: int = 100) -> list[tuple[int, int]]:
    return [(hit.conv, hit.record.seq) for hit in await client.search(text, conv, limit)]


async def heard(client: Client, peer: Peer, *entries: wire.Event) -> None:
    feed = client.events()
    peer.say(*entries)
    for each in entries:
        await first(feed, MessageAdded if each.kind in (1, 7) else RecordChanged)


async def test_every_word_in_any_order_and_case(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """Newest first over all conversations, or in one."""
    async with meet(stage, opened(), row(A, 0), row(B, 0)) as (client, peer):
        await heard(client, peer, entry(A, 1, "The Hatter is LATE"), entry(A, 2, "for tea"))
        await heard(client, peer, entry(B, 1, "late again?"), entry(B, 2, "Grün, sagte der Hutmacher", ts=5000))
        assert await found(client, "late") == [(B, 1), (A, 1)]
        assert await found(client, "late hat") == [(A, 1)]
        assert await found(client, "LATE", A) == [(A, 1)]
        assert await found(client, "GRÜN") == [(B, 2)]
        assert await found(client, "hatter tea") == []
        assert await found(client, "  ") == []
        assert len(await found(client, "t", limit=1)) == 1


async def test_p8_what_was_deleted_or_replaced_is_not_found(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """There is no index in which it could linger; memberships are not messages."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        await heard(client, peer, entry(A, 1, "secret one"), entry(A, 2, "secret two"))
        assert await found(client, "secret") == [(A, 2), (A, 1)]
        await heard(client, peer, edit(A, 3, 2, "public"), entry(A, 4, kind=3, ref=1, content=None))
        await heard(client, peer, entry(A, 5, "secret", kind=7, users=(OTHER,)))
        assert await found(client, "secret") == []
        assert await found(client, "public") == [(A, 2)]


async def test_more_records_than_one_slice(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """The scan goes on where it stopped; a log can be read from the middle."""
    async with meet(stage, opened(), row(A, 0), row(B, 0)) as (client, peer):
        feed = client.events(events_max=5000)
        for start in range(1, 2101, 100):
            peer.say(*(entry(A, seq, f"number {seq}") for seq in range(start, start + 100)))
        while (await first(feed, MessageAdded)).record.seq < 2100:
            pass
        assert await found(client, "number 2100") == [(A, 2100)]
        assert await found(client, "number 1") == [(A, seq) for seq in range(2100, 0, -1) if "1" in str(seq)][:100]
        assert list(client.log(A, newest=2, before=1000).records) == [998, 999]
