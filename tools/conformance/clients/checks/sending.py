"""Sections 11 and 14: the outbox, cids, order, and what each class of error asks for."""

from __future__ import annotations

import time
from typing import Any

from ...decoder import Frame
from ...verdict import Skipped, require, same
from ..catalogue import check
from ..peer import Peer
from ..stage import Stage, texts
from ..world import CONV, DELETE, EDIT, EMOJI, HELLO, ME, MSG, OTHER, REACT, text

QUIET_SECONDS = 1.0
RETRY_MS = 700


def _sends(stage: Stage) -> list[Frame]:
    """All SENDs of all connections, in order."""
    return [frame for peer in stage.peers for frame in peer.named("SEND")]


def _words(frame: Frame) -> str:
    return str((frame["content"] or {}).get("data"))


@check("11.1", "11-1")
def cids_are_random(stage: Stage) -> None:
    """Eight bytes, different for each message and without a common part."""
    stage.live()
    for number in range(12):
        stage.tell("send", conv=CONV, text=f"number {number}")
    stage.until(lambda: len(_sends(stage)) == 12, "twelve messages", lambda: f"{len(_sends(stage))}")
    cids = [frame["cid"] for frame in _sends(stage)]
    require(len(set(cids)) == 12, "twelve different cids", [cid.hex() for cid in cids])
    still = [place for place in range(8) if len({cid[place] for cid in cids}) == 1]
    require(not still, "random bytes in every place", f"the same byte at {still} in all")


@check("11.4", "11-9", "11-11", level="L1")
def a_message_of_ones_own(stage: Stage) -> None:
    """SEND_OK stands for the EVENT: the message is shown, once, at its seq, and nothing is fetched."""
    peer = stage.ready()
    asked = len(peer.named("CHANGES"))
    number = stage.tell("send", conv=CONV, text="mine")
    same(stage.outcome(number).get("seq", 3), 3, "seq in the outcome")
    stage.shows(texts(HELLO, "mine"))
    same(len(peer.named("CHANGES")) - asked, 0, "CHANGES for it")


@check("11.4", "11-11", level="L1")
def a_message_of_ones_own_behind_a_gap(stage: Stage) -> None:
    """SEND_OK with a seq that is not the next one: the client fetches what is between, with CHANGES."""
    peer = stage.ready()
    asked = len(peer.named("CHANGES"))
    stage.world.say("nobody told of this", push=False)
    stage.tell("send", conv=CONV, text="mine")
    stage.shows(texts(HELLO, "nobody told of this", "mine"))
    require(len(peer.named("CHANGES")) > asked, "CHANGES", "none")


@check("11.1", "11-14", "7-9", level="L0")
def the_cid_is_kept_over_connections(stage: Stage) -> None:
    """The connection breaks before the answer: the same request with the same cid goes out on the next one."""
    peer = stage.live()
    stage.hold("SEND")
    stage.tell("send", conv=CONV, text="once")
    first = stage.expect("SEND")
    peer.drop()
    stage.until_live(peer)
    second = stage.expect("SEND")
    same({**second.fields, "rid": 0}, {**first.fields, "rid": 0}, "the request")


@check("11.1", "11-14", "11-3", level="L1")
def executed_and_not_answered(stage: Stage) -> None:
    """The entry was made, and its answer lost: after the repetition, answered with `dup`, it is shown once."""
    peer = stage.ready()
    stage.hold("SEND")
    number = stage.tell("send", conv=CONV, text="once")
    stage.world.accept(stage.expect("SEND"))
    stage.release("SEND")
    peer.drop()
    require("sent" in stage.outcome(number), "the message is sent", "it is not")
    stage.shows(texts(HELLO, "once"))
    same(stage.world.logs[CONV].head, 3, "entries in the log")


@check("11.1", "11-14", "19-3", level="L1")
def the_outbox_outlives_the_process(stage: Stage) -> None:
    """The client is killed while a message is unanswered: started again it sends it with the same cid, once."""
    stage.ready()
    stage.hold("SEND")
    stage.tell("send", conv=CONV, text="once")
    first = stage.expect("SEND")
    stage.world.accept(first)
    stage.release("SEND")
    stage.restart()
    stage.until_live(stage.peer)
    stage.shows(texts(HELLO, "once"))
    stage.until(lambda: len(_sends(stage)) == 2, "the message again", "nothing")
    same(_sends(stage)[1]["cid"], first["cid"], "cid")
    same(stage.world.logs[CONV].head, 3, "entries in the log")


