"""Running `wirechat` as it is run, but in this process: its real entry point, with its exit status and its lines."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

import attrs
import structlog

from wirechat.cli import main

NOBODY = 65534


@attrs.frozen
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


def wirechat(*arguments: object, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Ended:
    """Run a command to its end."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    words = ["wirechat", *map(str, arguments)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WIRECHAT_")}
    with (
        log_as_before(),
        mock.patch.object(sys, "argv", words),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8")),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        mock.patch.dict(os.environ, clean | dict(env or {}), clear=True),
    ):
        try:
            main.main()
        except SystemExit as ended:
            status = ended.code
    return Ended(int(status or 0), *(each.buffer.getvalue().decode() for each in (out, err)))  # type: ignore[attr-defined]


@contextmanager
def log_as_before() -> Iterator[None]:
    """Commands say how to log; other tests of this process have said so, too."""
    before = structlog.get_config()
    try:
        yield
    finally:
        structlog.configure(**before)


def refused(*arguments: object, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> str:
    """The one line of a command that ends with status 2."""
    ended = wirechat(*arguments, env=env, stdin=stdin)
    assert (ended.status, ended.out) == (2, ""), ended
    assert ended.err.endswith("\n"), ended
    assert ended.err.count("\n") == 1, ended
    assert "Traceback" not in ended.err
    return ended.err.rstrip("\n")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read and write everything; within, this process may not."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
