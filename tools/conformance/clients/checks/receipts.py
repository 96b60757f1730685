"""Section 13: watermarks, marking as read, presence and typing."""

from __future__ import annotations

from ...verdict import Failed, require, same
from ..catalogue import check
from ..stage import Stage
from ..world import BOB, CAROL, CONV, HELLO, OTHER

TYPING_SECONDS = 6.0


def _marks(stage: Stage, wanted: dict[int, list[int]]) -> None:
    """Waits until these watermarks are shown, and no others of these users."""
    stage.look("receipts")
    stage.until(
        lambda: {user: stage.look("receipts").get(str(user)) for user in wanted} == wanted,
        f"the client shows the watermarks {wanted} (delivered, read)",
        lambda: f"it shows {stage.look('receipts')}",
    )


@check("13.2", "13-7", level="L1")
def a_receipt(stage: Stage) -> None:
    """What RECEIPT brings is shown."""
    stage.ready()
    stage.world.mark(BOB, 2, 1)
    _marks(stage, {BOB: [2, 1]})


@check("13.1", "13-1", "13-7", level="L1")
def watermarks_never_fall(stage: Stage) -> None:
    """A RECEIPT that comes again after a newer one changes nothing: watermarks are merged by maximum."""
    stage.world.say("two", push=False)
    peer = stage.live()
    stage.shows({2: HELLO, 3: "two"})
    old = stage.world.mark(BOB, 2, 1)
    stage.world.mark(BOB, 3, 2)
    peer.send("RECEIPT", **old)
    stage.world.mark(CAROL, 1, 1)
    _marks(stage, {CAROL: [1, 1], BOB: [3, 2]})


@check("13.1", "13-1", level="L1")
def each_watermark_for_itself(stage: Stage) -> None:
    """Delivered of one RECEIPT and read of another: the larger of each."""
    peer = stage.ready()
    peer.send("RECEIPT", conv=CONV, after=0, upto=1, marks=[{"user": BOB, "delivered": 2, "read": 0}])
    peer.send("RECEIPT", conv=CONV, after=1, upto=2, marks=[{"user": BOB, "delivered": 1, "read": 1}])
    _marks(stage, {BOB: [2, 1]})


@check("13.2", "13-7", "12-13", level="L1")
def a_gap_in_the_receipts(stage: Stage) -> None:
    """`after` above the position: something is missing, and MARKS fetches it."""
    peer = stage.ready()
    stage.world.mark(BOB, 2, 2, push=False)
    receipt = stage.world.mark(CAROL, 1, 1, push=False)
    peer.send("RECEIPT", **receipt)
    stage.expect("MARKS", conv=CONV, since=0)
    _marks(stage, {BOB: [2, 2], CAROL: [1, 1]})


@check("13.2", "13-6", "12-13", level="L1")
def receipts_that_were_missed(stage: Stage) -> None:
    """`rrev` of a row is above the position: MARKS fetches what was missed, from where the client is."""
    peer = stage.ready()
    stage.world.mark(BOB, 1, 1)
    _marks(stage, {BOB: [1, 1]})
    peer.drop()
    stage.pump(0)
    stage.world.mark(BOB, 2, 2, push=False)
    stage.until_live(peer)
    stage.expect("MARKS", conv=CONV, since=1)
    _marks(stage, {BOB: [2, 2]})


@check("13.1", "13-3", "13-5", level="L1")
def marking_as_read(stage: Stage) -> None:
    """What the user has read is told by MARK."""
    stage.ready()
    stage.tell("read", conv=CONV, seq=2)
    stage.expect("MARK", conv=CONV, seq=2)


@check("13.1", "13-5", level="L1")
def a_mark_is_repeated_until_it_is_answered(stage: Stage) -> None:
    """The connection breaks before MARK_OK: MARK is sent again on the next one."""
    peer = stage.ready()
    stage.hold("MARK")
    stage.tell("read", conv=CONV, seq=2)
    stage.expect("MARK", conv=CONV, seq=2)
    peer.drop()
    stage.until_live(peer)
    stage.expect("MARK", conv=CONV, seq=2)


@check("13.1", "13-5", "14-2", level="L1")
def a_mark_that_was_put_off(stage: Stage) -> None:
    """MARK is answered 5000: it is sent again."""
    peer = stage.ready()
    stage.hold("MARK")
    stage.tell("read", conv=CONV, seq=2)
    peer.refuse(stage.expect("MARK"), 5000, retry_ms=50)
    stage.release("MARK")
    stage.expect("MARK", conv=CONV, seq=2)


