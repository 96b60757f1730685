"""Running async commands, and ending them with one line and status 2 when the input was bad."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

import click
import trio

from wirechat.bus.errors import BusError
from wirechat.settings.errors import BadSettings
from wirechat.store.errors import DataError

P = ParamSpec("P")
T = TypeVar("T")


class Stop(Exception):
    """The command cannot go on; the text says why and what to do."""


BAD_INPUT = (Stop, DataError, BusError, BadSettings)


def die(text: str) -> NoReturn:
    """End the command with one line on standard error and exit status 2."""
    raise Stop(text)


def run(command: Callable[..., Awaitable[T]], *args: Any) -> T:
    """`trio.run` for the command line: bad data and `die` become one line and exit status 2."""
    try:
        return trio.run(command, *args)
    except BAD_INPUT as error:
        complain(error)
    except BaseExceptionGroup as group:
        if (bad := group.subgroup(BAD_INPUT)) is not None:
            complain(leaf(bad))
        raise


def call(command: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what is not async; Ctrl-C ends it at once."""
    try:
        return command(*args, **kwargs)
    except BAD_INPUT as error:
        complain(error)


def complain(error: BaseException) -> NoReturn:
    """One line on standard error, exit status 2."""
    click.echo(f"wirechat: {error}", err=True)
    sys.exit(2)


def leaf(error: BaseException) -> BaseException:
    """The first of a group, however deep."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
