"""How a check ends when it does not pass."""

from __future__ import annotations

from typing import Any

from .trace import shown


class Failed(Exception):
    """The other side did not do what the specification says. Both texts are for its author."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}; got {got}")
        self.expected = expected
        self.got = got


class Skipped(Exception):
    """The check says nothing about the other side; the message is why."""


def same(got: Any, want: Any, what: str) -> None:
    """Raises Failed unless both are equal."""
    if got != want:
        raise Failed(f"{what} = {shown(want)}", f"{what} = {shown(got)}")


def require(holds: object, expected: str, got: Any) -> None:
    """Raises Failed unless it holds."""
    if not holds:
        raise Failed(expected, shown(got) if not isinstance(got, str) else got)