@check("13.1", "11-15", "13-5", level="L1")
def a_mark_after_a_reset(stage: Stage) -> None:
    """A MARK that waits is dropped by a RESET: its seq may mean another entry."""
    peer = stage.ready()
    stage.hold("MARK")
    stage.tell("read", conv=CONV, seq=2)
    stage.expect("MARK", conv=CONV, seq=2)
    stage.world.put_back()
    peer.drop()
    stage.until_live(peer)
    stage.none("MARK", 1.5)


@check("13.5", "13-15", level="L1")
def presence_is_asked_for_again(stage: Stage) -> None:
    """What a connection watches ends with it: the client asks again on the next one."""
    peer = stage.ready()
    stage.tell("watch", users=[BOB])
    stage.expect("PRESENCE_SUB", users=[BOB])
    peer.drop()
    stage.until_live(peer)
    stage.expect("PRESENCE_SUB", users=[BOB])


@check("13.5", "13-15", "13-19", level="L1")
def presence_is_shown(stage: Stage) -> None:
    """As PRESENCE_SUB_OK says at first, and PRESENCE later."""
    peer = stage.ready()
    stage.tell("watch", users=[BOB, CAROL])
    stage.until(lambda: _online(stage) == [BOB], "Bob online, Carol not", "another picture")
    peer.send(
        "PRESENCE", users=[{"user": BOB, "online": False, "seen": 1763689200000}, {"user": CAROL, "online": True}]
    )
    stage.until(lambda: _online(stage) == [CAROL], "Carol online, Bob not", "another picture")


def _online(stage: Stage) -> list[int]:
    online: list[int] = stage.ask("list", traced=False)["online"]
    return online


def _typing(stage: Stage, wanted: list[int], seconds: float | None = None, conv: int = CONV) -> None:
    stage.until(
        lambda: stage.look("typing", conv) == wanted,
        f"typing in conversation {conv}: {wanted or 'nobody'}",
        lambda: f"{stage.look('typing', conv)}",
        seconds,
    )


@check("13.5", "13-23", "13-22", level="L1")
def typing_begins_and_stops(stage: Stage) -> None:
    """TYPING shows the user as typing in that conversation, until it says that he does not."""
    stage.world.begin(OTHER, "there")
    peer = stage.ready()
    stage.look("typing")
    peer.send("TYPING", conv=CONV, on=True, user=BOB)
    _typing(stage, [BOB])
    _typing(stage, [], conv=OTHER)
    peer.send("TYPING", conv=CONV, on=False, user=BOB)
    _typing(stage, [])


@check("13.5", "13-23", level="L1")
def typing_stops_with_the_message(stage: Stage) -> None:
    """A MSG of that user in that conversation says that he has finished; one of another user does not."""
    peer = stage.ready()
    stage.look("typing")
    peer.send("TYPING", conv=CONV, on=True, user=BOB)
    _typing(stage, [BOB])
    stage.world.say("not his", sender=CAROL)
    stage.shows({2: HELLO, 3: "not his"})
    _typing(stage, [BOB])
    stage.world.say("his")
    _typing(stage, [])


@check("13.5", "13-23", level="L1")
def typing_stops_with_the_connection(stage: Stage) -> None:
    """Nothing is known of it any more when the connection ends."""
    peer = stage.ready()
    stage.look("typing")
    peer.send("TYPING", conv=CONV, on=True, user=BOB)
    _typing(stage, [BOB])
    stage.deafen()
    peer.drop()
    _typing(stage, [], 2.0)


@check("13.5", "13-23", level="L1", slow=True)
def typing_expires(stage: Stage) -> None:
    """Six seconds after the last TYPING it is over."""
    peer = stage.ready()
    stage.look("typing")
    peer.send("TYPING", conv=CONV, on=True, user=BOB)
    over = stage.now() + TYPING_SECONDS
    _typing(stage, [BOB])
    stage.keep(over - 2.0 - stage.now())
    if stage.look("typing") != [BOB] and stage.now() < over:
        raise Failed("typing for six seconds", "less")
    _typing(stage, [], 6.0)


@check("13.1", "12-11", "13-7", level="L1")
def ones_own_watermarks(stage: Stage) -> None:
    """What another device of the user has read comes as a RECEIPT, and is merged like all others."""
    peer = stage.ready()
    stage.world.mark(7, 2, 2)
    stage.acknowledged()
    stage.lives(peer)
    same(stage.world.logs[CONV].rrev >= 1, True, "a receipt was sent")
    require(peer.ended is None, "the connection lives", "the client closed it")
