"""Every transcript for clients, against the client library; and without the rule that a race is about, each race fails.

The two races are nearly out of reach of random testing, which is why they are written down (P5).
"""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.client.stage import make_world
from tests.transcripts.client_player import ASKED, Pipe, Player
from tests.transcripts.server_player import Unfulfilled
from tests.transcripts.values import CODEC, SESSIONS, played_by
from wirechat import wire
from wirechat.client import open_client
from wirechat.client.account_log import AccountLog
from wirechat.client.log import Log
from wirechat.client.sync import JUMP_ENTRIES, Sync

NAMES = [transcript["id"] for transcript in played_by("client")]


async def play(transcript: dict[str, Any]) -> None:
    failure = None
    jumps = transcript["client"]["new_conversations"] == "jump"
    async with trio.open_nursery() as nursery:
        player = Player(nursery)

        async def program() -> None:
            async with open_client(
                "wirechat://transcript:1",
                handle="ada",
                password="correct horse",
                connect=player.connect,
                world=make_world(),
                jump_entries=0 if jumps else JUMP_ENTRIES,
            ) as player.client:
                player.opened.set()
                await trio.sleep_forever()

        nursery.start_soon(program)
        try:
            await player.play(transcript)
        except Unfulfilled as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure  # here, where no nursery makes a group of it


@pytest.mark.parametrize("name", NAMES)
async def test_p5_transcript(autojump_clock: MockClock, name: str) -> None:
    """What the folder asks of a client, this client does."""
    await play(SESSIONS[name])


@pytest.mark.parametrize("name", sorted(ASKED))
async def test_what_a_client_may_ask_at_any_time_is_answered(name: str) -> None:
    """By one frame that it can read: the reply, and 4000 for who looks for somebody."""
    fields: dict[str, dict[str, Any]] = {
        "CONV_GET": {"convs": [5]},
        "MEMBERS": {"conv": 5},
        "UNREAD": {"convs": [5]},
        "USER_GET": {"users": [8]},
        "USER_FIND": {"handle": "bob"},
        "PRESENCE_SUB": {"users": [8, 9]},
    }
    async with trio.open_nursery() as nursery:
        player = Player(nursery)
        player._pipe = Pipe()
        player._answer(CODEC.decode(CODEC.encode(name, fields.get(name, {}), 3), sender="client"))
        answer = wire.decode((await player._pipe.recv())[4:], side=wire.SERVER)
    expected = "ERROR" if name == "USER_FIND" else f"{name}_OK"
    assert (answer.NAME, answer.rid) == (expected, 3)  # type: ignore[attr-defined]


def without_r11(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live entry is applied although a paged CHANGES is unfinished."""
    entry = Sync._entry

    def eager(self: Sync, push: wire.Event) -> None:
        log = self._log(push.conv)
        log.catch, waits = False, log.catch
        entry(self, push)
        log.catch = waits

    monkeypatch.setattr(Sync, "_entry", eager)


def without_catch(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a CHANGES has more pages is forgotten."""
    changes_ok = Sync._changes_ok

    def forgetful(self: Sync, log: Log, since: int, told: int, reply: wire.ChangesOk) -> None:
        changes_ok(self, log, since, told, reply)
        log.catch = False

    monkeypatch.setattr(Sync, "_changes_ok", forgetful)


def without_r12(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of HISTORY never rewinds."""
    page_back = Sync._page_back

    def proud(self: Sync, log: Log, reply: wire.HistoryOk) -> None:
        reply.rev = max(reply.rev, log.pos)
        page_back(self, log, reply)

    monkeypatch.setattr(Sync, "_page_back", proud)


def without_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A counted push of unknown code is not counted."""
    monkeypatch.setattr(Sync, "counted", lambda self: None)


def without_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A void token leaves the cache as it is."""
    monkeypatch.setattr(Sync, "_reset", lambda self: None)


def without_hiding(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was hidden goes once, and may come back."""
    monkeypatch.setattr(AccountLog, "hides", lambda self, conv, seq: False)


@pytest.mark.parametrize(
    ("name", "rule_removed"),
    [
        ("client-changes-race", without_r11),
        ("client-changes-race", without_catch),
        ("client-history-race", without_r12),
        ("client-unknown", without_counting),
        ("client-reset", without_reset),
        ("client-hiding", without_hiding),
    ],
)
async def test_p5_without_its_rule_the_transcript_fails(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    rule_removed: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """A transcript that a broken client passes shows nothing."""
    rule_removed(monkeypatch)
    with pytest.raises(Unfulfilled):
        await play(SESSIONS[name])
