"""Numbered rules of docs/protocol.md that one frame shows, beside what histories are about.

7-27     who answers is never ended for silence, nor is a slow reader
8-14     a resume token is good until its successor was used
9-10     of a conversation one was never in one learns nothing
9-11     a row tells who has left no head beyond his leaving, and that he is a member only of before
11-3     a repetition is answered like the first time; 11-4: the same cid about something else is refused
11-13    after a failure an entry is repeated before a later one is sent
11-15    what refers to a seq waits for the digest
13-9     who has left hears of no receipt any more
13-10    who has read an entry is told those who see it, of those who were there
13-22    nobody sees somebody type from whom a block separates him
14       5xxx: surely not executed
A cid is for its sender's eyes alone (11.6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs
import trio

from tools.history.checker import is_within
from tools.history.entries import visible_head
from tools.simulate.privacy import Privacy
from tools.simulate.truth import Truth
from tools.simulate.wording import Appended, Appending, Name
from wirechat import wire
from wirechat.wire import errors
from wirechat.wire.registries import AuthMethod, MemberState, SyncMode

TOKENS_KEPT = 16
"""A server keeps so many of the tokens of a device at least."""

QUIET_HEARTBEATS = 1.5
"""Who never says nothing for so long is not silent, however slow the network is."""


@attrs.define
class Doings:
    """What one device has done, over all its connections."""

    first: dict[Name, wire.Send] = attrs.Factory(dict)
    """What was asked for with a cid the first time."""
    attempts: Counter[Name] = attrs.Factory(Counter)
    answered: set[Name] = attrs.Factory(set)
    settled: set[Name] = attrs.Factory(set)
    """Entries that wait in no outbox: answered before the server was restored, or sent before the device was installed
    anew. Whoever asks for them again does so in any order.
    """
    apart: set[Name] = attrs.Factory(set)
    """Entries for conversations that the user was not in when he asked: they stand in no queue."""
    put_off: dict[int, dict[Name, float]] = attrs.Factory(dict)
    """conv -> entries that failed with 5xxx or 6xxx and were not sent again since, and when they failed."""
    proofs: list[bytes] = attrs.Factory(list)
    """Of all logins."""
    tokens: set[bytes] = attrs.Factory(set)
    """For resuming, since the server's data is as it is."""
    void: set[bytes] = attrs.Factory(set)
    """Those from before it was restored, which it need not know."""

    def reinstalled(self) -> None:
        """The device has lost its outbox."""
        self.settled.update(self.first)


class Behaving(Protocol):
    """The device whose connection is judged."""

    user: int
    number: int
    doings: Doings


