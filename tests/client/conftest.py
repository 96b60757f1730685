"""What every client test gets: a clock that jumps, bounded time, and a scripted server."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest
import trio

from tests.client.stage import Stage, make_world
from wirechat.client import Client, open_client


class Opened(Protocol):
    """open_client against the stage; any option may be changed."""

    def __call__(self, **changes: Any) -> AbstractAsyncContextManager[Client]: ...


async def bound() -> None:
    """A test that takes an hour of its own clock hangs."""
    await trio.sleep(3600)
    raise TimeoutError


@pytest.fixture
async def stage(nursery: trio.Nursery) -> Stage:
    nursery.start_soon(bound)
    return Stage()


@pytest.fixture
def opened(stage: Stage) -> Opened:
    def start(**changes: Any) -> AbstractAsyncContextManager[Client]:
        options = {"handle": "ada", "password": "correct horse", "connect": stage.connect, "world": make_world()}
        return open_client("wirechat://stage:1", **{**options, **changes})

    return start
