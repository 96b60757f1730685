"""Bodies of frames as trees, and changes to them that a decoder must survive.

Random bytes are refused at the first of them. What is almost right gets further: a field of another type, one item
more, an array that announces more than it has, a number of another width. So a body is taken apart, one place in it is
changed, and it is put together again, right up to that place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import attrs
import msgpack

Tree = Any
"""None, bool, int, float, str, bytes, a list of trees, Pairs or Raw."""

LEVELS_MAX: Final = 64
NUMBERS: Final = tuple(
    sorted(
        {0, 1, 2, *(edge + by for bits in (4, 5, 7, 8, 16, 31, 32, 53, 63) for edge in (2**bits,) for by in (-1, 0, 1))}
    )
)
SHORT: Final = (0, 1, 2, 3, 7, 8, 9, 15, 16, 31, 32, 33)
LENGTHS: Final = (50, 51, 64, 65, 100, 101, 128, 129, 255, 256, 257, 500, 501, 1000, 1001)
DEPTHS: Final = (1, 2, 6, 7, 8, 9, 30, 1100)
TEXTS: Final = ("", "a", "\0", "é", "ﬀ", "👩‍👩‍👧", "\u202e", "ann", "WC", "İ", "ß", "a\u0301")
KEYS: Final = (0, 1, 2, 27, 89, 128, 2**53 - 1, 2**53)


@attrs.frozen
class Raw:
    """These bytes, whatever they are."""

    data: bytes


@attrs.frozen
class Pairs:
    """A map, in its order, with keys that may repeat."""

    pairs: list[tuple[Tree, Tree]]


def parse(body: bytes) -> Tree:
    """The tree of a body. Raises ValueError when it is not one value of msgpack, or too deep to be changed."""
    try:
        tree = msgpack.unpackb(body, object_pairs_hook=Pairs, strict_map_key=False)
    except (TypeError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(str(error)) from None
    level = [tree]
    for _ in range(LEVELS_MAX):
        level = [inner for node in level if type(node) in (list, Pairs) for inner in _inner(node)]
        if not level:
            return tree
    raise ValueError("too deep")


def _inner(node: list[Tree] | Pairs) -> list[Tree]:
    return node if isinstance(node, list) else [item for pair in node.pairs for item in pair]


def build(tree: Tree) -> bytes:
    """The body of a tree, each value in its shortest form but for Raw."""
    out: list[bytes] = []
    _build(tree, out)
    return b"".join(out)


def _build(tree: Tree, out: list[bytes]) -> None:
    if isinstance(tree, list):
        out.append(_packer.pack_array_header(len(tree)))
        for item in tree:
            _build(item, out)
    elif isinstance(tree, Raw):
        out.append(tree.data)
    elif isinstance(tree, Pairs):
        out.append(_packer.pack_map_header(len(tree.pairs)))
        for key, value in tree.pairs:
            _build(key, out)
            _build(value, out)
    elif isinstance(tree, int) and not -(2**63) <= tree < 2**64:
        out.append(_packer.pack(tree % 2**64))
    else:
        out.append(_packer.pack(tree))


_packer: Final = msgpack.Packer(unicode_errors="surrogatepass", autoreset=True)


def copied(tree: Tree) -> Tree:
    """The tree with lists of its own."""
    if isinstance(tree, list):
        return [copied(item) for item in tree]
    return Pairs([(key, copied(value)) for key, value in tree.pairs]) if isinstance(tree, Pairs) else tree


class Mutator:
    """Changes trees. `donors`: trees from which parts are borrowed."""

    def __init__(self, random: Random, donors: Sequence[Tree]) -> None:
        self._random = random
        self._donors = donors

    def mutate(self, tree: Tree) -> Tree:
        """Another tree; this one may be changed."""
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            tree = self._once(tree)
        return tree

    def _once(self, tree: Tree) -> Tree:
        if not isinstance(tree, list) or not tree:
            return copied(self._random.choice(self._donors))
        parent, index = self.place(tree)
        return self._random.choice(_CHANGES)(self, tree, parent, index)

    def place(self, tree: list[Tree]) -> tuple[list[Tree], int]:
        """Some list in the tree and one of its items, each level as likely as the next."""
        parent = tree
        while True:
            index = self._random.randrange(len(parent))
            inner = parent[index]
            if not isinstance(inner, list) or not inner or self._random.random() < 0.3:
                return parent, index
            parent = inner

    # each changes one place and returns the whole

    def _replace(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        parent[index] = self.value()
        return tree

    def _nudge(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """A neighbour of the value: one more, one longer."""
        value = parent[index]
        if isinstance(value, bool) or value is None:
            parent[index] = self._random.choice((True, False, None, 0, 1))
        elif isinstance(value, int):
            parent[index] = self._random.choice(
                (value + 1, max(0, value - 1), value * 2, value ^ 1 << self._random.randrange(8))
            )
        elif isinstance(value, str):
            parent[index] = self._random.choice((value + "x", value[:-1], value[::-1], value.upper(), value + "\0"))
        elif isinstance(value, bytes):
            parent[index] = self._random.choice((value + b"\0", value[:-1], bytes(len(value)), value[::-1]))
        elif isinstance(value, list):
            self._random.shuffle(value)
        return tree

    def _retype(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """The same thing as another type."""
        value = parent[index]
        if isinstance(value, str):
            parent[index] = value.encode("utf-8", "surrogatepass")
        elif isinstance(value, bytes):
            parent[index] = value.decode("latin-1")
        else:
            parent[index] = [value]
        return tree

    def _widen(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """The same value in a longer form, which a receiver must accept."""
        parent[index] = Raw(_wide(parent[index], self._random))
        return tree

    def _claim(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """A length that is not there."""
        head = self._random.choice((b"\x9f", b"\xaf", b"\x8f", b"\xc4\xff", b"\xd9\xff", b"\xc7\xff\x01"))
        if self._random.random() < 0.7:
            head = bytes([self._random.choice((0xDC, 0xDE, 0xC5, 0xDA, 0xC8))]) + struct.pack(
                ">H", self._random.choice((255, 256, 257, 1000, 1001, 2048, 65_535))
            )
        if self._random.random() < 0.3:
            head = bytes([self._random.choice((0xDD, 0xDF, 0xC6, 0xDB, 0xC9))]) + struct.pack(
                ">I", self._random.choice((256, 65_536, 2**31 - 1, 2**32 - 1))
            )
        parent[index] = Raw(head)
        return tree

    def _junk(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """One byte, or a few, that begin any value."""
        parent[index] = Raw(self._random.randbytes(self._random.choice((0, 1, 1, 1, 2, 9))))
        return tree

    def _insert(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        parent.insert(self._random.choice((index, len(parent))), self.value())
        return tree

    def _remove(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        del parent[index]
        return tree

    def _cut(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """End an array early."""
        del parent[index:]
        return tree

    def _absent(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        parent[index] = None
        return tree

    def _repeat(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """The same again and again: at the limits of lists."""
        parent[index:index] = [parent[index]] * self._length()
        return tree

    def _many(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """A list of the value: at the limits of lists of structs."""
        parent[index] = [parent[index]] * self._length()
        return tree

    def _nest(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        value = parent[index]
        for _ in range(self._random.choice(DEPTHS[:-1])):
            value = [value]
        parent[index] = value
        return tree

    def _deep(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        parent[index] = Raw(b"\x91" * self._random.choice(DEPTHS))
        return tree

    def _swap(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        other = self._random.randrange(len(parent))
        parent[index], parent[other] = parent[other], parent[index]
        return tree

    def _borrow(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """A part of another frame in this place."""
        donor = self._random.choice(self._donors)
        if isinstance(donor, list) and donor:
            theirs, at = self.place(donor)
            parent[index] = copied(theirs[at])
        return tree

    def _code(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        """The fields of one frame with the code of another."""
        donor = self._random.choice(self._donors)
        tree[0] = donor[0] if isinstance(donor, list) and donor and self._random.random() < 0.8 else self.number()
        return tree

    def _extras(self, tree: Tree, parent: list[Tree], index: int) -> Tree:
        pairs = [(self._key(), self.value()) for _ in range(self._random.choice((0, 1, 1, 2, 2, 15, 16)))]
        (tree if self._random.random() < 0.8 else parent).append(Pairs(pairs))
        return tree

    def _key(self) -> Tree:
        return self._random.choice(KEYS) if self._random.random() < 0.9 else self.value()

    # values

    def value(self) -> Tree:
        """Any value, mostly at an edge of what its type may be."""
        kind = self._random.randrange(8)
        if kind < 3:
            return self.number()
        if kind == 3:
            return self._random.choice((None, True, False, -1, -(2**63), 0.0, float("nan")))
        if kind == 4:
            return self._random.choice(TEXTS) * self._random.choice((1, 1, 2, 16))
        if kind == 5:
            return self._random.choice("aé") * self._length()
        if kind == 6:
            return self._random.randbytes(1) * self._length()
        return [self.number() for _ in range(self._random.choice((0, 0, 1, 2, 3)))]

    def _length(self) -> int:
        """Mostly a small one: a large frame costs as much as a hundred others."""
        return self._random.choice(SHORT if self._random.random() < 0.93 else LENGTHS)

    def number(self) -> int:
        """A number at an edge, or a small one."""
        if self._random.random() < 0.6:
            return self._random.choice(NUMBERS)
        return self._random.randrange(2 ** self._random.choice((2, 4, 8, 16)))


_CHANGES: Final[tuple[Callable[[Mutator, Tree, list[Tree], int], Tree], ...]] = (
    *[Mutator._replace] * 2, *[Mutator._nudge] * 2, Mutator._retype, *[Mutator._widen] * 2, Mutator._claim,
    Mutator._junk, Mutator._insert, Mutator._remove, Mutator._cut, Mutator._absent, Mutator._repeat, Mutator._many,
    Mutator._nest, Mutator._deep, Mutator._swap, *[Mutator._borrow] * 2, Mutator._code, Mutator._extras,
)  # fmt: skip
"""Some twice: they find more."""


def _wide(value: Tree, random: Random) -> bytes:
    """A form of the value that is longer than need be, if it has one."""
    if isinstance(value, bool) or value is None:
        return build(value)
    if isinstance(value, int):
        fits = [(code, form) for code, form in _INTEGERS if _fits(value, form)]
        code, form = random.choice(fits or [(0xCF, ">Q")])
        return bytes([code]) + struct.pack(form, value & 2**64 - 1 if not fits else value)
    if isinstance(value, str | bytes):
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return random.choice(_HEADS[type(value)])(len(data)) + data
    if isinstance(value, list):
        return random.choice(_HEADS[list])(len(value)) + b"".join(map(build, value))
    return build(value)


def _fits(value: int, form: str) -> bool:
    try:
        struct.pack(form, value)
    except struct.error:
        return False
    return True


_INTEGERS: Final = (
    *((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")),
    *((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")),
)


def _head(code: int, form: str) -> Callable[[int], bytes]:
    return lambda length: bytes([code]) + struct.pack(form, length & (1 << 8 * struct.calcsize(form)) - 1)


_HEADS: Final = {
    str: (_head(0xD9, ">B"), _head(0xDA, ">H"), _head(0xDB, ">I")),
    bytes: (_head(0xC4, ">B"), _head(0xC5, ">H"), _head(0xC6, ">I")),
    list: (_head(0xDC, ">H"), _head(0xDD, ">I")),
}
