"""The log: for people and machines, never with what people say or what is secret."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trio

from tests.cli.command import log_as_before
from tests.cli.node import PATIENCE, port, serving, upgrade
from tests.server.rig import Client
from wirechat import open_client, wire
from wirechat.cli import logs
from wirechat.client.client import register
from wirechat.settings.schema import Format, Level, Log

PASSWORD, WRONG, TEXT = "correct horse battery", "incorrect horse", "meet me at the old mill at nine"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with log_as_before():
        yield


def written(data: bytes) -> list[str]:
    """The ways in which bytes could stand in a log."""
    return [
        data.decode("latin-1"),
        data.hex(),
        base64.b64encode(data).decode(),
        repr(data)[2:-1],
        json.dumps(list(data)),
    ]


@pytest.mark.parametrize("format", ["json", "pretty"])
async def test_neither_password_nor_token_nor_text_is_logged(tmp_path: Path, format: str) -> None:
    """The most talkative server hears a login, a wrong one, a message, and breaks of every kind."""
    environment = {"WIRECHAT_LOG__FORMAT": format}
    places = ("--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--verbose")
    async with serving(tmp_path, *places, env=environment) as node:
        with trio.fail_after(PATIENCE):
            while node.log.count("listening") < 2:
                await node.more()
        at, ws = sorted_ports(node.log)
        url = f"wirechat://127.0.0.1:{at}"
        for handle in ("alice", "bob"):
            await register(url, handle, password=PASSWORD)
        async with open_client(url, handle="alice", password=PASSWORD) as alice:
            conv = await alice.conversations.direct((await alice.accounts.find("bob")).user)
            await alice.messages.send(conv, TEXT)
        client = Client(await trio.open_tcp_stream("127.0.0.1", at))
        await client.send(wire.Hello("WC", 1, 1, (), "test"))
        await client.expect(wire.Welcome)
        assert await client.refused(wire.Auth(0, 1, "alice", proof=WRONG.encode())) == 2001
        token = (await client.ask(wire.Auth(0, 1, "alice", proof=PASSWORD.encode()), wire.AuthOk)).resume
        bad = wire.Send(7, conv, b"8" * 8, 9, wire.Content(1, TEXT))
        await client.send(bad, bad)
        await client.expect(wire.Error)
        await client.stream.send_all(b"\xff" * 8 + TEXT.encode())
        assert await client.closed() is not None
        stranger = await trio.open_tcp_stream("127.0.0.1", ws)
        await stranger.send_all(upgrade(f"/{TEXT.replace(' ', '-')}", f"Authorization: {PASSWORD}\r\n"))
        assert await stranger.receive_some() is not None
        assert await node.stop() == 0
    assert "a connection broke" in node.log
    for secret in (PASSWORD.encode(), WRONG.encode(), TEXT.encode(), token):
        for form in written(secret):
            assert form not in node.log
            assert form.replace(" ", "-") not in node.log


def sorted_ports(log: str) -> list[int]:
    """The ports of both listeners, TCP first, in either format."""
    urls = [word.strip('",}') for word in log.replace("=", " ").split() if "://127" in word]
    return [port(url) for url in sorted(urls, key=lambda url: url.startswith("ws"))]


@pytest.mark.parametrize("format", ["json", "pretty"])
def test_a_traceback_shows_no_values(format: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the failing function hold what people said."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    logs.configure(Log(format=format))
    secret = os.urandom(8).hex()
    try:
        fail(secret)
    except RuntimeError:
        structlog.get_logger("test").exception("it failed")
    assert "a bug" in out.getvalue()
    assert "in fail" in out.getvalue()
    assert secret not in out.getvalue()


def fail(text: str) -> None:
    raise RuntimeError("a bug" if text else "no text")


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_holds_from_the_next_line_on(level: Level, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload changes it for loggers that were used before."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    logs.configure(Log(level="error"))
    log = structlog.get_logger("test")
    log.info("not told")
    logs.configure(Log(level=level))
    for say in (log.debug, log.info, log.warning, log.error):
        say("told")
    assert len(out.getvalue().splitlines()) == lines
    assert all(json.loads(line)["event"] == "told" for line in out.getvalue().splitlines())


@pytest.mark.parametrize("format", ["json", "pretty"])
def test_a_line_is_one_write(format: Format) -> None:
    """Workers share standard error, unbuffered in most containers: a newline by itself could meet another's line."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps writes apart
    with ours, theirs:
        ours.settimeout(PATIENCE)
        script = (
            "import structlog; from wirechat.cli import logs; from wirechat.settings.schema import Log;"
            f"logs.configure(Log(format={format!r})); log = structlog.get_logger('test');"
            "log.info('first'); log.info('second')"
        )
        unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}
        subprocess.run([sys.executable, "-c", script], stderr=theirs.fileno(), env=unbuffered, check=True)
        for event in ("first", "second"):
            line = ours.recv(4096).decode()
            assert event in line
            assert line.count("\n") == 1
            assert line.endswith("\n")
