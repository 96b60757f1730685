"""What to acknowledge on one connection.

Rules: pushes are counted from 1 on each connection. An ACK speaks of durable state only, so whoever sends one asks for
it right after a commit. A conversation is listed when its position must replace what the server would derive from the
pushes: when a push of it was not applied, when a position moved without a push, and with 0 when the device jumped.
"""

from collections import deque
from collections.abc import Mapping

from wirechat import wire
from wirechat.client.log import Log

__all__ = ["HELD_MAX", "PUSHES_MAX", "SECONDS_MAX", "Acks"]

HELD_MAX = 256  # pairs in one ACK
PUSHES_MAX = 32  # pushes that may wait for an ACK
SECONDS_MAX = 1.0  # time that anything may wait for an ACK


class Acks:
    """Pushes and positions the server has not been told about."""

    def __init__(self, window: int) -> None:
        self.received = 0
        """Number of the newest push."""
        self._batch = max(1, min(PUSHES_MAX, window // 2))
        self._acked = 0
        self._pushes: deque[tuple[int, int] | None] = deque()
        self._listed: dict[int, None] = {}

    def pushed(self, entry: tuple[int, int] | None = None) -> None:
        """A counted push came; `entry` is (conv, seq) of an EVENT."""
        self.received += 1
        self._pushes.append(entry)

    def report(self, conv: int) -> None:
        """The next ACK lists this conversation."""
        self._listed[conv] = None

    @property
    def waiting(self) -> bool:
        """There is something to tell."""
        return bool(self._pushes or self._listed)

    @property
    def urgent(self) -> bool:
        """There is so much to tell that it must not wait."""
        return len(self._pushes) >= self._batch

    def take(self, logs: Mapping[int, Log]) -> wire.Ack | None:
        """The next ACK, None when there is nothing to tell. Call it until then."""
        if not self.waiting:
            return None
        held = self._cover(logs)
        for conv in list(self._listed):
            if len(held) == HELD_MAX:
                break
            held.setdefault(conv, _held(logs, conv))
        for conv in held:
            self._listed.pop(conv, None)
        return wire.Ack(self._acked, tuple(wire.Held(conv, pos) for conv, pos in held.items()) or None)

    def _cover(self, logs: Mapping[int, Log]) -> dict[int, int]:
        """Advances over pushes as far as the conversations that must be listed with them find room."""
        held: dict[int, int] = {}
        while self._pushes:
            push = self._pushes[0]
            if push is not None and push[0] not in held:
                conv, seq = push
                pos = _held(logs, conv)
                if conv in self._listed or pos < seq:
                    if len(held) == HELD_MAX:
                        break
                    held[conv] = pos
            self._pushes.popleft()
            self._acked += 1
        return held


def _held(logs: Mapping[int, Log], conv: int) -> int:
    log = logs.get(conv)
    return 0 if log is None else log.held
