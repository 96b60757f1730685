"""Size is a promise: what a conversation costs on the wire stands in protocol/budgets.json."""

import json
from typing import Any

import pytest

from tests.wire.plain import PROTOCOL, SCHEMA, build
from tools.protocol.schema import camel
from wirechat import wire
from wirechat.wire import limits

BUDGETS = json.loads((PROTOCOL / "budgets.json").read_text(encoding="utf-8"))["budgets"]


def cost(budget: dict[str, Any]) -> int:
    return sum(len(build(camel(each["frame"]), each["value"]).encode()) for each in budget["frames"])


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget["name"])
def test_nothing_costs_more_than_its_budget(budget: dict[str, Any]) -> None:
    """A byte more in a hot frame is a byte more for every message of everybody."""
    assert cost(budget) <= budget["bytes"]


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget["name"])
def test_budgets_are_tight(budget: dict[str, Any]) -> None:
    """A budget with room for much more would not notice it."""
    assert budget["bytes"] - cost(budget) < max(20, cost(budget) // 20)


def test_the_hot_frames_have_one_byte_codes() -> None:
    """Codes from 128 on cost two bytes more."""
    assert all(frame.code < 128 for frame in SCHEMA.frames)


def test_the_largest_page_fits_into_a_frame_from_the_server() -> None:
    """A page ends once it exceeds page_bytes; the record that makes it do so may be the largest there is."""
    reaction = wire.Reaction(2**53 - 1, "x" * 64)
    largest = wire.Record(
        seq=2**53 - 1,
        rev=2**53 - 1,
        ts=2**53 - 1,
        sender=2**53 - 1,
        kind=1,
        content=wire.Content(65535, "x" * limits.TEXT_BYTES),
        ref=2**53 - 1,
        users=(2**53 - 1,) * 257,
        edited=2**53 - 1,
        reactions=(reaction,) * limits.MEMBERS,
        cid=bytes(8),
    )
    assert limits.PAGE_BYTES + len(largest.pack()) + 64 < limits.SERVER_FRAME_BYTES


def test_the_largest_content_fits_into_a_frame_from_a_client() -> None:
    """Every legal SEND must get through, before and after its envelope is counted."""
    content = wire.Content(65535, "x" * limits.TEXT_BYTES)
    largest = wire.Send(2**31 - 1, 2**53 - 1, bytes(8), 255, content, 2**53 - 1)
    assert len(largest.encode()) < limits.FRAME_BYTES
