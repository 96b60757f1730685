"""Section 12, what the first release has: counted pushes, windows, SYNC, coming back, ACK."""

from __future__ import annotations

import time

from ..catalogue import check
from ..decoder import Frame
from ..fold import Records, fold, plain
from ..lab import Lab
from ..person import Person, msg
from ..verdict import Failed, require, same
from .receipts import delivered

RESET, DIGEST = 2, 1


@check("12.1", "12-1")
def tokens_are_short(lab: Lab) -> None:
    """The tokens of SYNC_OK and PONG have 1 to 64 bytes."""
    alice = lab.person()
    for token in (alice.token, alice.pong()["token"]):
        require(token and len(token) <= 64, "a token of 1 to 64 bytes", token)


@check("12.2", "12-2", "12-4")
def an_ack_above_what_was_pushed(lab: Lab) -> None:
    """One more than the counted pushes of this connection: ERROR 1006."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    for _ in range(9):
        alice.say(conv)
    bob.expect("EVENT", seq=10)
    bob.send("ACK", n=bob.counted)
    bob.pong()
    bob.send("ACK", n=bob.counted + 1)
    bob.closes(1006)


@check("12.2", "12-2")
def the_count_begins_anew_with_each_connection(lab: Lab) -> None:
    """What the connection before was pushed does not count: ERROR 1006 for more than this one got."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    for _ in range(10):
        alice.say(conv)
    bob.expect("EVENT", seq=11)
    back = lab.live_again(bob)
    back.pong()
    back.send("ACK", n=back.counted + 9)
    back.closes(1006)


@check("12.2", "12-4", level="L1")
def a_lower_ack_moves_nothing_but_its_list_counts(lab: Lab) -> None:
    """ACK 0 after ACK n keeps the connection; the positions it lists are taken."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    seq = alice.say(conv)
    bob.expect("EVENT", conv=conv, seq=seq)
    bob.send("ACK", n=bob.counted, held=[{"conv": conv, "pos": 0}])
    bob.send("ACK", n=0, held=[{"conv": conv, "pos": 1}])
    delivered(alice, conv, bob, 1)
    bob.pong()


@check("12.2", "12-5", level="L1")
def what_did_not_fit_the_window_comes_as_rows(lab: Lab) -> None:
    """With a window of 2: two pushes, then silence, and after the ACK a row for everything that changed."""
    alice = lab.person()
    bob = lab.person(window=2)
    convs = [alice.new_direct(bob)]
    alice.ask("CONV_NEW", cid=bytes(8), kind=2, members=[bob.user], title="two")
    for _ in range(5):
        seq = alice.say(convs[0])
    bob.quiet(0.4, ("ROWS",))
    require(bob.counted <= 2, "at most 2 counted pushes", bob.counted)
    heads = _rows_until(bob, convs[0], seq)
    same(heads[convs[0]], seq, "head in the rows")
    records = bob.records(convs[0])
    same(sorted(records), list(range(1, seq + 1)), "seqs")


def _rows_until(bob: Person, conv: int, head: int) -> dict[int, int]:
    """Acknowledges and reads rows until one tells this head."""
    heads: dict[int, int] = {}
    until = time.monotonic() + 8
    while heads.get(conv, 0) < head:
        if time.monotonic() > until:
            raise Failed(f"a row or event with head {head} of conversation {conv}", f"rows with heads {heads}")
        bob.send("ACK", n=bob.counted)
        try:
            frame = bob.recv(1.0)
        except TimeoutError:
            continue
        if frame is not None and frame.name == "ROWS":
            heads.update((row["conv"], row["head"]) for row in frame["rows"])
        if frame is not None and frame.name == "EVENT":
            heads[frame["conv"]] = max(heads.get(frame["conv"], 0), frame["seq"])
    return heads


@check("12.2", "12-6", level="L1")
def a_window_of_0_holds_pushes_back(lab: Lab) -> None:
    """STATE with window 0: no counted push, but replies and PONG; another window lets rows out."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    bob.send("ACK", n=bob.counted)
    bob.send("STATE", active=True, window=0)
    bob.pong()
    seq = alice.say(conv)
    bob.quiet(0.6)
    same(bob.changes(conv)["upto"], seq, "upto of CHANGES_OK meanwhile")
    bob.send("STATE", active=True, window=16)
    rows = {row["conv"]: row["head"] for row in bob.expect("ROWS")["rows"]}
    same(rows.get(conv), seq, "head in the row")


@check("12.2", "12-5", "12-14", level="L1")
def a_session_that_fell_behind_loses_nothing(lab: Lab) -> None:
    """Three hundred entries in ten conversations against a window of 4: in the end every head is told (P6, P5)."""
    alice = lab.person()
    bob = lab.person(window=4)
    convs = [alice.ask("CONV_NEW", cid=_cid(n), kind=2, members=[bob.user])["conv"] for n in range(10)]
    heads: dict[int, int] = {}
    for number in range(290):
        heads[convs[number % 10]] = alice.say(convs[number % 10])
    told: dict[int, int] = {}
    for conv, head in heads.items():
        if told.get(conv, 0) < head:
            told.update({k: max(v, told.get(k, 0)) for k, v in _rows_until(bob, conv, head).items()})
    same({conv: max(told.get(conv, 0), heads[conv]) for conv in convs}, heads, "heads")


