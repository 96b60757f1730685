"""The vectors of protocol/: every file is one check, and a failure names the vector."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources.abc import Traversable
from typing import Any

from ..catalogue import Check, add
from ..connection import framed
from ..decoder import Frame, Malformed, protocol_folder
from ..lab import Lab
from ..msgpack import unpack
from ..person import Person
from ..trace import hexed
from ..verdict import Failed, Skipped

HELLO, ACK, AUTH, REGISTER, SYNC = 1, 5, 48, 50, 52
CURSOR_AT = 4
STATE_OF = {HELLO: "OPEN", AUTH: "GREETED", REGISTER: "GREETED", SYNC: "AUTHED"}
NOT_UNDERSTOOD = (1000, 1001, 1002, 3001, 3005)

Vector = dict[str, Any]


class Stages:
    """Connections in a state of 7.1, for one vector after the other. They belong to one account."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._owner: Person | None = None

    def at(self, state: str) -> Person:
        """A connection in this state. Raises Skipped for one that a client cannot bring about."""
        match state:
            case "OPEN":
                return self._lab.connect("client")
            case "GREETED":
                return self._lab.greeted("client")
            case "AUTHED":
                return self._again()
            case "SYNCING":
                person = self._again()
                while len(person.ask("SYNC", page=1)["rows"]) < 1 or person.pong()["token"] is not None:
                    person.new_group()
                    person.new_group()
                    person = self._again()
                return person
            case "LIVE":
                person = self._again()
                person.sync()
                return person
        raise Skipped(f"no client can bring the state {state} about")

    def _again(self) -> Person:
        if self._owner is None:
            self._owner = self._lab.person("client", sync=False)
            return self._owner
        self._owner = self._lab.again(self._owner)
        return self._owner


def _bytes(hex_of: Any) -> bytes:
    parts: list[tuple[str, int]] = [(hex_of, 1)] if isinstance(hex_of, str) else hex_of
    return b"".join(bytes.fromhex(text) * times for text, times in parts)


def _load(path: Traversable) -> list[Vector]:
    vectors: list[Vector] = [each for each in json.loads(path.read_text("utf-8")) if each.get("from") == "client"]
    return vectors


def _state(body: bytes) -> str:
    """The state in which a frame is at its place."""
    try:
        value = unpack(body)
    except Malformed:
        return "LIVE"
    code = value[0] if isinstance(value, list) and value else None
    if code == SYNC and len(value) > CURSOR_AT and isinstance(value[CURSOR_AT], bytes):
        return "SYNCING"
    return STATE_OF.get(code, "LIVE") if isinstance(code, int) else "LIVE"


def _refused(vectors: list[Vector], lab: Lab) -> None:
    stages = Stages(lab)
    for vector in vectors:
        body = _bytes(vector["hex"])
        with _Named(vector):
            person = stages.at(_state(body))
            person.send_bodies(body)
            _judge(person, vector["expect"])


def _framing(vectors: list[Vector], lab: Lab) -> None:
    """On WebSocket a stream without its length prefix is a message; what is no whole frame cannot be sent there."""
    stages = Stages(lab)
    for vector in vectors:
        stream = _bytes(vector["stream"])
        whole = len(stream) >= 4 and framed(stream[4:]) == stream and len(stream) > 4
        if vector["state"] == "DRAINING" or (lab.target.websocket and not whole):
            continue
        with _Named(vector):
            person = stages.at(vector["state"])
            if lab.target.websocket:
                person.send_bodies(stream[4:])
            else:
                person.send_bytes(stream, vector["desc"])
            _judge(person, vector["expect"])


def _judge(person: Person, expect: dict[str, Any]) -> None:
    if expect["fatal"]:
        person.closes(expect["error"])
    else:
        person.error(expect["rid"], expect["error"])
        person.pong()


