"""Section 12: the digest, gaps, and the two races."""

from __future__ import annotations

import time
from typing import Any

from ...decoder import Frame
from ...fold import plain
from ...trace import shown
from ...verdict import Skipped, require, same
from ..catalogue import check
from ..peer import Peer
from ..stage import ASKING_SECONDS, Stage, texts
from ..world import BOB, CONV, DELETE, DIGEST, EDIT, HELLO, ME, MSG, OTHER, RESET, Log, text

JUMP_ENTRIES = 5000
NO_JUMP = "the client fetches everything"


def row(conv: int = CONV, head: int = 2, **fields: int) -> dict[str, int]:
    """A row of a digest."""
    return {"conv": conv, "head": head, "rrev": 0, "delivered": 0, "read": 0, **fields}


def edited_between_pages(stage: Stage) -> Peer:
    """A client that has the first page of CHANGES, without message 3: that was edited meanwhile, and the edit was
    pushed. CHANGES are held.
    """
    for number in range(3, 6):
        stage.world.say(f"message {number}", push=False)
    stage.hold("CHANGES")
    peer = stage.live()
    question = stage.expect("CHANGES", since=0)
    records = stage.world.logs[CONV].records
    edit = stage.world.append(CONV, EDIT, content=text("new text"), ref=3, push=False)
    peer.reply(question, upto=5, records=[plain(records[seq]) for seq in (1, 2, 4, 5)], more=True)
    peer.send("EVENT", **edit)
    return peer


# SYNC and tokens


@check("12.4", "12-8")
def a_new_device_has_no_token(stage: Stage) -> None:
    """Its first SYNC carries none."""
    peer = stage.live()
    (sync,) = peer.named("SYNC")
    same((sync["token"], sync["cursor"]), (None, None), "token and cursor")


@check("12.4", "12-8", "7-4", level="L0")
def a_digest_in_pages(stage: Stage) -> None:
    """While SYNC_OK has a cursor the client asks again with it; the token comes with the last page."""
    stage.world.begin(OTHER, "there")
    stage.hold("SYNC")
    stage.start()
    first = stage.expect("SYNC")
    peer = stage.peer
    peer.cursor = b"page 2"
    peer.reply(first, mode=RESET, rows=[row(CONV)], cursor=peer.cursor)
    second = stage.expect("SYNC", cursor=peer.cursor)
    peer.cursor = b"page 3"
    peer.reply(second, mode=RESET, rows=[], cursor=peer.cursor)
    third = stage.expect("SYNC", cursor=peer.cursor)
    stage.world.go_live(peer)
    peer.reply(third, mode=RESET, rows=[row(OTHER)], token=stage.world.token())
    stage.world.say("live")
    stage.acknowledged()
    if stage.subject.driven and peer.named("CHANGES"):
        stage.shows({2: HELLO, 3: "live"})
        stage.shows({2: "there"}, OTHER)


@check("12.4", "12-8", "12-1", level="L1")
def the_token_is_presented(stage: Stage) -> None:
    """The next SYNC, after kill -9 too, carries the token of SYNC_OK."""
    peer = stage.ready()
    token = stage.world.token()
    stage.keep(0.3)
    peer.drop()
    peer = stage.until_live(peer)
    same(peer.named("SYNC")[0]["token"], token, "token after a break")
    stage.keep(0.3)
    stage.restart()
    peer = stage.until_live(peer)
    same(peer.named("SYNC")[0]["token"], token, "token after kill -9")


@check("12.1", "12-1", "12-14", level="L1")
def the_token_of_a_pong(stage: Stage) -> None:
    """The newest token is presented, wherever it came from: here from PONG."""
    stage.limits["heartbeat_ms"] = 1000
    peer = stage.ready()
    stage.world.say("newer")
    stage.shows(texts(HELLO, "newer"))
    count = len(peer.named("PING"))
    stage.until(lambda: len(peer.named("PING")) > count, "PING within a heartbeat", "none")
    stage.keep(0.3)
    peer.drop()
    peer = stage.until_live(peer)
    same(peer.named("SYNC")[0]["token"], stage.world.token(), "token")