@check("11.1", "11-14", "19-3", level="L1")
def written_without_a_server(stage: Stage) -> None:
    """Messages written while there is no server, then kill -9: they go out in their order when there is one."""
    peer = stage.ready()
    stage.deafen()
    peer.drop()
    for word in ("one", "two", "three"):
        stage.tell("send", conv=CONV, text=word)
    stage.kill()
    stage.listen()
    stage.start()
    stage.until_live(peer)
    stage.shows(texts(HELLO, "one", "two", "three"))


def _answered_at_first(stage: Stage, code: int, **fields: int) -> list[float]:
    """The first SEND is answered with this ERROR, the others as usual. When they came."""
    times: list[float] = []

    def answer(peer: Peer, frame: Frame) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            peer.refuse(frame, code, **fields)
        else:
            stage.world.answer(peer, frame)

    stage.on("SEND", answer)
    stage.live()
    return times


def _comes_again(stage: Stage, code: int, **fields: int) -> None:
    """After this ERROR the same request with the same cid is sent again, on the same connection, and succeeds."""
    _answered_at_first(stage, code, **fields)
    peer = stage.peer
    number = stage.tell("send", conv=CONV, text="again")
    require("sent" in stage.outcome(number), "the message is sent", "it is not")
    sends = peer.named("SEND")
    require(len(sends) == 2, f"the message twice on the connection that answered {code}", f"{len(sends)} times")
    same({**sends[1].fields, "rid": 0}, {**sends[0].fields, "rid": 0}, "the request")


def _does_not_come_again(stage: Stage, code: int) -> None:
    """After this ERROR the request is not sent again, the user is told, and the connection lives."""
    _answered_at_first(stage, code)
    peer = stage.peer
    number = stage.tell("send", conv=CONV, text="refused")
    same(stage.fails(number).get("code", code), code, "code")
    stage.keep(QUIET_SECONDS)
    same(len(_sends(stage)), 1, "times that it was sent")
    stage.lives(peer)
    later = stage.tell("send", conv=CONV, text="another")
    require("sent" in stage.outcome(later), "the next message is sent", "it is not")


@check("14.1", "14-2", "11-5")
def put_off(stage: Stage) -> None:
    """5000: surely not executed; sent again."""
    _comes_again(stage, 5000, retry_ms=50)


@check("14.1", "14-2")
def put_off_by_an_unknown_code(stage: Stage) -> None:
    """5999 is as any 5xxx: sent again."""
    _comes_again(stage, 5999, retry_ms=50)


@check("14.1", "14-2", "11-3")
def an_unknown_outcome(stage: Stage) -> None:
    """6000: perhaps executed; sent again with the same cid."""
    _comes_again(stage, 6000, retry_ms=50)


@check("14.1", "14-2")
def an_unknown_outcome_by_an_unknown_code(stage: Stage) -> None:
    """6999 is as any 6xxx: sent again with the same cid."""
    _comes_again(stage, 6999, retry_ms=50)


@check("5.2", "5-1", "14-2")
def an_unknown_class(stage: Stage) -> None:
    """9000 with a rid is as 6xxx: perhaps executed; sent again with the same cid."""
    _comes_again(stage, 9000, retry_ms=50)


@check("5.2", "5-1", "14-2")
def the_class_of_zero(stage: Stage) -> None:
    """17 with a rid is as 6xxx too."""
    _comes_again(stage, 17, retry_ms=50)


@check("14.1", "14-2", "11-5")
def never(stage: Stage) -> None:
    """3000: the request is wrong; it is not sent again, and the user is told."""
    _does_not_come_again(stage, 3000)


@check("14.1", "14-2")
def never_by_an_unknown_code(stage: Stage) -> None:
    """3999 is as any 3xxx."""
    _does_not_come_again(stage, 3999)


@check("14.1", "14-2", "11-4")
def not_now(stage: Stage) -> None:
    """4001: not executed; the client does not repeat it by itself, and the user is told."""
    _does_not_come_again(stage, 4001)


@check("14.1", "14-2")
def not_now_by_an_unknown_code(stage: Stage) -> None:
    """4999 is as any 4xxx."""
    _does_not_come_again(stage, 4999)


