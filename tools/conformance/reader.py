"""Reads a whole conversation from a server and checks what can be checked from outside.

It is the witness that shares nothing with the accused: frames come from `decoder`, sockets from `sockets`, and no line
of wirechat is imported. It never sends SYNC, so the server pushes nothing and every answer is to a question.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .decoder import Frame, Malformed, Schema
from .sockets import Bodies, connect

VERSION = 1
LATER, UNKNOWN = 5, 6  # thousands of errors that say: ask again
ATTEMPTS = 10
RETRY_SECONDS = 0.5


class Refused(Exception):
    """The server answered a question with an error. `code` is of protocol/errors.json."""

    def __init__(self, code: int, message: str, retry_ms: int | None = None) -> None:
        super().__init__(f"{message} (error {code})")
        self.code = code
        self.retry_ms = retry_ms


@dataclass(frozen=True)
class Login:
    """Who reads: a handle and the device that holds the private key."""

    handle: str
    device: int
    key: Ed25519PrivateKey


Record = dict[str, Any]


@dataclass
class Reading:
    """What the server says about one conversation.

    `records` by seq, `marks` by user as (delivered, read); `faults` are one line each and wrong without comparison.
    """

    conv: int
    head: int = 0
    records: dict[int, Record] = field(default_factory=dict)
    marks: dict[int, tuple[int, int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def gaps(self) -> list[int]:
        """Places in the log without a record. Edits, deletes and reactions have none, so they count as gaps here."""
        return [seq for seq in range(1, self.head + 1) if seq not in self.records]


class Reader:
    """One connection, logged in. Use as a context manager. Raises OSError, Refused, Malformed."""

    def __init__(self, schema: Schema, bodies: Bodies, login: Login) -> None:
        self._schema = schema
        self._bodies = bodies
        self._rid = 0
        self.page = 0
        self.user = self._log_in(login)

    def read(self, conv: int) -> Reading:
        """Reads everything of one conversation that this user may see, forwards and backwards."""
        reading = Reading(conv)
        self._read_changes(reading)
        self._check_history(reading)
        self._read_marks(reading)
        _check_time(reading)
        return reading

    def ask(self, name: str, **fields: Any) -> Frame:
        """One request and its reply; asks again while the server says later."""
        for attempt in range(ATTEMPTS):
            try:
                return self._ask_once(name, fields)
            except Refused as refused:
                if refused.code // 1000 not in (LATER, UNKNOWN) or attempt == ATTEMPTS - 1:
                    raise
                time.sleep((refused.retry_ms or 1000 * RETRY_SECONDS) / 1000)
        raise AssertionError("unreachable")

    def _log_in(self, login: Login) -> int:
        hello = {"magic": "WC", "vmin": VERSION, "vmax": VERSION, "caps": [], "agent": "wirechat reader"}
        self._send("HELLO", hello)
        welcome = self._recv()
        if welcome.name != "WELCOME":
            raise Malformed(f"{welcome.name} instead of WELCOME")
        self.page = welcome["limits"]["page"]
        digest = self._bodies.certificate_digest
        binding = self._schema.registries["bindings"]["NONE" if digest is None else "TLS_SERVER_END_POINT"]
        signed = signed_bytes(welcome["nonce"], login.device, binding, digest or b"")
        method = self._schema.registries["auth_methods"]["DEVICE_KEY"]
        proof = login.key.sign(signed)
        fields = {"method": method, "handle": login.handle, "device": login.device, "binding": binding, "proof": proof}
        return int(self.ask("AUTH", **fields)["user"])

    def _read_changes(self, reading: Reading) -> None:
        more = True
        while more:
            since = reading.head
            page = self.ask("CHANGES", conv=reading.conv, since=since, limit=self.page)
            reading.head, more = page["upto"], page["more"]
            revs = [record["rev"] for record in page["records"]]
            if revs != sorted(set(revs)) or (revs and not since < revs[0] <= revs[-1] <= reading.head):
                reading.faults.append(f"CHANGES after {since} up to {reading.head} has revs {revs}")
            if more and reading.head <= since:
                raise Malformed(f"CHANGES stands still at {since}")
            reading.records.update((record["seq"], record) for record in page["records"])

    def _check_history(self, reading: Reading) -> None:
        """The log read backwards must be the same log."""
        seen: dict[int, Record] = {}
        below = reading.head + 1
        while below > 1:
            page = self.ask("HISTORY", conv=reading.conv, hi=below - 1, limit=self.page)
            seqs = [record["seq"] for record in page["records"]]
            if page["hi"] != below - 1 or not 0 < page["lo"] < below or seqs != sorted(set(seqs)):
                reading.faults.append(f"HISTORY below {below} covers {page['lo']} to {page['hi']} with seqs {seqs}")
                return
            seen.update(zip(seqs, page["records"], strict=True))
            below = page["lo"]
        for seq in sorted(seen.keys() | reading.records.keys()):
            if seen.get(seq) != reading.records.get(seq):
                reading.faults.append(f"HISTORY and CHANGES differ at seq {seq}")

    def _read_marks(self, reading: Reading) -> None:
        since, more = 0, True
        while more:
            page = self.ask("MARKS", conv=reading.conv, since=since, limit=self.page)
            more = page["more"]
            if more and page["upto"] <= since:
                raise Malformed(f"MARKS stands still at {since}")
            since = page["upto"]
            for mark in page["marks"]:
                delivered, read = reading.marks.get(mark["user"], (0, 0))
                reading.marks[mark["user"]] = max(delivered, mark["delivered"]), max(read, mark["read"])
        for user, (delivered, read) in reading.marks.items():
            if max(delivered, read) > reading.head:
                reading.faults.append(f"user {user} has read {read} and got {delivered} of {reading.head}")

    def _ask_once(self, name: str, fields: dict[str, Any]) -> Frame:
        self._rid += 1
        self._send(name, fields, self._rid)
        while True:
            frame = self._recv()
            if frame.name == "ERROR":
                raise Refused(frame["code"], frame["message"] or "refused", frame["retry_ms"])
            if frame.rid == self._rid:
                return frame

    def _send(self, name: str, fields: dict[str, Any], rid: int | None = None) -> None:
        self._bodies.send(self._schema.encode(name, fields, rid))

    def _recv(self) -> Frame:
        """The next frame; answers PING on the way."""
        while True:
            frame = self._schema.decode(self._bodies.recv())
            if frame.name != "PING":
                return frame
            self._send("PONG", {"t": frame["t"]})


@contextlib.contextmanager
def open_reader(url: str, login: Login, ca: str | None = None) -> Iterator[Reader]:
    """Connects and logs in. Raises OSError, ValueError, Refused, Malformed."""
    bodies = connect(url, ca)
    try:
        yield Reader(Schema(), bodies, login)
    finally:
        bodies.close()


def signed_bytes(nonce: bytes, device: int, binding: int, bound: bytes) -> bytes:
    """What a device key signs to log in (docs/protocol.md, authentication)."""
    return b"wirechat-auth-1\0" + nonce + device.to_bytes(8, "big") + bytes([binding]) + bound


def _check_time(reading: Reading) -> None:
    """Server time never runs against seq (P4)."""
    before = 0
    for seq in sorted(reading.records):
        if (at := reading.records[seq]["ts"]) < before:
            reading.faults.append(f"time runs back at seq {seq}")
        before = at
