"""What an operator finds in the log after a break-in: who came, from where, by which means, and what was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from tests.cli.node import PATIENCE
from tests.cli.node import serving as serving_node
from tests.server.rig import Client, serving
from wirechat import wire

PASSWORD, NEW = b"correct horse", b"battery staple"


def told(lines: Any, event: str) -> list[dict[str, Any]]:
    """The lines about this, without what all have."""
    return [
        {name: value for name, value in line.items() if name not in ("event", "log_level", "peer")}
        for line in lines
        if line["event"] == event and line["peer"] == "127.0.0.1"
    ]


async def test_the_life_of_an_account_is_told(tmp_path: Path) -> None:
    """Made, entered by every method, its password changed, devices ended; no secret is there."""
    async with serving(tmp_path) as rig:
        with capture_logs() as lines:
            client = await rig.greeted()
            user = (await client.ask(wire.Register(0, "alice", 1, PASSWORD), wire.RegisterOk)).user
            first = await client.ask(wire.Auth(0, 1, "alice", proof=PASSWORD), wire.AuthOk)
            other = await rig.greeted()
            second = await other.ask(wire.Auth(0, 1, "alice", proof=PASSWORD), wire.AuthOk)
            third = await (await rig.greeted()).ask(wire.Auth(0, 4, proof=second.resume), wire.AuthOk)
            await client.ask(wire.SecretSet(0, PASSWORD, NEW, None, True), wire.SecretSetOk)
            await client.ask(wire.DeviceRevoke(0, first.device), wire.DeviceRevokeOk)
            bob = await rig.person("bob")
    assert told(lines, "an account was made") == [
        {"user": user, "handle": "alice"},
        {"user": bob.user, "handle": "bob"},
    ]
    assert told(lines, "a login") == [
        {"user": user, "device": first.device, "method": "password"},
        {"user": user, "device": second.device, "method": "password"},
        {"user": user, "device": third.device, "method": "resume"},
        {"user": bob.user, "device": bob.device, "method": "device_key"},
    ]
    assert told(lines, "a login was changed") == [
        {"user": user, "device": first.device, "password": True, "key": False, "revoked": [second.device]}
    ]
    assert told(lines, "a device was revoked") == [{"user": user, "device": first.device, "by": first.device}]
    for secret in (PASSWORD, NEW, first.resume, second.resume):
        assert str(secret)[2:-1] not in str(lines)


@pytest.mark.parametrize(
    ("sent", "code"), [(b"GET / HTTP/1.1", 1000), (b"\0\0\0\1\xc1", 1002), (b"\0\xff\xff\xff", 1001)]
)
async def test_who_breaks_the_protocol_is_told(tmp_path: Path, sent: bytes, code: int) -> None:
    """One line for each connection; who merely leaves is none."""
    async with serving(tmp_path) as rig:
        with capture_logs() as lines:
            client = Client(await rig.stream())
            await client.stream.send_all(sent)
            assert await client.closed() == code
            alice = await rig.person("alice")
            await alice.stream.send_all(sent)
            assert await alice.closed() == code
            await (await rig.person("bob")).stream.aclose()
    assert told(lines, "a connection was ended") == [
        {"user": None, "code": code},
        {"user": alice.user, "code": code},
    ]


async def test_who_tries_doors_is_told_once(tmp_path: Path) -> None:
    """By SEND or by reading, for want of a right or of a conversation; what is merely wrong is none of it."""
    async with serving(tmp_path) as rig:
        alice, bob, eve = [await rig.person(handle) for handle in ("alice", "bob", "eve")]
        conv = await rig.group(alice, bob)
        with capture_logs() as lines:
            assert await bob.refused(wire.ConvSet(0, conv, b"s" * 8, "mine now")) == 4001
            assert await eve.refused(wire.Send(0, conv, b"c" * 8, 1, wire.Content(1, "x"))) == 4002
            for _ in range(5):
                assert await eve.refused(wire.Changes(0, conv, 0)) == 4002
            assert await alice.refused(wire.Send(0, conv, b"c" * 8, 3, None, 77)) == 4000
    found = [line for line in lines if line["event"] == "a request was not allowed"]
    assert [(line["user"], line["device"], line["code"]) for line in found] == [
        (bob.user, bob.device, 4001),
        (eve.user, eve.device, 4002),
    ]


async def test_a_line_says_when_in_utc(tmp_path: Path) -> None:
    """For whoever puts the logs of several machines together."""
    async with serving_node(tmp_path, "--tcp", "127.0.0.1:0") as node:
        stream = await trio.open_tcp_stream("127.0.0.1", int((await node.url("wirechat")).rpartition(":")[2]))
        await stream.send_all(b"GET / HTTP/1.1")
        with trio.fail_after(PATIENCE):
            line = await node.told("a connection was ended")
        await node.stop()
    assert line["timestamp"].endswith("Z")
    assert json.dumps(line)
