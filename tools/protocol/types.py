"""The type mini-language of the schema.

u          uint up to 2^53-1          uN        uint below 2^N
b          bool
s<=N       UTF-8 of at most N bytes   s=N       exactly N bytes
x<=N       bin of at most N bytes     x=N       exactly N bytes
s|x<=N     str or bin
[T]<=N     array of at most N items   @S        struct S, an array itself
?T         T or nil; absent at the end of an array means nil
"""

import re
from typing import Literal

import attrs

Kind = Literal["u", "b", "s", "x", "s|x", "array", "struct"]
UINT_MAX = 2**53 - 1

_SIMPLE = re.compile(r"(?:(?P<uint>u)(?P<bits>\d+)?|(?P<bool>b)|(?P<text>s\|x|s|x)(?P<rel><=|=)(?P<size>\d+))")
_ARRAY = re.compile(r"\[(?P<item>.+)\]<=(?P<size>\d+)")
_STRUCT = re.compile(r"@(?P<name>[A-Z][A-Za-z0-9]*)")


class TypeSyntaxError(ValueError):
    """The text is no type of the mini-language."""


@attrs.frozen
class Type:
    """One parsed type.

    text      as it stands in the schema
    size      u: the largest value; s, x: bytes; array: items
    exact     s, x: size is exact, not a maximum
    """

    text: str
    kind: Kind
    optional: bool = False
    size: int = 0
    exact: bool = False
    item: "Type | None" = None
    struct: str = ""

    @property
    def python(self) -> str:
        """The annotation of a value that is present."""
        if self.item is not None:
            return f"tuple[{self.item.python}, ...]"
        return {"u": "int", "b": "bool", "s": "str", "x": "bytes", "s|x": "str | bytes"}.get(self.kind, self.struct)


def parse(text: str) -> Type:
    """Parses one type.

    Raises TypeSyntaxError, naming the text.
    """
    if text.startswith("?"):
        return attrs.evolve(_parse_present(text[1:]), text=text, optional=True)
    return _parse_present(text)


def _parse_present(text: str) -> Type:
    if match := _ARRAY.fullmatch(text):
        return Type(text, "array", size=int(match["size"]), item=_parse_present(match["item"]))
    if match := _STRUCT.fullmatch(text):
        return Type(text, "struct", struct=match["name"])
    if match := _SIMPLE.fullmatch(text):
        return _parse_simple(text, match)
    raise TypeSyntaxError(f"{text!r} is not a type")


def _parse_simple(text: str, match: re.Match[str]) -> Type:
    if match["uint"]:
        return Type(text, "u", size=2 ** int(match["bits"]) - 1 if match["bits"] else UINT_MAX)
    if match["bool"]:
        return Type(text, "b")
    kind: Kind = {"s": "s", "x": "x", "s|x": "s|x"}[match["text"]]  # type: ignore[assignment]
    return Type(text, kind, size=int(match["size"]), exact=match["rel"] == "=")