@check("12.1", "12-1", level="L1")
def the_token_of_rows(stage: Stage) -> None:
    """The newest token is presented: here from ROWS."""
    peer = stage.ready()
    stage.world.say("newer", push=False)
    peer.send("ROWS", rows=[row(head=3)], token=stage.world.token())
    stage.shows(texts(HELLO, "newer"))
    stage.keep(0.3)
    peer.drop()
    peer = stage.until_live(peer)
    same(peer.named("SYNC")[0]["token"], stage.world.token(), "token")


@check("12.5", "12-13", "12-14", level="L1")
def a_pong_before_the_last_page(stage: Stage) -> None:
    """While the digest is not complete the token of a PONG vouches for rows that have not come: it is not kept."""
    stage.hold("SYNC")
    stage.start()
    sync = stage.expect("SYNC")
    peer = stage.peer
    peer.reply(sync, mode=RESET, rows=[], cursor=b"page 2")
    peer.cursor = b"page 2"
    stage.expect("SYNC", cursor=b"page 2")
    peer.send("PONG", t=0, now=1763689200100, token=stage.world.token())
    stage.keep(0.3)
    stage.release("SYNC")
    peer.drop()
    stage.until_live(peer)
    same(stage.peer.named("SYNC")[0]["token"], None, "token")
    stage.shows({2: HELLO})


@check("12.4", "12-9", level="L1")
def a_void_token(stage: Stage) -> None:
    """Mode 2: everything that was held goes; the rows are all there is, and seqs mean something else."""
    stage.world.begin(OTHER, "gone afterwards")
    peer = stage.ready()
    stage.shows({2: "gone afterwards"}, OTHER)
    stage.world.put_back()
    del stage.world.logs[OTHER]
    stage.world.begin(CONV, "another", "world")
    peer.drop()
    stage.until_live(peer)
    stage.shows({2: "another", 3: "world"})
    require(not stage.show(OTHER), f"nothing of conversation {OTHER}", "it is shown")


@check("12.4", "12-10", "12-9", level="L1")
def a_void_token_in_pages(stage: Stage) -> None:
    """Every page has the mode of the first: the second page does not make the client forget the first."""
    stage.world.begin(OTHER, "there")
    stage.hold("SYNC")
    stage.start()
    sync = stage.expect("SYNC")
    peer = stage.peer
    peer.cursor = b"page 2"
    peer.reply(sync, mode=RESET, rows=[row(CONV)], cursor=peer.cursor)
    second = stage.expect("SYNC", cursor=peer.cursor)
    stage.keep(0.5)
    stage.world.go_live(peer)
    peer.reply(second, mode=RESET, rows=[row(OTHER)], token=stage.world.token())
    stage.shows({2: HELLO})
    stage.shows({2: "there"}, OTHER)


@check("12.4", "12-30", level="L1")
def the_server_lost_entries(stage: Stage) -> None:
    """Mode 1 with a head below what is held: the client forgets its token and comes again without it."""
    stage.world.say("will be lost", push=False)
    stage.world.say("will be lost too", push=False)
    peer = stage.live()
    stage.shows(texts(HELLO, "will be lost", "will be lost too"))

    def put_back(peer: Peer, sync: Frame) -> None:
        stage.world.go_live(peer)
        if sync["token"] is not None:
            peer.reply(sync, mode=DIGEST, rows=[row(head=3)], token=b"after")
        else:
            stage.world.digest(peer, sync)

    stage.world.begin(CONV, HELLO, "put back")
    stage.on("SYNC", put_back)
    peer.drop()
    stage.until_live(peer)
    stage.until(
        lambda: stage.peer.named("SYNC")[-1:] and stage.peer.named("SYNC")[-1]["token"] is None, "SYNC without token"
    )
    stage.shows(texts(HELLO, "put back"))


# gaps


@check("12.5", "12-13", level="L1")
def everything_is_fetched(stage: Stage) -> None:
    """What happened while the client was away is shown: messages, edits, deletes, in all conversations."""
    stage.world.begin(OTHER, "one", "two", "three")
    peer = stage.ready()
    stage.shows(texts("one", "two", "three"), OTHER)
    peer.drop()
    stage.pump(0)
    stage.world.say("missed", push=False)
    stage.world.append(OTHER, EDIT, content=text("one, edited"), ref=2, push=False)
    stage.world.append(OTHER, 3, ref=3, push=False)
    stage.world.say("four", OTHER, push=False)
    stage.until_live(peer)
    stage.shows(texts(HELLO, "missed"))
    stage.shows({2: "one, edited", 3: None, 4: "three", 7: "four"}, OTHER)


