"""The parts of a client check by themselves: what the referee sees, what the world answers, what a driver says."""

import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tools.conformance.clients.driver import Driver
from tools.conformance.clients.listener import Address, StreamServer, parse_address
from tools.conformance.clients.peer import Peer
from tools.conformance.clients.stage import NO_DRIVER, Stage
from tools.conformance.clients.subject import Subject
from tools.conformance.clients.world import CONV, EDIT, ME, PASSWORD, World, text
from tools.conformance.decoder import Frame, Schema
from tools.conformance.msgpack import pack
from tools.conformance.trace import Trace
from tools.conformance.verdict import Failed, Skipped

SCHEMA = Schema()
HELLO = pack([1, "WC", 1, 1, [], "test"])
AUTH = pack([48, 1, 1, "ann", PASSWORD.encode()])
SYNC = pack([52, 2])


class Line:
    """A client's end of a connection, and the peer that hears it."""

    def __init__(self) -> None:
        self.client, server = socket.socketpair()
        self.client.settimeout(5)
        self.peer = Peer(StreamServer(server), SCHEMA, Trace("server"), "conn1")
        self.world = World("ann")

    def say(self, *bodies: bytes) -> None:
        """Bodies as they are; they are answered by the world."""
        self.client.sendall(b"".join(len(body).to_bytes(4, "big") + body for body in bodies))
        self.peer.receive()
        for frame in self.peer.arrived():
            self.world.answer(self.peer, frame)

    def live(self) -> None:
        self.say(HELLO, AUTH, SYNC)
        assert self.peer.state == "LIVE"

    def hear(self) -> list[Frame]:
        """What was sent to the client so far."""
        data = self.client.recv(1 << 20)
        frames = []
        while data:
            length = int.from_bytes(data[:4], "big")
            frames.append(SCHEMA.decode(data[4 : 4 + length]))
            data = data[4 + length :]
        return frames


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.client.close()
    made.peer.drop()


def test_one_flight_is_answered_in_order(line: Line) -> None:
    """7-17, 7-18: what is behind an AUTH waits for it."""
    line.live()
    assert [frame.name for frame in line.hear()] == ["WELCOME", "AUTH_OK", "SYNC_OK"]


