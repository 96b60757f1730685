"""The load on another kind of server: the same program, the same schedule, the same measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.rivals.nats import Nats
from tests.cli import command
from tests.loadgen.conftest import TALK


def test_another_server_is_loaded_alike(tmp_path: Path) -> None:
    plan = tmp_path / "talk.toml"
    plan.write_text(TALK.replace("seconds = 2", "seconds = 1"))
    with Nats().serve(tmp_path) as server:
        url = f"nats://127.0.0.1:{server.port}"
        done = command.wirechat("loadgen", "run", plan, "--target", "nats", "--url", url, "--json")
    found = json.loads(done.out)
    assert found["target"] == "nats"
    assert found["figures"]["deliveries"] == found["figures"]["texts"] > 50
    assert found["figures"]["unfinished"] == found["figures"]["doubled"] == 0
    assert found["figures"]["server CPU per delivery"] > 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["typing", "--target", "nats", "--url", "nats://127.0.0.1:1"], "'typing' exist for wirechat only"),
        (["pairs", "--target", "mqtt", "--url", "wirechat://127.0.0.1:1"], "needs mqtt://HOST"),
        (["pairs", "--url", "mqtt://127.0.0.1:1"], "another kind of server needs --target mqtt"),
        (["pairs", "--target", "irc", "--url", "irc://127.0.0.1:1"], "'irc' is not one of"),
    ],
)
def test_what_cannot_be_asked_of_another_server_is_refused_before_the_run(words: list[str], line: str) -> None:
    assert line in command.refused("loadgen", "run", *words)