@check("12.5", "12-13", "12-22", level="L1")
def changes_in_pages(stage: Stage) -> None:
    """While `more` is true the client asks again from `upto`."""
    for number in range(8):
        stage.world.say(f"message {number}", push=False)
    stage.hold("CHANGES")
    peer = stage.live()
    since = 0
    for upto in (3, 6, 9, 10):
        question = stage.expect("CHANGES", conv=CONV)
        same(question["since"], since, "since")
        records = [plain(stage.world.logs[CONV].records[seq]) for seq in range(since + 1, upto + 1)]
        peer.reply(question, upto=upto, records=records, more=upto < 10)
        since = upto
    stage.shows({2: HELLO, **{3 + number: f"message {number}" for number in range(8)}})


@check("12.5", "12-13", "9-1", level="L1")
def a_push_that_is_not_the_next(stage: Stage) -> None:
    """EVENT 4 after 2: it is not applied but fetched, together with what was missed."""
    peer = stage.ready()
    stage.world.say("missed", push=False)
    entry = stage.world.say("pushed", push=False)
    peer.send("EVENT", **entry)
    stage.expect("CHANGES", since=2)
    stage.shows(texts(HELLO, "missed", "pushed"))


@check("12.5", "12-13", level="L1")
def a_push_behind_the_gap_is_not_shown_alone(stage: Stage) -> None:
    """As long as CHANGES is not answered, what comes behind the gap does not stand in its place."""
    peer = stage.ready()
    stage.hold("CHANGES")
    stage.world.append(CONV, EDIT, content=text("edited"), ref=2, push=False)
    entry = stage.world.append(CONV, EDIT, content=text("edited twice"), ref=2, push=False)
    later = stage.world.append(CONV, 4, content={"type": 2, "data": "👍"}, ref=2, push=False)
    peer.send("EVENT", **entry)
    peer.send("EVENT", **later)
    question = stage.expect("CHANGES", since=2)
    stage.world.answer(peer, question)
    stage.release("CHANGES")
    stage.shows({2: {"text": "edited twice", "reactions": {str(BOB): "👍"}}})


@check("12.5", "12-13", "9-3", level="L1")
def pushes_that_come_again(stage: Stage) -> None:
    """An EVENT at or below the position changes nothing."""
    peer = stage.ready()
    first = stage.world.say("once")
    stage.world.append(CONV, EDIT, content=text("once, edited"), ref=3)
    peer.send("EVENT", **first)
    peer.send("EVENT", **stage.world.logs[CONV].entries[2])
    stage.world.say("after it")
    stage.shows({2: HELLO, 3: "once, edited", 5: "after it"})
    stage.acknowledged()


@check("12.5", "9-3", "12-13", level="L1")
def an_answer_that_was_overtaken(stage: Stage) -> None:
    """CHANGES_OK comes after pushes that are newer than it: what it brings does not undo them."""
    peer = stage.ready()
    stage.hold("CHANGES")
    stage.world.say("first text", push=False)
    peer.send("ROWS", rows=[row(head=3)])
    question = stage.expect("CHANGES", since=2)
    answer = stage.world.changes(stage.world.logs[CONV], 2)
    peer.send("EVENT", **stage.world.logs[CONV].entries[3])
    edit = stage.world.append(CONV, EDIT, content=text("new text"), ref=3, push=False)
    peer.send("EVENT", **edit)
    stage.shows(texts(HELLO, "new text"))
    peer.reply(question, **answer)
    stage.release("CHANGES")
    stage.world.say("after it", push=False)
    peer.send("EVENT", **stage.world.logs[CONV].entries[5])
    stage.shows({2: HELLO, 3: "new text", 5: "after it"})


