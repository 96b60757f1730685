"""Making the accounts of a replay."""

from __future__ import annotations

import socket
from functools import partial

import pytest
import trio

from tools.replay import people
from tools.replay.people import Registrar
from tools.replay.pulse import Pulse
from wirechat.client.errors import WrongServer


async def test_who_waits_for_a_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, with the address and the reason: a wrong port would be silence for minutes."""
    monkeypatch.setattr(people, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(people, "RETRY_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"wirechat://127.0.0.1:{taken.getsockname()[1]}"
    told: list[str] = []
    with trio.move_on_after(0.5):
        await Registrar([url], "r", None, Pulse(60.0), tell=told.append).register(["ann", "bob"])
    (line,) = told
    assert line.startswith(f"waiting for {url}: connection refused at ")


async def test_what_is_no_server_is_not_waited_for() -> None:
    """It will be none in a minute, either."""

    async def answering(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), answering, 0)
            url = f"wirechat://127.0.0.1:{listener.socket.getsockname()[1]}"
            with pytest.raises(WrongServer):
                await Registrar([url], "r", None, Pulse(60.0)).register(["ann", "bob"])
            nursery.cancel_scope.cancel()