@check("14.1", "14-4", level="L1")
def refused_and_done_after_all(stage: Stage) -> None:
    """An attempt gets no answer, the next one is refused, and then the first is executed: it is shown, once."""
    peer = stage.ready()
    stage.hold("SEND")
    number = stage.tell("send", conv=CONV, text="late")
    first = stage.expect("SEND")
    peer.drop()
    stage.until_live(peer)
    stage.peer.refuse(stage.expect("SEND"), 4000)
    stage.fails(number)
    stage.world.append(CONV, MSG, sender=ME, content=first["content"], cid=first["cid"])
    stage.shows(texts(HELLO, "late"))
    stage.keep(QUIET_SECONDS)
    same(len(_sends(stage)), 2, "times that it was sent")


@check("14.2", "14-2", "11-4")
def a_cid_that_was_used(stage: Stage) -> None:
    """3004: the text is not sent again by itself, not with another cid either."""
    _does_not_come_again(stage, 3004)


@check("14.1", "14-2")
def no_earlier_than_told(stage: Stage) -> None:
    """5001 with `retry_ms` 700: the request does not come again before that."""
    times = _answered_at_first(stage, 5001, retry_ms=RETRY_MS)
    number = stage.tell("send", conv=CONV, text="patience")
    require("sent" in stage.outcome(number), "the message is sent", "it is not")
    waited = times[1] - times[0]
    require(waited >= RETRY_MS / 1000 - 0.05, f"at least {RETRY_MS} ms", f"{waited * 1000:.0f} ms")


@check("14.2", "14-2", level="L0")
def logged_out_in_the_middle(stage: Stage) -> None:
    """A SEND is answered 2000: the client logs in again, and sends it again with its cid."""
    _answered_at_first(stage, 2000)
    number = stage.tell("send", conv=CONV, text="who am I")
    require("sent" in stage.outcome(number), "the message is sent", "it is not")
    sends = _sends(stage)
    same(sends[1]["cid"], sends[0]["cid"], "cid")
    require(len(stage.peers) > 1, "another login", "none")


@check("11.5", "11-13")
def the_order_after_a_failure(stage: Stage) -> None:
    """The first of three messages is put off: the others do not overtake it."""
    peer = stage.live()
    stage.hold("SEND")
    for word in ("one", "two", "three"):
        last = stage.tell("send", conv=CONV, text=word)
    peer.refuse(stage.expect("SEND"), 5000, retry_ms=300)
    stage.release("SEND")
    if len(peer.named("SEND")) > 1:
        raise Skipped("the client has several messages of one conversation under way")
    stage.outcome(last)
    entries = stage.world.logs[CONV].entries.values()
    same([entry["content"]["data"] for entry in entries if entry.get("cid")], ["one", "two", "three"], "the log")


@check("11.5", "11-13", "7-9")
def the_order_after_a_break(stage: Stage) -> None:
    """The connection breaks while three messages wait: they go out in their order, the first one first."""
    peer = stage.live()
    stage.hold("SEND")
    for word in ("one", "two", "three"):
        last = stage.tell("send", conv=CONV, text=word)
    stage.expect("SEND")
    stage.release("SEND")
    peer.drop()
    stage.outcome(last)
    entries = stage.world.logs[CONV].entries.values()
    same([entry["content"]["data"] for entry in entries if entry.get("cid")], ["one", "two", "three"], "the log")


@check("11.5", "11-13")
def another_conversation_does_not_wait(stage: Stage) -> None:
    """A message that is put off for long holds up those of its own conversation alone."""
    stage.world.begin(OTHER, "there")
    _answered_at_first(stage, 5000, retry_ms=60000)
    stage.tell("send", conv=CONV, text="put off")
    stage.until(lambda: len(_sends(stage)) == 1, "the first message", "nothing")
    number = stage.tell("send", conv=OTHER, text="now")
    require("sent" in stage.outcome(number), "the message to the other conversation is sent", "it is not")