@check("12.2", "12-5", level="L1")
def rows_instead_of_events(stage: Stage) -> None:
    """ROWS say that there is more: the client fetches it."""
    peer = stage.ready()
    stage.world.say("not pushed", push=False)
    stage.world.begin(OTHER, "a new conversation")
    peer.send("ROWS", rows=[row(head=3), row(OTHER)])
    stage.shows(texts(HELLO, "not pushed"))
    stage.shows({2: "a new conversation"}, OTHER)
    stage.acknowledged()


@check("12.2", "12-5", level="L1")
def rows_that_repeat_what_is_known(stage: Stage) -> None:
    """Rows with a head that is held, or with an older one after a newer EVENT, change nothing."""
    peer = stage.ready()
    stage.world.say("newer")
    peer.send("ROWS", rows=[row(head=2), row(head=3)])
    stage.world.say("newest")
    stage.shows(texts(HELLO, "newer", "newest"))
    stage.lives(peer)


@check("12.5", "12-13", level="L1")
def a_new_conversation_by_its_first_event(stage: Stage) -> None:
    """An EVENT of a conversation that was never heard of: it is shown."""
    stage.ready()
    stage.world.append(OTHER, 6, users=[BOB, ME])
    stage.world.say("a new conversation", OTHER)
    stage.shows({2: "a new conversation"}, OTHER)


@check("12.5", "14-2", "12-13", level="L1")
def changes_that_are_put_off(stage: Stage) -> None:
    """CHANGES is answered 5000: the client asks again, after `retry_ms`."""
    times: list[float] = []

    def answer(peer: Peer, question: Frame) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            peer.refuse(question, 5000, retry_ms=400)
        else:
            stage.world.answer(peer, question)

    stage.on("CHANGES", answer)
    stage.live()
    stage.shows({2: HELLO})
    require(times[1] - times[0] >= 0.35, "at least 400 ms", f"{1000 * (times[1] - times[0]):.0f} ms")


@check("12.5", "14-2", "9-10", level="L1")
def a_conversation_that_does_not_exist(stage: Stage) -> None:
    """CHANGES is answered 4002: the conversation leaves the view."""
    peer = stage.ready()
    del stage.world.logs[CONV]
    peer.send("ROWS", rows=[row(head=3)])
    stage.until(lambda: not stage.show(CONV), f"conversation {CONV} is not shown", "it is")
    require(CONV not in stage.ask("list")["conversations"], f"{CONV} not in the list", "it is there")


@check("12.7", "12-23", "12-22", level="L1", must=False)
def an_answer_that_brings_nothing(stage: Stage) -> None:
    """CHANGES_OK ends below what is known to exist: the client waits a second before it asks again."""
    peer = stage.ready()
    stage.on("CHANGES", lambda peer, question: peer.reply(question, upto=2, records=[], more=False))
    peer.send("ROWS", rows=[row(head=3)])
    stage.keep(2.5)
    asked = len([each for each in peer.named("CHANGES") if each["since"] == 2])
    require(asked <= 4, "at most four questions in 2.5 s", f"{asked}")
    stage.until(lambda: len(peer.named("CHANGES")) > 2, "another question, a second later", "none")


@check("12.9", "12-16", level="L1")
def the_race_of_pages_and_a_push(stage: Stage) -> None:
    """The first race of 12.9: an edit is pushed while CHANGES is paged. The message that was edited is not lost."""
    peer = edited_between_pages(stage)
    stage.release("CHANGES")
    second = stage.expect("CHANGES", since=5)
    if second.rid in peer.unanswered:
        stage.world.answer(peer, second)
    stage.shows({2: HELLO, 3: "new text", 4: "message 4", 5: "message 5"})


@check("12.9", "12-16", level="L1")
def the_race_of_pages_and_a_crash(stage: Stage) -> None:
    """The same race, and kill -9 right after the push: the message that was edited is not lost."""
    peer = edited_between_pages(stage)
    stage.acknowledged()
    stage.release("CHANGES")
    stage.restart()
    stage.until_live(peer)
    stage.shows({2: HELLO, 3: "new text", 4: "message 4", 5: "message 5"})


