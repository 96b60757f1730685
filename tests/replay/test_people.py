"""Making the accounts of a replay."""

from __future__ import annotations

import socket

import pytest
import trio

from tools.replay import people
from tools.replay.people import Registrar
from tools.replay.pulse import Pulse


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
