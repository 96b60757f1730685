"""The protocol's own transcripts for clients, played against this client over a connection (P5)."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import Peer, Stage
from tests.wire.plain import plain
from tests.wire.transcripts import SESSIONS, Binder
from wirechat import wire
from wirechat.client import Client

FOR_CLIENTS = [transcript for transcript in SESSIONS if transcript["under_test"] == "client"]
SKIPPED = (wire.Ping, wire.Pong, wire.State, wire.Mark, wire.Ack)
STEP_SECONDS = 5


class Player:
    """The server of one transcript."""

    def __init__(self, stage: Stage, nursery: trio.Nursery) -> None:
        self.client: Client | None = None
        self.opened = trio.Event()
        self._stage = stage
        self._nursery = nursery
        self._binder = Binder()
        self._peer: Peer

    async def play(self, steps: list[dict[str, Any]]) -> None:
        for step in steps:
            with trio.fail_after(STEP_SECONDS):
                await self._step(step)

    async def _step(self, step: dict[str, Any]) -> None:
        if "accept" in step:
            self._peer = await self._stage.connection()
        elif "send" in step:
            self._peer.say(self._binder.message(step["send"], step["value"]))
        elif "raw" in step:
            self._peer.raw(bytes.fromhex(step["raw"]))
        elif "recv" in step:
            await self._recv(step["recv"], step["value"])
        elif "do" in step:
            await self._do(step)
        elif "log" in step:
            await self._log(step["log"])
        elif "drop" in step:
            self._peer.abort()
        else:
            raise AssertionError(f"unknown step {step}")

    async def _recv(self, frame: str, value: dict[str, Any]) -> None:
        while True:
            message = await self._peer.next()
            if frame == message.NAME and self._fits(message, value):
                return
            assert isinstance(message, SKIPPED), f"expected {frame} {value}, got {message}"

    def _fits(self, message: wire.Message, value: dict[str, Any]) -> bool:
        found = plain(message)
        for name, expected in value.items():
            if isinstance(expected, str) and expected.startswith("$"):
                if self._binder.bound.setdefault(expected, getattr(message, name)) != getattr(message, name):
                    return False
            elif found.get(name) != expected:
                return False
        return True

    async def _do(self, step: dict[str, Any]) -> None:
        await self.opened.wait()
        assert self.client is not None
        if step["do"] == "send":
            self._nursery.start_soon(self.client.messages.send, step["conv"], step["text"])
        else:
            self._nursery.start_soon(self.client.history.page, step["conv"])

    async def _log(self, expected: dict[str, Any]) -> None:
        assert self.client is not None
        records = [self._filled(record) for record in expected["records"]]
        while True:
            log = self.client.log(expected["conv"])
            found = [plain(record) for record in log.records.values()]
            if (log.pos, found) == (expected["pos"], records):
                return
            await trio.sleep(0.1)

    def _filled(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with placeholders replaced by what they stand for."""
        bound = self._binder.bound
        return {key: plain(bound[each]) if str(each) in bound else each for key, each in record.items()}


@pytest.mark.parametrize("transcript", FOR_CLIENTS, ids=lambda transcript: transcript["id"])
async def test_p5_transcript(
    autojump_clock: MockClock, stage: Stage, opened: Opened, transcript: dict[str, Any]
) -> None:
    jumps = transcript["client"]["new_conversations"] == "jump"
    async with trio.open_nursery() as nursery:
        player = Player(stage, nursery)

        async def program() -> None:
            async with opened(jump_entries=0 if jumps else 2000) as player.client:
                player.opened.set()
                await trio.sleep_forever()

        nursery.start_soon(program)
        await player.play(transcript["steps"])
        nursery.cancel_scope.cancel()
