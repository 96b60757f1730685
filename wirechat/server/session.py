"""Who a connection is, and what it still has to be told.

Modes (docs/protocol.md, receiving and resuming):
* quiet: logged in, SYNC not asked for; nothing is pushed.
* attaching: a round runs; what is offered meanwhile is buffered as references, at most a window of it.
* live: what the journal commits is pushed while the window has room.
* behind: the window was full; offers are dropped, the horizon stands still, and once half the window is free one
  round catches up.

Nothing is remembered about what was dropped: the horizon is enough. Rules R1 to R8 are named where they are kept.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

import structlog

from wirechat import wire
from wirechat.server import horizon, limits
from wirechat.server.outbox import Outbox, Push
from wirechat.store.records import Login
from wirechat.wire.registries import Capability

log = structlog.get_logger(__name__)

DENIALS = frozenset({wire.errors.FORBIDDEN, wire.errors.NO_CONVERSATION, wire.errors.BLOCKED})
""""You may not": honest clients get them now and then, and whoever tries doors gets many."""


class Mode(enum.Enum):
    """See the module."""

    QUIET = "quiet"
    ATTACHING = "attaching"
    LIVE = "live"
    BEHIND = "behind"


class Session:
    """One device's connection after login. Memory: O(window)."""

    __slots__ = (
        "_catch_up",
        "_denied",
        "_held_back",
        "_overflowed",
        "_typed",
        "_unacked",
        "acked",
        "active",
        "caps",
        "close",
        "device",
        "falls",
        "horizon",
        "left",
        "login",
        "mode",
        "outbox",
        "round_account",
        "round_after",
        "round_from",
        "round_horizon",
        "user",
        "window",
        "window_freed",
    )

    def __init__(
        self,
        login: Login,
        window: int,
        caps: frozenset[int],
        outbox: Outbox,
        catch_up: Callable[[Session], None],
        close: Callable[[int], None],
    ) -> None:
        self.user = login.user
        self.device = login.device
        self.login = login.number
        """Which login of the device this is; a newer one has a higher number."""
        self.window = window
        self.caps = caps
        """The capabilities that are on."""
        self.outbox = outbox
        self.close = close
        """Ends the connection with an error code, now."""
        self.left: Callable[[], None] | None = None
        """Called once nobody finds the session any more."""
        self.mode = Mode.QUIET
        self.active = True
        self.falls = 0
        """How often it fell behind."""
        self.horizon = 0
        """Evidence for everything stamped before this has been sent on this connection."""
        self.acked = 0
        """Number of the last counted push the client acknowledged."""
        self.round_after = 0
        self.round_from = 0
        self.round_account = 0
        self.round_horizon = 0
        """The first round: the conversation its last page ended with, the stamp its rows start from, the one from which
        the account log counts, and the horizon that the final page will hand over."""
        self._unacked: list[Push | None] = []
        self._held_back: list[Push | bytes] = []
        self._overflowed = False
        self._denied = False
        self._typed: dict[int, tuple[bool, float]] = {}
        """Conversation -> what the last TYPING that was passed on said, and when."""
        self._catch_up = catch_up
        self.window_freed: Callable[[], None] | None = None
        """Called when an ACK or STATE made room, while a round waits for it."""

    def refused(self, code: int) -> None:
        """A request was answered with this error. The operator is told once: a member must not fill his disk."""
        if code in DENIALS and not self._denied:
            self._denied = True
            log.info("a request was not allowed", user=self.user, device=self.device, code=code)

    @property
    def sent(self) -> int:
        """Number of the last counted push."""
        return self.acked + len(self._unacked)

    @property
    def has_room(self) -> bool:
        """Another counted push fits into the window."""
        return len(self._unacked) < self.window

    def offer(self, push: Push | bytes) -> None:
        """Something this user should hear about: an entry, or an encoded counted push. Never waits."""
        if self.mode is Mode.LIVE:
            unacked = self._unacked
            if len(unacked) >= self.window:
                self.mode = Mode.BEHIND
                self.falls += 1
            elif isinstance(push, Push):
                unacked.append(push)
                self.outbox.push(push)
            else:
                self.push(push)
        elif self.mode is Mode.ATTACHING:
            if len(self._held_back) < self.window:
                self._held_back.append(push)
            else:
                self._overflowed = True

    def push(self, frame: bytes) -> None:
        """Send an encoded counted push; there is room."""
        self._unacked.append(None)
        self.outbox.put(frame)

    def whisper(self, frame: bytes) -> bool:
        """An ephemeral push: now, to somebody who looks, or not at all. False: it was not sent."""
        if self.mode is not Mode.LIVE or not self.active or self.outbox.draining or self.outbox.closed:
            return False
        self.outbox.put(frame)
        return True

    def may_type(self, conv: int, on: bool, now: float) -> bool:
        """Whether a TYPING is passed on: it says something else than the last one, or that was a while ago."""
        was, when = self._typed.get(conv, (False, -math.inf))
        if on == was and now - when < limits.TYPING_SECONDS:
            return False
        self._typed.pop(conv, None)
        self._typed[conv] = (on, now)
        if len(self._typed) > limits.TYPING_KEPT:
            del self._typed[next(iter(self._typed))]
        return True

    def attach(self) -> None:
        """A round begins. The session is in the hub already, so nothing committed from here on is missed (R1)."""
        self.mode = Mode.ATTACHING
        self._held_back = []
        self._overflowed = False

    def attached(self, horizon: int) -> None:
        """A round ended: its last page, with `horizon` read before its first (R2, R3), is on its way."""
        self.horizon = max(self.horizon, horizon)
        held_back, self._held_back = self._held_back, []
        self.mode = Mode.BEHIND if self._overflowed else Mode.LIVE  # R4
        for push in held_back:
            self.offer(push)  # R5
        self.falls += self._overflowed
        self._look_behind()

    def advance(self, horizon: int) -> None:
        """The node has offered everything stamped before `horizon` to all live sessions (R8)."""
        if self.mode is Mode.LIVE and horizon > self.horizon:
            self.horizon = horizon

    def acknowledge(self, n: int) -> dict[int, int]:
        """Everything up to push `n` is durable on the device. Returns conversation -> highest seq derived from that."""
        reached: dict[int, int] = {}
        count = n - self.acked
        assert count <= len(self._unacked), "an ACK of what was never sent"
        if count > 0:
            for push in self._unacked[:count]:
                if push is not None and push.seq > reached.get(push.conv, 0):
                    reached[push.conv] = push.seq
            del self._unacked[:count]
            self.acked = n
        self.made_room()
        return reached

    def made_room(self) -> None:
        """The window may have room again."""
        if self.window_freed is not None:
            self.window_freed()
        self._look_behind()

    def _look_behind(self) -> None:
        if self.mode is Mode.BEHIND and self.window and len(self._unacked) <= self.window // 2:
            self.attach()
            self._catch_up(self)

    @property
    def account_log(self) -> bool:
        """The client wants to hear of the account log."""
        return Capability.ACCOUNT_LOG in self.caps

    def token(self, epoch: bytes, at: int | None = None) -> bytes:
        """The horizon `at`, None = the session's, as the client is told it."""
        return horizon.pack(epoch, self.horizon if at is None else at, self.account_log)

    def reply(self, message: wire.Message) -> None:
        """Answer a request."""
        self.outbox.put(message.encode())
