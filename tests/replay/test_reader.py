"""The independent reader knows the protocol from `protocol/` alone, and sees on its own what a server does wrong."""

import ast
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.conformance import decoder, msgpack, reader, sockets
from tools.conformance.decoder import Schema
from tools.conformance.msgpack import Malformed, pack, unpack
from tools.conformance.reader import Login, Reader, Refused, signed_bytes

SCHEMA = Schema()
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.mark.parametrize("module", [decoder, msgpack, reader, sockets])
def test_it_shares_nothing_with_what_it_checks(module: Any) -> None:
    """Standard library, itself, and cryptography for one signature: what is shared could be wrong on both sides."""
    tree = ast.parse(Path(module.__file__).read_text())
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for name in named + plain:
        top = name.partition(".")[0]
        assert top in sys.stdlib_module_names or (module is reader and top == "cryptography"), name


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        (None, "c0"),
        (False, "c2"),
        (True, "c3"),
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (256, "cd0100"),
        (65536, "ce00010000"),
        (2**53 - 1, "cf001fffffffffffff"),
        ("", "a0"),
        ("é", "a2c3a9"),
        (b"", "c400"),
        ([1, [2]], "92019102"),
        ({1: None, 300: True}, "8201c0cd012cc3"),
    ],
)
def test_msgpack_is_the_shortest(value: object, packed: str) -> None:
    assert pack(value).hex() == packed
    assert unpack(bytes.fromhex(packed)) == value


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
@pytest.mark.parametrize("make", [lambda n: "a" * n, bytes, lambda n: [0] * n, lambda n: dict.fromkeys(range(n), 0)])
def test_msgpack_of_every_size_comes_back(make: Callable[[int], object], size: int) -> None:
    assert unpack(pack(make(size))) == make(size)


@pytest.mark.parametrize("wide", ["cc05", "cd0005", "ce00000005", "cf0000000000000005"])
def test_msgpack_of_any_width_is_read(wide: str) -> None:
    assert unpack(bytes.fromhex(wide)) == 5


@pytest.mark.parametrize(
    "bad", ["", "c1", "ca00000000", "cb0000000000000000", "d0ff", "ff", "d40101", "a1", "a1ff", "9201", "0101",
     "cf0020000000000000", "81a16101", "8201020103", "81c301", "91" * 9 + "01"],
)  # fmt: skip
def test_what_the_profile_does_not_have_is_refused(bad: str) -> None:
    with pytest.raises(Malformed):
        unpack(bytes.fromhex(bad))


def test_a_frame_goes_there_and_back() -> None:
    content = {"type": 1, "data": "hei"}
    body = SCHEMA.encode("SEND", {"conv": 1234567, "cid": b"12345678", "kind": 1, "content": content}, 7)
    assert body.hex() == "963607ce0012d687c40831323334353637380192" + "01a3686569"
    frame = SCHEMA.decode(body, sender="client")
    assert (frame.name, frame.rid, frame["content"], frame["ref"]) == ("SEND", 7, content, None)


def test_p11_what_is_new_is_survived() -> None:
    """Unknown codes, trailing elements and extras do not stop the reader; absent optional fields have their default."""
    assert SCHEMA.decode(pack([27, 1, 2])).name is None
    reply = SCHEMA.decode(pack([55, 3, 9, 1000, None, "new", {89: 1}]))
    assert reply.fields == {"seq": 9, "ts": 1000, "dup": False}


@pytest.mark.parametrize(
    "body",
    [
        [],
        7,
        ["x"],
        [55],
        [55, 3],
        [55, 2**31, 9, 1000],
        [55, 3, "9", 1000],
        [55, 3, True, 1000],
        [55, 3, 9, 2**53 - 1, 1],
        [16, 5, 1, 1000, 2, 256],
        [16, 5, 1, 1000, 2, 1, [1]],
        [16, 5, 1, 1000, 2, 1, [1, "x" * 16385]],
        [16, 5, 1, 1000, 2, 1, None, None, None, b"short"],
        [54, 3, 1, b"12345678", 1],
    ],
)
def test_a_frame_that_does_not_fit_the_schema_is_refused(body: object) -> None:
    with pytest.raises(Malformed):
        SCHEMA.decode(pack(body))


def test_a_login_signs_who_and_where() -> None:
    assert (
        signed_bytes(b"n" * 32, 258, 1, b"d" * 32)
        == b"wirechat-auth-1\0" + b"n" * 32 + bytes(6) + b"\1\2\1" + b"d" * 32
    )


Answer = Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]]]


