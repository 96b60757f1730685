"""Sections 9 and 10.5: what a client makes of the log, and what it must not show any more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ...decoder import protocol_folder
from ...fold import Fields
from ...verdict import Skipped, require
from ..catalogue import check
from ..peer import Peer
from ..stage import Stage
from ..world import (
    ACCOUNT,
    BLOCK,
    BOB,
    CAP_ACCOUNT_LOG,
    CAP_PINS,
    CAROL,
    CONV,
    DELETE,
    EDIT,
    EMOJI,
    HELLO,
    ME,
    MSG,
    OTHER,
    PIN,
    REACT,
    REMOVE,
    TEXT,
    UNBLOCK,
    UNPIN,
    Log,
    text,
)

FIRST_CONV = 1000


def _events_only(vector: dict[str, Any]) -> bool:
    return all("event" in step for step in vector["steps"])


def _bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if set(value) == {"hex"} else {k: _bytes(v) for k, v in value.items()}
    return [_bytes(each) for each in value] if isinstance(value, list) else value


def as_shown(records: Iterable[Fields]) -> dict[int, dict[str, Any]]:
    """How a driver tells the messages among them; entries that are none it may leave out or show in its own way."""
    return {record["seq"]: _message(record) for record in records if record["kind"] == MSG}


def _message(record: Fields) -> dict[str, Any]:
    content = record.get("content")
    return {
        "sender": record["sender"],
        "text": content["data"] if content is not None and content["type"] == TEXT else None,
        "edited": record.get("edited") is not None,
        "reply": record.get("ref"),
        "mentions": list(record.get("users") or ()),
        "reactions": {str(each["user"]): each["emoji"] for each in record.get("reactions") or ()},
        "pinned": record.get("pinned") is not None,
        "forwarded": (record.get("origin") or {}).get("user"),
    }


@check("9.2", "9-3", level="L1")
def the_fold_vectors(stage: Stage) -> None:
    """The vectors of protocol/vectors/fold that begin with what CHANGES brings and go on with EVENTs, in each order
    that a server may send."""
    peer = stage.live()
    vectors = [
        _bytes(vector)
        for vector in json.loads((protocol_folder() / "vectors" / "fold" / "fold.json").read_text("utf-8"))
        if _events_only(vector) and vector["steps"][0]["event"]["kind"] < 14
    ]
    for conv, vector in enumerate(vectors, FIRST_CONV):
        steps = [step["event"] for step in vector["steps"]]
        if CAP_PINS in peer.caps or not any(step["kind"] in (PIN, UNPIN) for step in steps):
            _fold_vector(stage, conv, vector, steps)


def _fold_vector(stage: Stage, conv: int, vector: dict[str, Any], steps: list[Fields]) -> None:
    """One vector in a conversation of its own. Its frames stand together in the report."""
    stage.trace.add("runner", sent=True, note=f"vector {vector['id']}: {vector['desc']}")
    because = f"vector {vector['id']}"
    log = stage.world.logs[conv] = Log(conv)
    log.records = {record["seq"]: record for record in vector["records"]}
    log.entries = {seq: {} for seq in range(1, steps[0]["seq"])}
    if log.head:
        _push(stage, "ROWS", rows=[log.row()])
        stage.expect("CHANGES", conv=conv)
        stage.shows(as_shown(vector["records"]), conv, because=because)
    order = vector["orders"][0]
    once = [steps[step] for step in order if order.count(step) == 1]
    for step in once + once:
        _push(stage, "EVENT", **{**step, "conv": conv})
    stage.shows(as_shown(vector["expect"]), conv, because=because)


def _push(stage: Stage, name: str, **fields: Any) -> None:
    """As soon as the window has room for it."""
    peer = stage.peer
    if len(peer.pushes) - peer.acked >= peer.window:
        stage.acknowledged()
    peer.send(name, **fields)


@check("9.2", "9-1", level="L1")
def messages_in_order(stage: Stage) -> None:
    """What is pushed is shown, by seq, each once."""
    stage.ready()
    for number in range(10):
        stage.world.say(f"message {number}")
    stage.shows({2: HELLO, **{3 + number: f"message {number}" for number in range(10)}})


@check("9.2", "9-3", level="L1")
def an_edit(stage: Stage) -> None:
    """The new text takes the place of the old one."""
    stage.ready()
    stage.world.append(CONV, EDIT, content=text("hello again"), ref=2)
    stage.shows({2: {"text": "hello again", "edited": True}})


@check("9.2", "9-3", level="L1")
def an_edit_that_comes_again(stage: Stage) -> None:
    """An older edit that is pushed once more after a newer one changes nothing."""
    peer = stage.ready()
    first = stage.world.append(CONV, EDIT, content=text("first"), ref=2)
    stage.world.append(CONV, EDIT, content=text("second"), ref=2)
    peer.send("EVENT", **first)
    stage.world.say("after it")
    stage.shows({2: "second", 5: "after it"})


@check("9.2", "9-5", level="L1")
def reactions(stage: Stage) -> None:
    """A user has one reaction; a new one replaces it, and an absent one takes it back."""
    stage.ready()
    stage.world.append(CONV, REACT, content={"type": EMOJI, "data": "👍"}, ref=2)
    stage.world.append(CONV, REACT, sender=CAROL, content={"type": EMOJI, "data": "🎉"}, ref=2)
    stage.shows({2: {"text": HELLO, "reactions": {str(BOB): "👍", str(CAROL): "🎉"}}})
    stage.world.append(CONV, REACT, content={"type": EMOJI, "data": "👎"}, ref=2)
    stage.world.append(CONV, REACT, sender=CAROL, ref=2)
    stage.shows({2: {"text": HELLO, "reactions": {str(BOB): "👎"}}})


@check("9.4", "9-4", level="L1")
def deleted_is_gone(stage: Stage) -> None:
    """A message that was deleted for all is shown without its text and its reactions."""
    stage.ready()
    stage.world.append(CONV, REACT, content={"type": EMOJI, "data": "👍"}, ref=2)
    stage.world.append(CONV, DELETE, ref=2)
    stage.shows({2: {"text": None, "reactions": {}}})


@check("9.4", "9-4", level="L1")
def deleted_stays_gone(stage: Stage) -> None:
    """After kill -9 it is still gone, and a late edit or reaction does not bring it back."""
    stage.ready()
    stage.world.append(CONV, DELETE, ref=2)
    stage.shows({2: None})
    stage.acknowledged()
    stage.restart()
    stage.until_live(stage.peer)
    stage.world.append(CONV, EDIT, content=text("back again"), ref=2)
    stage.world.append(CONV, REACT, content={"type": EMOJI, "data": "👍"}, ref=2)
    stage.world.say("after it")
    stage.shows({2: {"text": None, "reactions": {}}, 6: "after it"})


@check("9.4", "9-4", level="L1")
def deleted_while_away(stage: Stage) -> None:
    """A record of kind MSG without content, from CHANGES, removes what was held."""
    peer = stage.ready()
    peer.drop()
    stage.pump(0)
    stage.world.append(CONV, DELETE, ref=2, push=False)
    stage.until_live(peer)
    stage.shows({2: None})


@check("9.4", "9-6", level="L1")
def a_message_without_content(stage: Stage) -> None:
    """An EVENT of a message that was deleted since, and the DELETE after it: nothing is shown of either."""
    peer = stage.ready()
    entry = stage.world.say("gone before it came", push=False)
    peer.send("EVENT", **{**entry, "content": None})
    stage.world.append(CONV, DELETE, ref=3, push=False)
    peer.send("EVENT", **stage.world.logs[CONV].entries[4])
    stage.world.say("after it")
    stage.shows({2: HELLO, 3: None, 5: "after it"})


@check("9.2", "9-7", level="L1")
def a_change_of_what_is_not_held(stage: Stage) -> None:
    """An EDIT of a message from before the join has no record to change; what follows is shown."""
    stage.ready()
    stage.world.append(CONV, EDIT, content=text("from before"), ref=77)
    stage.world.say("after it")
    stage.shows({2: HELLO, 4: "after it"})


@check("9.5", "9-14", "9-17", level="L1")
def a_pin(stage: Stage) -> None:
    """Pinned, as told by an EVENT or by CHANGES; unpinned when it is deleted."""
    peer = stage.ready()
    with_capability = CAP_PINS in peer.caps
    stage.world.append(CONV, PIN, ref=2, push=with_capability)
    if not with_capability:
        peer.send("ROWS", rows=[{"conv": CONV, "head": 3, "rrev": 0, "delivered": 0, "read": 0}])
    stage.shows({2: {"text": HELLO, "pinned": True}})
    stage.world.append(CONV, DELETE, ref=2)
    stage.shows({2: {"text": None, "pinned": False}})


@check("9.3", "9-9", "10-32", level="L1")
def a_former_member(stage: Stage) -> None:
    """The client's user is removed: what he saw stays, and the connection lives."""
    peer = stage.ready()
    stage.world.append(CONV, REMOVE, users=[ME])
    stage.world.logs[CONV].state = 1
    stage.shows({2: HELLO})
    stage.acknowledged()
    stage.lives(peer)


