"""Section 7: heartbeat, limits, order, and being replaced."""

from __future__ import annotations

import itertools
import time

from ...verdict import require, same
from ..catalogue import check
from ..stage import Stage, texts
from ..world import CONV, HELLO

HEARTBEAT_MS = 1000
SLACK_SECONDS = 1.4
STAYS_AWAY_SECONDS = 2.5


@check("7.4", "7-12")
def pings_are_answered(stage: Stage) -> None:
    """With the same number, once each, without a time and without a token."""
    peer = stage.live()
    for t in (0, 1, 2**53 - 1):
        peer.send("PING", t=t)
        pong = stage.expect("PONG", t=t)
        require(pong["now"] is None and pong["token"] is None, "no now and no token from a client", pong.fields)


@check("7.4", "7-12")
def a_ping_before_the_login(stage: Stage) -> None:
    """A PING right after WELCOME is answered too."""
    stage.hold("AUTH")
    stage.start()
    auth = stage.expect("AUTH")
    stage.peer.send("PING", t=5)
    stage.keep(0.1)
    stage.world.answer(stage.peer, auth)
    stage.expect("PONG", t=5)


@check("7.4", "7-11")
def a_sign_of_life_in_time(stage: Stage) -> None:
    """With a heartbeat of one second some frame comes every second."""
    stage.limits["heartbeat_ms"] = HEARTBEAT_MS
    peer = stage.live()
    stage.keep(3.5, lambda: peer.ended is not None)
    require(peer.ended is None, "a connection that lives", "the client closed it")
    times = [*peer.times[1:], time.monotonic()]
    longest = max(after - before for before, after in itertools.pairwise(times))
    allowed = HEARTBEAT_MS / 1000 + SLACK_SECONDS
    require(longest <= allowed, f"a frame every {HEARTBEAT_MS} ms", f"none for {longest:.1f} s")


@check("7.4", "7-15", must=False)
def a_silent_server(stage: Stage) -> None:
    """The client's PING is not answered, nor anything else: it gives the connection up and makes another."""
    stage.limits["heartbeat_ms"] = HEARTBEAT_MS
    peer = stage.live()
    stage.hold("PING")
    stage.expect("PING")
    stage.ended(peer, 6 * HEARTBEAT_MS / 1000)
    stage.release("PING")
    stage.until_live(peer)


@check("7.4", "7-12", "7-15", must=False)
def a_server_that_only_answers(stage: Stage) -> None:
    """PONG is a sign of life: the connection stays, however long nothing else comes."""
    stage.limits["heartbeat_ms"] = 3 * HEARTBEAT_MS // 2
    peer = stage.live()
    stage.keep(3 * stage.limits["heartbeat_ms"] / 1000, lambda: peer.ended is not None)
    require(peer.ended is None, "the connection stays", "the client closed it")


@check("7.2", "7-7")
def limits_hold_for_one_connection(stage: Stage) -> None:
    """The second connection has a shorter heartbeat than the first: the client keeps it."""
    peer = stage.live()
    stage.limits["heartbeat_ms"] = HEARTBEAT_MS
    peer.drop()
    stage.until_live(peer)
    stage.expect("PING", seconds=3 * HEARTBEAT_MS / 1000)


@check("7.5", "7-16", "7-7", level="L1")
def two_requests_at_a_time(stage: Stage) -> None:
    """With `inflight` 2 never more than two requests are unanswered, however much there is to fetch."""
    stage.limits["inflight"] = 2
    convs = range(310, 318)
    for conv in convs:
        stage.world.begin(conv, "one of many")
    stage.hold("CHANGES")
    peer = stage.live()
    answered = 0

    def reached() -> bool:
        nonlocal answered
        while answered < len(questions := peer.named("CHANGES")):
            stage.keep(0.05)
            stage.world.answer(peer, questions[answered])
            answered += 1
        return all(2 in (stage.show(conv) or {}) for conv in convs)

    stage.until(
        reached, f"messages in {len(convs)} conversations", lambda: f"{answered} CHANGES answered, not all shown"
    )
    for conv in convs:
        stage.shows({2: "one of many"}, conv)


@check("7.6", "7-19", level="L1")
def a_reply_before_a_push(stage: Stage) -> None:
    """SEND_OK for seq 3 and EVENT 4 in one write: both are applied, in this order, and nothing is fetched."""
    peer = stage.ready()
    asked = len(peer.named("CHANGES"))
    stage.hold("SEND")
    stage.tell("send", conv=CONV, text="mine")
    send = stage.expect("SEND")
    seq, ts, _ = stage.world.accept(send)
    later = stage.world.say("after mine", push=False)
    peer.send_bodies(peer.reply_body(send, seq=seq, ts=ts), peer.body("EVENT", **later))
    stage.shows(texts(HELLO, "mine", "after mine"))
    same(len(peer.named("CHANGES")) - asked, 0, "CHANGES, for nothing has to be fetched,")


@check("7.6", "7-19", level="L1")
def a_push_before_a_reply(stage: Stage) -> None:
    """EVENT 3 and SEND_OK for seq 4 in one write: both are applied, in this order, and nothing is fetched."""
    peer = stage.ready()
    asked = len(peer.named("CHANGES"))
    stage.hold("SEND")
    stage.tell("send", conv=CONV, text="mine")
    send = stage.expect("SEND")
    before = stage.world.say("before mine", push=False)
    seq, ts, _ = stage.world.accept(send)
    peer.send_bodies(peer.body("EVENT", **before), peer.reply_body(send, seq=seq, ts=ts))
    stage.shows(texts(HELLO, "before mine", "mine"))
    same(len(peer.named("CHANGES")) - asked, 0, "CHANGES, for nothing has to be fetched,")


@check("7.3", "7-8", "7-23", "15-5")
def the_last_words_of_a_server(stage: Stage) -> None:
    """SYNC_OK, PINGs, ERROR 2007 and the end come together: the client has much to send, but it reads the end first."""
    stage.hold("SYNC")
    stage.start()
    sync = stage.expect("SYNC")
    peer = stage.peer
    mode, rows = stage.world.rows(peer, None)
    first = peer.reply_body(sync, mode=mode, rows=rows, token=stage.world.token())
    peer.send_bodies(first, *[peer.body("PING", t=t) for t in range(20)], peer.body("ERROR", code=2007))
    peer.finish(2007)
    stage.no_other(STAYS_AWAY_SECONDS, "after 2007")


@check("7.7", "7-23", "15-5")
def replaced(stage: Stage) -> None:
    """After ERROR 2007 the client does not come back by itself."""
    peer = stage.live()
    peer.fail(2007)
    stage.no_other(STAYS_AWAY_SECONDS, "after 2007")


@check("7.7", "7-28", "7-23", "15-5")
def replaced_by_itself(stage: Stage) -> None:
    """The first AUTH is never answered, the next session gets ERROR 2007: the client may come back, but only once."""
    stage.hold("AUTH")
    stage.start()
    stage.expect("AUTH")
    lost = stage.peer
    lost.drop()
    stage.release("AUTH")
    peer = stage.until_live(lost)
    peer.fail(2007)
    stage.keep(STAYS_AWAY_SECONDS, lambda: stage.peer is not peer)
    if stage.peer is not peer:
        stage.until_live(peer).fail(2007)
    stage.no_other(STAYS_AWAY_SECONDS, "after the last 2007")
