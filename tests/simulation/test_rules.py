"""Each rule that one frame shows: kept, and broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from tools.history.checker import Entry, Periods
from tools.simulate.privacy import Privacy
from tools.simulate.rules import Doings, Rules
from tools.simulate.truth import Leaving
from wirechat import wire
from wirechat.wire import errors
from wirechat.wire.registries import AuthMethod, ContentType, EntryKind, MemberState, SyncMode

ANN, BOB, CAT, HERE, ELSEWHERE = 1, 2, 3, 300, 400
CID, OTHER_CID = b"12345678", b"87654321"
TEXT = wire.Content(ContentType.TEXT, "hello")
LOG = [
    Entry(HERE, 1, 10, BOB, EntryKind.CREATE, users=(BOB,)),
    Entry(HERE, 2, 20, BOB, EntryKind.ADD, users=(ANN,)),
    Entry(HERE, 3, 30, BOB, EntryKind.MSG, "from Bob", cid=OTHER_CID),
]


@attrs.define
class World:
    """What the judge needs: Ann's device, and a group that she was added to with its second entry."""

    user: int = ANN
    number: int = 7
    doings: Doings = attrs.Factory(Doings)
    entries: list[Entry] = attrs.Factory(lambda: list(LOG))
    members: dict[int, Periods] = attrs.Factory(lambda: {BOB: ((1, None),), ANN: ((2, None),)})
    leaving: Leaving | None = None
    deaf: bool = False
    privacy: Privacy = attrs.Factory(Privacy)
    blamed: list[str] = attrs.Factory(list)

    def log(self, conv: int) -> Sequence[Entry]:
        return self.entries if conv == HERE else ()

    def periods(self, conv: int) -> dict[int, Periods]:
        return self.members if conv == HERE else {CAT: ((1, None),)}

    def left(self, conv: int, user: int) -> Leaving | None:
        return self.leaving

    def is_known(self, user: int, conv: int) -> bool:
        return bool(self.periods(conv).get(user))

    def connect(self, synced: bool = True) -> Rules:
        def blame(promise: str, rule: str, detail: str) -> None:
            self.blamed.append(rule)

        truth: Any = self  # for this test
        rules = Rules(self, truth, self.privacy, blame, lambda: self.deaf, trio.current_time)
        if synced:
            rules.received(wire.SyncOk(1, SyncMode.DIGEST, (), None, b"token"))
        return rules


@pytest.fixture
def world() -> World:
    return World()


def send(rid: int, cid: bytes = CID, conv: int = HERE, text: str = "hello", ref: int | None = None) -> wire.Send:
    return wire.Send(rid, conv, cid, EntryKind.MSG, wire.Content(ContentType.TEXT, text), ref)


def failed(rid: int, code: int) -> wire.Error:
    return wire.Error(rid, code=code)


def exchange(rules: Rules, request: wire.Request, answer: wire.Message) -> None:
    rules.sent(request)
    rules.received(answer)


@pytest.mark.parametrize(("pause", "deaf", "blamed"), [(20, False, ["7-27"]), (20, True, []), (100, False, [])])
async def test_who_says_something_is_not_silent(
    autojump_clock: trio.testing.MockClock, pause: float, deaf: bool, blamed: list[str]
) -> None:
    world = World(deaf=deaf)
    rules = world.connect()
    for _ in range(5):
        await trio.sleep(pause)
        rules.sent(wire.Ping(1))
    rules.received(wire.Error(code=errors.IDLE))
    assert world.blamed == blamed


@pytest.mark.parametrize(
    ("answer", "blamed"),
    [
        (failed(2, errors.NO_CONVERSATION), []),
        (failed(2, errors.UNAVAILABLE), []),
        (failed(2, errors.FORBIDDEN), ["9-10"]),
        (wire.MembersOk(2, (), False), ["9-10"]),
    ],
)
async def test_a_stranger_learns_nothing(world: World, answer: wire.Message, blamed: list[str]) -> None:
    exchange(world.connect(), wire.Members(2, ELSEWHERE), answer)
    assert world.blamed == blamed


@pytest.mark.parametrize(("conv", "blamed"), [(HERE, []), (ELSEWHERE, ["9-10"])])
async def test_only_what_one_was_in_is_described(world: World, conv: int, blamed: list[str]) -> None:
    exchange(world.connect(), wire.ConvGet(2, (conv,)), wire.ConvGetOk(2, (wire.Info(conv, 2, 1, 2),)))
    assert world.blamed == blamed


@pytest.mark.parametrize(
    ("conv", "until", "head", "state", "blamed"),
    [
        (HERE, None, 3, MemberState.MEMBER, []),
        (HERE, None, 4, MemberState.MEMBER, ["9-11"]),
        (HERE, 3, 2, MemberState.MEMBER, []),
        (HERE, 3, 3, MemberState.MEMBER, ["9-11"]),
        (HERE, 3, 3, MemberState.FORMER, []),
        (HERE, 2, 3, MemberState.FORMER, ["9-11"]),
        (ELSEWHERE, None, 1, MemberState.MEMBER, ["9-11"]),
    ],
)
async def test_a_row_tells_no_head_that_one_does_not_see(
    world: World, conv: int, until: int | None, head: int, state: int, blamed: list[str]
) -> None:
    world.members[ANN] = ((2, until),)
    world.leaving = None if until is None else Leaving(1.0, 0)
    rows = (wire.Row(conv, head, 0, 0, 0, state),)
    world.connect().received(wire.Rows(rows))
    world.connect().received(wire.SyncOk(1, SyncMode.DIGEST, rows, None, b"token"))
    assert world.blamed == 2 * blamed


