"""Listens at a client's end of the network and reports what it heard: to the history, and to two checks of its own.

* R13: an ACK must speak of what is durable. At each ACK the device's file is read as a power cut would leave it; also
  before each chunk while something waits to be sent, because it may be an ACK of how things are by then.
* I3: whoever is handed a horizon has been told of everything that was stamped before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol, cast

import attrs
import trio

from tools.history import tally
from tools.history.checker import History, Op, Periods, Violation
from tools.history.standing import Described
from tools.simulate.file import Position
from tools.simulate.gone import Gone
from tools.simulate.privacy import Privacy
from tools.simulate.rules import Doings, Rules
from tools.simulate.trace import Trace
from tools.simulate.truth import Truth
from tools.simulate.wording import Appended, Appending, Frames, Name, entry_of, record_of, said
from wirechat import wire
from wirechat.wire.registries import ContentType, EntryKind, SyncMode


@attrs.define
class Evidence:
    """What a device was told of a conversation, since it began or before."""

    head: int = 0
    receipts: int = 0

    def to(self, head: int, receipts: int = 0) -> None:
        self.head = max(self.head, head)
        self.receipts = max(self.receipts, receipts)


class Witnessed(Protocol):
    """The device whose connection is listened to."""

    name: str
    user: int
    number: int
    """Its device id."""
    told: dict[int, Evidence]
    unsettled: dict[int, set[Name]]
    """conv -> entries that were sent and not answered for good."""
    in_turn: bool
    """It sends an entry only when the one before it in its conversation is settled."""
    doings: Doings

    def durable(self) -> dict[int, Position]:
        """Its positions as they stand on its disk."""

    def inspect(self) -> None:
        """Now and then: compare what it shows with what it should show."""


class Witness:
    """One connection of one device. A Tap of the simulated network."""

    def __init__(
        self,
        device: Witnessed,
        label: str,
        history: History,
        truth: Truth,
        gone: Gone,
        privacy: Privacy,
        trace: Trace,
        deaf: Callable[[], bool] = lambda: False,
        posted_at: Callable[[], float] = trio.current_time,
        sending: Callable[[], bool] = lambda: False,
    ) -> None:
        """`deaf` and `posted_at`: see `Rules`. `sending`: what the device says now has to wait."""
        self._device = device
        self._label = label
        self._history = history
        self._truth = truth
        self._gone = gone
        self._privacy = privacy
        self._trace = trace
        self._up, self._down = Frames(), Frames()
        self._asked: dict[int, wire.Request] = {}
        self._then: dict[int, Any] = {}
        """rid -> what was so when it was asked: the walls, what was hidden."""
        self._rules = Rules(device, truth, privacy, self._blame, deaf, posted_at)
        self._sending = sending
        self._pushes: list[tuple[int, int] | None] = []
        self._acked = 0

    # the tap

    def sent(self, data: bytes) -> None:
        """Frames on their way to the server, before it can have seen them."""
        for body in self._up.feed(data):
            message = wire.decode(body, side=wire.CLIENT)
            self._trace.traffic(f"{self._label} >", body, partial(_short, message))
            if self._rules.sent(message):
                continue
            if isinstance(message, wire.Request):
                self._asked[message.rid] = message
                self._remember(message)
            self._handle(_SENT, message)

    def received(self, data: bytes) -> None:
        """Frames from the server, before the client looks at them."""
        if self._sending():
            self._hold(self._device.durable())
        for body in self._down.feed(data):
            message = wire.decode(body, side=wire.SERVER)
            self._trace.traffic(f"{self._label} <", body, partial(_short, message))
            if (message.range if isinstance(message, wire.Unknown) else message.RANGE) == "counted":
                self._pushes.append((message.conv, message.seq) if isinstance(message, wire.Event) else None)
            if not self._rules.received(message):
                self._handle(_RECEIVED, message)

    def _handle(self, handlers: Handlers, message: wire.Message) -> None:
        handler = handlers.get(type(message))
        if handler is not None:
            handler(self, message)

    # privacy

    def _remember(self, request: wire.Request) -> None:
        user = self._device.user
        if isinstance(request, wire.Send | wire.MemberAdd | wire.ConvNew):
            self._then[request.rid] = self._privacy.walls(user, self._others(request))
        elif isinstance(request, wire.Unread):
            self._then[request.rid] = len(self._truth.log(self._truth.account_log(user) or 0))
        elif isinstance(request, wire.Changes | wire.History | wire.Records | wire.Pins | wire.Mentions):
            self._then[request.rid] = self._privacy.hidden(user, request.conv)
            if isinstance(request, wire.Changes | wire.History):
                self._history.asks(self._question(request), user, request.conv)
        elif isinstance(request, wire.PresenceSub):
            self._then[request.rid] = self._truth.heads()
        elif isinstance(request, wire.DeviceRevoke):
            self._privacy.dooms(request.device)
        elif isinstance(request, wire.Auth):
            self._then[request.rid] = self._privacy.is_revoked(self._device.number)
        elif isinstance(request, wire.Block):
            self._then[request.rid] = self._privacy.asks(user, request.user, request.on)

    def _others(self, request: wire.Send | wire.MemberAdd | wire.ConvNew) -> set[int]:
        """Whom a block would keep this from."""
        if isinstance(request, wire.Send):
            others = () if request.kind == EntryKind.DELETE else self._truth.pair(request.conv)
        else:
            others = request.users if isinstance(request, wire.MemberAdd) else request.members
        return set(others) - {self._device.user}

    def _check_walls(self, rid: int, others: set[int], what: object) -> None:
        """P9: what a block forbids was refused."""
        separated = self._privacy.broken(self._then.get(rid, {}), self._device.user, others)
        if separated:
            self._blame("P9", "through a block", f"{what} was done, although a block separates him from {separated}")

    def _hidden(self, reply: wire.HideOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.Hide)
        self._privacy.hid(self._device.user, request.conv, request.seqs)

    def _blocked(self, reply: wire.BlockOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.Block)
        self._privacy.answered(self._device.user, request.user, request.on, self._then.pop(reply.rid))
        self._rules.walled(request.user)

    def _revoked(self, reply: wire.DeviceRevokeOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.DeviceRevoke)
        self._privacy.revoked(request.device)

    def _let_in(self, reply: wire.AuthOk) -> None:
        if self._then.pop(reply.rid):
            self._blame("P9", "revoked and yet let in", f"device {reply.device}")

    # what the device asks for

    def _name(self, request: Appending) -> Name:
        return self._device.user, request.conv, request.cid

    def _send(self, request: wire.Send) -> None:
        self._invoke(
            request,
            Op(
                request.conv,
                self._device.user,
                request.kind,
                said(request.content),
                request.ref,
                self._device.name,
                request.mentions or (),
                source=None if request.forward is None else (request.forward.conv, request.forward.seq),
            ),
        )
        if self._rules.is_in_turn(request):
            self._take_turn(request)

    def _take_turn(self, request: wire.Send) -> None:
        """P4: after a failure a client repeats an entry before it sends a later one."""
        unsettled = self._device.unsettled.setdefault(request.conv, set())
        name = self._name(request)
        unsettled.add(name)
        earlier = [other for other in sorted(unsettled) if self._history.began(other) < self._history.began(name)]
        if self._device.in_turn and earlier:
            self._blame("P4", "out of turn", f"{request} was sent while {earlier} had no final answer")

    def _add(self, request: wire.MemberAdd) -> None:
        self._invoke(request, Op(request.conv, self._device.user, EntryKind.ADD))

    def _remove(self, request: wire.MemberDel) -> None:
        self._invoke(request, Op(request.conv, self._device.user, EntryKind.REMOVE))

    def _assign(self, request: wire.MemberSet) -> None:
        op = Op(request.conv, self._device.user, EntryKind.ROLE, users=(request.user,), role=request.role)
        self._invoke(request, op)

    def _describe(self, request: wire.ConvSet) -> None:
        title, about = (ContentType.TITLE, request.title), (ContentType.ABOUT, request.about)
        content = about if request.title is None else title
        self._invoke(request, Op(request.conv, self._device.user, EntryKind.META, content))

    def _invoke(self, request: Appending, op: Op) -> None:
        name = self._name(request)
        if self._history.knows(name):
            self._trace.count("retries")
            self._history.again(name)
        else:
            self._trace.count("operations")
            self._history.invoke(name, op)

    def _mark(self, request: wire.Mark) -> None:
        self._history.marked(self._device.user, request.conv, request.seq)

    def _ack(self, ack: wire.Ack) -> None:
        durable = self._device.durable()
        for push in self._pushes[self._acked : ack.n]:
            if push is not None and (push[0] not in durable or durable[push[0]].want < push[1]):
                self._blame(
                    "P5",
                    "acknowledged before it was stored",
                    f"push of {push[0]}/{push[1]}, stored {durable.get(push[0])}",
                )
        self._acked = max(self._acked, ack.n)
        self._hold(durable)
        self._device.inspect()

    def _hold(self, durable: dict[int, Position]) -> None:
        for conv, position in durable.items():
            if not position.catch:  # a record that was changed since may be on a page that has not come
                self._history.held(self._device.user, conv, position.low, position.pos)

    # what the server says

    def _sent_ok(self, reply: Appended) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, Appending)
        self._trace.count("acknowledged")
        self._settle(request)
        self._history.ok(self._name(request), reply.seq, reply.ts)
        self._of(request.conv).to(reply.seq)
        if not reply.dup and isinstance(request, wire.Send | wire.MemberAdd):
            entries = self._truth.log(request.conv)[reply.seq - 1 : reply.seq]  # none, if it was lost
            added = {user for entry in entries for user in entry.users}
            others = added if isinstance(request, wire.MemberAdd) else self._others(request)
            self._check_walls(reply.rid, others, request)
        if isinstance(request, wire.Send) and request.kind == EntryKind.DELETE and request.ref is not None:
            self._gone.acknowledged(request.conv, request.ref)

    def _created(self, reply: wire.ConvNewOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.ConvNew)
        if not reply.dup:
            self._check_walls(reply.rid, self._others(request), request)
        self._of(reply.conv).to(reply.seq)

    def _error(self, error: wire.Error) -> None:
        self._trace.count(f"error {error.code}")
        if error.code in OUR_FAULT:
            self._blame("P12", "the server calls our own client broken", f"{error}")
        request = None if error.rid is None else self._asked.pop(error.rid, None)
        if isinstance(request, Appending) and error.code // 1000 in (3, 4):
            self._settle(request)
            self._history.failed(self._name(request))

    def _settle(self, request: Appending) -> None:
        self._device.unsettled.get(request.conv, set()).discard(self._name(request))

    def _event(self, event: wire.Event) -> None:
        self._trace.count("pushes")
        self._trace.count("pushes of forwards", event.origin is not None)
        self._of(event.conv).to(event.seq)
        self._history.saw(self._label, self._device.user, entry_of(event))

    def _rows(self, rows: wire.Rows) -> None:
        self._trace.count("rows pushes")
        self._take_rows(rows.rows)
        self._token(rows.token)

    def _sync_ok(self, reply: wire.SyncOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.Sync)
        if request.cursor is None and reply.mode == SyncMode.RESET:
            self._trace.count("resets")
            self._device.told.clear()
            for unsettled in self._device.unsettled.values():
                unsettled.difference_update([name for name in unsettled if self._history.refers(name)])
        if reply.cursor is not None:
            self._trace.count("digest pages beyond the first")
        self._take_rows(reply.rows)
        self._token(reply.token)

    def _take_rows(self, rows: tuple[wire.Row, ...]) -> None:
        for row in rows:
            self._of(row.conv).to(row.head, row.rrev)

    def _receipt(self, receipt: wire.Receipt) -> None:
        self._of(receipt.conv).to(0, receipt.upto)
        self._check_marks(receipt.conv, receipt.marks)

    def _marks_ok(self, reply: wire.MarksOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.Marks)
        self._of(request.conv).to(0, reply.upto)
        self._check_marks(request.conv, reply.marks)

    def _check_marks(self, conv: int, marks: tuple[wire.Watermark, ...]) -> None:
        """Answers may overtake each other, so what the wire says may move back; it may never promise too much."""
        for mark in marks:
            self._history.promised(self._label, conv, mark.user, mark.delivered, mark.read)

    def _changes_ok(self, reply: wire.ChangesOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.Changes)
        self._trace.count("changes pages")
        self._of(request.conv).to(reply.upto)
        if not reply.more:
            self._history.answers(self._question(request), reply.upto)
        self._records(request.conv, reply.records, self._then.pop(reply.rid))

    def _history_ok(self, reply: wire.HistoryOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.History)
        self._trace.count("history pages")
        self._history.answers(self._question(request), reply.rev)
        self._records(request.conv, reply.records, self._then.pop(reply.rid))

    def _question(self, request: wire.Changes | wire.History) -> tuple[str, int]:
        return self._label, request.rid

    def _records(self, conv: int, records: tuple[wire.Record, ...], hidden: frozenset[int]) -> None:
        for record in records:
            if record.seq in hidden:
                self._blame("P9", "hidden and yet given", f"{conv}/{record.seq}")
            self._history.recorded(self._label, self._device.user, conv, record_of(record), record.cid)

    def _records_ok(self, reply: wire.RecordsOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.Records)
        self._trace.count("single records")
        self._records(request.conv, reply.records, self._then.pop(reply.rid))

    def _pins_ok(self, reply: wire.PinsOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.Pins)
        self._shown(request.conv, [pin.seq for pin in reply.pins], self._then.pop(reply.rid))
        for pin in reply.pins:
            if not tally.is_pin(self._truth.log(request.conv), pin.seq, pin.pinned, pin.user, pin.ts):
                self._blame("P5", "not a pin", f"{request.conv}: {pin}")

    def _mentions_ok(self, reply: wire.MentionsOk) -> None:
        request = self._asked.pop(reply.rid)
        assert isinstance(request, wire.Mentions)
        me, log = self._device.user, self._truth.log(request.conv)
        self._shown(request.conv, reply.seqs, self._then.pop(reply.rid))
        for seq in reply.seqs:
            versions = [
                entry
                for entry in log
                if seq in (entry.seq, entry.ref) and entry.kind in (EntryKind.MSG, EntryKind.EDIT)
            ]
            if not any(me in entry.users for entry in versions):
                self._blame("P5", "not a mention", f"{request.conv}/{seq} does not mention {me}")

    def _unread_ok(self, reply: wire.UnreadOk) -> None:
        """Each count is exact at its own head, for a state of the account log between question and answer."""
        del self._asked[reply.rid]
        me, truth = self._device.user, self._truth
        states = range(self._then.pop(reply.rid), len(truth.log(truth.account_log(me) or 0)) + 1)
        for count in reply.counts:
            self._trace.count("counts of the server")
            times = truth.periods(count.conv).get(me, ())
            if not times:
                self._blame("P9", "counted for a stranger", f"{count}")
            possible = [self._tally(count, times, upto) for upto in states]
            if (count.unread, count.mentions) not in possible:
                self._blame("P5", "counted wrongly", f"{count}, should be one of {possible}")

    def _tally(self, count: wire.Count, times: Periods, upto: int) -> tuple[int, int]:
        me, truth = self._device.user, self._truth
        hidden = {seq for conv, seq in truth.hidden(me, upto) if conv == count.conv}
        unread, mentions = tally.unread(
            truth.log(count.conv), times, me, count.read, count.head, hidden, truth.blocked(me, upto)
        )
        return len(unread), len(mentions)

    def _shown(self, conv: int, seqs: Iterable[int], hidden: frozenset[int]) -> None:
        """These were named to the user."""
        for seq in seqs:
            self._history.shown(self._device.user, conv, seq)
            if seq in hidden:
                self._blame("P9", "hidden and yet given", f"{conv}/{seq}")

    def _conv_get_ok(self, reply: wire.ConvGetOk) -> None:
        """P9: a former member is told what it was called when he left. He may be back by now: then of earlier times."""
        for info in reply.infos:
            told = Described(info.kind, info.role, info.members, info.title, info.about)
            known = self._truth.described(info.conv, self._device.user)
            if info.role == 0 and told not in [attrs.evolve(each, role=0, members=0) for each in known]:
                self._blame("P9", "described as it is now", f"{told}, should be one of {known}")

    def _presence(self, message: wire.PresenceSubOk | wire.Presence) -> None:
        """P9: of a stranger one learns what one learns of somebody who does not exist. Whoever was no stranger once may
        hear a little longer, but not when he asks.
        """
        self._trace.count("statuses", len(message.users))
        since = self._then.pop(message.rid) if isinstance(message, wire.PresenceSubOk) else {}
        for status in message.users:
            if status != wire.Status(status.user, False) and not self._truth.together(
                self._device.user, status.user, since
            ):
                self._blame("P9", "presence of a stranger", f"{status}")

    def _typing(self, message: wire.Typing) -> None:
        self._trace.count("typing")
        times = self._truth.periods(message.conv)
        if message.user not in times or self._device.user not in times or message.user == self._device.user:
            self._blame("P9", "typing elsewhere", f"{message}, members {sorted(times)}")

    def _pong(self, pong: wire.Pong) -> None:
        self._token(pong.token)

    # horizons

    def _of(self, conv: int) -> Evidence:
        return self._device.told.setdefault(conv, Evidence())

    def _token(self, token: bytes | None) -> None:
        """I3: evidence of everything stamped before the horizon came before it."""
        if token is None:
            return
        self._trace.count("horizons")
        horizon = int.from_bytes(token[4:12], "big")
        for conv, head, receipts in self._truth.stamped_before(self._device.user, horizon):
            told = self._device.told.get(conv, Evidence())
            if told.head < head or told.receipts < receipts:
                self._blame(
                    "P5",
                    "horizon without evidence",
                    f"{horizon} covers {conv}/{head} and receipts {receipts}, told {told}",
                )

    def _blame(self, promise: str, rule: str, detail: str) -> None:
        self._history.violations.append(Violation(promise, rule, f"{self._label}: {detail}"))


OUR_FAULT = frozenset({1000, 1001, 1002, 1003, 1005, 1006, 1008, 1009, 3000, 3001, 3002, 3003, 3004, 3005, 5002})
"""Errors that say that one of the two programs is wrong; here both are ours."""

Handlers = dict[type[wire.Message], Callable[..., None]]

_SENT: Handlers = {
    wire.Send: Witness._send,
    wire.MemberAdd: Witness._add,
    wire.MemberDel: Witness._remove,
    wire.MemberSet: Witness._assign,
    wire.ConvSet: Witness._describe,
    wire.Mark: Witness._mark,
    wire.Ack: Witness._ack,
}
_RECEIVED: Handlers = {
    wire.SendOk: Witness._sent_ok,
    wire.MemberAddOk: Witness._sent_ok,
    wire.MemberDelOk: Witness._sent_ok,
    wire.MemberSetOk: Witness._sent_ok,
    wire.ConvSetOk: Witness._sent_ok,
    wire.ConvGetOk: Witness._conv_get_ok,
    wire.ConvNewOk: Witness._created,
    wire.HideOk: Witness._hidden,
    wire.BlockOk: Witness._blocked,
    wire.DeviceRevokeOk: Witness._revoked,
    wire.AuthOk: Witness._let_in,
    wire.Error: Witness._error,
    wire.Event: Witness._event,
    wire.Rows: Witness._rows,
    wire.SyncOk: Witness._sync_ok,
    wire.Receipt: Witness._receipt,
    wire.MarksOk: Witness._marks_ok,
    wire.ChangesOk: Witness._changes_ok,
    wire.HistoryOk: Witness._history_ok,
    wire.RecordsOk: Witness._records_ok,
    wire.PinsOk: Witness._pins_ok,
    wire.MentionsOk: Witness._mentions_ok,
    wire.UnreadOk: Witness._unread_ok,
    wire.Pong: Witness._pong,
    wire.PresenceSubOk: Witness._presence,
    wire.Presence: Witness._presence,
    wire.Typing: Witness._typing,
}


def _short(message: wire.Message) -> str:
    """A message as a person reads it: its name and the fields that are set."""
    fields = [
        f"{field.name}={_shown(value)}"
        for field in attrs.fields(type(cast(Any, message)))
        if (value := getattr(message, field.name)) not in (None, ())
    ]
    return f"{message.NAME} {' '.join(fields)}"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, wire.Content):
        return repr(value.data)
    return repr(value)
