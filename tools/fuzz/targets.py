"""What is fuzzed: how an input is judged, told, changed, and which inputs begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from types import ModuleType
from typing import Protocol
from unittest import mock

from tools.fuzz import corpus, names, script
from tools.fuzz.bodies import Mutator, build, parse
from tools.fuzz.codec import SIDES, Codec, reach
from tools.fuzz.grammar import Grammar
from tools.fuzz.session import play
from wirechat.server import passwords

BYTES_AT_RANDOM = 0.3
"""Share of the codec's inputs that are changed as bytes, not as trees."""

OTHERS = 400
"""Scripts that are remembered to be crossed with others."""

DONOR_BYTES_MAX = 500


class Target(Protocol):
    """One of the two."""

    input_bytes_max: int
    unit: str
    """What is counted."""

    @property
    def done(self) -> int:
        """So many of them."""

    def seeds(self) -> list[bytes]:
        """Inputs to begin with, beside those that are kept."""

    def judge(self, data: bytes) -> list[str]:
        """What is wrong."""

    def reach(self, data: bytes) -> None:
        """Run the product on it, and no judge."""

    def tell(self, data: bytes, say: Callable[[str], None]) -> list[str]:
        """Judge it, with its story."""

    def mutate(self, data: bytes, seed: int, change_bytes: Callable[[bytes], bytes]) -> bytes:
        """Another input."""

    def figures(self) -> dict[str, float]:
        """What else the ledger keeps."""


class CodecTarget:
    """Bodies of frames. Short ones, because a long one costs as much as a hundred; the judge blows some up."""

    input_bytes_max = 1500
    unit = "frames"

    def __init__(self, watched: ModuleType | None = None) -> None:
        self._codec = Codec(watched)
        self._random = Random()
        donors = [tree for body in corpus.vectors() if (tree := _tree(body)) and len(body) < DONOR_BYTES_MAX]
        self._mutator = Mutator(self._random, donors)

    @property
    def done(self) -> int:
        """See `Target`."""
        return self._codec.frames

    def seeds(self) -> list[bytes]:
        """See `Target`."""
        return corpus.vectors()

    def judge(self, data: bytes) -> list[str]:
        """See `Target`."""
        return self._codec.judge(data)

    def reach(self, data: bytes) -> None:
        """See `Target`."""
        reach(data)

    def tell(self, data: bytes, say: Callable[[str], None]) -> list[str]:
        """See `Target`."""
        for side in SIDES:
            say(f"from a {side}: {names.told(data, side)}")
        faults = self.judge(data)
        for side in SIDES:
            say(f"from a {side} it takes {self._codec.slowest[side]:.3f} ms")
        return faults

    def mutate(self, data: bytes, seed: int, change_bytes: Callable[[bytes], bytes]) -> bytes:
        """See `Target`."""
        self._random.seed(seed)
        tree = None if self._random.random() < BYTES_AT_RANDOM else _tree(data)
        changed = b"" if tree is None else build(self._mutator.mutate(tree))
        return changed if 0 < len(changed) <= self.input_bytes_max else change_bytes(data)

    def figures(self) -> dict[str, float]:
        """See `Target`."""
        return {f"slowest_{side}_ms": round(ms, 3) for side, ms in self._codec.slowest.items()}


def _tree(body: bytes) -> object:
    try:
        return parse(body)
    except ValueError:
        return None


class SessionsTarget:
    """Scripts against a server."""

    input_bytes_max = 16_384
    unit = "sessions"

    def __init__(self) -> None:
        self.done = 0
        self.frames = 0
        self.answers: Counter[str] = Counter()
        self._others: list[script.Script] = []
        self._random = Random("grammar")
        self._grammar = Grammar(self._random)

    def seeds(self) -> list[bytes]:
        """See `Target`."""
        self._random.seed("seeds")
        return [each.pack() for each in (*self._grammar.visits(), *self._grammar.scenes())]

    def judge(self, data: bytes) -> list[str]:
        """See `Target`."""
        return self.tell(data, None)

    def reach(self, data: bytes) -> None:
        """See `Target`."""
        self.judge(data)

    def tell(self, data: bytes, say: Callable[[str], None] | None) -> list[str]:
        """See `Target`."""
        with mock.patch.multiple(passwords, MEMORY_KIB=8, ITERATIONS=1):
            played = play(script.unpack(data), say)
        self.done += 1
        self.frames += played.frames
        self.answers += played.answers
        return played.faults

    def mutate(self, data: bytes, seed: int, change_bytes: Callable[[bytes], bytes]) -> bytes:
        """See `Target`."""
        self._random.seed(seed)
        mine = script.unpack(data)
        other = self._random.choice(self._others) if self._others else None
        if len(self._others) < OTHERS:
            self._others.append(mine)
        else:
            self._others[self._random.randrange(OTHERS)] = mine
        return self._grammar.mutate(mine, other).pack()

    def figures(self) -> dict[str, float]:
        """See `Target`."""
        return {"frames": self.frames, "answers": sum(self.answers.values())}


TARGETS: dict[str, Callable[[], Target]] = {"codec": CodecTarget, "sessions": SessionsTarget}