class Server(threading.Thread):
    """Speaks the protocol on the other end of a socket pair; `answer` decides what to say to a request."""

    def __init__(self, end: socket.socket, answer: Answer) -> None:
        super().__init__(daemon=True)
        self._bodies = sockets.Stream(end, None)
        self._answer = answer

    def run(self) -> None:
        try:
            while True:
                frame = SCHEMA.decode(self._bodies.recv(), sender="client")
                if frame.name == "HELLO":
                    self._bodies.send(SCHEMA.encode("WELCOME", WELCOME))
                elif frame.rid is not None and frame.name is not None:
                    self._bodies.send(pack([43, "grease"]))
                    name, fields = self._answer(frame.name, frame.fields)
                    if name == "ERROR":
                        fields["rid"] = frame.rid
                    self._bodies.send(SCHEMA.encode(name, fields, frame.rid))
        except OSError:
            pass


LIMITS = dict.fromkeys(("frame_bytes", "text_bytes", "inflight", "heartbeat_ms", "window", "members"), 100)
LIMITS |= {"page": 2, "delivered_members": 64}
WELCOME = {"version": 1, "caps": [], "agent": "", "now": 0, "nonce": b"n" * 32, "limits": LIMITS, "methods": [3]}
WELCOME |= {"bindings": [0]}
RECORDS = [{"seq": seq, "rev": seq, "ts": 100 + seq, "sender": 1, "kind": 1} for seq in range(1, 6)]


class Log:
    """A server's log, and places to bend it."""

    def __init__(self) -> None:
        self.changes = [dict(record) for record in RECORDS]
        self.history = [dict(record) for record in RECORDS]
        self.busy = 0

    def answer(self, name: str, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if name == "AUTH":
            KEY.public_key().verify(fields["proof"], signed_bytes(b"n" * 32, 4, 0, b""))
            return "AUTH_OK", {"user": 9, "device": 4, "resume": b"", "resume_seconds": 1}
        if self.busy:
            self.busy -= 1
            return "ERROR", {"code": 5001, "retry_ms": 1}
        if name == "CHANGES":
            page = [record for record in self.changes if record["rev"] > fields["since"]][: fields["limit"]]
            more = bool(page) and page[-1] is not self.changes[-1]
            return "CHANGES_OK", {"upto": page[-1]["rev"] if page else fields["since"], "records": page, "more": more}
        if name == "HISTORY":
            page = [record for record in self.history if record["seq"] <= fields["hi"]][-fields["limit"] :]
            lo = page[0]["seq"] if page else 1
            return "HISTORY_OK", {"lo": lo, "hi": fields["hi"], "records": page, "rev": 5}
        if name == "MARKS":
            mark = {"user": 1 + fields["since"], "delivered": 0, "read": 5}
            return "MARKS_OK", {"upto": fields["since"] + 1, "marks": [mark], "more": fields["since"] < 2}
        return "ERROR", {"code": 4002, "message": "no conversation"}


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def client(log: Log) -> Iterator[Reader]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    Server(theirs, log.answer).start()
    with ours, theirs:
        yield Reader(SCHEMA, sockets.Stream(ours, None), Login("channel", 4, KEY))


def test_it_logs_in_and_reads_all_pages(client: Reader) -> None:
    reading = client.read(77)
    assert client.user == 9
    assert (reading.head, sorted(reading.records), reading.gaps, reading.faults) == (5, [1, 2, 3, 4, 5], [], [])
    assert reading.marks == {1: (0, 5), 2: (0, 5), 3: (0, 5)}


def test_p12_later_means_again_and_never_means_never(client: Reader, log: Log) -> None:
    log.busy = 3
    assert client.read(77).gaps == []
    with pytest.raises(Refused, match=r"^no conversation \(error 4002\)$"):
        client.ask("WHO_READ", conv=1, seq=1)


def test_p3_a_hole_is_a_gap(client: Reader, log: Log) -> None:
    del log.changes[2], log.history[2]
    assert client.read(77).gaps == [3]


def test_p4_time_that_runs_back_is_a_fault(client: Reader, log: Log) -> None:
    log.changes[3]["ts"] = log.history[3]["ts"] = 1
    assert client.read(77).faults == ["time runs back at seq 4"]


def test_forwards_and_backwards_must_be_the_same_log(client: Reader, log: Log) -> None:
    log.history[1]["sender"] = 2
    assert client.read(77).faults == ["HISTORY and CHANGES differ at seq 2"]


def test_changes_out_of_order_are_a_fault(client: Reader, log: Log) -> None:
    log.changes[0], log.changes[1] = log.changes[1], log.changes[0]
    assert any("has revs [2, 1]" in fault for fault in client.read(77).faults)
