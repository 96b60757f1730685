"""Tells the notebooks to the one judge of histories, note by note in order of time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import attrs

from tools.faults.notebook import Note, What
from tools.history.checker import History, Op, Violation
from tools.simulate.wording import Name, entry_of, record_of, said
from wirechat import wire


@attrs.frozen
class Ack:
    """The server said that something is durable. `at`: seconds of the machine's clock."""

    at: float
    name: Name
    seq: int
    ts: int
    dup: bool


@attrs.frozen
class Restore:
    """A server came back from a backup. `at`: seconds of the machine's clock; `heads`: where its logs ended then."""

    at: float
    heads: Mapping[int, int]


@attrs.define
class Witness:
    """Listens to the notes of several crowds.

    users       device -> its user
    restore     when the server came back from a backup, if it did
    """

    history: History
    users: Mapping[int, int]
    restore: Restore | None = None
    acks: list[Ack] = attrs.Factory(list)
    counts: Counter[str] = attrs.Factory(Counter)
    opened: defaultdict[int, list[float]] = attrs.Factory(lambda: defaultdict(list))
    """device -> when it made its connections."""
    _asked: dict[tuple[int, int, int], wire.Request] = attrs.Factory(dict)

    def tell(self, notes: Iterable[Note]) -> None:
        """Everything, in order."""
        restore = self.restore
        for note in notes:
            if restore is not None and note.at >= restore.at:
                self.history.restored(restore.heads)
                restore = None
            match note.what:
                case What.OPENED:
                    self.counts["connections"] += 1
                    self.opened[note.device].append(note.at)
                case What.SENT:
                    self._sent(note, wire.decode(note.body, side=wire.CLIENT))
                case What.RECEIVED:
                    self._received(note, wire.decode(note.body, side=wire.SERVER))
                case What.HELD:
                    for conv, low, pos in note.body:
                        self.history.held(self.users[note.device], conv, low, pos)
                case What.SHOWN:
                    self.history.announced(_screen(note), *note.body)
                case What.RESYNCED:
                    self.counts["resets"] += 1
                    self.history.cleared(_screen(note))
                case What.LOST:
                    self.counts["connections lost"] += 1
                case What.GAVE_UP:
                    self._blame("P5", "a client gave up", note, note.body)

    # what a device asks for

    def _sent(self, note: Note, message: wire.Message) -> None:
        if isinstance(message, wire.Request):
            self._asked[note.device, note.line, message.rid] = message
        if isinstance(message, wire.Mark):
            self.history.marked(self.users[note.device], message.conv, message.seq)
        if isinstance(message, wire.Changes):
            self.history.asks(_question(note, message), self.users[note.device], message.conv)
        if isinstance(message, wire.Send):
            self._send(note, message)

    def _name(self, note: Note, request: wire.Send) -> Name:
        return self.users[note.device], request.conv, request.cid

    def _send(self, note: Note, request: wire.Send) -> None:
        name = self._name(note, request)
        if self.history.knows(name):
            self.counts["retries"] += 1
            self.history.again(name)
        else:
            self.counts["operations"] += 1
            op = Op(request.conv, name[0], request.kind, said(request.content), request.ref, note.device)
            self.history.invoke(name, op)

    # what the server says

    def _received(self, note: Note, message: wire.Message) -> None:
        if isinstance(message, wire.Error):
            self.counts[f"error {message.code}"] += 1
        if isinstance(message, wire.Reply | wire.Error) and message.rid is not None:
            request = self._asked.pop((note.device, note.line, message.rid), None)
            if isinstance(request, wire.Send):
                self._answered(self._name(note, request), note, message)
            elif isinstance(request, wire.Changes) and isinstance(message, wire.ChangesOk):
                if not message.more:
                    self.history.answers(_question(note, request), message.upto)
                self._records(note, request.conv, message.records)
            elif isinstance(request, wire.Marks) and isinstance(message, wire.MarksOk):
                self._marks(note, request.conv, message.marks)
        elif isinstance(message, wire.Event):
            self.counts["pushes"] += 1
            self.history.saw(_label(note), self.users[note.device], entry_of(message))
        elif isinstance(message, wire.Receipt):
            self._marks(note, message.conv, message.marks)

    def _answered(self, name: Name, note: Note, reply: wire.Message) -> None:
        if isinstance(reply, wire.SendOk):
            ack = Ack(note.at, name, reply.seq, reply.ts, reply.dup)
            self.acks.append(ack)
            self.history.ok(name, reply.seq, reply.ts)
        elif isinstance(reply, wire.Error) and reply.code // 1000 in (3, 4):
            self.history.failed(name)

    def _records(self, note: Note, conv: int, records: Iterable[wire.Record]) -> None:
        self.counts["pages"] += 1
        for record in records:
            self.history.recorded(_label(note), self.users[note.device], conv, record_of(record), record.cid)

    def _marks(self, note: Note, conv: int, marks: Iterable[wire.Watermark]) -> None:
        for mark in marks:
            self.history.promised(_label(note), conv, mark.user, mark.delivered, mark.read)

    def _blame(self, promise: str, rule: str, note: Note, detail: str) -> None:
        self.history.violations.append(Violation(promise, rule, f"{_label(note)}: {detail}"))


def _label(note: Note) -> str:
    return f"device {note.device}, connection {note.line}"


def _question(note: Note, request: wire.Changes) -> tuple[int, int, int]:
    return note.device, note.line, request.rid


def _screen(note: Note) -> tuple[int, int]:
    """One run of one client."""
    return note.device, note.line
