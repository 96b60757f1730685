"""Counts the paths inside the server that nobody outside can see, so that a campaign shows whether it reached them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from tools.simulate.trace import Trace
from wirechat.server.hub import Hub
from wirechat.server.outbox import Outbox
from wirechat.server.session import Mode, Session


@contextlib.contextmanager
def counted(trace: Trace) -> Iterator[None]:
    """Within, rounds, overflows, short sends and doubts are counted; nothing else changes."""

    def attach(session: Session) -> None:
        trace.count("falls from live to behind" if session.mode is Mode.BEHIND else "first rounds")

    def attached(session: Session, horizon: int) -> None:
        trace.count("offers held back", len(session._held_back))
        trace.count("buffer overflows", int(session._overflowed))

    def short(outbox: Outbox) -> None:
        trace.count("short sends")

    def doubt(hub: Hub, conv: int) -> None:
        trace.count("doubts")

    with contextlib.ExitStack() as stack:
        for owner, name, before in (
            (Session, "attach", attach),
            (Session, "attached", attached),
            (Outbox, "_drain", short),
            (Hub, "doubt", doubt),
        ):
            stack.enter_context(mock.patch.object(owner, name, _after(before, getattr(owner, name))))
        yield


def _after(before: Callable[..., None], original: Callable[..., Any]) -> Callable[..., Any]:
    def both(*args: Any) -> Any:
        before(*args)
        return original(*args)

    return both