def _with_account_log(stage: Stage) -> Peer:
    peer = stage.ready()
    if CAP_ACCOUNT_LOG not in peer.caps:
        raise Skipped("the client does not ask for the account log (10-32)")
    return peer


@check("10.5", "10-31", level="L1")
def hidden_on_another_device(stage: Stage) -> None:
    """A HIDE entry removes the message from what is shown; a later record does not bring it back."""
    peer = _with_account_log(stage)
    stage.world.say("stays")
    stage.shows({2: HELLO, 3: "stays"})
    old = dict(stage.world.logs[CONV].records[2])
    stage.world.hide(CONV, [2])
    stage.shows({3: "stays"})
    stage.world.logs[CONV].records[2] = old
    stage.world.append(CONV, EDIT, content=text("back again"), ref=2, push=False)
    stage.world.say("after it", push=False)
    peer.send("ROWS", rows=[{"conv": CONV, "head": 5, "rrev": 0, "delivered": 0, "read": 0}])
    stage.shows({3: "stays", 5: "after it"})


@check("10.5", "10-31", level="L1")
def hidden_before_it_came(stage: Stage) -> None:
    """A message that was hidden before this device heard of it is never shown, not even after kill -9."""
    _with_account_log(stage)
    stage.world.logs[CONV].records[3] = {}
    stage.world.hide(CONV, [3])
    stage.acknowledged()
    stage.restart()
    stage.until_live(stage.peer)
    stage.world.say("hidden")
    stage.world.say("after it")
    stage.shows({2: HELLO, 4: "after it"})


