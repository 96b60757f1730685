"""Attacks 25 and 26: making the server hold or do too much. Work and room are counted, never timed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.attacks.victim import NOWHERE, Attacker, Victim, attacked
from wirechat import wire
from wirechat.server import limits
from wirechat.server.config import Config, Limits
from wirechat.server.outbox import Outbox
from wirechat.store.features import history, mentions, unread
from wirechat.store.tx import Tx

TEXT = wire.Content(1, "x")


@contextmanager
def reads(victim: Victim) -> Iterator[list[str]]:
    """The names of what is read from the store meanwhile."""
    found: list[str] = []
    store = victim.rig.server.store
    original = store.read

    async def counted(feature: Any, *args: Any) -> Any:
        found.append(feature.__name__)
        return await original(feature, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "read", lambda self, *args: counted(*args))
        yield found


def group(owner: Attacker, *others: Attacker) -> int:
    """A group of these."""
    members = tuple(other.user for other in others)
    return owner.ask(wire.ConvNew(0, os.urandom(8), 2, members), wire.ConvNewOk).conv


def flight(client: Attacker, *requests: Any) -> list[Any]:
    """Send all in one segment; their answers in the order of the requests."""
    for rid, request in enumerate(requests, 1_000_000):
        request.rid = rid
    client.send(*requests)
    found = {}
    while len(found) < len(requests):
        message = client.recv()
        assert message is not None, client.seen[-3:]
        if getattr(message, "rid", None) is None:
            client.seen.append(message)
        else:
            found[message.rid] = message  # type: ignore[attr-defined]
    return [found[request.rid] for request in requests]


def codes(answers: list[Any]) -> list[int]:
    """The codes of ERRORs, 0 for replies."""
    return [answer.code if isinstance(answer, wire.Error) else 0 for answer in answers]


# 25: more than one's share


async def _fill(tx: Tx, table: str, rows: list[tuple[Any, ...]]) -> None:
    marks = ", ".join(f"${number}" for number in range(1, len(rows[0]) + 1))
    await tx.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def filled(victim: Victim, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Put rows into the store as if the server had."""
    victim.run(victim.rig.server.store.write, _fill, table, rows)


def test_a25_devices_of_an_account(victim: Victim) -> None:
    """A25 [8-6]: 256 and no more; revoking one makes room for one."""
    stranger = victim.greeted()
    made = stranger.ask(wire.Register(0, "hoarder", 1, b"correct horse"), wire.RegisterOk)
    login = wire.Auth(0, 1, "hoarder", proof=b"correct horse")
    first = victim.greeted()
    first.ask(login, wire.AuthOk)

    async def devices(tx: Tx) -> None:
        await tx.executemany(
            "INSERT INTO device (device, user_id, name, made) VALUES ($1, $2, $3, 0)",
            [(10_000 + number, made.user, b"") for number in range(wire.limits.DEVICES - 1)],
        )

    victim.run(victim.rig.server.store.write, devices)
    assert stranger.refused(login) == 4007
    first.ask(wire.DeviceRevoke(0, 10_000), wire.DeviceRevokeOk)
    second = victim.greeted()
    assert isinstance(second.answer(login), wire.AuthOk)
    assert stranger.refused(login) == 4007


def test_a25_people_that_one_blocks(victim: Victim) -> None:
    """A25 [10-24]: 1,000; and there is no number above it that a frame could make."""
    ann, bob = victim.person("ann"), victim.person("bob")
    filled(victim, "block", [(ann.user, 1_000 + number) for number in range(wire.limits.BLOCKED)])
    assert ann.refused(wire.Block(0, bob.user, True)) == 4007


def test_a25_pins_of_a_conversation(victim: Victim) -> None:
    """A25 [9-16]: 100."""
    ann = victim.person("pinner")
    conv = group(ann)
    for start in range(0, 101, 50):
        flight(ann, *[wire.Send(0, conv, os.urandom(8), 1, TEXT) for _ in range(min(50, 101 - start))])
    done = []
    for start in range(2, 103, 50):
        pins = [wire.Send(0, conv, os.urandom(8), 5, None, seq) for seq in range(start, min(start + 50, 103))]
        done += codes(flight(ann, *pins))
    assert done == [0] * 100 + [4007]


def test_a25_members_of_a_group(tmp_path: Path) -> None:
    """A25 [10-7]: the operator's limit holds for making and for adding."""
    with attacked(tmp_path, Config(grease=0, limits=Limits(members=3))) as victim:
        people = [victim.person(f"p{number}") for number in range(4)]
        assert people[0].refused(wire.ConvNew(0, os.urandom(8), 2, tuple(p.user for p in people[1:]))) == 4007
        conv = group(*people[:3])
        assert people[0].refused(wire.MemberAdd(0, conv, os.urandom(8), (people[3].user,))) == 4007