class Rules:
    """One connection of one device. `blame` is given promise, rule and detail; `deaf` tells whether what is sent gets
    lost on its way, `posted_at` since when what is sent may have been waiting.
    """

    def __init__(
        self,
        device: Behaving,
        truth: Truth,
        privacy: Privacy,
        blame: Callable[[str, str, str], None],
        deaf: Callable[[], bool],
        posted_at: Callable[[], float],
    ) -> None:
        self._device = device
        self._truth = truth
        self._privacy = privacy
        self._blame = blame
        self._deaf = deaf
        self._posted_at = posted_at
        self._asked: dict[int, wire.Request] = {}
        self._clashes: set[int] = set()
        """rids of requests that use a cid for something else, on purpose."""
        self._synced = False
        self._sent_at = trio.current_time()
        self._quiet = 0.0
        """The longest time without a frame, in seconds."""
        self._walls: dict[int, int] = {}
        """User -> number of the block against him that was answered here."""

    def sent(self, message: wire.Message) -> bool:
        """True for a request that only this judge understands."""
        self._quiet, self._sent_at = max(self._quiet, self._silence), trio.current_time()
        if isinstance(message, wire.Request):
            self._asked[message.rid] = message
            self._clashes.discard(message.rid)
        if isinstance(message, wire.Auth):
            self._device.doings.proofs.append(message.proof)
        elif isinstance(message, wire.Send) and self._is_clash(message):
            self._clashes.add(message.rid)
            return True
        if isinstance(message, Appending):
            self._device.doings.attempts[self._name(message)] += 1
        if isinstance(message, wire.Send):
            self._take_turn(message)
        return False

    def received(self, message: wire.Message) -> bool:
        """True for the answer to such a request."""
        self._check_cids(message)
        if isinstance(message, wire.Typing):
            self._check_typing(message)
        elif isinstance(message, wire.Receipt):
            self._check_receipt(message)
        elif isinstance(message, wire.Rows):
            self._check_heads(message.rows)
        elif isinstance(message, wire.AuthOk):
            self._device.doings.tokens.add(message.resume)
        elif isinstance(message, wire.SyncOk):
            self._synced = True
            self._check_heads(message.rows)
            if message.mode == SyncMode.RESET:
                self._device.doings.put_off.clear()
        elif isinstance(message, wire.Error) and message.rid is None:
            self._check_end(message)
        if not isinstance(message, wire.Reply | wire.Error) or message.rid not in self._asked:
            return False
        request = self._asked.pop(message.rid)
        if request.rid in self._clashes:
            self._check_clash(request, message)
            return True
        self._check_stranger(request, message)
        if isinstance(message, wire.Error):
            self._failed(request, message)
        elif isinstance(message, Appended) and isinstance(request, Appending):
            self._done(request, message)
        elif isinstance(request, wire.WhoRead) and isinstance(message, wire.WhoReadOk):
            self._check_readers(request, message)
        return False

    def is_in_turn(self, request: Appending) -> bool:
        """Others have to wait for it: it is no question of a stranger, and nothing that was answered already."""
        name, doings = self._name(request), self._device.doings
        return name not in doings.answered and name not in doings.settled and name not in doings.apart

    def _name(self, request: Appending) -> Name:
        return self._device.user, request.conv, request.cid

    @property
    def _silence(self) -> float:
        return trio.current_time() - self._sent_at

    def _check_end(self, error: wire.Error) -> None:
        quiet = max(self._quiet, self._silence)
        if (
            error.code == errors.IDLE
            and not self._deaf()
            and quiet < QUIET_HEARTBEATS * wire.limits.HEARTBEAT_MS / 1000
        ):
            self._blame("P6", "7-27", f"ended for silence, and was quiet for {quiet:.1f} s at most")

    # cids

    def _is_clash(self, request: wire.Send) -> bool:
        first = self._device.doings.first.setdefault(self._name(request), request)
        return _asks(first) != _asks(request)

    def _check_clash(self, request: wire.Request, answer: wire.Message) -> None:
        if isinstance(request, wire.Send) and not self._is_there(self._name(request)):
            return  # a restored server does not know of the first
        if not isinstance(answer, wire.Error):
            self._blame("P2", "11-4", f"{request} was answered {answer}, although its cid was used for something else")
        elif answer.code != errors.CID_REUSED and answer.code // 1000 in (3, 4):
            self._blame("P2", "11-8", f"{request} was answered {answer}, before its cid was looked at")

    def _done(self, request: Appending, answer: Appended) -> None:
        self._device.doings.answered.add(self._name(request))
        log = self._truth.log(request.conv)
        if answer.seq <= len(log) and log[answer.seq - 1].ts != answer.ts:
            self._blame("P2", "11-3", f"{request} was answered {answer}, and is {log[answer.seq - 1]}")

    def _failed(self, request: wire.Request, error: wire.Error) -> None:
        doings = self._device.doings
        if isinstance(request, wire.Auth) and error.code == errors.EXPIRED and request.method == AuthMethod.RESUME:
            later = len(doings.proofs) - doings.proofs.index(request.proof)
            is_void = request.proof in doings.void or self._privacy.is_doomed(self._device.number)
            if later < TOKENS_KEPT and not is_void:
                self._blame("P12", "8-14", f"a resume token was refused after {later} logins")
        if not isinstance(request, Appending):
            return
        name = self._name(request)
        if error.code // 1000 == 5 and doings.attempts[name] == 1 and self._is_there(name):
            self._blame("P12", "surely not executed, and yet there", f"{request}: {error}")
        if isinstance(request, wire.Send) and error.code // 1000 in (5, 6) and self.is_in_turn(request):
            doings.put_off.setdefault(request.conv, {})[name] = trio.current_time()

    def _is_there(self, name: Name) -> bool:
        user, conv, cid = name
        return any(entry.sender == user and entry.cid == cid for entry in self._truth.log(conv))

    def _check_cids(self, message: wire.Message) -> None:
        shown: Iterable[wire.Event | wire.Record] = ()
        if isinstance(message, wire.Event):
            shown = (message,)
        elif isinstance(message, wire.ChangesOk | wire.HistoryOk | wire.RecordsOk):
            shown = message.records
        for each in shown:
            if each.cid is not None and each.sender != self._device.user:
                self._blame("P9", "the cid of somebody else", f"{each}")

    # in order

    def _take_turn(self, request: wire.Send) -> None:
        if not self._synced and (request.ref is not None or request.forward is not None):
            self._blame("P5", "11-15", f"{request} was sent before the digest")
        put_off = self._device.doings.put_off.get(request.conv, {})
        name = self._name(request)
        is_new = self._device.doings.attempts[name] == 1
        if is_new and not self._truth.is_known(self._device.user, request.conv):
            self._device.doings.apart.add(name)
        elif name in put_off:
            del put_off[name]
        elif is_new and (before := sorted(failed for failed, at in put_off.items() if at < self._posted_at())):
            self._blame("P4", "11-13", f"{request} was sent while {before} had failed")

    # strangers

    def _check_stranger(self, request: wire.Request, answer: wire.Message) -> None:
        conv, user = getattr(request, "conv", None), self._device.user
        if isinstance(answer, wire.ConvGetOk):
            strange = [info.conv for info in answer.infos if not self._truth.is_known(user, info.conv)]
            if strange:
                self._blame("P9", "9-10", f"{strange} were described to a stranger")
        if conv is None or self._truth.is_known(user, conv):
            return
        if not isinstance(answer, wire.Error) or (
            answer.code != errors.NO_CONVERSATION and answer.code // 1000 in (3, 4)
        ):
            self._blame("P9", "9-10", f"{request} of a stranger was answered {answer}")

    def _check_heads(self, rows: Iterable[wire.Row]) -> None:
        for row in rows:
            times = self._truth.periods(row.conv).get(self._device.user, ())
            visible = visible_head(times, len(self._truth.log(row.conv)))
            is_late = self._truth.left(row.conv, self._device.user) is not None and row.state == MemberState.MEMBER
            if row.head > visible - is_late:
                self._blame("P9", "9-11", f"{row} came to who was there at {times}")

    def _check_readers(self, request: wire.WhoRead, answer: wire.WhoReadOk) -> None:
        times, log = self._truth.periods(request.conv), self._truth.log(request.conv)
        users = [mark.user for mark in answer.marks]
        absent = [user for user in (*users, self._device.user) if not is_within(times.get(user, ()), request.seq)]
        if absent or request.seq > len(log) or log[request.seq - 1].sender in users:
            self._blame("P9", "13-10", f"{request} was answered {answer}; {absent} were not there")

    def _check_receipt(self, receipt: wire.Receipt) -> None:
        left = self._truth.left(receipt.conv, self._device.user)
        if left is not None and receipt.upto > left.receipts:
            self._blame("P9", "13-9", f"{receipt} came to who had left at {left}")

    # blocks

    def walled(self, user: int) -> None:
        """BLOCK was answered here: what comes from now on was sent after it."""
        mine, _ = self._privacy.walls(self._device.user, [user])[user]
        if mine is not None:
            self._walls[user] = mine

    def _check_typing(self, message: wire.Typing) -> None:
        user = message.user or 0
        mine, _ = self._privacy.walls(self._device.user, [user])[user]
        if mine is not None and self._walls.get(user) == mine:
            self._blame("P9", "13-22", f"{message}, although he was blocked before")


def _asks(request: wire.Send) -> object:
    """What makes two requests the same."""
    mentions = frozenset(request.mentions or ())
    return request.kind, request.content, request.ref, mentions, request.forward
