"""What a fuzzed session does: steps on several connections, as bytes and as lines for a reader.

A body may name what is known only while it runs: a number from REFERENCE on is looked up (`Name`), and so is a bin that
begins with "@". A script that is damaged is still a script: what cannot be read is left out.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import attrs
import msgpack

from tools.fuzz.bodies import Pairs, Raw, Tree

REFERENCE = 2**52
LINES = 4
STEPS_MAX = 20
WAIT_MS_MAX = 70_000


class Op(enum.IntEnum):
    """What a step does on its connection, which is opened by the first one."""

    BODY = 0
    """Send a body, references looked up, behind its length; on a new connection after a login as account `line`."""
    RAW = 1
    """Send bytes as they are."""
    LOGIN = 2
    """HELLO, AUTH with the key of account `number`, SYNC; waits for each answer."""
    CUT = 3
    """Reset the connection; the next step opens another."""
    END = 4
    """Close the way to the server only."""
    WAIT = 5
    """Let `number` milliseconds pass."""
    SETTLE = 6
    """Let the server finish."""
    PAUSE = 7
    """Read no more."""
    RESUME = 8
    GREET = 9
    """HELLO and wait for WELCOME."""
    PROVE = 10
    """AUTH with the key of account `number`, and wait."""
    SYNC = 11
    """SYNC until the last page."""
    STOP = 12
    """The server is told to stop: GOAWAY, and 5003 to requests."""


@attrs.frozen
class Step:
    """One step. `line`: which connection. `body`: for BODY and RAW."""

    op: Op
    line: int
    number: int = 0
    body: bytes = b""


@attrs.frozen
class Script:
    """A session. `seed`: of the network's chance and the scheduler's."""

    seed: int
    steps: tuple[Step, ...]

    def pack(self) -> bytes:
        packed: bytes = msgpack.packb(
            [self.seed, *([int(step.op), step.line, step.number, step.body] for step in self.steps)]
        )
        return packed


def unpack(data: bytes) -> Script:
    """The script in these bytes. Never fails."""
    try:
        items = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, OverflowError, msgpack.exceptions.UnpackException):
        items = [0, [Op.RAW, 0, 0, data]]
    if not isinstance(items, list) or not items:
        return Script(0, ())
    steps = [step for item in items[1 : 1 + STEPS_MAX] if (step := _step(item)) is not None]
    return Script(items[0] % 2**32 if isinstance(items[0], int) else 0, tuple(steps))


def _step(item: Any) -> Step | None:
    match item:
        case [int(op), int(line), int(number), bytes(body)] if op in set(Op):
            return Step(Op(op), line % LINES, abs(number) % 2**32, body)
    return None


def resolved(tree: Tree, number: Callable[[int], int | None], text: Callable[[bytes], bytes | None]) -> Tree:
    """The tree with what its references stand for now; unknown ones stay."""
    if isinstance(tree, bool):
        return tree
    if isinstance(tree, int) and tree >= REFERENCE:
        found = number(tree - REFERENCE)
        return tree if found is None else found
    if isinstance(tree, bytes) and tree[:1] == b"@":
        known = text(tree)
        return tree if known is None else known
    if isinstance(tree, list):
        return [resolved(item, number, text) for item in tree]
    if isinstance(tree, Pairs):
        return Pairs([(key, resolved(value, number, text)) for key, value in tree.pairs])
    assert tree is None or isinstance(tree, int | float | str | bytes | Raw | msgpack.ExtType | msgpack.Timestamp)
    return tree
