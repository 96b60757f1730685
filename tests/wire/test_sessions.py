"""The session transcripts fit the protocol: every step is legal in its state, and every refusal is the right one.

Here both ends are this codec, so the transcripts are tested and not a server; the conformance runner plays them against
servers and clients.
"""

from typing import Any

import pytest

from tests.wire.transcripts import SESSIONS, Binder
from wirechat import wire

STEPS = {
    "open",
    "online",
    "drop",
    "accept",
    "send",
    "recv",
    "raw",
    "closed",
    "quiet_ms",
    "unordered",
    "flight",
    "do",
    "log",
}


class Pair:
    """Both ends of one connection; `sent` is what the client put on the wire and the server has not heard yet."""

    def __init__(self, live: bool) -> None:
        self.ends = {wire.CLIENT: wire.Connection(wire.CLIENT), wire.SERVER: wire.Connection(wire.SERVER)}
        for end in self.ends.values() if live else ():
            end.state, end.logged_in = wire.ConnectionState.LIVE, True
        self.sent: list[wire.Message] = []
        self.refusals: list[wire.ProtocolViolation] = []

    def send(self, message: wire.Message) -> None:
        """From the client."""
        try:
            self.ends[wire.CLIENT].sent(message)
        except wire.LocalViolation:
            pass  # a transcript may do wrong on purpose: the server must refuse it
        self.sent.append(message)
        self.raw(message.encode())

    def raw(self, data: bytes) -> None:
        self.ends[wire.SERVER].feed(data)
        self.listen()

    def listen(self) -> None:
        """Lets the server's end hear all it can; it must be what was sent, in order."""
        while True:
            try:
                message = self.ends[wire.SERVER].next_message()
            except wire.ProtocolViolation as violation:
                self.refusals.append(violation)
                self.sent = self.sent[1:]
                continue
            if message is None:
                return
            if self.sent:
                assert message == self.sent.pop(0)

    def answer(self, message: wire.Message) -> None:
        """From the server."""
        if isinstance(message, wire.Error) and self.refusals:
            refusal = self.refusals.pop(0)
            assert (message.code, message.rid) == (refusal.code, refusal.rid)
        assert not self.refusals
        self.ends[wire.SERVER].sent(message)
        self.ends[wire.CLIENT].feed(message.encode())
        assert self.ends[wire.CLIENT].next_message() == message
        self.listen()


class Player:
    def __init__(self, transcript: dict[str, Any]) -> None:
        self.binder = Binder()
        self.pairs: dict[str, Pair] = {}
        self.client_under_test = transcript["under_test"] == "client"

    def play(self, step: dict[str, Any]) -> None:
        assert STEPS & step.keys(), step
        pair = self.pairs.get(step.get("who", "client"))
        if "open" in step or "accept" in step:
            self.pairs[step.get("open", "client")] = Pair(live=False)
        elif "online" in step:
            self.go_online(step["online"], step["user"])
        elif "drop" in step:
            del self.pairs["client" if step["drop"] is True else step["drop"]]
        elif pair is not None and ("send" in step or "recv" in step):
            self.exchange(pair, step)
        elif pair is not None and "raw" in step and not self.client_under_test:
            pair.raw(bytes.fromhex(step["raw"]))
        elif "closed" in step:
            assert pair is not None
            assert pair.ends[wire.CLIENT].state is wire.ConnectionState.CLOSED
        for inner in [*step.get("flight", ()), *step.get("unordered", ())]:
            self.play(inner)

    def exchange(self, pair: Pair, step: dict[str, Any]) -> None:
        message = self.binder.message(step.get("send") or step["recv"], step["value"])
        if ("send" in step) != self.client_under_test:
            pair.send(message)
        else:
            pair.answer(message)

    def go_online(self, who: str, user: str) -> None:
        self.pairs[who] = Pair(live=True)
        made = self.binder.message(
            "AUTH_OK", {"user": f"${user}", "device": f"${who}_device", "resume": f"${who}_resume"}
        )
        assert made.user == self.binder.bound[f"${user}"]
        self.binder.message("SYNC_OK", {"token": f"${who}_token"})


@pytest.mark.parametrize("transcript", SESSIONS, ids=lambda transcript: transcript["id"])
def test_transcripts_are_legal(transcript: dict[str, Any]) -> None:
    """A stranger's server is judged by these: a wrong transcript would make a right server fail."""
    player = Player(transcript)
    for number, step in enumerate(transcript["steps"]):
        try:
            player.play(step)
        except Exception as error:
            error.add_note(f"step {number}: {step}")
            raise
    for pair in player.pairs.values():
        assert not pair.refusals


@pytest.mark.parametrize("wrong", [{"code": 3000}, {"rid": 8}])
def test_a_wrong_transcript_is_found(wrong: dict[str, int]) -> None:
    """The test above must be able to fail."""
    player = Player({"under_test": "server"})
    player.play({"online": "A", "user": "alice"})
    player.play({"who": "A", "raw": "00000005937a09a178"})
    with pytest.raises(AssertionError):
        player.play({"who": "A", "recv": "ERROR", "value": {"rid": 9, "code": 3001, **wrong}})


def test_every_frame_appears_in_a_transcript() -> None:
    """A frame that no session uses is a frame whose meaning nobody showed."""
    text = str(SESSIONS)
    names = {frame.NAME for frame in wire.features.FRAMES}
    assert {name for name in names if f"'{name}'" not in text} == set()
