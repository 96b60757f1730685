"""Section 15, and what 14 says of connections: going away, coming back, and how long to wait."""

from __future__ import annotations

import itertools

from ...verdict import require
from ..catalogue import check
from ..peer import Peer
from ..stage import Stage, spread, texts
from ..world import CONV, HELLO

FIRST_SECONDS = 0.5
SLACK_SECONDS = 1.5
ATTEMPTS_MAX = 12


def _waited(stage: Stage, before: Peer) -> float:
    """Seconds from the end of a connection to the next one."""
    after = stage.next_peer(before)
    assert before.ended is not None
    return after.began - before.ended


@check("15.2", "15-3", "7-9")
def the_client_comes_back(stage: Stage) -> None:
    """After a broken connection it connects again by itself, and is LIVE again."""
    peer = stage.live()
    waited_most = FIRST_SECONDS + SLACK_SECONDS
    peer.drop()
    waited = _waited(stage, peer)
    require(waited <= waited_most, f"another connection within {FIRST_SECONDS} s", f"after {waited:.1f} s")
    stage.until_live(peer)


@check("15.2", "15-3")
def a_server_that_hangs_up(stage: Stage) -> None:
    """Every connection is closed at once: the client does not try without a pause, but more and more rarely."""
    stage.on("HELLO", lambda peer, hello: peer.drop())
    stage.start()
    stage.next_peer()
    stage.keep(4.0)
    attempts = len(stage.peers)
    require(2 <= attempts <= ATTEMPTS_MAX, f"2 to {ATTEMPTS_MAX} connections in 4 s", f"{attempts}")


@check("15.2", "15-3")
def a_server_that_is_not_there(stage: Stage) -> None:
    """Nobody listens for a while: the client is back soon after somebody does."""
    peer = stage.live()
    stage.deafen()
    peer.drop()
    stage.keep(1.5)
    stage.listen()
    stage.until_live(peer)


@check("15.2", "15-3", slow=True)
def the_pause_is_random(stage: Stage) -> None:
    """Before attempt k the client waits a random part of 0.5 s * 2^(k - 1): no two fleets keep step."""
    stage.on("HELLO", lambda peer, hello: peer.drop())
    stage.start()
    stage.until(lambda: len(stage.peers) > 5 and stage.peers[5].ended, "six connections", "fewer", 20)
    parts = []
    for number, (before, after) in enumerate(itertools.pairwise(stage.peers[:6])):
        assert before.ended is not None
        ceiling = FIRST_SECONDS * 2**number
        waited = after.began - before.ended
        told = f"at most {ceiling} s before attempt {number + 1}"
        require(waited <= ceiling + SLACK_SECONDS, told, f"{waited:.1f} s")
        parts.append(waited / ceiling)
    require(spread(parts[1:]) > 0.1, "random parts of the ceiling", [round(part, 2) for part in parts])


@check("15.2", "15-4", "14-2")
def retry_ms_is_waited_for(stage: Stage) -> None:
    """ERROR without rid with `retry_ms` 1200: no connection before that."""
    peer = stage.live()
    peer.fail(1009, retry_ms=1200)
    stage.ended(peer)
    waited = _waited(stage, peer)
    require(1.15 <= waited <= 1.2 + FIRST_SECONDS + SLACK_SECONDS, "1.2 s, and at most 0.5 s more", f"{waited:.1f} s")
    stage.until_live(peer)


@check("14.1", "14-1", "14-2", "15-3")
def a_fatal_error(stage: Stage) -> None:
    """ERROR 1002 without rid: the connection is over; the client comes back as after any other end."""
    peer = stage.live()
    peer.fail(1002)
    stage.ended(peer)
    stage.until_live(peer)


@check("14.1", "14-2", "5-1")
def an_unknown_fatal_error(stage: Stage) -> None:
    """ERROR 1999 without rid is as any 1xxx."""
    peer = stage.live()
    peer.fail(1999, message="3000 2003 2007")
    stage.ended(peer)
    stage.until_live(peer)


@check("14.1", "14-2", "5-1")
def an_unknown_class_without_rid(stage: Stage) -> None:
    """ERROR 9000 without rid is as 1xxx: the client comes back."""
    peer = stage.live()
    peer.fail(9000)
    stage.until_live(peer)