def test_a25_reactions_on_a_message(victim: Victim) -> None:
    """A25 [9-5]: those of 1,000 users; the next one is told so."""
    ann = victim.person("reacted")
    conv = group(ann)
    seq = ann.say(conv, "look")
    filled(victim, "reaction", [(conv, seq, 1_000 + number, b"\x92\x02\xa1x") for number in range(1000)])
    assert ann.refused(wire.Send(0, conv, os.urandom(8), 4, wire.Content(2, "y"), seq)) == 4007


LISTS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "mentions": (lambda users: wire.Send(0, NOWHERE, bytes(8), 1, TEXT, mentions=users), 50),
    "records": (lambda users: wire.Records(0, NOWHERE, users), 100),
}


@pytest.mark.parametrize("name", LISTS)
def test_a25_lists_have_an_end(victim: Victim, name: str) -> None:
    """A25: one item more than the schema allows is answered 3000, as many as it allows are looked at (4002)."""
    make, most = LISTS[name]
    asker = victim.person(f"lists-{name}")
    assert asker.refused(make(tuple(range(1, most + 2)))) == 3000
    assert asker.refused(make(tuple(range(1, most + 1)))) == 4002


WIDE: dict[str, Callable[[Any], Any]] = {
    "USER_GET": lambda many: wire.UserGet(5, many),
    "CONV_GET": lambda many: wire.ConvGet(5, many),
    "UNREAD": lambda many: wire.Unread(5, many),
    "PRESENCE_SUB": lambda many: wire.PresenceSub(5, many),
    "HIDE": lambda many: wire.Hide(5, NOWHERE, many),
    "MEMBER_ADD": lambda many: wire.MemberAdd(5, NOWHERE, bytes(8), many),
    "CONV_NEW": lambda many: wire.ConvNew(5, bytes(8), 2, many),
    "ACK": lambda many: wire.Ack(0, tuple(wire.Held(item, 0) for item in many)),
}


@pytest.mark.parametrize("name", WIDE)
def test_a25_a_frame_lists_256_things_at_most(victim: Victim, name: str) -> None:
    """A25 [3-5]: one more breaks the profile and ends the connection."""
    asker = victim.person(f"wide-{name.lower()}")
    asker.send(WIDE[name](tuple(range(1, 258))))
    assert asker.closed() == 1002


def test_a25_resume_tokens_of_a_device(victim: Victim) -> None:
    """A25 [8-14]: a device that logs in again and again leaves 16 tokens behind, not a token for each time."""
    ann = victim.person("again")
    for _ in range(20):
        ann = victim.again(ann)
    kept = [row for row in victim.stored()["resume"] if row[1] == ann.device]
    assert len(kept) == 16


def test_a25_a_watcher_watches_256(victim: Victim) -> None:
    """A25 [13-15]: each set replaces the one before; what is kept does not grow."""
    ann = victim.person("watcher")
    presence = victim.rig.server.presence
    for start in (100, 1_000):
        ann.ask(wire.PresenceSub(0, tuple(range(start, start + 256))), wire.PresenceSubOk)
    assert len(presence._watched) == 256
    ann.ask(wire.PresenceSub(0, ()), wire.PresenceSubOk)
    assert not presence._watched


def test_a25_unanswered_requests(victim: Victim) -> None:
    """A25 [7-16]: 64 of one connection are under way at most, whatever is sent; the others are told 5002."""
    ann = victim.person("eager")
    conv = group(ann)
    answers = codes(flight(ann, *[wire.Send(0, conv, os.urandom(8), 1, TEXT) for _ in range(300)]))
    assert set(answers) <= {0, 5002}
    assert answers.count(0) >= 64
    assert victim.rig.server.journal.waiting == 0


def test_a25_a_peer_that_never_reads_is_not_read_from(victim: Victim) -> None:
    """A25, A08: answers wait for a slow reader up to a bound; then his requests wait in his own socket, not here."""
    ann = victim.person("mute")
    conv = group(ann)
    ann.say(conv, "x" * 16_000)
    outboxes: list[Outbox] = [each.outbox for each in victim.connections() if each.session is not None]
    ann.sock.settimeout(0.3)
    sent = 0
    question = wire.History(1, conv).encode() * 100
    for _ in range(200):
        try:
            sent += ann.sock.send(question)
        except TimeoutError:
            break
    waiting = [box.backlog for box in outboxes]
    assert max(waiting) <= limits.BACKLOG_BYTES_MAX + 64 * wire.limits.SERVER_FRAME_BYTES
    assert victim.person("unharmed").alive()
    ann.close()


# 26: little asked, much done