def _understood(vectors: list[Vector], lab: Lab) -> None:
    """Whatever the answer is, it is not that the frame cannot be read. A request of a later release may be unknown."""
    stages = Stages(lab)
    for vector in vectors:
        body = _bytes(vector["hex"])
        with _Named(vector):
            person = stages.at(_state(body))
            person.send_bodies(body)
            if (code := _code_of_answer(lab, person, body)) in NOT_UNDERSTOOD and not _later(lab, body, code):
                raise Failed("a frame that is understood", f"ERROR {code}")


def _later(lab: Lab, body: bytes, code: int | None) -> bool:
    return code == 3001 and lab.schema.by_code[unpack(body)[0]].since > 1


def _code_of_answer(lab: Lab, person: Person, body: bytes) -> int | None:
    items = unpack(body)
    known = lab.schema.by_code.get(items[0])
    if items[0] == HELLO:
        return _first_error(person)
    if known is not None and known.has_rid:
        answer = person.answer(items[1])
        return int(answer["code"]) if answer.name == "ERROR" else None
    person.send("PING", t=31337)
    return _first_error(person)


def _first_error(person: Person) -> int | None:
    """The code of the ERROR without rid that comes next, None when a PONG or WELCOME does."""
    while (frame := person.recv()) is not None:
        if frame.name == "ERROR" and frame.rid_of_error is None:
            return int(frame["code"])
        if frame.name == "WELCOME" or (frame.name == "PONG" and frame["t"] == 31337):
            return None
    raise Failed("an answer", "the end without ERROR")


def _ignored(vectors: list[Vector], lab: Lab) -> None:
    stages = Stages(lab)
    for vector in vectors:
        with _Named(vector):
            person = stages.at("LIVE")
            person.send_bodies(_bytes(vector["hex"]))
            person.pong()
            told: list[Frame] = [frame for frame in person.seen if frame.name == "ERROR"]
            if told:
                raise Failed("nothing", f"ERROR {told[0]['code']}")


class _Named:
    """Says in a failure which vector it was."""

    def __init__(self, vector: Vector) -> None:
        self._vector = vector

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Failed):
            vector = self._vector
            data = hexed(_bytes(vector.get("hex") or vector["stream"]))
            told = f"{vector['id']} ({vector['desc']})"
            raise Failed(f"{told}: {error.expected}", f"{error.got}; the vector is {data}") from None


PLAYERS: dict[str, tuple[Callable[[list[Vector], Lab], None], str, dict[str, tuple[str, ...]]]] = {
    "invalid": (_refused, "refused as they say", {"fields": ("4-16", "4-17"), "envelope": ("4-2", "4-14")}),
    "lenient": (_understood, "understood", {"extras": ("4-13",), "nils": ("4-7", "4-8"), "trailing": ("4-10",)}),
    "valid": (_understood, "understood", {}),
}
RULES_OF = {"encoding": ("3-4", "3-6"), "widths": ("3-2",), "codes": ("5-1",)}


def _found() -> Iterator[Check]:
    folder = protocol_folder() / "vectors"
    for kind, (player, how, rules) in PLAYERS.items():
        for path in sorted((folder / kind).iterdir(), key=lambda each: each.name):
            stem = path.name.removesuffix(".json")
            if (vectors := _load(path)) and stem != "unknown":
                yield Check(
                    f"20/{kind}-{stem}",
                    "20",
                    rules.get(stem, RULES_OF.get(stem, ("4-1",))),
                    f"The {len(vectors)} vectors of {kind}/{path.name} are {how}.",
                    partial(player, vectors),
                    level="L2",
                )
    vectors = _load(folder / "framing.json")
    title = "The vectors of framing.json are answered as they say."
    yield Check("20/framing", "20", ("2-3", "7-1"), title, partial(_framing, vectors), level="L2")
    vectors = _load(folder / "lenient" / "unknown.json")
    title = "The vectors of lenient/unknown.json are ignored."
    yield Check("20/lenient-unknown", "20", ("5-1",), title, partial(_ignored, vectors), level="L2")


for _check in _found():
    add(_check)
