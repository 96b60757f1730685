"""What every client test gets: bounded time on a clock that jumps, and a scripted server."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from tests.client.stage import Stage, make_world

from wirechat.client import Client, open_client


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def opened(stage: Stage) -> Callable[..., AbstractAsyncContextManager[Client]]:
    """open_client against the stage."""
    options = {"handle": "ada", "password": "correct horse", "connect": stage.connect, "world": make_world()}
    return partial(_open, options)


def _open(options: dict[str, object], **changes: object) -> AbstractAsyncContextManager[Client]:
    return open_client("wirechat://stage:1", **{**options, **changes})  # type: ignore[arg-type]
