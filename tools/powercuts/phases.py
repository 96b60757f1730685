"""Labels what the store is doing, so that a campaign shows where it was cut. Nothing else changes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from wirechat.store import sqlite

PHASES = {"_migrate": "migration", "write": "transaction", "_commit": "commit", "read": "read"}
"""The functions of the store, and what they are."""


@contextlib.contextmanager
def labelled(phase: Callable[[], list[str]]) -> Iterator[None]:
    """Within, `phase()[-1]` says what goes on."""
    with contextlib.ExitStack() as stack:
        for name, label in PHASES.items():
            stack.enter_context(mock.patch.object(sqlite, name, _within(phase, label, getattr(sqlite, name))))
        yield


def _within(phase: Callable[[], list[str]], label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def labelled(*args: Any) -> Any:
        phase().append(label)
        try:
            return function(*args)
        finally:
            phase().pop()

    return labelled