@check("12.10", "12-36", "12-41", level="L1")
def the_account_log_is_no_conversation(stage: Stage) -> None:
    """It is in no list of conversations, whether its row or its first entry came first."""
    _with_account_log(stage)
    stage.world.hide(CONV, [2])
    stage.shows({})
    listed = stage.ask("list")["conversations"]
    require(CONV in listed and ACCOUNT not in listed, f"{CONV} and not {ACCOUNT} in the list", listed)


@check("12.10", "12-41", level="L1")
def whom_the_user_has_blocked(stage: Stage) -> None:
    """Of BLOCK and UNBLOCK the one with the highest seq decides, also after kill -9."""
    _with_account_log(stage)
    for user, kind in ((BOB, BLOCK), (CAROL, BLOCK), (BOB, UNBLOCK)):
        stage.world.append(ACCOUNT, kind, sender=ME, users=[user])
    if "blocked" not in stage.ask("list"):
        raise Skipped("the driver does not say 'blocked' in the answer to 'list'")
    stage.until(lambda: stage.ask("list", traced=False)["blocked"] == [CAROL], "Carol blocked, Bob not", "others")
    stage.acknowledged()
    stage.restart()
    stage.until_live(stage.peer)
    stage.until(lambda: stage.ask("list", traced=False)["blocked"] == [CAROL], "Carol blocked, Bob not", "others")


@check("12.10", "12-42", "12-41", level="L1")
def unknown_entries_of_the_account_log(stage: Stage) -> None:
    """Kinds that nobody knows are passed over; what comes after them counts."""
    _with_account_log(stage)
    stage.world.append(ACCOUNT, 14, sender=ME, content={"type": 12, "data": b"\xc1"})
    stage.world.append(ACCOUNT, 19, sender=ME, content={"type": 98, "data": b"?"})
    stage.world.hide(CONV, [2])
    stage.shows({})
    require(OTHER not in stage.ask("list")["conversations"], "no other conversation", "one")
