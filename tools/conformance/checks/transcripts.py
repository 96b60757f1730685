"""The transcripts of protocol/sessions with the server under test: every one is a check. protocol/README.md says what
each step means.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any

from ..catalogue import Check, add
from ..connection import LOCKED, LOCKED_OUT, framed
from ..decoder import Frame, Schema, protocol_folder
from ..lab import Lab
from ..person import Person
from ..trace import shown
from ..verdict import Failed, Skipped

HELLO: dict[str, Any] = {"magic": "WC", "vmin": 1, "vmax": 1, "caps": [27, 58], "agent": "transcript"}
STEP_SECONDS = 10
GREASED_ATTEMPTS = 4
RULES = {
    "account": ("8-18", "8-21"),
    "blocking": ("10-24", "10-25"),
    "devices": ("8-26", "8-28"),
    "foreign": ("2-3",),
    "forwards": ("11-16", "11-17"),
    "group": ("9-7", "9-9", "9-10", "10-3"),
    "hello": ("7-1", "6-2", "7-5"),
    "hiding": ("10-28", "10-29"),
    "login": ("8-1", "8-7", "8-15"),
    "messages": ("11-3", "9-1"),
    "notes": ("10-19",),
    "one-flight": ("7-17", "7-18"),
    "pins": ("9-14", "9-17"),
    "presence": ("13-15", "13-16"),
    "receipts": ("13-2", "13-3", "12-4"),
    "resume": ("12-8", "12-9"),
    "roles": ("10-12", "10-13"),
    "same-cid": ("11-3", "11-4"),
    "secrets": ("8-22", "8-24"),
    "unknown": ("5-1", "4-14"),
    "unread": ("13-11", "13-12"),
    "users": ("8-17",),
    "window": ("12-5",),
}
ANY_OTHER = ("4-4",)

Step = dict[str, Any]


class Types:
    """The types of fields as the schema writes them, to make up fresh values."""

    def __init__(self) -> None:
        documents = [json.loads(p.read_text("utf-8")) for p in protocol_folder().iterdir() if p.name.endswith(".json")]
        self.of: dict[str, dict[str, str]] = {}
        for document in documents:
            for name, body in document.get("structs", {}).items():
                self._enter(name, body)
            for frame in document.get("frames", []):
                self._enter(frame["name"], frame)
                self._enter(frame.get("reply", {}).get("name"), frame.get("reply", {"fields": []}))

    def _enter(self, name: str | None, body: dict[str, Any]) -> None:
        if name is not None:
            self.of[name] = {field["name"]: field["type"].removeprefix("?") for field in body["fields"]}


class Values:
    """The placeholders of one transcript: bound where they are met first."""

    def __init__(self, schema: Schema, types: Types) -> None:
        self.bound: dict[str, Any] = {}
        self._schema = schema
        self._types = types

    def body(self, name: str, value: Step) -> bytes:
        """The frame to send."""
        fields = self._struct(name, value)
        return self._schema.encode(name, fields, fields.pop("rid", None) if self._has_rid(name) else None)

    def _has_rid(self, name: str) -> bool:
        return self._schema.by_name[name].has_rid

    def _struct(self, name: str, value: Step) -> dict[str, Any]:
        types = {"rid": "u31", **self._types.of[name]}
        return {key: self._filled(types[key], each) for key, each in value.items()}

    def _filled(self, kind: str, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            return fresh(kind) if value == "$_" else self.bound.setdefault(value, fresh(kind))
        if isinstance(value, list):
            item = re.sub(r"^\[(.+)\](<=|=)\d+$", r"\1", kind)
            return [self._filled(item, each) for each in value]
        if isinstance(value, dict):
            return bytes.fromhex(value["hex"]) if "hex" in value else self._struct(kind.removeprefix("@"), value)
        return value

    def fits(self, frame: Frame, name: str, value: Step) -> bool:
        """Whether the frame is the one that is waited for. Placeholders are bound only if it is."""
        before = dict(self.bound)
        found = {"rid": frame.rid, **frame.fields}
        if frame.name == name and all(self._fits(each, found[key]) for key, each in value.items()):
            return True
        self.bound = before
        return False

    def _fits(self, expected: Any, found: Any) -> bool:
        match expected:
            case "$_":
                return True
            case str() if expected.startswith("$"):
                return bool(self.bound.setdefault(expected, found) == found)
            case list():
                same_length = isinstance(found, list) and len(found) == len(expected)
                return same_length and all(map(self._fits, expected, found))
            case {"hex": text}:
                return bool(found == bytes.fromhex(text))
            case dict():
                return isinstance(found, dict) and all(self._fits(each, found[key]) for key, each in expected.items())
        return type(expected) is type(found) and bool(expected == found)


def fresh(kind: str) -> Any:
    """A random value that fits: a handle where text is wanted, text where bytes are."""
    if kind.startswith("u"):
        return secrets.randbelow(2 ** int(kind[1:] or 53) - 1) + 1
    if kind.startswith("s"):
        return "t" + os.urandom(6).hex()
    exact = re.fullmatch(r"x=(\d+)", kind)
    return os.urandom(int(exact[1])) if exact else os.urandom(8).hex().encode()


class Player:
    """The clients of one transcript."""

    def __init__(self, lab: Lab, types: Types) -> None:
        self._lab = lab
        self._values = Values(lab.schema, types)
        self._people: dict[str, Person] = {}
        self._passed: dict[str, int] = {}
        self._windows: set[str] = set()
        self._rid = 1000
        self.greased = False
        """A counted push that nobody knows took room in a window; no transcript can be played then."""

    def play(self, steps: list[Step]) -> None:
        """All steps in order."""
        for number, step in enumerate(steps):
            try:
                self._step(step)
            except Failed as failure:
                told = f"step {number}, {json.dumps(step, ensure_ascii=False)}"
                raise Failed(f"{told}: {failure.expected}", failure.got) from None

    def _step(self, step: Step) -> None:
        match step:
            case {"open": who}:
                self._open(who)
            case {"online": who, "user": user}:
                self._online(who, user, step)
            case {"drop": who}:
                self._people.pop(who).drop()
            case {"flight": flight}:
                who = flight[0]["who"]
                self._people[who].send_bodies(*[self._body(who, each["send"], each["value"]) for each in flight])
            case {"who": who, "send": name, "value": value}:
                self._people[who].send_bodies(self._body(who, name, value))
            case {"who": who, "raw": data}:
                self._raw(self._people[who], bytes.fromhex(data))
            case {"who": who, "recv": _}:
                self._recv(who, [step])
            case {"who": who, "unordered": steps}:
                self._recv(who, list(steps))
            case {"who": who, "closed": True}:
                if (frame := self._next(who, [])) is not None:
                    raise Failed("the end", str(frame.name))
            case {"who": who, "quiet_ms": milliseconds}:
                self._quiet(who, milliseconds / 1000)
            case _:
                raise Skipped(f"this runner does not know the step {shown(step)}")

    def _open(self, who: str) -> Person:
        self._people[who] = self._lab.connect(who)
        self._passed[who] = 0
        return self._people[who]

    def _raw(self, person: Person, data: bytes) -> None:
        if self._lab.target.websocket and framed(data[4:]) == data:
            person.send_bodies(data[4:])
        elif self._lab.target.websocket:
            raise Skipped("on WebSocket raw bytes are one frame")
        else:
            person.send_bytes(data)

    def _body(self, who: str, name: str, value: Step) -> bytes:
        if name == "ACK":
            value = {**value, "n": value["n"] + self._passed[who]}
        return self._values.body(name, value)

    def _recv(self, who: str, expected: list[Step]) -> Frame:
        while True:
            frame = self._next(who, expected)
            wanted = " and ".join(f"{each['recv']}({shown(each['value'])})" for each in expected)
            if frame is None:
                raise Failed(wanted, "the server closed the connection")
            fitting = [each for each in expected if self._values.fits(frame, each["recv"], each["value"])]
            if not fitting:
                self._not_offered(frame, expected)
                raise Failed(f"{wanted}, where {shown(self._values.bound)}", f"{frame.name}({shown(frame.fields)})")
            expected.remove(fitting[0])
            if not expected:
                return frame

    def _not_offered(self, frame: Frame, expected: list[Step]) -> None:
        if frame.name == "ERROR" and frame["code"] == LOCKED:
            raise Skipped(LOCKED_OUT)
        for each in expected:
            known = self._lab.schema.by_name[each["recv"]]
            if frame.name == "ERROR" and frame["code"] == 3001 and known.since > 1:
                raise Skipped(f"not offered: {each['recv'].removesuffix('_OK')}")

    def _next(self, who: str, expected: list[Step]) -> Frame | None:
        """The next frame that may not be skipped; None when the server closed."""
        person = self._people[who]
        while True:
            try:
                frame = person.recv(STEP_SECONDS)
            except TimeoutError:
                raise Failed("a frame, or the end, within 5 s", "nothing") from None
            if frame is None or not self._skipped(frame, expected):
                return frame
            self._pass(who, frame)

    def _pass(self, who: str, frame: Frame) -> None:
        counted = self._lab.schema.is_counted(frame.code)
        self._passed[who] += counted
        self.greased |= counted and frame.name is None and who in self._windows

    def _skipped(self, frame: Frame, expected: list[Step]) -> bool:
        """Evidence may come at any time, and twice; to a connection that must be quiet no rows come."""
        if frame.name == "RECEIPT" or (frame.name == "ROWS" and expected):
            return not any(self._values.fits(frame, each["recv"], each["value"]) for each in expected)
        return frame.name is None

    def _quiet(self, who: str, seconds: float) -> None:
        person = self._people[who]
        try:
            while (frame := person.recv(seconds)) is not None:
                if not self._skipped(frame, []):
                    raise Failed(f"silence for {seconds} s", f"{frame.name}({shown(frame.fields)})")
                self._pass(who, frame)
        except TimeoutError:
            return
        raise Failed(f"silence for {seconds} s", "the end")

    def _online(self, who: str, user: str, step: Step) -> None:
        self._open(who)
        wanted: Step = {key: step[key] for key in ("window", "caps") if key in step}
        if "window" in step:
            self._windows.add(who)
        if "caps" in wanted:
            wanted["caps"] = [*HELLO["caps"], *wanted["caps"]]
        self._people[who].send_bodies(self._values.body("HELLO", {**HELLO, **wanted}))
        self._recv(who, [{"recv": "WELCOME", "value": {}}])
        account = {"method": 1, "handle": f"${user}_handle"}
        if f"${user}" not in self._values.bound:
            self._ask(who, "REGISTER", {**account, "secret": f"${user}_password"}, {"user": f"${user}"})
        for each in ("device", "resume", "token"):
            self._values.bound.pop(f"${who}_{each}", None)
        login = {"user": f"${user}", "device": f"${who}_device", "resume": f"${who}_resume"}
        self._ask(who, "AUTH", {**account, "proof": f"${user}_password"}, login)
        page = self._ask(who, "SYNC", {}, {})
        while page["cursor"] is not None:
            page = self._ask(who, "SYNC", {"cursor": {"hex": page["cursor"].hex()}}, {})
        self._values.bound[f"${who}_token"] = page["token"]

    def _ask(self, who: str, name: str, value: Step, reply: Step) -> Frame:
        self._rid += 1
        self._people[who].send_bodies(self._values.body(name, {"rid": self._rid, **value}))
        return self._recv(who, [{"recv": f"{name}_OK", "value": {"rid": self._rid, **reply}}])


def _play(transcript: dict[str, Any], lab: Lab) -> None:
    welcome = lab.greeted("probe").welcome
    lab.skip_unless(1 in welcome["methods"], "the server takes no password on this connection")
    for _ in range(GREASED_ATTEMPTS):
        player = Player(lab, Types())
        try:
            return player.play(transcript["steps"])
        except Failed:
            if not player.greased:
                raise
    raise Skipped("the server greases connections with a window")


def _found() -> Iterator[Check]:
    for path in sorted((protocol_folder() / "sessions").iterdir(), key=lambda each: each.name):
        transcript = json.loads(path.read_text("utf-8"))
        if transcript["under_test"] == "server":
            name = transcript["id"]
            yield Check(
                f"20/session-{name}",
                "20",
                RULES.get(name, ANY_OTHER),
                f"The transcript {name}: {transcript['desc']}.",
                partial(_play, transcript),
                level="L2",
                needs="stream" if transcript.get("stream") else None,
            )


for _check in _found():
    add(_check)