def _cid(number: int) -> bytes:
    return number.to_bytes(8, "big")


@check("12.4", "12-9")
def without_a_token_everything_is_told(lab: Lab) -> None:
    """Mode 2 and a row for every conversation, with its head and the own watermarks."""
    alice, bob = lab.people(2)
    convs = {alice.new_group(bob): 1, alice.new_direct(bob): 1}
    for conv in convs:
        convs[conv] = alice.say(conv)
    bob.ask("MARK", conv=next(iter(convs)), seq=2)
    back = lab.again(bob)
    rows = back.sync()
    same(back.mode, RESET, "mode")
    same({row["conv"]: row["head"] for row in rows}, convs, "head by conversation")
    same([row["conv"] for row in rows], sorted(convs), "order of the rows")
    same({row["conv"]: row["read"] for row in rows}, {next(iter(convs)): 2, list(convs)[1]: 0}, "own read")


@check("12.4", "12-9")
def a_void_token_is_answered_with_reset(lab: Lab) -> None:
    """Bytes that are no token of this server: mode 2, and all rows."""
    alice = lab.person()
    conv = alice.new_group()
    for token in (b"nonsense", b"\0" * 12, b"\xff" * 64, alice.token + b"x", bytes(len(alice.token))):
        back = lab.again(alice)
        rows = back.sync(token)
        same((back.mode, [row["conv"] for row in rows]), (RESET, [conv]), f"mode and rows for {token.hex()}")


@check("12.4", "12-8")
def the_digest_tells_what_changed(lab: Lab) -> None:
    """With a token: mode 1, and rows at least for what changed since, and for nothing one was never in."""
    alice, bob = lab.people(2)
    convs = [alice.new_group(bob) for _ in range(4)]
    token = bob.pong()["token"]
    bob.drop()
    heads = {convs[1]: alice.say(convs[1]), convs[3]: alice.say(convs[3])}
    back = lab.again(bob)
    rows = {row["conv"]: row["head"] for row in back.sync(token)}
    same(back.mode, DIGEST, "mode")
    same({conv: rows.get(conv) for conv in heads}, heads, "heads of what changed")
    require(set(rows) <= set(convs), "rows of bob's conversations only", rows)


@check("12.4", "12-8", must=False)
def an_idle_resume_is_small(lab: Lab) -> None:
    """Nothing changed: few rows or none, however many conversations there are."""
    alice = lab.person()
    for _ in range(12):
        alice.new_group()
    time.sleep(1.5)
    token = alice.pong()["token"]
    back = lab.again(alice)
    rows = back.sync(token)
    require(len(rows) <= 2, "at most 2 rows of 12 conversations that did not change", f"{len(rows)} rows")


@check("12.4", "12-8", "12-10", level="L2")
def pages_of_the_digest(lab: Lab) -> None:
    """As many rows as asked for at most, by conversation id, all of the mode of the first; the token at the end."""
    alice = lab.person()
    convs = sorted(alice.new_group() for _ in range(5))
    back = lab.again(alice)
    page = back.ask("SYNC", page=2)
    told, pages = [row["conv"] for row in page["rows"]], 1
    while page["cursor"] is not None:
        require(page["token"] is None, "no token before the last page", page["token"])
        page = back.ask("SYNC", page=2, cursor=page["cursor"])
        told += [row["conv"] for row in page["rows"]]
        pages += 1
        require(len(page["rows"]) <= 2 and page["mode"] == RESET, "at most 2 rows, mode 2", page.fields)
    same((told, pages >= 3), (convs, True), "conversations, in three pages or more")
    require(page["token"], "a token with the last page", page["token"])


@check("12.4", "12-11")
def what_happens_while_pages_are_read_comes_after_the_last(lab: Lab) -> None:
    """No push between pages, and afterwards every entry is pushed or told by a row."""
    alice, bob = lab.people(2)
    convs = sorted(alice.new_group(bob) for _ in range(3))
    back = lab.again(bob)
    page = back.ask("SYNC", page=1)
    told = {row["conv"]: row["head"] for row in page["rows"]}
    heads = {conv: alice.say(conv) for conv in convs}
    back.quiet()
    while page["cursor"] is not None:
        page = back.ask("SYNC", page=1, cursor=page["cursor"])
        told.update((row["conv"], row["head"]) for row in page["rows"])
    for conv in convs:
        if told[conv] < heads[conv]:
            told.update(_rows_until(back, conv, heads[conv]))
    same({conv: told[conv] for conv in convs}, heads, "heads")