@attrs.frozen
class Hoard:
    """A conversation in which somebody has hidden, or does not want to see, nearly everything."""

    asker: Attacker
    conv: int


@pytest.fixture(scope="module")
def hoard(victim: Victim) -> Hoard:
    """Two hundred such messages, and one at each end."""
    asker, writer, other = victim.person("asker"), victim.person("writer"), victim.person("otherwriter")
    conv = group(asker, writer, other)
    other.say(conv, "the first", mentions=(asker.user,))
    for _ in range(4):
        sends = [wire.Send(0, conv, os.urandom(8), 1, TEXT, mentions=(asker.user,)) for _ in range(50)]
        assert set(codes(flight(writer, *sends))) == {0}
    other.say(conv, "the last", mentions=(asker.user,))
    asker.ask(wire.Block(0, writer.user, True), wire.BlockOk)
    asker.ask(wire.Hide(0, conv, tuple(range(3, 203))), wire.HideOk)
    asker.pushes()
    return Hoard(asker, conv)


@pytest.fixture
def no_refill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody regains anything of his budget meanwhile."""
    monkeypatch.setattr(wire.limits, "REQUESTS_PER_SECOND", 0)


@pytest.fixture
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One read looks at twenty entries, and each costs one request."""
    for module in (history, mentions):
        monkeypatch.setattr(module, "WALK_MAX", 20)
    monkeypatch.setattr(limits, "ENTRIES_PER_TOKEN", 1)


PASSED: dict[str, tuple[Callable[[int], Any], Callable[[Any], Any], str]] = {
    "CHANGES": (lambda conv: wire.Changes(0, conv, 2), lambda ok: [each.seq for each in ok.records], "changes"),
    "MENTIONS": (lambda conv: wire.Mentions(0, conv, 202), lambda ok: list(ok.seqs), "mentions"),
}


@pytest.mark.parametrize("name", PASSED)
@pytest.mark.usefixtures("short_walks", "no_refill")
def test_a26_what_is_passed_over_is_read_in_bites_and_paid_for(victim: Victim, hoard: Hoard, name: str) -> None:
    """A26 (P10): others get between, the answer is that of one long read, and the budget has gone down."""
    request, shown, feature = PASSED[name]
    connection = victim.connection(hoard.asker.user)
    connection.tokens = wire.limits.REQUESTS_BURST
    with reads(victim) as found:
        answer = hoard.asker.answer(request(hoard.conv))
    assert shown(answer) == ([203] if name == "CHANGES" else [2])
    assert found.count(feature) >= 10
    assert connection.tokens <= wire.limits.REQUESTS_BURST - 180


@pytest.mark.usefixtures("short_walks", "no_refill")
def test_a26_history_that_shows_nothing_is_paid_for(victim: Victim, hoard: Hoard) -> None:
    """A26: a page may be empty, and is not free for that."""
    connection = victim.connection(hoard.asker.user)
    connection.tokens = wire.limits.REQUESTS_BURST
    page = hoard.asker.ask(wire.History(0, hoard.conv, 150), wire.HistoryOk)
    assert (page.records, page.lo) == ((), 131)
    assert connection.tokens <= wire.limits.REQUESTS_BURST - 20