@pytest.mark.parametrize(
    ("answer", "blamed"),
    [
        (failed(3, errors.CID_REUSED), []),
        (failed(3, errors.FORBIDDEN), ["11-8"]),
        (wire.SendOk(3, 4, 40, True), ["11-4"]),
    ],
)
async def test_a_cid_stands_for_one_content(world: World, answer: wire.Message, blamed: list[str]) -> None:
    rules = world.connect()
    world.entries.append(Entry(HERE, 4, 40, ANN, EntryKind.MSG, "hello", cid=CID))
    exchange(rules, send(2), wire.SendOk(2, 4, 40))
    exchange(rules, send(3, text="something else"), answer)
    assert world.blamed == blamed


@pytest.mark.parametrize(("ts", "blamed"), [(40, []), (41, ["11-3"])])
async def test_a_repetition_has_the_time_of_the_entry(world: World, ts: int, blamed: list[str]) -> None:
    rules = world.connect()
    world.entries.append(Entry(HERE, 4, 40, ANN, EntryKind.MSG, "hello", cid=CID))
    exchange(rules, send(2), wire.SendOk(2, 4, 40))
    exchange(rules, send(3), wire.SendOk(3, 4, ts, True))
    assert world.blamed == blamed


async def test_surely_not_executed_is_not_there(world: World) -> None:
    rules = world.connect()
    exchange(rules, send(2), failed(2, errors.UNAVAILABLE))
    assert not world.blamed
    world.entries.append(Entry(HERE, 4, 40, ANN, EntryKind.MSG, "again", cid=OTHER_CID))
    exchange(rules, wire.ConvSet(3, HERE, OTHER_CID, title="t"), failed(3, errors.UNAVAILABLE))
    assert world.blamed == ["surely not executed, and yet there"]


async def test_what_failed_goes_before_what_is_new(world: World) -> None:
    rules = world.connect()
    exchange(rules, send(2), failed(2, errors.UNAVAILABLE))
    rules.sent(send(3))
    rules.sent(send(4, OTHER_CID))
    assert not world.blamed
    rules.received(failed(3, errors.UNKNOWN_OUTCOME))
    rules.sent(send(5, b"a new one"))
    assert world.blamed == ["11-13"]


async def test_what_a_device_asked_for_before_it_was_reinstalled_holds_nothing_up(world: World) -> None:
    """It finds the entry in its log, and asks again for what it cannot have in its outbox."""
    rules = world.connect()
    rules.sent(send(2))
    assert rules.is_in_turn(send(2))
    world.doings.reinstalled()
    assert not rules.is_in_turn(send(2))
    assert rules.is_in_turn(send(3, OTHER_CID))


@pytest.mark.parametrize(("synced", "blamed"), [(True, []), (False, ["11-15"])])
async def test_what_refers_to_a_seq_waits_for_the_digest(world: World, synced: bool, blamed: list[str]) -> None:
    rules = world.connect(synced)
    rules.sent(send(2))
    rules.sent(send(3, OTHER_CID, ref=3))
    assert world.blamed == blamed


@pytest.mark.parametrize(("logins", "blamed"), [(1, ["8-14"]), (2, ["8-14"]), (20, [])])
async def test_a_resume_token_is_good_until_its_successor_is_used(world: World, logins: int, blamed: list[str]) -> None:
    for _ in range(logins):
        rules = world.connect(synced=False)
        rules.sent(wire.Auth(1, AuthMethod.RESUME, proof=b"token"))
    rules.received(failed(1, errors.EXPIRED))
    assert world.blamed == blamed


@pytest.mark.parametrize(
    ("seq", "readers", "blamed"),
    [(2, [ANN], []), (3, [ANN], []), (3, [ANN, BOB], ["13-10"]), (1, [], ["13-10"]), (3, [CAT], ["13-10"])],
)
async def test_readers_are_those_who_were_there(world: World, seq: int, readers: list[int], blamed: list[str]) -> None:
    marks = tuple(wire.Watermark(user, 3, 3) for user in readers)
    exchange(world.connect(), wire.WhoRead(2, HERE, seq), wire.WhoReadOk(2, marks))
    assert world.blamed == blamed


@pytest.mark.parametrize(("leaving", "blamed"), [(None, []), (Leaving(1.0, 5), []), (Leaving(1.0, 4), ["13-9"])])
async def test_who_has_left_hears_of_no_receipt(world: World, leaving: Leaving | None, blamed: list[str]) -> None:
    world.leaving = leaving
    world.connect().received(wire.Receipt(HERE, 4, 5, (wire.Watermark(BOB, 3, 3),)))
    assert world.blamed == blamed


async def test_nobody_sees_type_whom_he_has_blocked(world: World) -> None:
    rules = world.connect()
    typing = wire.Typing(HERE, True, BOB)
    asked = world.privacy.asks(ANN, BOB, on=True)
    world.privacy.answered(ANN, BOB, True, asked)
    rules.received(typing)  # it may have been under way
    assert not world.blamed
    rules.walled(BOB)
    rules.received(typing)
    assert world.blamed == ["13-22"]
    world.privacy.asks(ANN, BOB, on=False)
    rules.received(typing)
    assert len(world.blamed) == 1


@pytest.mark.parametrize(("sender", "blamed"), [(ANN, []), (BOB, ["the cid of somebody else"])])
async def test_a_cid_is_for_its_sender(world: World, sender: int, blamed: list[str]) -> None:
    world.connect().received(wire.Event(HERE, 3, 30, sender, EntryKind.MSG, TEXT, cid=CID))
    assert world.blamed == blamed
