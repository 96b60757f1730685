"""The fold of docs/protocol.md, 9.2: from the entries of a log to what people see."""

from __future__ import annotations

from typing import Any

EDIT, DELETE, REACT, PIN, UNPIN = 2, 3, 4, 5, 13
CHANGING = (EDIT, DELETE, REACT, PIN, UNPIN)
COPIED = ("ts", "sender", "kind", "content", "ref", "users", "cid", "origin", "role")

Fields = dict[str, Any]
Records = dict[int, Fields]


def fold(records: Records, entry: Fields) -> None:
    """Applies one entry. What is not newer than the record changes nothing."""
    if entry["kind"] in CHANGING:
        record = records.get(entry["ref"])
        if record is not None and entry["seq"] > record["rev"]:
            record["rev"] = entry["seq"]
            if record.get("content") is not None:
                _change(record, entry)
    elif entry["seq"] not in records:
        copied = {name: entry.get(name) for name in COPIED}
        records[entry["seq"]] = {"seq": entry["seq"], "rev": entry["seq"], **copied}


def _change(record: Fields, entry: Fields) -> None:
    kind, content = entry["kind"], entry.get("content")
    if kind == REACT:
        _react(record, entry["sender"], content)
    elif kind in (PIN, UNPIN):
        record["pinned"] = entry["seq"] if kind == PIN else None
    elif kind == EDIT and content is not None:
        record.update(content=content, edited=entry["ts"], users=entry.get("users"), origin=None)
    else:
        gone = ("content", "users", "edited", "origin", "pinned", "reactions")
        record.update(dict.fromkeys(gone))


def _react(record: Fields, sender: int, content: Fields | None) -> None:
    others = [each for each in record.get("reactions") or [] if each["user"] != sender]
    if content is not None:
        others.append({"user": sender, "emoji": content["data"]})
    record["reactions"] = sorted(others, key=lambda each: int(each["user"])) or None


def plain(record: Fields) -> Fields:
    """A record for comparing: what is absent or empty is left out."""
    return {name: value for name, value in record.items() if value not in (None, [])}
