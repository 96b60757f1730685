"""A web page connects only if the operator has named its origin: browsers knock where they run, for any page."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from tests.cli.node import PATIENCE, port, serving, upgrade
from tests.server import rig
from wirechat.settings.reading import Sources

OURS = "https://chat.example.org"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", b"101"),
        (f"Origin: {OURS}\r\n", b"101"),
        ("Origin: https://evil.example\r\n", b"403"),
        (f"origin: {OURS}.evil.example\r\n", b"403"),
        (f"Origin: {OURS}:444\r\n", b"403"),
        ("Origin: http://chat.example.org\r\n", b"403"),
        ("Origin: null\r\n", b"403"),
        ("Origin: \r\n", b"403"),
        (f"Origin: {OURS}\r\nOrigin: https://evil.example\r\n", b"403"),
        ("Origin: http://localhost:8080\r\n", b"101"),
        ("Origin: http://[::1]:8080\r\n", b"101"),
        ("Origin: http://localhost.evil.example\r\n", b"403"),
        ("Origin: http://localhost@evil.example\r\n", b"403"),
        ("Origin: http://[::1\r\n", b"403"),
        ("Origin: http://localhost\r\nOrigin: https://evil.example\r\n", b"403"),
        ("Origin: http://localhost\r\nX-Forwarded-For: 192.0.2.7\r\n", b"403"),
    ],
)
async def test_only_pages_that_were_named_and_programs(tmp_path: Path, headers: str, status: bytes) -> None:
    """A refusal is one line for the operator, whatever stands in the header."""
    async with rig.serving(tmp_path) as served:
        served.listeners["ws"].origins = frozenset({OURS})
        with capture_logs() as lines:
            assert await answered(await served.stream("ws"), headers) == status
        told = [line for line in lines if line["event"] == "a web page was refused"]
        assert len(told) == (status == b"403")
        assert all(str(line["origin"]).isprintable() for line in told)


async def answered(stream: trio.SocketStream, headers: str) -> bytes:
    """The status that a handshake with these headers gets."""
    await stream.send_all(upgrade("/", f"{headers}Sec-WebSocket-Protocol: wirechat.v1\r\n"))
    with trio.fail_after(PATIENCE):
        return (await stream.receive_some()).split()[1]


async def test_nobody_is_named_unless_the_operator_says_so(tmp_path: Path) -> None:
    """And who is named is named on a port that WebSocket shares with HTTP, too."""
    assert Sources(None, {}, {}).load().settings.web.origins == ()
    at = "127.0.0.1:0"
    for places, status in (("--ws", at), b"403"), (("--ws", at, "--http", at, "--origin", OURS), b"101"):
        async with serving(tmp_path, *places) as node:
            stream = await trio.open_tcp_stream("127.0.0.1", port(await node.url("ws")))
            assert await answered(stream, f"Origin: {OURS}\r\n") == status
            await node.stop()
