"""The resume algorithm under random orders: cuts, crashes, lost pushes, late answers, jumps and restores (P5, P7).

A small server that keeps the rules holds the truth. Whatever happened on the way, a device that is left in peace ends
with exactly the truth, and never was anything acknowledged as delivered that it did not hold on disk. What the user has
hidden meanwhile, on another device, is part of the truth: it is gone. A failing seed replays exactly.
"""

import random
from collections import deque
from typing import Any

import attrs
import pytest

from tests.client.stage import LIMITS, ME, OTHER, entry, text
from wirechat import wire
from wirechat.client.cache import Cache
from wirechat.client.outbox import Entry
from wirechat.client.sync import Question, Sync
from wirechat.wire.registries import ContentType, EntryKind

CONVS = (1, 2, 3)
ACCOUNT_LOG = 9
WINDOW = 8
PAGE = 4
STEPS = 400


@attrs.define
class Conversation:
    """The truth about one conversation."""

    entries: list[wire.Event] = attrs.field(factory=list)
    records: dict[int, wire.Record] = attrs.field(factory=dict)
    stamp: int = 0
    receipts: list[wire.Watermark] = attrs.field(factory=list)
    delivered: int = 0

    @property
    def head(self) -> int:
        return len(self.entries)

    @property
    def marks(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for mark in self.receipts:
            found[mark.user] = max(found.get(mark.user, 0), mark.delivered)
        return found


class Server:
    """The store and at most one session."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.convs = {conv: Conversation() for conv in (*CONVS, ACCOUNT_LOG)}
        self.stamp = 0
        self.epoch = 1
        self.down: deque[wire.Message | tuple[Question | None, wire.Message]] = deque()
        self.late: list[tuple[Question, wire.Message]] = []
        self.mode = "off"

    def _changed(self, conv: int) -> Conversation:
        self.stamp += 1
        self.convs[conv].stamp = self.stamp
        return self.convs[conv]

    def append(self, conv: int, event: wire.Event, to_device: bool = True) -> wire.Event:
        log = self._changed(conv)
        event = attrs.evolve(event, conv=conv, seq=log.head + 1)
        log.entries.append(event)
        wire.fold.apply_event(log.records, event)
        if to_device:
            self._push(event, counts=True)
        return event

    def hidden(self, conv: int) -> set[int]:
        """What the account log says of this conversation."""
        found: set[int] = set()
        for event in self.convs[ACCOUNT_LOG].entries:
            assert event.content is not None
            assert isinstance(event.content.data, bytes)
            hidden = wire.Hidden.unpack(event.content.data)
            found.update(hidden.seqs if hidden.conv == conv else ())
        return found

    def shown(self, conv: int) -> dict[int, wire.Record]:
        """What the server gives."""
        hidden = self.hidden(conv)
        return {seq: record for seq, record in self.convs[conv].records.items() if seq not in hidden}

    def mark(self, conv: int, user: int, delivered: int) -> None:
        if delivered <= self.convs[conv].marks.get(user, 0):
            return
        log = self._changed(conv)
        rrev = len(log.receipts)
        log.receipts.append(wire.Watermark(user, delivered, 0))
        self._push(wire.Receipt(conv, rrev, rrev + 1, (log.receipts[-1],)), counts=True)

    def restore(self) -> None:
        """The store goes back to an earlier state, and its seqs are used again."""
        self.epoch += 1
        self.mode = "off"
        for conv in self.convs.values():
            del conv.entries[self.rng.randint(0, conv.head) :]
            del conv.receipts[self.rng.randint(0, len(conv.receipts)) :]
            conv.records = {}
            for event in conv.entries:
                wire.fold.apply_event(conv.records, event)
            conv.delivered = conv.marks.get(ME, 0)

    # --- the session

    def connect(self, sync: wire.Sync) -> None:
        self.down.clear()
        self.late.clear()
        self.mode, self.behind, self.pushed, self.acked = "live", False, 0, 0
        self.pushes: list[tuple[int, int] | None] = []
        self.mine = list(map(int, (sync.token or b"0 0").split()))
        reset = self.mine[0] != self.epoch
        self.horizon = 0 if reset else self.mine[1]
        rows = self._rows(self.horizon)
        cut = self.rng.randint(0, len(rows))
        mode = 2 if reset else 1
        self.down.append(wire.SyncOk(0, mode, tuple(rows[:cut]), b"more", None))
        self.horizon = self.stamp + 1
        self.down.append(wire.SyncOk(0, mode, tuple(rows[cut:]), None, self.token))

    @property
    def token(self) -> bytes:
        return f"{self.epoch} {self.horizon}".encode()

    def _rows(self, horizon: int) -> list[wire.Row]:
        return [
            wire.Row(conv, log.head, len(log.receipts), log.delivered, 0, 0, conv == ACCOUNT_LOG)
            for conv, log in self.convs.items()
            if log.stamp >= horizon
        ]

    def _push(self, push: wire.Event | wire.Receipt | wire.Rows, *, counts: bool) -> None:
        """A session whose window is full drops everything and remembers only its horizon."""
        if self.mode == "off":
            return
        if self.behind or self.pushed - self.acked >= WINDOW or self.rng.random() < 0.1:
            self.behind = True
            return
        self.pushed += 1
        self.pushes.append((push.conv, push.seq) if isinstance(push, wire.Event) else None)
        self.down.append(push)

    def catch_up(self) -> None:
        """A round: back from behind."""
        if self.mode == "off" or not self.behind or self.pushed - self.acked >= WINDOW // 2:
            return
        self.behind = False
        rows, self.horizon = self._rows(self.horizon), self.stamp + 1
        self.pushed += 1
        self.pushes.append(None)
        self.down.append(wire.Rows(tuple(rows), self.token))

    def pong(self) -> None:
        if self.mode != "off":
            self.down.append(wire.Pong(0, 0, self.token))

    def ack(self, ack: wire.Ack) -> dict[int, int]:
        """What is delivered now, by conversation."""
        assert self.acked <= ack.n <= self.pushed
        derived = {push[0]: push[1] for push in self.pushes[self.acked : ack.n] if push is not None}
        derived.update({pair.conv: pair.pos for pair in ack.held or ()})
        self.acked = ack.n
        return derived

    def answer(self, question: Question) -> None:
        """Computed now, delivered whenever."""
        request: Any = question.request
        if isinstance(request, wire.ConvGet):
            reply: wire.Message = wire.ConvGetOk(0, tuple(wire.Info(conv, 2, 1, 2) for conv in request.convs))
        elif isinstance(request, wire.Marks):
            log = self.convs[request.conv]
            upto = min(len(log.receipts), request.since + PAGE)
            reply = wire.MarksOk(0, upto, tuple(log.receipts[request.since : upto]), upto < len(log.receipts))
        elif isinstance(request, wire.Changes):
            log = self.convs[request.conv]
            found = sorted(
                (each for each in self.shown(request.conv).values() if each.rev > request.since), key=lambda r: r.rev
            )
            page, more = found[:PAGE], len(found) > PAGE
            reply = wire.ChangesOk(0, page[-1].rev if more else log.head, tuple(page), more)
        else:
            log = self.convs[request.conv]
            hi = min(request.hi or log.head, log.head)
            lo = max(1, hi - PAGE + 1)
            shown = self.shown(request.conv)
            page = [shown[seq] for seq in range(lo, hi + 1) if seq in shown]
            reply = wire.HistoryOk(0, lo, hi, tuple(page), log.head)
        self.late.append((question, reply))

    def release(self) -> None:
        if self.late:
            self.down.append(self.late.pop(self.rng.randrange(len(self.late))))


class Device:
    """Sync with a session's duties, on a disk that keeps what was committed."""

    def __init__(self, server: Server, rng: random.Random) -> None:
        self.server = server
        self.rng = rng
        self.disk: bytes | None = None
        self.boot()

    def boot(self) -> None:
        """Starts from what is on disk."""
        self.cache = Cache(None, b"o" * 16)
        if self.disk is not None:
            self.cache._writer.deserialize("main", self.disk)
            self.cache._load()
        self.sync = Sync(self.cache, jump_entries=self.rng.choice([3, 10, 2000]))
        self.open: list[Question] = []
        self.server.mode = "off"

    def connect(self) -> None:
        self.open.clear()
        self.server.connect(self.sync.begin(ME, attrs.evolve(LIMITS, inflight=16), WINDOW))

    def commit(self) -> None:
        self.cache.write(self.cache.take())
        self.cache.written()
        self.disk = self.cache._writer.serialize("main")

    def receive(self, chunk: int) -> None:
        """One chunk, then a crash before the commit or what a session does after it."""
        for _ in range(min(chunk, len(self.server.down))):
            self._handle(self.server.down.popleft())
        if self.rng.random() < 0.03:
            return self.boot()
        self.commit()
        self.act()
        return None

    def act(self) -> None:
        self.open += self.sync.questions()
        if self.rng.random() < 0.7:
            while (ack := self.sync.acks.take(self.sync.logs)) is not None:
                self._delivered(self.server.ack(ack))

    def _delivered(self, reported: dict[int, int]) -> None:
        """I6: whatever is delivered is on disk."""
        for conv, pos in reported.items():
            truth = self.server.convs[conv]
            pos = min(pos, truth.head)
            if pos > truth.delivered:
                held = self.cache.view(conv).records
                missing = [seq for seq in self.server.shown(conv) if truth.delivered < seq <= pos and seq not in held]
                assert not missing, f"reported {pos} of {conv} without {missing}"
                truth.delivered = pos
                self.server.mark(conv, ME, pos)

    def _handle(self, message: Any) -> None:
        if isinstance(message, tuple):
            question, reply = message
            if isinstance(question, Entry):
                self.sync.sent(question, reply)
            else:
                self.sync.answer(question, reply)
        elif isinstance(message, wire.SyncOk):
            self.sync.sync_ok(message)
        elif isinstance(message, wire.Event):
            self.sync.event(message)
        elif isinstance(message, wire.Receipt):
            self.sync.receipt(message)
        elif isinstance(message, wire.Rows):
            self.sync.rows(message)
        else:
            self.sync.pong(message)

    def send(self, conv: int) -> None:
        """One's own entry: a reply instead of a push."""
        if self.server.mode == "off":
            return
        queued = Entry(conv, b"c" * 8, 1, text("mine"))
        made = wire.Event(conv, 0, 1, ME, 1, queued.content)
        made = self.server.append(conv, made, to_device=False)
        self.server.down.append((queued, wire.SendOk(0, made.seq, 1)))  # type: ignore[arg-type]

    def page(self, conv: int) -> None:
        log = self.sync.logs.get(conv)
        if log is not None and self.server.mode != "off" and self.sync.complete:
            self.open.append(self.sync.ask_history(conv, max(1, log.low - 1), PAGE))


def change(server: Server, rng: random.Random) -> None:
    """Somebody else writes, edits, deletes or reads."""
    conv = rng.choice(CONVS)
    head = server.convs[conv].head
    kind = rng.choice(["write", "write", "write", "edit", "delete", "read", "hide"])
    if kind == "write" or not head:
        for _ in range(rng.choice([1, 1, 1, 6])):
            server.append(conv, entry(conv, 0, f"text {server.stamp}"))
    elif kind == "edit":
        server.append(conv, entry(conv, 0, f"edit {server.stamp}", kind=2, ref=rng.randint(1, head)))
    elif kind == "delete":
        server.append(conv, entry(conv, 0, kind=3, ref=rng.randint(1, head), content=None))
    elif kind == "hide":
        seqs = (rng.choice(list(server.convs[conv].records)[-4:]),)
        content = wire.Content(ContentType.HIDDEN, wire.Hidden(conv, seqs).pack())
        server.append(ACCOUNT_LOG, wire.Event(ACCOUNT_LOG, 0, 1, ME, EntryKind.HIDE, content))
    else:
        server.mark(conv, OTHER, rng.randint(0, head))


def step(server: Server, device: Device, rng: random.Random) -> None:
    chance = rng.random()
    if server.mode == "off":
        change(server, rng) if chance < 0.5 else device.connect()
    elif chance < 0.30:
        change(server, rng)
    elif chance < 0.62:
        device.receive(rng.choice([1, 1, 2, 5]))
    elif chance < 0.75 and device.open:
        server.answer(device.open.pop(rng.randrange(len(device.open))))
    elif chance < 0.88:
        server.release()
    elif chance < 0.91:
        server.catch_up()
    elif chance < 0.93:
        server.pong()
    elif chance < 0.95:
        device.send(rng.choice(CONVS))
    elif chance < 0.97:
        device.page(rng.choice(CONVS))
    elif chance < 0.99:
        server.mode = "off"
    elif rng.random() < 0.3:
        server.restore()


def leave_in_peace(server: Server, device: Device) -> None:
    """No more faults: a new connection, and everything that is asked is answered."""
    device.rng = random.Random()
    device.rng.random = lambda: 0.5  # type: ignore[method-assign]
    server.rng = device.rng
    device.connect()
    for _ in range(2000):
        device.receive(5)
        server.catch_up()
        while device.open:
            server.answer(device.open.pop())
        while server.late:
            server.release()
        if not server.down and not server.behind and device.sync.idle:
            return
    raise AssertionError("it never comes to rest")


def compare(server: Server, device: Device) -> None:
    """Every record held is the true one, and none is missing from `low` on."""
    assert set(device.sync.logs) >= {conv for conv, log in server.convs.items() if log.stamp and log.head}
    for conv, log in device.sync.logs.items():
        truth, view = server.convs[conv], device.cache.view(conv)
        plain = {seq: attrs.evolve(each, cid=None) for seq, each in view.records.items()}
        shown = server.shown(conv)
        assert view.pos == truth.head
        assert log.low == 1 or conv != ACCOUNT_LOG
        for seq, each in shown.items():
            assert plain.get(seq, None if seq < log.low else "missing") in (each, None if seq < log.low else each)
        assert set(plain) <= set(shown)
        assert {user: mark.delivered for user, mark in view.marks.items()} == truth.marks


def run(seed: int) -> None:
    rng = random.Random(seed)
    server = Server(rng)
    device = Device(server, rng)
    for _ in range(STEPS):
        step(server, device, rng)
    leave_in_peace(server, device)
    compare(server, device)


@pytest.mark.parametrize("seed", range(100))
def test_p5_a_device_ends_with_the_truth(seed: int) -> None:
    run(seed)