@check("15.1", "15-2")
def going_away(stage: Stage) -> None:
    """GOAWAY with `after_ms` 900: the client closes, and does not come back before that."""
    peer = stage.live()
    stage.keep(0.3)
    peer.send("GOAWAY", code=1, after_ms=900, jitter_ms=300)
    sent = stage.now()
    stage.ended(peer)
    waited = stage.next_peer(peer).began - sent
    require(0.85 <= waited <= 1.2 + SLACK_SECONDS, "from 0.9 s to 1.2 s after GOAWAY", f"{waited:.2f} s")
    stage.until_live(peer)


@check("15.1", "15-2", "4-18")
def going_away_for_an_unknown_reason(stage: Stage) -> None:
    """GOAWAY with code 77 is like every other."""
    peer = stage.live()
    peer.send("GOAWAY", code=77, after_ms=300, jitter_ms=0, message="because")
    sent = stage.now()
    stage.ended(peer)
    waited = stage.next_peer(peer).began - sent
    require(waited >= 0.25, "0.3 s after GOAWAY", f"{waited:.2f} s")
    stage.until_live(peer)


@check("15.1", "15-2")
def the_jitter_is_random(stage: Stage) -> None:
    """GOAWAY with `jitter_ms` 800, five times: none waits longer, not all wait for long, and not all come at once."""
    jitter = 0.8
    peer = stage.live()
    waits = []
    for _ in range(5):
        peer.send("GOAWAY", code=1, after_ms=0, jitter_ms=int(1000 * jitter))
        sent = stage.now()
        stage.ended(peer)
        waits.append(stage.next_peer(peer).began - sent)
        peer = stage.until_live(peer)
    told = [round(wait, 2) for wait in waits]
    require(max(waits) <= jitter + SLACK_SECONDS, "at most 0.8 s", told)
    require(min(waits) <= 0.95 * jitter, "a random part of 0.8 s", told)
    require(max(waits) >= 0.1 * jitter, "a random part of 0.8 s", told)


@check("15.1", "15-2", "12-3", must=False)
def an_ack_before_going(stage: Stage) -> None:
    """After GOAWAY the client acknowledges what it has stored, and then closes."""
    peer = stage.live()
    stage.world.say("just before")
    peer.send("GOAWAY", code=1, after_ms=200, jitter_ms=100)
    stage.ended(peer)
    require(peer.acked == 1, "ACK 1 before the end", f"ACK {peer.acked}" if peer.acks else "none")


@check("15.1", "15-2", must=False)
def nothing_new_after_goaway(stage: Stage) -> None:
    """What was asked is still answered, and the client waits for it; new messages wait for the next connection."""
    peer = stage.live()
    stage.hold("SEND")
    first = stage.tell("send", conv=CONV, text="before")
    send = stage.expect("SEND")
    peer.send("GOAWAY", code=1, after_ms=300, jitter_ms=100)
    stage.keep(0.2)
    second = stage.tell("send", conv=CONV, text="after")
    stage.keep(0.4)
    require(len(peer.named("SEND")) == 1, "no new request after GOAWAY", "a SEND")
    require(peer.ended is None, "the client waits for its answer", "it closed")
    stage.release("SEND")
    stage.world.answer(peer, send)
    require("sent" in stage.outcome(first), "the first message is sent", "it is not")
    require("sent" in stage.outcome(second), "the second message is sent", "it is not")
    require(len(stage.peers) > 1, "the second message on another connection", "on the old one")


@check("15.1", "15-2", "14-2")
def refused_while_draining(stage: Stage) -> None:
    """5003: surely not executed; after the next login the message goes out."""
    peer = stage.live()
    stage.hold("SEND")
    number = stage.tell("send", conv=CONV, text="too late")
    send = stage.expect("SEND")
    peer.send("GOAWAY", code=1, after_ms=200, jitter_ms=100)
    peer.refuse(send, 5003)
    stage.release("SEND")
    require("sent" in stage.outcome(number), "the message is sent", "it is not")
    require(len(stage.peers) > 1, "on another connection", "on the old one")


@check("15.2", "15-3", "12-13", level="L1")
def again_and_again(stage: Stage) -> None:
    """Four connections that break after a message each: in the end all is there, once."""
    peer = stage.ready()
    words = [HELLO]
    for number in range(4):
        words.append(f"message {number}")
        stage.world.say(words[-1])
        peer.drop()
        peer = stage.until_live(peer)
    stage.shows(texts(*words))
