"""A server that stops: those who are here are drained, newcomers go elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.cli.node import PATIENCE, port, serving
from tests.cli.test_cluster_commands import told
from wirechat import wire

ROOT = Path(__file__).parents[2]


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


async def test_a_demo_ends_in_order_when_its_terminal_is_closed(tmp_path: Path) -> None:
    """There is no configuration that it could read again."""
    listen = ("--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0")
    words = [sys.executable, "-m", "wirechat.cli.main", "demo", "--data", str(tmp_path / "data"), *listen]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # the sample logs are not where it runs
    process = await trio.lowlevel.open_process(words, stdout=subprocess.PIPE, cwd=tmp_path, env=environment)
    try:
        await told(process, "wirechat is running")
        process.send_signal(signal.SIGHUP)
        with trio.fail_after(PATIENCE):
            assert await process.wait() == 0
    finally:
        process.kill()
        await process.wait()
