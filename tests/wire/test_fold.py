"""The fold of a log (P5): every device ends with the same records, whatever came twice, late, or in pages."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.plain import build, plain, vectors
from wirechat import wire
from wirechat.wire import fold


def apply(records: dict[int, wire.Record], step: dict[str, Any]) -> bool:
    if "event" in step:
        return fold.apply_event(records, build("Event", step["event"]))
    return fold.upsert(records, build("Record", step["record"]))


def orders(vector: dict[str, Any]) -> list[Any]:
    every = itertools.permutations(range(len(vector["steps"])))
    return list(every) if vector["orders"] == "every" else vector["orders"]


@pytest.mark.parametrize("vector", vectors("fold/*.json"), ids=lambda vector: vector["id"])
def test_p5_fold_vectors_agree_in_every_order(vector: dict[str, Any]) -> None:
    """Replay, paging and catch-up commute."""
    for order in orders(vector):
        records = {each["seq"]: build("Record", each) for each in vector["records"]}
        for index in order:
            apply(records, vector["steps"][index])
        assert [plain(records[seq]) for seq in sorted(records)] == vector["expect"], order


def test_a_change_is_reported_once() -> None:
    """A client shows what changed, so a replay must say that nothing did."""
    records: dict[int, wire.Record] = {}
    event = wire.Event(5, 1, 1000, 7, wire.EntryKind.MSG, wire.Content(1, "hi"))
    edit = wire.Event(5, 2, 1001, 7, wire.EntryKind.EDIT, wire.Content(1, "ho"), ref=1)
    assert [fold.apply_event(records, each) for each in (event, edit, event, edit)] == [True, True, False, False]
    assert not fold.upsert(records, records[1])


def test_records_are_values() -> None:
    """Whoever kept a record must not see it change under his hands."""
    records: dict[int, wire.Record] = {}
    fold.apply_event(records, wire.Event(5, 1, 1000, 7, wire.EntryKind.MSG, wire.Content(1, "hi")))
    before = records[1]
    fold.apply_event(records, wire.Event(5, 2, 1001, 7, wire.EntryKind.DELETE, ref=1))
    assert before.content == wire.Content(1, "hi")


def test_a_change_without_ref_is_ignored() -> None:
    """A server may be wrong; a client must not fail."""
    assert not fold.apply_event({}, wire.Event(5, 2, 1001, 7, wire.EntryKind.DELETE))


@st.composite
def logs(draw: st.DrawFn) -> list[wire.Event]:
    """A log as a server writes it: nobody edits, pins or reacts to what is deleted or no message."""
    events: list[wire.Event] = []
    alive: list[int] = []
    for seq in range(1, draw(st.integers(1, 14)) + 1):
        kind = draw(st.sampled_from([1, 1, 2, 3, 4, 5, 7, 13])) if alive else 1
        ref = draw(st.sampled_from(alive)) if kind in (2, 3, 4, 5, 13) else None
        text = wire.Content(1, f"text {seq}") if kind in (1, 2) else None
        emoji = draw(st.sampled_from([wire.Content(2, "👍"), wire.Content(2, "🎉"), None])) if kind == 4 else None
        users = draw(st.sampled_from([None, (2,), (1, 3)])) if kind in (1, 2) else None
        origin = draw(st.sampled_from([None, wire.Origin(9, 7)])) if kind == 1 else None
        sender = draw(st.integers(1, 3))
        events.append(wire.Event(5, seq, 1000 + seq, sender, kind, text or emoji, ref, users, origin=origin))
        alive += [seq] if kind == 1 else []
        if kind == 3:
            alive.remove(ref or 0)
    return events


def folded(events: list[wire.Event]) -> dict[int, wire.Record]:
    records: dict[int, wire.Record] = {}
    for event in events:
        fold.apply_event(records, event)
    return records


@given(logs(), st.data())
def test_p5_pages_and_events_commute(log: list[wire.Event], data: st.DataObject) -> None:
    """A device that takes any pages between the entries ends as one that saw every entry."""
    records: dict[int, wire.Record] = {}
    for index, event in enumerate(log):
        if data.draw(st.booleans()):
            page = folded(log[: data.draw(st.integers(0, index + 1))])
            for seq in data.draw(st.permutations(sorted(page))):
                fold.upsert(records, page[seq])
        fold.apply_event(records, event)
        if data.draw(st.booleans()):
            fold.apply_event(records, data.draw(st.sampled_from(log[: index + 1])))
    assert records == folded(log)
