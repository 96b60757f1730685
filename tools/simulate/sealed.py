"""Keeps a simulated run from reaching around its world, and listens to what the product logs.

A product that asks the real clock, the real entropy or a real thread still works in a simulation, but no seed
replays it. Such a call fails here, loudly. So does anything the product logs as an error: a barrier that held is
still a bug.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NoReturn
from unittest import mock

import structlog
import trio

FORBIDDEN = (
    (time, "time"),
    (time, "time_ns"),
    (os, "urandom"),
    (random, "random"),
    (random, "uniform"),
    (random, "randbytes"),
    (random, "randint"),
    (random.SystemRandom, "uniform"),
    (trio.to_thread, "run_sync"),
)


class Escaped(Exception):
    """The product reached around its world; the message says for what."""


@contextlib.contextmanager
def sealed() -> Iterator[None]:
    """Within, the real clock, entropy and threads raise Escaped."""
    with contextlib.ExitStack() as stack:
        for owner, name in FORBIDDEN:
            stack.enter_context(mock.patch.object(owner, name, _refuse(f"{owner.__name__}.{name}")))
        yield


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise Escaped(f"{name} was called inside a simulation")

    return refuse


@contextlib.contextmanager
def logging_to(heard: Callable[[str, str], None]) -> Iterator[None]:
    """Within, each log line of the product comes as (level, text)."""

    def hear(_: object, level: str, event: MutableMapping[str, Any]) -> str:
        error = event.pop("exc_info", None)
        text = " ".join(str(value) for value in event.values())
        heard(level, f"{text} {describe(error)}".strip())
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[_with_exception, hear], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def _with_exception(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`log.exception` says only that there is one."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()[1]
    return event


def describe(error: BaseException | None) -> str:
    """The innermost exception and the product's way to it; no addresses, so that traces stay equal."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    way = [f"{frame.name}:{frame.lineno}" for frame in frames if "site-packages" not in frame.filename]
    return f"{type(error).__name__}: {error} ({' > '.join(way[-6:])})"
