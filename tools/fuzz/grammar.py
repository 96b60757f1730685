"""Frames that a client may send, with ids that exist, and scripts made of them.

Every frame of the schema is here by itself: fields are filled by their type, and by their name where that says what
would be worth trying. A new frame is fuzzed from the day it is in protocol/.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

import attrs

from tools.fuzz.bodies import Mutator, Tree, build, parse
from tools.fuzz.founding import HOSTILE, PASSWORD
from tools.fuzz.names import TEXTS, Name
from tools.fuzz.script import LINES, STEPS_MAX, Op, Script, Step
from tools.protocol.schema import Field, Frame, Schema, load
from tools.protocol.types import Type
from tools.simulate.bugs import ROOT
from wirechat.wire.registries import EntryKind

CONVS: Final = (*[Name.GROUP] * 6, *[Name.DIRECT] * 3, Name.CLOSED, Name.PAIR, Name.NEW, Name.ACCOUNT)
USERS: Final = (Name.U1, Name.U2, Name.U3, Name.U4, Name.U5, Name.MYSELF, Name.NOBODY)
SEQS: Final = (Name.SEQ, Name.HEAD)
DEVICES: Final = (Name.MY_DEVICE, Name.DEVICE_1, Name.DEVICE_2, Name.DEVICE_4)
OPS: Final = (
    *[Op.SETTLE] * 5, *[Op.LOGIN] * 2, *[Op.WAIT] * 2, Op.CUT, Op.END, Op.PAUSE, Op.RESUME, Op.GREET, Op.PROVE, Op.SYNC,
    Op.STOP,
)  # fmt: skip
"""What is not a body: mostly the server gets time."""

LOGINS: Final[tuple[dict[str, Tree], ...]] = (
    {"method": 1, "handle": "u1", "proof": PASSWORD, "device": None, "key": None, "name": "new", "binding": None},
    {"method": 1, "handle": "u1", "proof": PASSWORD, "device": Name.DEVICE_1.number, "key": bytes(32)},
    {"method": 1, "handle": "u1", "proof": b"wrong horse"},
    {"method": 1, "handle": "nobody", "proof": PASSWORD},
    {"method": 4, "proof": b"@resume"},
    {"method": 3, "device": Name.DEVICE_1.number, "proof": bytes(64), "binding": 1},
)
REGISTRATIONS: Final[tuple[dict[str, Tree], ...]] = (
    {"handle": "newcomer", "method": 1, "secret": PASSWORD},
    {"handle": "newcomer", "method": 3, "secret": bytes(32)},
    {"handle": "u1", "method": 1, "secret": PASSWORD},
    {"handle": "newcomer", "method": 1, "secret": b"short"},
)

NARROW: Final = HOSTILE
"""`number` of a login as the first account, with a window of 1."""

CIDS: Final = tuple(bytes(7) + bytes([n]) for n in range(6))
"""Few, so that they are used again."""

HORIZONS: Final = (bytes(12), bytes(11) + b"\5", bytes(11) + b"\5\1", bytes(4) + b"\xff" * 8, b"old!" + bytes(8))
"""Tokens of SYNC that nobody gave out; the epoch of the town is four zero bytes."""

HANDLES: Final = ("u1", "u4", "newcomer", "Ünïcode", "u1 ", "")
NUMBERS: Final = {
    "conv": CONVS, "convs": CONVS, "user": USERS, "users": USERS, "members": USERS, "mentions": USERS,
    "seq": SEQS, "seqs": SEQS, "ref": SEQS, "hi": SEQS, "since": SEQS, "after": SEQS, "pos": SEQS,
    "n": (Name.PUSHES,), "device": DEVICES,
}  # fmt: skip
"""What a field of this name may refer to."""

SMALL: Final = 8
SENT: Final = (EntryKind.MSG, EntryKind.EDIT, EntryKind.DELETE, EntryKind.REACT, EntryKind.PIN, EntryKind.UNPIN)
OFTEN: Final = ("SEND", "SEND", "SEND", "MARK", "CHANGES", "HISTORY", "ACK", "CONV_NEW", "MEMBER_ADD")
ENDING: Final = frozenset({"HELLO", "AUTH", "REGISTER", "SYNC"})
"""Out of place they end the connection, and everything after them is wasted."""


class Grammar:
    """Draws frames and scripts, and changes scripts."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._schema: Schema = load(ROOT / "protocol")
        self._frames = {frame.name: frame for frame in self._schema.frames if frame.side in ("client", "both")}
        self._names = (*self._frames, *[name for name in self._frames if name not in ENDING] * 4, *OFTEN * 20)
        self._donors: Sequence[Tree] = [self.frame() for _ in range(50)]
        self._bodies = Mutator(random, self._donors)

    # frames

    def frame(self, name: str | None = None) -> Tree:
        """Some frame of a client, or one of this name, right in every field."""
        frame = self._frames[name or self._random.choice(self._names)]
        values = {field.name: self._field(field) for field in self._fields(frame)}
        if self._random.random() < 0.8:
            values |= self._sense(frame.name)
        items = [frame.code, *([self._random.randrange(SMALL)] if frame.rid else ()), *values.values()]
        while items[-1] is None:
            items.pop()
        return items

    def _sense(self, name: str) -> dict[str, Tree]:
        """Fields that must fit together, or else the frame gets no further than their check."""
        random = self._random
        if name == "CONV_NEW":
            members = random.sample(USERS, random.choice((1, 1, 2, 3)))
            return {"kind": 1 if len(members) == 1 else 2, "members": [user.number for user in members]}
        if name == "AUTH":
            return random.choice(LOGINS)
        if name == "REGISTER":
            return random.choice(REGISTRATIONS)
        if name != "SEND":
            return {}
        kind = random.choice((*[EntryKind.MSG] * 5, *SENT))
        forward, content = None, None
        ref: int | None = random.choice((Name.SEQ.number, Name.HEAD.number, 3, 4))
        if kind == EntryKind.REACT:
            content = random.choice((None, [2, "x"]))
        elif kind in (EntryKind.MSG, EntryKind.EDIT):
            content = [1, random.choice(("x", "hello", "é" * 20))]
        if kind == EntryKind.MSG:
            ref = random.choice((None, ref))
            if random.random() < 0.1:
                content, forward = None, [random.choice(CONVS).number, ref or 3]
        mentions = [Name.U1.number, Name.U4.number] if content is not None and random.random() < 0.2 else None
        return {"kind": int(kind), "content": content, "ref": ref, "mentions": mentions, "forward": forward}

    def _fields(self, frame: Frame) -> Sequence[Field]:
        return [field for field in frame.fields if field.name != "rid" or not frame.rid]

    def _field(self, field: Field) -> Tree:
        if field.const is not None:
            return field.const
        if field.type.optional and self._random.random() < 0.4:
            return None
        return self._value(field, field.type)

    def _value(self, field: Field, kind: Type) -> Tree:
        random = self._random
        if kind.item is not None:
            most = min(kind.size, random.choice((0, 1, 1, 2, 3, 8)))
            return [self._value(field, kind.item) for _ in range(most)]
        if kind.struct:
            return [self._field(each) for each in self._schema.structs[kind.struct].fields]
        if kind.kind == "b":
            return random.random() < 0.5
        if kind.kind == "u":
            return self._number(field, kind)
        if kind.kind == "s" or (kind.kind == "s|x" and random.random() < 0.9):
            return self._text(field, kind)
        if field.name in ("token", "cursor", "proof"):
            return random.choice((*TEXTS, *HORIZONS))
        if kind.exact:
            return random.choice(CIDS) if kind.size == len(CIDS[0]) else bytes([random.randrange(3)]) * kind.size
        return random.choice((b"", b"x", b"correct horse", bytes(min(kind.size, 64))))

    def _number(self, field: Field, kind: Type) -> int:
        random = self._random
        names = NUMBERS.get(field.name)
        if names is not None and random.random() < 0.9:
            return random.choice(names).number
        low = field.min or 0
        high = kind.size if field.max is None else field.max
        if field.name in ("kind", "type", "role", "method", "audience", "window") and random.random() < 0.8:
            high = min(high, 13)
        return random.choice((low, high, random.randint(low, max(low, min(high, SMALL)))))

    def _text(self, field: Field, kind: Type) -> str:
        if field.name == "handle":
            return self._random.choice(HANDLES)
        text = self._random.choice(("", "x", "hello", "\0", "é" * 20, "x" * kind.size))
        return text.encode()[: kind.size].decode(errors="ignore")

    # scripts

    def scenes(self) -> Iterator[Script]:
        """Sessions that get where drawing seldom does: behind a full window, to what watchers hear, to every login."""

        def body(line: int, *items: Tree) -> Step:
            return Step(Op.BODY, line, 0, build(list(items)))

        def wait(ms: int) -> Step:
            return Step(Op.WAIT, 0, ms)

        said = [body(1, 54, 10 + n, Name.GROUP.number, bytes(7) + bytes([n]), 1, [1, "x" * 900]) for n in range(6)]
        both, settle = (Step(Op.LOGIN, 0, NARROW), Step(Op.LOGIN, 1, 2)), Step(Op.SETTLE, 0)
        acks = (body(0, 5, Name.PUSHES.number), settle) * 3
        watch, look = body(0, 90, 3, [Name.U2.number, Name.U4.number]), body(1, 8, False)
        yield Script(0, (*both, *said, settle, *acks, wait(1500), *acks))
        yield Script(1, (*both, Step(Op.PAUSE, 0), *said, wait(1500), Step(Op.RESUME, 0), *acks))
        slow = (Step(Op.LOGIN, 0, 0), both[1], Step(Op.PAUSE, 0))
        yield Script(3, (*slow, *said, settle, body(1, 54, 20, Name.GROUP.number, bytes(8), 3, None, Name.SEQ.number)))
        yield Script(3, (*slow, *said, wait(1500), Step(Op.RESUME, 0), *acks))
        yield Script(0, (*both, watch, look, wait(2500), body(1, 94, 4, Name.U1.number, True), wait(2500)))
        yield Script(1, (*both, watch, Step(Op.CUT, 1), wait(7000), Step(Op.LOGIN, 1, 2), wait(2500)))
        yield Script(
            2, (*both, settle, body(1, 32, Name.GROUP.number, True), settle, body(1, 32, Name.GROUP.number, False))
        )
        for login in LOGINS[:4]:
            fields = [login["method"], login["handle"], login["proof"], login.get("device"), login.get("key")]
            again = (Step(Op.CUT, 0), Step(Op.GREET, 0), body(0, 48, 8, 4, None, b"@resume"), Step(Op.SYNC, 0))
            yield Script(0, (Step(Op.GREET, 0), body(0, 48, 7, *fields), settle, Step(Op.SYNC, 0), *again))

    def visits(self) -> Iterator[Script]:
        """For each frame a session in which it comes, right and not quite right."""
        for name in self._frames:
            bodies = [
                build(frame) for frame in (self.frame(name), self._bodies.mutate(self.frame(name)), self.frame(name))
            ]
            begin = Op.GREET if name in ENDING else Op.LOGIN
            yield Script(0, (Step(begin, 0, 0), *(Step(Op.BODY, 0, 0, body) for body in bodies)))

    def script(self) -> Script:
        """A short session: some lines log in, and say what they may say."""
        random = self._random
        steps = [Step(Op.LOGIN, line, random.randrange(16)) for line in range(random.choice((1, 1, 2, 3)))]
        steps += [self.step() for _ in range(random.choice((1, 2, 4, 8)))]
        return Script(random.randrange(256), tuple(steps))

    def step(self) -> Step:
        """Some step."""
        random = self._random
        line, choice = random.choice((0, 0, 0, 1, 1, 2, 3)), random.random()
        if choice < 0.66:
            return Step(Op.BODY, line, 0, build(self.frame()))
        if choice < 0.78:
            return Step(Op.BODY, line, 0, build(self._bodies.mutate(self.frame())))
        if choice < 0.81:
            return Step(Op.RAW, line, 0, self._raw())
        op = random.choice(OPS)
        number = (
            random.randrange(16) if op is not Op.WAIT else random.choice((1, 100, 1000, 3000, 12_000, 31_000, 65_000))
        )
        return Step(op, line, number)

    def _raw(self) -> bytes:
        """Bytes that are no whole frame: a part of one, two in one go, a length that is too long, nothing of ours."""
        random = self._random
        body = build(self.frame())
        stream = len(body).to_bytes(4, "big") + body
        return random.choice(
            (
                stream[: random.randrange(len(stream))],
                stream * 2,
                b"\0\1\0\1" + body,
                bytes(4),
                random.randbytes(5),
                b"GET /",
            )
        )

    def mutate(self, script: Script, other: Script | None = None) -> Script:
        """Another script. `other`: one to cross it with."""
        steps, random = list(script.steps), self._random
        seed = random.randrange(256) if random.random() < 0.1 else script.seed
        for _ in range(random.choice((1, 1, 2, 4))):
            steps = self._change(steps, other)
        return Script(seed, tuple(steps[:STEPS_MAX]))

    def _change(self, steps: list[Step], other: Script | None) -> list[Step]:
        random = self._random
        at, choice = random.randrange(len(steps) + 1), random.random()
        if not steps or choice < 0.3:
            return [*steps[:at], self.step(), *steps[at:]]
        at = random.randrange(len(steps))
        step = steps[at]
        if choice < 0.6:
            return [*steps[:at], self._changed(step), *steps[at + 1 :]]
        if choice < 0.7:
            return [*steps[:at], *steps[at + 1 :]]
        if choice < 0.77:
            return [*steps[:at], *[step] * random.choice((2, 2, 3, 10)), *steps[at + 1 :]]
        if choice < 0.85:
            to = random.randrange(len(steps))
            rest = [*steps[:at], *steps[at + 1 :]]
            return [*rest[:to], step, *rest[to:]]
        if choice < 0.92:
            return [*steps[:at], attrs.evolve(step, line=random.randrange(LINES)), *steps[at + 1 :]]
        theirs = other.steps if other is not None and other.steps else self.script().steps
        start = random.randrange(len(theirs))
        return [*steps[:at], *theirs[start : start + random.choice((1, 3, 8))], *steps[at:]]

    def _changed(self, step: Step) -> Step:
        if step.op is not Op.BODY:
            return self.step()
        try:
            tree = parse(step.body)
        except ValueError:
            return self.step()
        return attrs.evolve(step, body=build(self._bodies.mutate(tree)))