@check("12.4", "12-12")
def without_sync_nothing_is_pushed(lab: Lab) -> None:
    """Requests work, counted pushes do not come."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    back = lab.again(bob)
    seq = alice.say(conv)
    back.quiet()
    same(back.changes(conv)["upto"], seq, "upto")


@check("12.4", "12-8", "12-14", level="L1")
def a_device_that_comes_back_misses_nothing(lab: Lab) -> None:
    """Cut off at any moment of a busy talk, with the token of that moment: rows and CHANGES bring the rest (P5)."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    records: Records = {}
    fold(records, {**_first(alice, conv), "seq": 1})
    device, token, pos = bob, bob.token, 1
    for turn in range(8):
        for n in range(3):
            alice.say(conv, f"{turn}.{n}")
        pos = _after(device, conv, records, pos)
        token = device.pong()["token"] if turn % 2 else token
        pos = _after(device, conv, records, pos)
        device.drop()
        alice.edit(conv, 2, f"edited {turn}")
        device = lab.again(device)
        rows = {row["conv"]: row["head"] for row in device.sync(token)}
        require(rows.get(conv, 0) > pos, f"a row of the conversation with a head above {pos}", rows)
        pos = _caught_up(device, conv, records, pos)
        token = device.token
    whole = alice.records(conv)
    same(sorted(records), sorted(whole), "seqs")
    for seq, record in whole.items():
        want = {**plain(record), "cid": None}
        same({**plain(records[seq]), "cid": None}, want, f"record {seq}")


def _first(who: Person, conv: int) -> dict[str, object]:
    return dict(who.records(conv)[1])


def _arrived(who: Person) -> list[Frame]:
    """The EVENTs that came within a moment."""
    try:
        while (frame := who.recv(0.2)) is not None:
            who.seen.append(frame)
    except TimeoutError:
        pass
    events = [frame for frame in who.seen if frame.name == "EVENT"]
    who.seen = [frame for frame in who.seen if frame.name != "EVENT"]
    return events


def _after(who: Person, conv: int, records: Records, pos: int) -> int:
    for frame in _arrived(who):
        if frame["conv"] == conv and frame["seq"] == pos + 1:
            fold(records, frame.fields)
            pos += 1
    return pos


def _caught_up(who: Person, conv: int, records: Records, pos: int) -> int:
    more = True
    while more:
        page = who.changes(conv, pos, 2)
        for record in page["records"]:
            if record["seq"] not in records or record["rev"] > records[record["seq"]]["rev"]:
                records[record["seq"]] = record
        pos, more = page["upto"], page["more"]
    return pos


@check("12.8", "12-24", level="L1")
def a_listed_position_replaces_the_derived_one(lab: Lab) -> None:
    """A position in the list of an ACK counts instead of the pushes; 0 derives nothing."""
    alice, bob = lab.people(2)
    one, two, three = (alice.new_group(bob) for _ in range(3))
    for conv in (one, two, three):
        alice.say(conv)
        alice.say(conv)
        bob.expect("EVENT", conv=conv, seq=3)
    bob.send("ACK", n=bob.counted, held=[{"conv": one, "pos": 0}, {"conv": two, "pos": 2}])
    delivered(alice, three, bob, 3)
    delivered(alice, two, bob, 2)
    time.sleep(1.2)
    delivered(alice, one, bob, 0)


@check("12.8", "12-24", "12-28", level="L1")
def positions_are_held_to_the_head_and_only_rise(lab: Lab) -> None:
    """Without a push, above the head: the head counts. Of conversations one was never in: ignored in silence."""
    alice, bob = lab.people(2)
    conv, foreign = alice.new_group(bob), alice.new_group()
    seq = alice.say(conv)
    back = lab.live_again(bob)
    back.send("ACK", n=0, held=[{"conv": conv, "pos": 2**53 - 1}, {"conv": foreign, "pos": 1}, {"conv": 1, "pos": 1}])
    delivered(alice, conv, bob, seq)
    back.pong()
    same(alice.marks(foreign).get(bob.user), None, "bob's watermark in a conversation he was never in")


@check("12.8", "12-27", level="L1")
def a_list_has_at_most_256_positions(lab: Lab) -> None:
    """256 are taken, 257 break the frame: ERROR 1002."""
    alice = lab.person()
    conv = alice.new_group()
    held = [{"conv": number + 1, "pos": 1} for number in range(255)]
    alice.send("ACK", n=0, held=[*held, {"conv": conv, "pos": 1}])
    delivered(alice, conv, alice, 1)
    alice.send("ACK", n=0, held=[*held, {"conv": conv, "pos": 1}, {"conv": conv, "pos": 1}])
    alice.closes(1002)


@check("12.4", "12-9", level="L1")
def pong_tells_the_horizon_of_its_session(lab: Lab) -> None:
    """The token of a PONG is good for the next SYNC: what came before it is not told as changed for ever, and what
    came after it is."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    time.sleep(1.3)
    token = bob.pong()["token"]
    bob.drop()
    seq = int(alice.ask("SEND", **msg(conv))["seq"])
    back = lab.again(bob)
    rows = {row["conv"]: row["head"] for row in back.sync(token)}
    same((back.mode, rows.get(conv)), (DIGEST, seq), "mode and head")
