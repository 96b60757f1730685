"""`Type=notify`: systemd knows when the server listens, reloads and stops."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.cli.node import PATIENCE, serving
from wirechat.cli import systemd

PLACES: dict[str, Callable[[Path], str]] = {
    "path": lambda folder: str(folder / "notify"),
    "abstract": lambda folder: f"@wirechat-{folder.name}-{id(folder)}",
}


def manager(address: str) -> trio.socket.SocketType:
    """Where systemd would listen."""
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock._sock.bind("\0" + address[1:] if address.startswith("@") else address)  # type: ignore[attr-defined]
    return sock


async def test_the_server_tells_how_it_does(tmp_path: Path) -> None:
    """Ready once it listens, reloading and ready again, stopping."""
    address = PLACES["path"](tmp_path)
    with manager(address) as heard:

        async def next_one() -> list[str]:
            with trio.fail_after(PATIENCE):
                return (await heard.recv(4096)).decode().split("\n")

        async with serving(tmp_path, "--tcp", "127.0.0.1:0", env={"NOTIFY_SOCKET": address}) as node:
            assert await next_one() == ["READY=1"]
            await node.told("listening")
            node.signal(signal.SIGHUP)
            reloading, when = await next_one()
            assert reloading == "RELOADING=1"
            assert when.startswith("MONOTONIC_USEC=")
            assert when.partition("=")[2].isdigit()
            assert await next_one() == ["READY=1"]
            node.signal(signal.SIGTERM)
            assert await next_one() == ["STOPPING=1"]
            with trio.fail_after(PATIENCE):
                assert await node.process.wait() == 0


async def test_an_abstract_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with @."""
    address = PLACES["abstract"](tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with manager(address) as heard, trio.fail_after(PATIENCE):
        systemd.notify(systemd.READY)
        assert await heard.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "/" + "x" * 200])
def test_a_manager_that_is_not_there_hurts_nobody(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is not ended by it."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify(systemd.READY)
