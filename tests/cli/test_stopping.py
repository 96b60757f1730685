"""A server that stops: those who are here are drained, newcomers go elsewhere."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from tests.cli.node import PATIENCE, port, serving
from wirechat import wire


async def come(at: int) -> None:
    """Again and again."""
    while True:
        await (await trio.open_tcp_stream("127.0.0.1", at)).aclose()


async def test_newcomers_are_refused_while_others_are_drained(tmp_path: Path) -> None:
    """They would wait for the end of a server that will never answer them."""
    async with serving(tmp_path, "--tcp", "127.0.0.1:0") as node:
        at = port(await node.url("wirechat"))
        stream = await trio.open_tcp_stream("127.0.0.1", at)
        await stream.send_all(wire.Hello("WC", 1, 1, (), "test").encode())
        assert await stream.receive_some()
        node.signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            assert await stream.receive_some(), "GOAWAY: it drains"
            with pytest.raises(OSError):
                await come(at)
        assert node.process.returncode is None
        await stream.aclose()
        with trio.fail_after(PATIENCE):
            assert await node.process.wait() == 0