@check("12.7", "12-20", level="L1")
def older_messages(stage: Stage) -> None:
    """After a jump the user asks for older messages: they are shown beside the newer ones, without a hole."""
    log = long_log(stage)
    peer = stage.live()
    stage.until(lambda: stage.show() is not None, f"conversation {CONV} is shown", "it is not")
    for _ in range(2):
        _goes_back(stage, peer, log)
    newest = stage.world.say("the newest")["seq"]

    def wrong() -> list[int]:
        found = _messages(stage)
        wanted = {seq: log.entries[seq]["content"]["data"] for seq in range(max(2, min(found)), newest + 1)}
        return [seq for seq in wanted if found.get(seq) != wanted[seq]]

    stage.until(
        lambda: not wrong(),
        f"messages up to {newest} without a hole",
        lambda: f"these are missing or wrong: {shown(wrong())}",
        every=ASKING_SECONDS,
    )


def _goes_back(stage: Stage, peer: Peer, log: Log) -> None:
    """Its user asks for older messages, and more are shown. Raises Skipped when the client does not jump."""
    before = min(_messages(stage), default=log.head + 1)
    stage.ask("older", conv=CONV)

    def more() -> bool:
        return fetches_everything(peer) or min(_messages(stage), default=log.head + 1) < before

    stage.until(more, f"messages that are older than {before}", "none", every=ASKING_SECONDS)
    if fetches_everything(peer):
        raise Skipped(NO_JUMP)


def _messages(stage: Stage) -> dict[int, str]:
    """The texts of the messages that are shown."""
    return {seq: each["text"] for seq, each in (stage.show() or {}).items() if each.get("kind", MSG) == MSG}


@check("12.9", "12-17", level="L1")
def the_race_of_history_and_a_push(stage: Stage) -> None:
    """The second race of 12.9: a page of HISTORY was read before an edit that was pushed before the page came."""
    target = _history_races(stage, EDIT, content=text("new text"))
    stage.until(
        lambda: (stage.show(CONV) or {}).get(target, {}).get("text") == "new text",
        f"message {target} with its new text",
        lambda: f"{(stage.show(CONV) or {}).get(target)}",
    )


@check("12.9", "12-17", "9-4", level="L1")
def the_race_of_history_and_a_delete(stage: Stage) -> None:
    """The same with a delete: the deleted text does not come back."""
    target = _history_races(stage, DELETE)
    last = stage.world.say("the end")["seq"]
    stage.until(lambda: last in (stage.show(CONV) or {}), "what came after it", "it is not shown")
    stage.until(
        lambda: (stage.show(CONV) or {}).get(target, {"text": None})["text"] is None,
        f"message {target} without text",
        lambda: f"{(stage.show(CONV) or {}).get(target)}",
    )


def _history_races(stage: Stage, kind: int, **fields: Any) -> int:
    """Its user asks for older messages; pages are read, then the last message of the first one changes, and the change
    is pushed before they come. Returns the seq of that message. Raises Skipped when the client does not jump.
    """
    log = long_log(stage)
    peer = stage.live()
    stage.until(lambda: stage.show() is not None, f"conversation {CONV} is shown", "it is not")
    stage.hold("HISTORY")
    stage.ask("older", conv=CONV)
    stage.until(lambda: _unanswered(peer) or fetches_everything(peer), "HISTORY", "none")
    questions = _unanswered(peer)
    if not questions:
        raise Skipped(NO_JUMP)
    pages = [stage.world.history(log, question) for question in questions]
    target: int = pages[0]["records"][-1]["seq"]
    stage.world.append(CONV, kind, ref=target, **fields)
    for question, page in zip(questions, pages, strict=True):
        peer.reply(question, **page)
    stage.release("HISTORY")
    return target


def _unanswered(peer: Peer) -> list[Frame]:
    """The pages that it waits for."""
    return [question for question in peer.named("HISTORY") if question.rid in peer.unanswered]


def fetches_everything(peer: Peer) -> bool:
    """The client does not jump over a long gap, as 12.5 allows: it asks for the beginning."""
    return any(each["conv"] == CONV and each["since"] < JUMP_ENTRIES // 2 for each in peer.named("CHANGES"))


def long_log(stage: Stage) -> Log:
    """So long a conversation that a client may jump to its end."""
    for number in range(JUMP_ENTRIES):
        stage.world.say(f"message {number}", push=False)
    return stage.world.logs[CONV]