SPOILED = {
    "something before HELLO": ([AUTH], "HELLO as the first frame"),
    "two HELLOs": ([HELLO, HELLO], "one HELLO"),
    "a large frame before login": ([pack([1, "WC", 1, 1, [], "test", {27: bytes(5000)}])], "at most 4,096 bytes"),
    "an ACK before SYNC": ([HELLO, AUTH, pack([5, 0])], "no ACK before SYNC"),
    "an ACK of what never was": ([HELLO, AUTH, SYNC, pack([5, 1])], "no ACK above 0"),
    "a second SYNC": ([HELLO, AUTH, SYNC, pack([52, 3])], "one SYNC without cursor"),
    "a foreign cursor": ([HELLO, AUTH, SYNC, pack([52, 3, None, None, b"x"])], "the cursor of the last SYNC_OK"),
    "a number that is wider than it need be": ([HELLO, AUTH, SYNC, bytes.fromhex("9203cc05")], "shortest form"),
    "a nil at the end": ([pack([1, "WC", 1, 1, [], "test", None])], "shortest form"),
    "a default": ([pack([1, "WC", 1, 1, [], "test", 64])], "shortest form"),
    "a float": ([HELLO, AUTH, SYNC, bytes.fromhex("9203cb3ff0000000000000")], "schema says"),
    "a reply": ([HELLO, AUTH, SYNC, pack([55, 1, 2, 3])], "schema says"),
    "a request that nobody knows": ([HELLO, AUTH, SYNC, pack([124, 9])], "schema says"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_the_referee_sees(line: Line, name: str) -> None:
    """What no client may do fails whatever check it happens in."""
    bodies, told = SPOILED[name]
    with pytest.raises(Failed, match=told):
        line.say(*bodies)


def test_the_referee_counts_what_is_unanswered(line: Line) -> None:
    """4-5 and 7-16."""
    line.live()
    line.world.answer = lambda peer, frame: None  # type: ignore[method-assign]
    line.say(pack([78, 9, "bob"]))
    with pytest.raises(Failed, match="a rid that is not in use"):
        line.say(pack([78, 9, "bob"]))
    line.peer.limits["inflight"] = 3
    line.say(pack([78, 10, "bob"]), pack([78, 11, "bob"]))
    with pytest.raises(Failed, match="at most 3 unanswered"):
        line.say(pack([78, 12, "bob"]))


def test_extras_and_grease_are_legal(line: Line) -> None:
    """6-6: odd extras, unknown capabilities, the request that nobody knows, in every state, and ephemeral frames."""
    line.say(pack([1, "WC", 1, 1, [27, 58], "test", {27: 1}]), pack([122, 5, "what is it"]))
    line.say(AUTH, SYNC, pack([43, 1]), pack([122, 6, {27: 1, 89: [2]}]), pack([3, 1, {89: None}]))
    assert line.peer.state == "LIVE"
    answers = {frame.rid_of_error: frame["code"] for frame in line.hear() if frame.name == "ERROR"}
    assert answers == {5: 3001, 6: 3001}


def test_grease_is_a_request_like_any_other(line: Line) -> None:
    """122 before HELLO, with a rid in use, or without one."""
    with pytest.raises(Failed, match="HELLO as the first frame"):
        line.say(pack([122, 5]))
    line.live()
    with pytest.raises(Failed, match="no request id"):
        line.say(pack([122]))
    line.world.answer = lambda peer, frame: None  # type: ignore[method-assign]
    line.say(pack([122, 9]))
    with pytest.raises(Failed, match="a rid that is not in use"):
        line.say(pack([122, 9]))


# the world


def ask(line: Line, name: str, **fields: Any) -> Frame:
    line.say(SCHEMA.encode(name, fields, 99))
    return line.hear()[-1]


def test_the_world_keeps_what_is_sent_once(line: Line) -> None:
    """P2, as an honest server."""
    line.live()
    send = {"conv": CONV, "cid": bytes(8), "kind": 1, "content": text("once")}
    first, second = ask(line, "SEND", **send), ask(line, "SEND", **send)
    assert (first["seq"], first["dup"], second["seq"], second["dup"]) == (3, False, 3, True)
    assert ask(line, "SEND", **{**send, "content": text("other")})["code"] == 3004
    assert ask(line, "SEND", **{**send, "conv": 1})["code"] == 4002


def test_the_world_pages_its_changes(line: Line) -> None:
    """Each record once, in its latest state, in the order of rev."""
    for number in range(3, 7):
        line.world.say(f"message {number}", push=False)
    line.world.append(CONV, EDIT, content=text("edited"), ref=3, push=False)
    line.live()
    first = ask(line, "CHANGES", conv=CONV, since=0, limit=3)
    assert ([record["seq"] for record in first["records"]], first["upto"], first["more"]) == ([1, 2, 4], 4, True)
    rest = ask(line, "CHANGES", conv=CONV, since=4)
    assert ([record["seq"] for record in rest["records"]], rest["upto"], rest["more"]) == ([5, 6, 3], 7, False)
    page = ask(line, "HISTORY", conv=CONV, hi=4, limit=2)
    assert ([record["seq"] for record in page["records"]], page["lo"], page["hi"], page["rev"]) == ([3, 4], 3, 4, 7)


def test_the_world_derives_what_was_delivered(line: Line) -> None:
    """12.8: the highest pushed seq, unless the ACK says something else of the conversation."""
    line.live()
    line.world.say("one")
    line.say(pack([5, 1]))
    assert line.world.delivered() == 3
    line.world.say("two")
    line.say(pack([5, 2, [[CONV, 0]]]))
    assert line.world.delivered() == 3
    line.say(pack([5, 2, [[CONV, 4]]]))
    assert line.world.delivered() == 4


def test_the_horizon_covers_what_was_told(line: Line) -> None:
    """12-1: a token vouches for nothing that happened in silence."""
    line.live()
    line.world.say("told")
    line.say(pack([3, 1]))
    told = line.hear()[-1]["token"]
    line.world.say("not told", push=False)
    line.world.say("told again")
    line.say(pack([3, 2]))
    assert line.hear()[-1]["token"] == told
    assert line.world.rows(line.peer, told)[1] == [line.world.logs[CONV].row()]
    line.world.put_back()
    assert line.world.rows(line.peer, told)[0] == 2


def test_the_world_logs_in_by_token_until_the_next_one_is_used() -> None:
    """8-14."""
    world = World("ann")

    def login(*proof: Any) -> Frame:
        line = Line()
        line.world = world
        line.say(HELLO, pack([48, 1, *proof]))
        last = line.hear()[-1]
        line.peer.drop()
        return last

    first = login(1, "ann", PASSWORD.encode())["resume"]
    second = login(4, None, first)["resume"]
    third = login(4, None, first)["resume"]
    assert (login(4, None, third)["user"], login(4, None, second)["code"]) == (ME, 2002)
    assert login(1, "ann", b"wrong horse")["code"] == 2001


# the driver and the stage

ECHO = """
import json, os, socket, sys, urllib.parse
place = urllib.parse.urlsplit(os.environ["WIRECHAT_URL"])
connection = socket.create_connection((place.hostname, place.port))
print("no JSON", flush=True)
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "show":
        print(json.dumps({"id": command["id"], "messages": [{"seq": 2, "text": command["conv"]}]}), flush=True)
    elif command["do"] == "send":
        print(json.dumps({"id": command["id"]}), flush=True)
        print(json.dumps({"failed": command["id"], "code": 4001}), flush=True)
    else:
        print(json.dumps({"id": command["id"], "error": "unknown"}), flush=True)
"""


@pytest.fixture
def stage() -> Iterator[Stage]:
    subject = Subject([sys.executable, "-I", "-S", "-c", ECHO], Address("wirechat", "127.0.0.1", 0), 5.0)
    made = subject.lab()
    made.start()
    made.next_peer()
    yield made
    made.close()


def test_what_a_driver_says_is_understood(stage: Stage) -> None:
    """Answers by their ids, outcomes without; what it does not know skips the check."""
    assert stage.show(7) == {2: {"seq": 2, "text": 7}}
    assert stage.fails(stage.tell("send", conv=7, text="x")) == {"failed": 1 + 1, "code": 4001}
    with pytest.raises(Skipped, match="does not know the command 'pin'"):
        stage.ask("pin")
    with pytest.raises(Skipped, match="does not say 'typing'"):
        stage.look("typing")
    stage.shows({2: {"text": 7, "edited": True}}, 7)


def test_what_is_not_shown_fails(stage: Stage) -> None:
    """Another text, a message too few, or one too many: the first difference is told."""
    stage.subject = Subject(stage.subject.command, stage.subject.address, 2.0)
    wrong: list[tuple[dict[int, Any], str, str]] = [
        ({2: "other"}, "why: the client shows message 2 with text='other' in conversation 7", "text=7"),
        ({2: 7, 3: "more"}, "why: the client shows message 3, (text='more'), in conversation 7", "no message 3"),
        ({}, "why: the client shows no message 2 in conversation 7", "message 2, (seq=2, text=7)"),
    ]
    for wanted, expected, got in wrong:
        with pytest.raises(Failed) as failed:
            stage.shows({seq: {"text": value} for seq, value in wanted.items()}, 7, because="why")
        assert (failed.value.expected, failed.value.got) == (expected, got)


def test_a_command_without_standard_input_skips(stage: Stage) -> None:
    """It is known from the first meeting."""
    stage.subject = Subject(stage.subject.command, stage.subject.address, driven=False)
    with pytest.raises(Skipped, match=NO_DRIVER):
        stage.show()


def test_killed_means_killed(stage: Stage) -> None:
    """Also what the command has started."""
    assert stage.driver is not None
    stage.kill()
    assert not stage.driver.running
    with pytest.raises(Failed, match="the command has ended"):
        stage.until(lambda: False, "something", "nothing", 0.1)


def test_a_driver_that_talks_without_end_is_not_heard() -> None:
    """A line has an end; memory too."""
    driver = Driver(
        [sys.executable, "-I", "-S", "-c", "import sys\nwhile True: sys.stdout.write('x' * 65536)"], {}, Trace()
    )
    until = time.monotonic() + 20
    while driver.read():
        assert time.monotonic() < until
        time.sleep(0.001)
    driver.end()


def test_places_in_the_command_are_filled() -> None:
    """Braces that mean something else stay."""
    subject = Subject(["bot", "--to={url}", "{handle}", "{other}"], Address("ws", "::1", 0))
    environment = dict.fromkeys((f"WIRECHAT_{name}" for name in ("PASSWORD", "STATE", "DEVICE", "KEY")), "") | {
        "WIRECHAT_URL": subject.address.url(5),
        "WIRECHAT_HANDLE": "ann",
    }
    assert subject.command_for(environment) == ["bot", "--to=ws://[::1]:5/", "ann", "{other}"]


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("127.0.0.1:0", Address("wirechat", "127.0.0.1", 0)),
        ("wirechat://localhost:7667", Address("wirechat", "localhost", 7667)),
        ("ws://[::1]:80/", Address("ws", "::1", 80)),
    ],
)
def test_addresses(told: str, meant: Address) -> None:
    """Three forms."""
    assert parse_address(told) == meant
