"""A reverse proxy must be declared; then it says for whom it speaks, and no stranger looks local."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from tests.server.rig import Client, serving
from wirechat import wire
from wirechat.server import proxy
from wirechat.server.proxy import SIGNATURE, NotProxied, parse


def v2(address: str, command: int = 1) -> bytes:
    body = socket.inet_aton(address) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 4000, 7667)
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, 0x11, len(body)) + body


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 7667\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 4000 7667\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", None),
        (v2("192.0.2.7"), "192.0.2.7"),
        (v2("192.0.2.7", command=0), None),
    ],
)
def test_both_versions_are_read_to_the_byte(header: bytes, address: str | None) -> None:
    """Every prefix needs more bytes; what follows is left alone."""
    for end in range(1, len(header)):
        assert parse(header[:end]) == (0, None)
    assert parse(header + b"\0\0\0\x05rest") == (len(header), address)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\0\0\0\x20", b"PROXY TCP9 x\r\n", b"PROXY " + b"x" * 200])
def test_anything_else_is_refused(data: bytes) -> None:
    """A declared proxy that does not say for whom it speaks is not served."""
    with pytest.raises(NotProxied):
        parse(data)


async def test_a_declared_proxy_hides_nobody(tmp_path: Path) -> None:
    """Through a declared proxy a stranger is a stranger: no password in the clear, no registration."""
    async with serving(tmp_path, trusted=frozenset({"127.0.0.1"})) as rig:
        client = Client(await rig.stream())
        await client.stream.send_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 7667\r\n")
        await client.send(wire.Hello("WC", 1, 1, (), "proxied"))
        welcome = await client.expect(wire.Welcome)
        assert 1 not in welcome.methods
        assert not welcome.registration
        assert await client.refused(wire.Auth(0, 1, "alice", proof=b"secret secret")) == 2005
        assert await client.refused(wire.Register(0, "alice", 3, bytes(32))) == 2008


async def test_without_its_header_a_declared_proxy_is_not_served(tmp_path: Path) -> None:
    """It would speak for itself, and look local."""
    async with serving(tmp_path, trusted=frozenset({"127.0.0.1"})) as rig:
        client = Client(await rig.stream())
        await client.send(wire.Hello("WC", 1, 1, (), "direct"))
        assert await client.closed() is None


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 7667\r\n", v2("192.0.2.7")])
async def test_an_undeclared_proxy_is_told_to_the_operator(tmp_path: Path, header: bytes) -> None:
    """One warning in a minute that names the flag; who begins with a frame of ours leaves none."""
    proxy._warned.clear()
    async with serving(tmp_path) as rig:
        with capture_logs() as lines:
            await rig.greeted()
            for _ in range(2):
                client = Client(await rig.stream())
                await client.stream.send_all(header)
                assert await client.closed() == 1000
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert "a PROXY header was not believed" in warning["event"]
    assert (warning["peer"], warning["todo"]) == ("127.0.0.1", "--trust-proxy 127.0.0.1")


def test_a_flood_of_addresses_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of undeclared proxies is bounded, and after a minute they are told again."""
    now = 1000.0
    monkeypatch.setattr("wirechat.server.proxy.time.monotonic", lambda: now)
    proxy._warned.clear()
    with capture_logs() as lines:
        for each in range(proxy.WARNED_KEPT + 5):
            proxy.warn(str(each), "a PROXY header")
        assert len(proxy._warned) == proxy.WARNED_KEPT
        now += proxy.WARNED_SECONDS
        proxy.warn("7", "a PROXY header")
        proxy.warn("7", "a PROXY header")
    assert len(lines) == proxy.WARNED_KEPT + 6
    proxy._warned.clear()


async def test_a_header_from_an_undeclared_proxy_is_not_our_protocol(tmp_path: Path) -> None:
    """Nobody may claim to be someone else."""
    async with serving(tmp_path) as rig:
        client = Client(await rig.stream())
        await client.stream.send_all(b"PROXY TCP4 127.0.0.1 127.0.0.1 4000 7667\r\n")
        assert await client.closed() == 1000


@pytest.mark.parametrize(
    ("trusted", "headers", "local"),
    [
        (False, [], True),
        (False, [("X-Forwarded-For", "127.0.0.1")], False),
        (True, [("X-Forwarded-For", "192.0.2.7")], False),
        (True, [("X-Forwarded-For", "192.0.2.7, 127.0.0.1")], True),
        (True, [], False),
        (True, [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https")], False),
    ],
)
async def test_websocket_forwarding_headers(
    tmp_path: Path, trusted: bool, headers: list[tuple[str, str]], local: bool
) -> None:
    """Believed from a declared proxy only; from anyone else they merely prove that the peer is not here."""
    proxies = frozenset({"127.0.0.1"}) if trusted else frozenset()
    async with serving(tmp_path, trusted=proxies) as rig:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        stream = await rig.stream("ws")
        await stream.send_all(
            f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{lines}"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: wirechat.v1\r\n\r\n".encode()
        )
        proxy._warned.clear()
        with trio.fail_after(5), capture_logs() as logged:
            assert b"101" in await stream.receive_some(4096)
        assert bool(logged) is (bool(headers) and not trusted)
        (connection,) = rig.server.connections
        assert connection.endpoint.peer.loopback is local
        https = ("X-Forwarded-Proto", "https") in headers
        assert connection.endpoint.peer.secure is (local or https)
