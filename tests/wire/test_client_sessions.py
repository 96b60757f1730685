"""The transcripts for clients lead a client that keeps the rules to the right log, and another to a wrong one.

The two races are nearly out of reach of random testing, which is why they are written down (P5).
"""

from typing import Any

import pytest

from tests.wire.model_client import ModelClient
from tests.wire.plain import plain
from tests.wire.transcripts import SESSIONS, Binder
from wirechat import wire

BY_ID = {transcript["id"]: transcript for transcript in SESSIONS}
MODELLED = (
    "client-changes-race",
    "client-history-race",
    "client-gap",
    "client-unknown",
    "client-reset",
    "client-goaway",
)
OPENING = {"HELLO", "AUTH", "SYNC"}


def play(transcript: dict[str, Any], **rules: bool) -> list[tuple[Any, Any]]:
    """Plays a transcript with a model client; the logs as they should be and as they are."""
    binder, logs = Binder(), []
    client = ModelClient(jumps=transcript["client"]["new_conversations"] == "jump", **rules)
    for step in transcript["steps"]:
        if "accept" in step:
            client.pushes, client.asked, client.out = 0, None, []
        elif "send" in step:
            client.hear(binder.message(step["send"], step["value"]))
        elif "raw" in step:
            client.hear(wire.decode(bytes.fromhex(step["raw"])[4:], side=wire.SERVER))
        elif "do" in step:
            client.page(step["conv"])
        elif "recv" in step and step["recv"] not in OPENING:
            heard(client, binder, step)
        elif "log" in step:
            found = [plain(client.records[seq]) for seq in sorted(client.records)]
            logs.append(((step["log"]["pos"], step["log"]["records"]), (client.pos, found)))
    return logs


def heard(client: ModelClient, binder: Binder, step: dict[str, Any]) -> None:
    """What the transcript waits for must be among what the client sent, in order."""
    while client.out:
        message = client.out.pop(0)
        got = plain(message)
        rid = step["value"].get("rid")
        if step["recv"] == message.NAME and all(
            got[key] == value for key, value in step["value"].items() if key != "rid"
        ):
            if rid is not None:
                binder.bound[rid] = message.rid  # type: ignore[attr-defined]
            return
    pytest.fail(f"never sent: {step}")


@pytest.mark.parametrize("name", MODELLED)
def test_p5_a_client_that_keeps_the_rules_ends_right(name: str) -> None:
    """The transcript asks for what the rules give."""
    logs = play(BY_ID[name])
    assert logs
    for expected, found in logs:
        assert found == expected


@pytest.mark.parametrize(
    ("name", "rules"),
    [("client-changes-race", {"catch": False}), ("client-history-race", {"rewind": False})],
)
def test_p5_the_races_find_the_missing_rule(name: str, rules: dict[str, bool]) -> None:
    """Without the rule the client never asks again, or ends with another log: either way the transcript fails it."""
    try:
        wrong = any(expected != found for expected, found in play(BY_ID[name], **rules))
    except pytest.fail.Exception:
        wrong = True
    assert wrong
