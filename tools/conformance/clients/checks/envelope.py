"""Sections 4, 5 and 6: what a client does with what it does not know, and with what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

from ...decoder import protocol_folder
from ...msgpack import pack, unpack
from ...verdict import Skipped, require
from ..catalogue import check
from ..peer import Peer
from ..stage import Stage
from ..world import BOB, CONV, HELLO, MSG, OTHER

QUIET_SECONDS = 1.0
STAYS_AWAY_SECONDS = 2.5


@check("4.2", "4-5", "4-6")
def replies_in_any_order(stage: Stage) -> None:
    """Two messages to two conversations are answered the last one first; each answer goes to its own."""
    stage.world.begin(OTHER, "there")
    stage.live()
    stage.hold("SEND")
    first = stage.tell("send", conv=CONV, text="first")
    second = stage.tell("send", conv=OTHER, text="second")
    sends = [stage.expect("SEND", conv=CONV)]
    stage.keep(0.5, lambda: len(stage.peer.named("SEND")) > 1)
    if len(stage.peer.named("SEND")) < 2:
        raise Skipped("the client sends one message at a time")
    sends.append(stage.expect("SEND", conv=OTHER))
    for frame, seq in zip(reversed(sends), (30, 3), strict=True):
        stage.peer.reply(frame, seq=seq, ts=1763689200100)
    require(stage.outcome(second).get("seq", 30) == 30, "seq 30 for the second", "another")
    require(stage.outcome(first).get("seq", 3) == 3, "seq 3 for the first", "another")


def _dressed(stage: Stage, dress: Callable[[bytes], bytes]) -> None:
    """A whole session in which every frame of the server is dressed."""
    stage.dress = dress
    stage.live()
    stage.world.say("dressed")
    stage.acknowledged()
    if stage.subject.driven:
        number = stage.tell("send", conv=CONV, text="mine")
        require("sent" in stage.outcome(number), "the message is sent", "it is not")


def _full(stage: Stage, body: bytes) -> list[object]:
    """The elements of a frame, none left out at the end."""
    items: list[object] = list(unpack(body))
    known = stage.schema.by_code[int(str(items[0]))]
    return items + [None] * (len(known.layout.fields) + (2 if known.has_rid else 1) - len(items))


@check("4.3", "4-10")
def fields_of_later_versions(stage: Stage) -> None:
    """Every frame of the server has two fields more than the client can know: they are ignored."""
    _dressed(stage, lambda body: pack([*_full(stage, body), "later", [1, "more"]]))


@check("4.3", "4-7", "4-8")
def nils_that_were_not_dropped(stage: Stage) -> None:
    """Every frame of the server has all its absent fields as nil: that means the same."""
    _dressed(stage, lambda body: pack(_full(stage, body)))


@check("4.4", "4-13", "6-5")
def odd_extras(stage: Stage) -> None:
    """Every frame of the server has extras with odd keys: they are ignored."""
    _dressed(stage, lambda body: pack([*unpack(body), {27: 1, 89: [1, "grease", b"x"], 100001: None}]))


@check("4.5", "4-15")
def structs_grow(stage: Stage) -> None:
    """Limits, rows and contents with more elements than the client can know: they are ignored."""

    def grown(body: bytes) -> bytes:
        items = unpack(body)
        name = stage.schema.by_code[items[0]].layout.name
        place = {"WELCOME": 6, "EVENT": 6, "SYNC_OK": 3}.get(name)
        if name == "SYNC_OK":
            items[3] = [[*row, *[None] * (7 - len(row)), 5, "later"] for row in items[3]]
        elif place is not None and isinstance(items[place], list):
            items[place] = [*items[place], 5, "later"]
        return pack(items)

    _dressed(stage, grown)


@check("4.4", "4-14", "5-1")
def an_even_extra_in_a_push(stage: Stage) -> None:
    """An EVENT with an even key in its extras cannot be understood: the client closes the connection."""
    peer = stage.live()
    entry = stage.world.say("critical", push=False)
    peer.items(16, *(entry[name] for name in ("conv", "seq", "ts", "sender", "kind")), [1, "critical"], {2: 1})
    stage.ended(peer)


@check("4.4", "4-14", "5-1")
def an_even_extra_in_a_reply(stage: Stage) -> None:
    """A SEND_OK with an even key: that request has failed as with 3005, and nothing else."""
    peer = stage.live()
    stage.hold("SEND")
    number = stage.tell("send", conv=CONV, text="critical")
    peer.reply_items(stage.expect("SEND"), 3, 1763689200100, {2: 1})
    stage.fails(number)
    stage.none("SEND", QUIET_SECONDS)
    stage.lives(peer)


@check("4.6", "4-20", "5-1")
def a_wrong_field_in_a_push(stage: Stage) -> None:
    """An EVENT whose seq is text: the client closes the connection and comes back."""
    peer = stage.live()
    peer.items(16, CONV, "three", 1763689200100, BOB, MSG, [1, "wrong"])
    stage.ended(peer)
    stage.until_live(peer)


@check("4.6", "4-9", "4-20")
def a_push_without_a_required_field(stage: Stage) -> None:
    """An EVENT that ends after its time: the client closes the connection and comes back."""
    peer = stage.live()
    peer.items(16, CONV, 3, 1763689200100)
    stage.ended(peer)
    stage.until_live(peer)


@check("4.6", "4-20", "5-1")
def a_wrong_field_in_a_reply(stage: Stage) -> None:
    """A SEND_OK whose seq is text: that request has failed as with 3000, and the connection lives."""
    peer = stage.live()
    stage.hold("SEND")
    number = stage.tell("send", conv=CONV, text="wrong")
    peer.reply_items(stage.expect("SEND"), "three", 1763689200100)
    stage.fails(number)
    stage.none("SEND", QUIET_SECONDS)
    stage.lives(peer)


@check("5.2", "5-1", "5-2", "6-5")
def unknown_pushes(stage: Stage) -> None:
    """All vectors of frames that nobody knows: the counted ones count, the others do not, and the connection lives."""
    peer = stage.live()
    vectors = json.loads((protocol_folder() / "vectors" / "lenient" / "unknown.json").read_text("utf-8"))
    for vector in vectors:
        if vector["from"] == "server":
            peer.pushes += [None] if vector["expect"]["counted"] else []
            peer.send_bodies(bytes.fromhex(vector["hex"]))
    stage.world.say("after all that")
    stage.acknowledged()
    stage.lives(peer)


@check("5.1", "5-2")
def every_counted_range(stage: Stage) -> None:
    """Codes at both ends of the counted ranges: reserved ones, those of feature blocks and of vendors."""
    peer = stage.live()
    for code in (19, 31, 256 + 32, 256 + 47, 32767 - 16, 32768 + 32, 65535 - 16):
        peer.items(code, 1, "what is it")
    stage.acknowledged()


@check("5.1", "5-1")
def every_ephemeral_range(stage: Stage) -> None:
    """Codes at both ends of the ephemeral ranges, and requests and replies: none of them counts."""
    peer = stage.live()
    for code in (34, 47, 256 + 48, 256 + 63, 32767, 32768 + 48, 65535, 122, 126, 127, 128, 256, 257, 32768 + 31):
        peer.items(code, 1, "what is it")
    stage.world.say("counts")
    stage.acknowledged(1)
    stage.lives(peer)


@check("5.2", "5-1")
def an_unknown_control_frame(stage: Stage) -> None:
    """Code 15: the client closes the connection, and comes back."""
    peer = stage.live()
    peer.items(15, 1)
    stage.ended(peer)
    stage.until_live(peer)


@check("5.1", "5-1")
def code_zero(stage: Stage) -> None:
    """No frame has the code 0: the client closes the connection."""
    peer = stage.live()
    peer.items(0, 1)
    stage.ended(peer)


@check("5.2", "5-1")
def a_control_frame_from_the_wrong_side(stage: Stage) -> None:
    """An ACK from a server is as an unknown control frame: the client closes the connection."""
    peer = stage.live()
    peer.items(5, 0)
    stage.ended(peer)


@check("5.2", "5-1")
def a_request_from_the_wrong_side(stage: Stage) -> None:
    """A SEND from a server is as an unknown request: ignored."""
    peer = stage.live()
    peer.items(54, 1, CONV, bytes(8), MSG, [1, "from the server"])
    stage.lives(peer)


@check("5.2", "5-1")
def a_push_before_the_digest(stage: Stage) -> None:
    """An EVENT before SYNC_OK breaks the protocol: the client closes the connection, and comes back."""
    stage.hold("SYNC")
    stage.start()
    stage.expect("SYNC")
    peer = stage.peer
    stage.release("SYNC")
    entry = stage.world.logs[CONV].entries[2]
    peer.send("EVENT", **entry)
    stage.ended(peer)
    stage.until_live(peer)


@check("5.2", "5-1")
def answers_to_nothing(stage: Stage) -> None:
    """A reply and an ERROR with rids that are not outstanding are ignored."""
    peer = stage.live()
    peer.items(55, 2**31 - 1, 9, 1763689200100)
    peer.send("ERROR", rid=2**31 - 2, code=4002)
    peer.send("ERROR", rid=2**31 - 3, code=2003)
    stage.lives(peer)


@check("5.2", "4-18", "5-1", "6-5")
def unknown_numbers_in_welcome(stage: Stage) -> None:
    """Capabilities, methods and bindings that nobody knows: ignored."""
    stage.world.welcome = {"caps": [27, 58, 89, 65529], "methods": [77, 1, 3, 4, 200], "bindings": [0, 9, 250]}
    stage.live()
    stage.world.say("welcome")
    stage.acknowledged()


@check("5.2", "4-18", level="L1")
def an_unknown_kind(stage: Stage) -> None:
    """An entry of kind 200 is passed over without its content; what comes after it is shown."""
    stage.ready()
    stage.world.append(CONV, 200, content={"type": 99, "data": "?"}, ref=2)
    stage.world.say("after it")
    stage.shows({2: HELLO, 4: "after it"})
    stage.acknowledged()
    require(not stage.world.silent, "no gap", "a gap")


@check("5.2", "4-18", level="L1")
def an_unknown_content_type(stage: Stage) -> None:
    """A message of a type that nobody knows is shown as something that cannot be shown."""
    stage.ready()
    stage.world.append(CONV, MSG, content={"type": 99, "data": b"\x00\x01"})
    stage.world.say("after it")
    stage.shows({2: HELLO, 3: None, 4: "after it"})


@check("5.2", "4-18", "12-9", level="L1")
def an_unknown_sync_mode(stage: Stage) -> None:
    """Mode 9 is as RESET: what was held goes, and the rows are all there is."""
    peer = stage.ready()

    def answer(peer: Peer, frame: object) -> None:
        stage.world.go_live(peer)
        (sync,) = peer.named("SYNC")
        row = {"conv": OTHER, "head": 2, "rrev": 0, "delivered": 0, "read": 0}
        peer.reply(sync, mode=9, rows=[row], token=stage.world.token())

    stage.world.begin(OTHER, "all there is")
    stage.on("SYNC", answer)
    peer.drop()
    stage.until_live(peer)
    stage.shows({2: "all there is"}, OTHER)
    require(not stage.show(CONV), f"nothing of conversation {CONV}", "it is shown")


@check("6.1", "6-1")
def version_1_is_offered(stage: Stage) -> None:
    """HELLO names a range that has version 1 in it."""
    stage.start()
    hello = stage.expect("HELLO")
    require(hello["magic"] == "WC" and hello["vmin"] <= 1 <= hello["vmax"], "WC, vmin <= 1 <= vmax", hello.fields)


@check("6.1", "6-2", "15-5")
def no_common_version(stage: Stage) -> None:
    """After ERROR 1005 the client does not come back by itself."""
    stage.hold("HELLO", "AUTH", "SYNC")
    stage.start()
    stage.expect("HELLO")
    stage.peer.fail(1005, detail=b"\x07\x09")
    stage.no_other(STAYS_AWAY_SECONDS, "after 1005")
