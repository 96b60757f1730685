"""Section 12: counted pushes, acknowledgements, and what survives kill -9."""

from __future__ import annotations

import time

from ...decoder import Frame
from ...verdict import Failed, Skipped, require, same
from ..catalogue import check
from ..peer import Peer
from ..stage import Stage, texts
from ..world import BOB, CONV, DIGEST, EDIT, HELLO, ME, MSG, text
from .resume import NO_JUMP, edited_between_pages, fetches_everything, long_log, row

PUSHED_SECONDS = 1.0
SLACK_SECONDS = 1.5


@check("12.2", "12-3", must=False)
def an_ack_within_a_second(stage: Stage) -> None:
    """At the latest a second after the last push everything is acknowledged."""
    peer = stage.live()
    stage.world.say("one")
    stage.world.say("two")
    pushed = time.monotonic()
    stage.acknowledged()
    late = peer.times[peer.frames.index(peer.acks[-1])] - pushed
    require(late <= PUSHED_SECONDS + SLACK_SECONDS, "ACK 2 within a second", f"{late:.1f} s")


@check("12.2", "12-3", must=False)
def an_ack_at_half_the_window(stage: Stage) -> None:
    """Whenever half the window is unacknowledged an ACK comes, without waiting for the second to be over."""
    peer = stage.live()
    half = max(1, peer.window // 2)
    if half > 100:
        raise Skipped("the window is large")
    needed = []
    for _ in range(3):  # once is enough: a machine may be busy, and who waits always does
        began = time.monotonic()
        for number in range(3 * half):
            stage.world.say(f"message {number}")
            if (number + 1) % half == 0:
                stage.acknowledged()
        needed.append(time.monotonic() - began)
        if needed[-1] < 1.8 * PUSHED_SECONDS:
            return
    raise Failed("three ACKs that do not wait for a second each", f"{min(needed):.1f} s for three")


@check("12.2", "12-2", "12-4")
def the_count_begins_anew(stage: Stage) -> None:
    """On each connection the first counted push is number 1."""
    peer = stage.live()
    for number in range(5):
        stage.world.say(f"message {number}")
    stage.acknowledged()
    peer.drop()
    peer = stage.until_live(peer)
    stage.world.say("the first here")
    stage.acknowledged(1)
    same(peer.acked, 1, "n of the ACK")


@check("12.2", "12-2", "12-3")
def every_counted_push_is_counted(stage: Stage) -> None:
    """EVENT, RECEIPT, ROWS and unknown ones; TYPING, PRESENCE and PONG are none."""
    peer = stage.live()
    stage.world.say("one")
    stage.world.mark(BOB, 2, 0)
    peer.send("ROWS", rows=[row(head=3)])
    peer.items(27, 1)
    peer.send("TYPING", conv=CONV, on=True, user=BOB)
    peer.send("PRESENCE", users=[{"user": BOB, "online": True}])
    stage.world.say("two")
    stage.acknowledged()
    stage.lives(peer)


@check("12.6", "12-18", "12-7", level="L1")
def what_was_acknowledged_is_there(stage: Stage) -> None:
    """Kill -9 right after the ACK: without any answer from the server everything acknowledged is shown."""
    peer = stage.ready()
    for number in range(5):
        stage.world.say(f"message {number}")
    stage.world.append(CONV, EDIT, content=text("hello again"), ref=2)
    stage.acknowledged()
    stage.kill()
    _comes_with_nothing_new(stage, peer)
    stage.shows({2: "hello again", **{3 + number: f"message {number}" for number in range(5)}})


@check("12.6", "12-18", "12-7", level="L1")
def killed_at_any_moment(stage: Stage) -> None:
    """Four kills in the middle of pushes: each time at least what was acknowledged is there, and in the end all is."""
    stage.ready()
    said = {2: HELLO}
    for life in range(4):
        peer = stage.peer
        for number in range(6):
            entry = stage.world.say(f"life {life}, message {number}")
            said[entry["seq"]] = entry["content"]["data"]
            stage.keep(0.005 * life)
        stage.keep(0.4 * (life % 3))
        delivered = stage.world.delivered()
        stage.restart()
        stage.until_live(peer)
        require(stage.world.delivered() >= delivered, "a watermark that stays", "one that fell")
    stage.shows(said)


def _comes_with_nothing_new(stage: Stage, peer: Peer) -> None:
    """The client starts again; to the token it presents there is nothing new, and nothing else is answered."""

    def nothing(peer: Peer, sync: Frame) -> None:
        if sync["token"] is None:
            stage.world.digest(peer, sync)
            return
        stage.world.go_live(peer)
        peer.reply(sync, mode=DIGEST, rows=[], token=sync["token"])

    stage.on("SYNC", nothing)
    stage.start()
    again = stage.until_live(peer)
    if again.named("SYNC")[0]["token"] is not None:
        stage.hold("CHANGES", "HISTORY", "RECORDS")


@check("12.6", "12-14", "12-15", "12-7", level="L1")
def the_token_waits_for_the_evidence(stage: Stage) -> None:
    """Kill -9 between SYNC_OK and the answer to CHANGES: if the client presents its token, it asks again by itself."""
    stage.hold("CHANGES")
    peer = stage.live()
    stage.expect("CHANGES")
    stage.keep(0.2)
    stage.release("CHANGES")
    stage.kill()
    _evidence_is_known(stage, peer)
    stage.shows({2: HELLO})


@check("12.6", "12-15", "12-14", level="L1")
def a_gap_outlives_the_process(stage: Stage) -> None:
    """ROWS with a token tell of entry 3; kill -9 before it is fetched. Later evidence is not needed to fetch it."""
    peer = stage.ready()
    stage.keep(0.3)
    stage.hold("CHANGES")
    stage.world.say("must not be lost", push=False)
    peer.send("ROWS", rows=[row(head=3)], token=stage.world.token())
    stage.acknowledged()
    stage.release("CHANGES")
    stage.kill()
    _evidence_is_known(stage, peer)
    stage.shows(texts(HELLO, "must not be lost"))


@check("12.6", "12-15", level="L1")
def a_gap_in_the_receipts_outlives_the_process(stage: Stage) -> None:
    """The same for watermarks: RECEIPT from 1 to 2 shows that 1 is missing; kill -9; MARKS fetches both."""
    peer = stage.ready()
    stage.keep(0.3)
    stage.hold("MARKS")
    stage.world.mark(BOB, 1, 1, push=False)
    receipt = stage.world.mark(BOB, 2, 2, push=False)
    peer.send("RECEIPT", **receipt)
    peer.send("ROWS", rows=[], token=stage.world.token())
    stage.acknowledged()
    stage.release("MARKS")
    stage.kill()
    _evidence_is_known(stage, peer)
    stage.until(lambda: stage.look("receipts").get(str(BOB)) == [2, 2], "watermarks [2, 2] of Bob", "others")


def _evidence_is_known(stage: Stage, peer: Peer) -> None:
    """The client starts again; to the token it presents there is nothing new, and questions are answered."""

    def nothing(peer: Peer, sync: Frame) -> None:
        if sync["token"] is None:
            stage.world.digest(peer, sync)
            return
        stage.world.go_live(peer)
        peer.reply(sync, mode=DIGEST, rows=[], token=sync["token"])

    stage.on("SYNC", nothing)
    stage.start()
    stage.until_live(peer)


@check("12.8", "12-25", "12-24", level="L1")
def what_lies_behind_a_gap_is_not_delivered(stage: Stage) -> None:
    """EVENT 4 is acknowledged while 3 is missing: the ACK lists the conversation, and nothing above 2 is delivered."""
    peer = stage.ready()
    stage.hold("CHANGES")
    stage.world.say("missing", push=False)
    entry = stage.world.say("pushed", push=False)
    peer.send("EVENT", **entry)
    stage.acknowledged()
    require(stage.world.delivered() <= 2, "delivered at most 2", f"delivered {stage.world.delivered()}")
    stage.release("CHANGES")
    for question in peer.named("CHANGES"):
        if question.rid in peer.unanswered:
            stage.world.answer(peer, question)
    stage.shows(texts(HELLO, "missing", "pushed"))


@check("12.8", "12-25", level="L1")
def pages_that_are_missing_are_not_delivered(stage: Stage) -> None:
    """A push while CHANGES is paged: the ACK that covers it claims nothing of the conversation."""
    edited_between_pages(stage)
    stage.acknowledged()
    require(stage.world.delivered() == 0, "nothing delivered", f"delivered {stage.world.delivered()}")


@check("12.8", "12-26", level="L1", must=False)
def what_was_fetched_is_reported(stage: Stage) -> None:
    """A position that moved by CHANGES is listed in an ACK, so that senders see it as delivered."""
    stage.ready()
    stage.until(lambda: stage.world.delivered() == 2, "delivered 2", lambda: f"delivered {stage.world.delivered()}")


@check("12.8", "12-26", level="L1", must=False)
def a_watermark_that_was_lost_is_reported_again(stage: Stage) -> None:
    """After SYNC the client lists a conversation whose watermark in the row is below what it holds."""
    peer = stage.ready()
    stage.until(lambda: stage.world.delivered() == 2, "delivered 2", lambda: f"delivered {stage.world.delivered()}")
    stage.keep(0.3)
    log = stage.world.logs[CONV]
    peer.drop()
    stage.hold("SYNC")
    other = stage.next_peer(peer)
    sync = stage.expect("SYNC")
    if any(mark[0] for user, mark in log.marks.items() if user == ME):
        log.marks[ME] = (0, 0)
    stage.world.go_live(other)
    other.reply(sync, mode=DIGEST, rows=[row()], token=stage.world.token())
    if stage.look("receipts").get(str(ME), [0, 0])[0]:
        raise Skipped("the client knows the watermark from elsewhere")
    stage.until(lambda: stage.world.delivered() == 2, "delivered 2 again", lambda: f"{stage.world.delivered()}")


@check("12.8", "12-25", level="L1")
def what_was_jumped_over_is_not_delivered(stage: Stage) -> None:
    """A client that jumps over a long gap claims nothing of it, until its user marks it as read."""
    log = long_log(stage)
    peer = stage.live()
    stage.keep(1.0)
    if fetches_everything(peer):
        raise Skipped(NO_JUMP)
    stage.world.say("after the jump")
    stage.until(lambda: log.head in (stage.show() or {}), "what came after the jump", "it is not shown")
    stage.acknowledged()
    require(stage.world.delivered() == 0, "nothing delivered", f"delivered {stage.world.delivered()}")


@check("12.5", "12-13", level="L1")
def what_was_asked_before_a_jump(stage: Stage) -> None:
    """An answer to CHANGES that was asked before a jump is dropped: it would bring what nobody keeps up to date."""
    peer = stage.ready()
    stage.hold("CHANGES")
    stage.world.say("asked for", push=False)
    peer.send("ROWS", rows=[row(head=3)])
    question = stage.expect("CHANGES", since=2)
    log = long_log(stage)
    answer = stage.world.changes(log, 2, 2)
    peer.send("ROWS", rows=[row(head=log.head)])
    stage.keep(0.5)
    if stage.show():
        raise Skipped(NO_JUMP)
    peer.reply(question, **answer)
    stage.release("CHANGES")
    stage.world.say("after it")
    stage.until(lambda: log.head in (stage.show() or {}), "what came after the jump", "it is not shown")
    old = [seq for seq in stage.show() or {} if seq <= 4]
    require(not old, "nothing of what was asked for before the jump", f"messages {old}")


@check("12.8", "12-27", level="L1")
def many_conversations_in_one_ack(stage: Stage) -> None:
    """Three hundred conversations are fetched at once: no ACK lists more than 256, and all of them are reported."""
    for conv in range(1000, 1300):
        stage.world.begin(conv, "one of many")
    peer = stage.live()
    stage.until(
        lambda: all(stage.world.delivered(conv) == 2 for conv in range(1000, 1300)) or peer.ended,
        "delivered 2 in all of them",
        lambda: f"in {sum(stage.world.delivered(conv) == 2 for conv in range(1000, 1300))} of 300",
        30,
    )
    require(peer.ended is None, "the connection lives", "the client closed it")


@check("7.1", "7-2", "12-6", level="L1")
def a_window_is_told(stage: Stage) -> None:
    """HELLO names a window, or leaves it at 64; STATE may change it. More is never pushed."""
    peer = stage.live()
    require(0 <= peer.window <= 1024, "a window from 0 to 1024", f"{peer.window}")
    if peer.window == 0:
        raise Failed("pushes that the client takes", "a window of 0")
    stage.world.append(CONV, MSG, content=text("one"))
    stage.acknowledged()
