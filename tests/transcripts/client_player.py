"""Plays a transcript against the client library; the steps are those of protocol/README.md. The player is a server."""

from typing import Any

import trio

from tests.transcripts.server_player import STEP_SECONDS, Unfulfilled
from tests.transcripts.values import CODEC, LAYOUTS, Values
from tools.conformance.decoder import Frame
from wirechat import wire
from wirechat.client import Client

Step = dict[str, Any]
TOLD = {"PING", "PONG", "STATE", "MARK", "ACK"}
ASKED = {"CONV_GET", "USER_GET", "MEMBERS", "USER_FIND", "PRESENCE_SUB", "UNREAD", "ACCOUNT", "DEVICES"}
PASSED_OVER = TOLD | ASKED


class Pipe:
    """The client's transport, whose other end is the player."""

    certificate_digest = None

    def __init__(self) -> None:
        self._received = bytearray()
        self._to_client, self._client_reads = trio.open_memory_channel[bytes](10000)
        self._to_player, self._player_reads = trio.open_memory_channel[bytes](10000)

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._received += data
        while len(self._received) >= 4 + (size := int.from_bytes(self._received[:4], "big")):
            self._to_player.send_nowait(bytes(self._received[4 : 4 + size]))
            del self._received[: 4 + size]

    async def recv(self) -> bytes:
        try:
            return await self._client_reads.receive()
        except trio.EndOfChannel:
            return b""

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._to_client.close()

    def say(self, data: bytes) -> None:
        """From the server, length prefix included."""
        self._to_client.send_nowait(data)

    async def hear(self) -> Frame:
        """The next frame of the client."""
        return CODEC.decode(await self._player_reads.receive(), sender="client")


class Player:
    """The server of one transcript. Give `connect` to the client, and the client to `client`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.values = Values()
        self.client: Client
        self.opened = trio.Event()
        self._user = 0
        self._nursery = nursery
        self._pipe: Pipe
        self._send, self._receive = trio.open_memory_channel[Pipe](10)

    async def connect(self, url: str) -> Pipe:
        """The client's network."""
        await trio.lowlevel.checkpoint()
        pipe = Pipe()
        self._send.send_nowait(pipe)
        return pipe

    async def play(self, transcript: dict[str, Any]) -> None:
        """All steps in order. Raises Unfulfilled, which names the step."""
        for number, step in enumerate(transcript["steps"]):
            try:
                with trio.fail_after(STEP_SECONDS):
                    await self._step(step)
            except (AssertionError, trio.TooSlowError) as error:
                raise Unfulfilled(f"step {number}, {step}: {error!r}") from error

    async def _step(self, step: Step) -> None:
        match step:
            case {"accept": True}:
                self._pipe = await self._receive.receive()
            case {"send": frame, "value": value}:
                self._user = value["user"] if frame == "AUTH_OK" else self._user
                self._say(self.values.body(frame, value))
            case {"raw": data}:
                self._pipe.say(bytes.fromhex(data))
            case {"recv": frame, "value": value}:
                await self._recv(frame, value)
            case {"do": _}:
                await self._do(step)
            case {"log": log}:
                await self._log(log)
            case {"drop": True}:
                self._pipe.abort()
            case _:
                raise AssertionError("no such step")

    def _say(self, body: bytes) -> None:
        self._pipe.say(len(body).to_bytes(4, "big") + body)

    async def _recv(self, name: str, value: Step) -> None:
        while True:
            frame = await self._pipe.hear()
            if self.values.fits(frame, name, value):
                return
            assert frame.name in PASSED_OVER, f"instead of {name} {value}: {frame}"
            self._answer(frame)

    def _answer(self, frame: Frame) -> None:
        """What a client may ask at any time."""
        answers: dict[str, Step] = {
            "PING": {"t": frame.fields.get("t")},
            "MARK": {"read": frame.fields.get("seq")},
            "CONV_GET": {
                "infos": [{"conv": conv, "kind": 2, "role": 1, "members": 2} for conv in frame.fields.get("convs", ())]
            },
            "USER_GET": {"users": []},
            "MEMBERS": {"members": [], "more": False},
            "PRESENCE_SUB": {
                "users": [{"user": user, "online": False} for user in frame.fields.get("users", ())],
            },
            "UNREAD": {"counts": []},
            "ACCOUNT": {
                "user": {"user": self._user, "handle": "ada"},
                "audience": 1,
                "blocked": [],
                "password": True,
            },
            "DEVICES": {"devices": []},
        }
        name = frame.name or ""
        if name == "PING":
            self._say(CODEC.encode("PONG", answers[name]))
        elif name == "USER_FIND":
            self._say(CODEC.encode("ERROR", {"rid": frame.rid, "code": 4000}))
        elif name in answers:
            self._say(CODEC.encode(f"{name}_OK", answers[name], frame.rid))

    async def _do(self, step: Step) -> None:
        await self.opened.wait()
        if step["do"] == "send":
            self._nursery.start_soon(self.client.messages.send, step["conv"], step["text"])
        else:
            self._nursery.start_soon(self.client.history.page, step["conv"])

    async def _log(self, expected: Step) -> None:
        records = [_normal(self.values.filled(record)) for record in expected["records"]]
        while True:
            log = self.client.log(expected["conv"])
            found = [_plain(record) for record in log.records.values()]
            if (log.pos, found) == (expected["pos"], records):
                return
            with trio.move_on_after(0.1):
                self._answer(await self._pipe.hear())


def _normal(record: Step) -> Step:
    return {name: record.get(name) for name in LAYOUTS["Record"]}


def _plain(value: Any) -> Any:
    """What the client shows, in the words of a transcript."""
    if isinstance(value, wire.Record | wire.Content | wire.Reaction | wire.Origin):
        return {name: _plain(getattr(value, name)) for name in LAYOUTS[type(value).__name__]}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