@pytest.mark.parametrize("name", PASSED)
@pytest.mark.usefixtures("short_walks")
def test_a26_who_looks_in_vain_again_and_again_is_told_to_wait(
    victim: Victim, hoard: Hoard, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A26: 5001, never 1008: how much was passed over is nothing that a client could know."""
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.05)
    connection = victim.connection(hoard.asker.user)
    connection.tokens = 300
    answers = [hoard.asker.answer(PASSED[name][0](hoard.conv)) for _ in range(3)]
    assert codes(answers)[0] == 0
    assert set(codes(answers)) <= {0, 5001}
    assert connection.tokens >= -3
    connection.tokens = wire.limits.REQUESTS_BURST


@pytest.mark.usefixtures("no_refill")
def test_a26_unread_in_one_flight_is_paid_for_one_by_one(
    victim: Victim, hoard: Hoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A26 [13-13]: sixty questions at once are not looked at before the first is paid for."""
    monkeypatch.setattr(limits, "ENTRIES_PER_TOKEN", 1)
    connection = victim.connection(hoard.asker.user)
    connection.tokens = 500
    with reads(victim) as found:
        answers = codes(flight(hoard.asker, *[wire.Unread(0, (hoard.conv,)) for _ in range(60)]))
    assert found.count(unread.unread.__name__) <= 4
    assert set(answers) == {0, 5001}
    connection.tokens = wire.limits.REQUESTS_BURST


def test_a26_unread_looks_at_so_many_entries(victim: Victim, hoard: Hoard) -> None:
    """A26 [13-13]: the same conversation named 256 times is counted once."""
    connection = victim.connection(hoard.asker.user)
    connection.tokens = wire.limits.REQUESTS_BURST
    answer = hoard.asker.ask(wire.Unread(0, (hoard.conv,) * 256), wire.UnreadOk)
    assert len(answer.counts) == 1


def test_a26_typing_is_not_passed_on_as_often_as_it_comes(victim: Victim) -> None:
    """A26 [13-22]: a thousand are one, and cost their sender twenty requests each."""
    ann, bob = victim.person("typist"), victim.person("reader")
    conv = group(ann, bob)
    ann.send(wire.Typing(conv, True))
    bob.expect(wire.Typing)
    ann.send(*[wire.Typing(conv, True)] * 100)
    assert ann.alive()
    assert not [push for push in bob.pushes() if isinstance(push, wire.Typing)]
    connection = victim.connection(ann.user)
    assert connection.tokens <= wire.limits.REQUESTS_BURST - 2_000 + wire.limits.REQUESTS_PER_SECOND
    ann.send(*[wire.Typing(conv, True)] * 900)
    assert ann.closed() == 1008


def test_a26_typing_in_a_large_group_reaches_nobody(victim: Victim) -> None:
    """A26 [13-22]: above 64 members it is ignored."""
    ann, bob = victim.person("shouter"), victim.person("crowd")
    conv = group(ann, bob)
    head = 1
    filled(victim, "member", [(conv, 1_000 + number, 1, head, None, 0) for number in range(63)])
    ann.send(wire.Typing(conv, True))
    for _ in range(3):
        ann.ask(wire.Account(0), wire.AccountOk)
    assert not [push for push in bob.pushes() if isinstance(push, wire.Typing)]


def test_a26_acks_that_list_much_are_paid_for(victim: Victim) -> None:
    """A26 [12-27]: 256 positions cost 64 requests; who sends nothing else is ended, and nothing is written for it."""
    ann = victim.person("acker")
    held = tuple(wire.Held(number, 1) for number in range(1, 257))
    ann.send(*[wire.Ack(0, held)] * 400)
    assert ann.closed() == 1008


def test_a26_a_mention_notifies_nobody_who_is_not_there(victim: Victim) -> None:
    """A26 [11-19]: fifty ids of strangers make fifty rows and not one push."""
    ann, stranger = victim.person("mentioner"), victim.person("mentioned")
    conv = group(ann)
    ann.say(conv, "hey", mentions=(stranger.user, *range(1_000, 1_049)))
    assert stranger.pushes() == []


def test_a26_the_largest_answer_fits_its_frame(victim: Victim) -> None:
    """A26 [12-22]: a page of the longest messages, each with reactions and mentions, is cut, not sent."""
    ann = victim.person("longwinded")
    conv = group(ann)
    longest = wire.Content(1, "\N{GRINNING FACE}" * 4096)
    sends = [wire.Send(0, conv, os.urandom(8), 1, longest, mentions=tuple(range(1_000, 1_050))) for _ in range(12)]
    assert set(codes(flight(ann, *sends))) == {0}
    filled(victim, "reaction", [(conv, 2, 5_000 + n, b"\x92\x02\xd9\x40" + b"x" * 64) for n in range(1000)])
    ann.send(wire.History(77, conv, None, 200))
    body = ann.body()
    assert body is not None
    assert len(body) <= wire.limits.SERVER_FRAME_BYTES


def test_a26_more_entries_than_the_disk_takes_are_refused(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """A26: what waits for the journal is bounded: 5000, surely not stored, and the others go on."""
    ann, bob = victim.person("fast"), victim.person("slow")
    conv = group(ann, bob)
    monkeypatch.setattr(limits, "PENDING_ENTRIES_MAX", 10)
    answers = codes(flight(ann, *[wire.Send(0, conv, os.urandom(8), 1, TEXT) for _ in range(60)]))
    assert set(answers) == {0, 5000}
    stored = [row for row in victim.stored()["entry"] if row[0] == conv]
    assert len(stored) == 1 + answers.count(0)
    monkeypatch.undo()
    assert bob.say(conv, "unharmed") == len(stored) + 1


def test_a26_unknown_connections_leave_room_for_the_known(tmp_path: Path) -> None:
    """A26: strangers fill their share and no more; who is logged in stays."""
    with attacked(tmp_path, Config(grease=0, limits=Limits(unknown_connections=5, connections=50))) as victim:
        ann = victim.person("ann")
        strangers = [victim.attacker() for _ in range(20)]
        left = 0
        for stranger in strangers:
            stranger.send(wire.Hello("WC", 1, 1, (), "stranger"))
            left += stranger.recv() is not None
        assert left <= 5
        assert ann.alive()
