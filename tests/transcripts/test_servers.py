"""Every transcript for servers, against this server, over TCP and over WebSocket.

What the server sends is read by a decoder that knows nothing but protocol/*.json: server and client of this project
share one codec, and a mistake in it would be invisible between them.
"""

import copy
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.server.rig import Rig, serving
from tests.transcripts.lines import Line, connect_tcp, connect_websocket
from tests.transcripts.server_player import Player, Unfulfilled
from tests.transcripts.values import SESSIONS, played_by
from wirechat.server.config import Config

FOR_SERVERS = played_by("server")
NAMES = [transcript["id"] for transcript in FOR_SERVERS]
STREAM_ONLY = {transcript["id"] for transcript in FOR_SERVERS if transcript.get("stream")}
WITH_WINDOW = {transcript["id"] for transcript in FOR_SERVERS if "window" in str(transcript["steps"])}


def connector(rig: Rig, transport: str, nursery: trio.Nursery) -> Callable[[], Awaitable[Line]]:
    port = rig.listeners[transport].port
    return partial(connect_tcp, port) if transport == "tcp" else partial(connect_websocket, port, nursery)


async def play(directory: Path, transcript: dict[str, Any], transport: str, grease: float = 0) -> None:
    failure = None
    async with serving(directory, Config(grease=grease)) as rig, trio.open_nursery() as nursery:
        try:
            await Player(connector(rig, transport, nursery)).play(transcript)
        except Unfulfilled as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure  # here, where no nursery makes a group of it


@pytest.mark.parametrize("name", NAMES)
async def test_p12_transcript_over_tcp(tmp_path: Path, name: str) -> None:
    """What the folder says a server does, this server does."""
    await play(tmp_path, SESSIONS[name], "tcp")


@pytest.mark.parametrize("name", sorted(set(NAMES) - STREAM_ONLY))
async def test_p12_transcript_over_websocket(tmp_path: Path, name: str) -> None:
    """The frames are the same on all transports."""
    await play(tmp_path, SESSIONS[name], "ws")


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITH_WINDOW))
async def test_p11_transcript_with_grease(tmp_path: Path, name: str) -> None:
    """A server that greases every connection fulfils the same transcripts."""
    await play(tmp_path, SESSIONS[name], "tcp", grease=1)


WRONG: dict[str, tuple[str, int, dict[str, Any]]] = {
    "a value": ("messages", 7, {"value": {"content": {"type": 1, "data": "ho"}}}),
    "a length": ("messages", 4, {"value": {"users": ["$alice"]}}),
    "an error": ("group", 7, {"value": {"rid": 30, "code": 4001}}),
    "no end": ("hello", 6, {"closed": None, "recv": "PONG", "value": {}}),
    "no silence": ("receipts", 11, {"recv": None, "quiet_ms": 300}),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_transcript_fails(tmp_path: Path, what: str) -> None:
    """The tests above must be able to fail, and name the step."""
    name, number, change = WRONG[what]
    transcript = copy.deepcopy(SESSIONS[name])
    step = {**transcript["steps"][number], **change}
    transcript["steps"][number] = {key: value for key, value in step.items() if value is not None}
    with pytest.raises(Unfulfilled, match=f"step {number},"):
        await play(tmp_path, transcript, "tcp")