@check("11.5", "11-15", level="L1")
def a_seq_before_the_digest(stage: Stage) -> None:
    """An EDIT that waits is not sent before the first SYNC_OK: nobody knows yet what its seq means."""
    peer = stage.ready()
    stage.hold("SEND")
    stage.tell("send", conv=CONV, text="mine")
    stage.world.accept(stage.expect("SEND"))
    stage.peer.reply(_sends(stage)[0], seq=3, ts=1763689200100)
    stage.shows(texts(HELLO, "mine"))
    stage.tell("edit", conv=CONV, seq=3, text="mine, edited")
    stage.expect("SEND", kind=EDIT)
    stage.hold("SYNC")
    peer.drop()
    stage.next_peer(peer)
    sync = stage.expect("SYNC")
    stage.none("SEND", QUIET_SECONDS)
    stage.world.digest(stage.peer, sync)
    stage.expect("SEND", kind=EDIT)


@check("11.5", "11-15", level="L1")
def after_a_reset(stage: Stage) -> None:
    """Mode 2: a reply and an edit that wait are dropped and reported; a message that refers to nothing is sent."""
    stage.world.begin(OTHER, "there")
    peer = stage.ready()
    stage.hold("SEND")
    reply = stage.tell("send", conv=CONV, text="an answer", reply=2)
    plain = stage.tell("send", conv=OTHER, text="no answer")
    stage.expect("SEND", conv=CONV)
    stage.release("SEND")
    stage.world.put_back()
    peer.drop()
    stage.until_live(peer)
    require("sent" in stage.outcome(plain), "the message that refers to nothing is sent", "it is not")
    stage.fails(reply)
    same([_words(each) for each in stage.peer.named("SEND")], ["no answer"], "what is sent after the RESET")


@check("11.2", "11-6")
def what_a_send_contains(stage: Stage) -> None:
    """MSG, the answer to a message that came on this connection, with the fields that belong to it, and no others."""
    stage.live()
    seq = stage.world.say("there")["seq"]
    stage.acknowledged()
    stage.tell("send", conv=CONV, text="mine", reply=seq)
    wanted = {"kind": MSG, "content": text("mine"), "ref": seq, "mentions": None, "forward": None}
    require(_has(stage.expect("SEND"), wanted), f"{wanted}", _sends(stage)[-1].fields)


@check("11.2", "11-6", level="L1")
def what_a_change_contains(stage: Stage) -> None:
    """EDIT, REACT and DELETE with the fields that belong to them, and no others; they are shown."""
    stage.ready()
    stage.outcome(stage.tell("send", conv=CONV, text="mine"))
    stage.expect("SEND", kind=MSG)
    orders: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("edit", {"text": "edited"}, {"kind": EDIT, "content": text("edited"), "ref": 3}),
        ("react", {"emoji": "👍"}, {"kind": REACT, "content": {"type": EMOJI, "data": "👍"}, "ref": 3}),
        ("react", {"emoji": None}, {"kind": REACT, "content": None, "ref": 3}),
        ("delete", {}, {"kind": DELETE, "content": None, "ref": 3, "mentions": None, "forward": None}),
    )
    for do, fields, wanted in orders:
        number = stage.tell(do, conv=CONV, seq=3, **fields)
        require(_has(stage.expect("SEND"), wanted), f"{wanted}", _sends(stage)[-1].fields)
        stage.outcome(number)
    stage.shows({2: HELLO, 3: {"text": None, "reactions": {}}})


def _has(frame: Frame, wanted: dict[str, Any]) -> bool:
    return all(frame[name] == value for name, value in wanted.items())


@check("11.5", "11-14", level="L1")
def nothing_is_dropped_for_being_old(stage: Stage) -> None:
    """Put off four times in a row, the message still goes out."""
    count = 0

    def answer(peer: Peer, frame: Frame) -> None:
        nonlocal count
        count += 1
        if count <= 4:
            peer.refuse(frame, 5000 if count % 2 else 6000, retry_ms=1)
        else:
            stage.world.answer(peer, frame)

    stage.on("SEND", answer)
    stage.live()
    number = stage.tell("send", conv=CONV, text="at last")
    stage.until(lambda: count > 4, "the message a fifth time", lambda: f"{count} times", 30)
    require("sent" in stage.outcome(number), "the message is sent", "it is not")
    cids = {frame["cid"] for frame in _sends(stage)}
    require(len(cids) == 1, "one cid", f"{len(cids)}")


@check("7.5", "7-16", "14-2")
def too_many_at_once(stage: Stage) -> None:
    """5002 for a message: it comes again, on the same connection."""
    _comes_again(stage, 5002)
