"""The small world of one check: an account with one device, two other people and their conversations, in memory.

It is an honest server. A check makes it a hostile one by answering some requests itself (see stage.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..decoder import Frame
from ..ed25519 import public_key, sign, signed_bytes
from ..fold import Fields, Records, fold, plain
from ..msgpack import pack
from .peer import Peer
from .referee import AUTHED, GREETED, LIVE

ME, BOB, CAROL = 7, 9, 8
DEVICE = 42
CONV, OTHER, ACCOUNT = 300, 301, 900
PASSWORD = "correct horse"
HELLO = "hello"
MSG, EDIT, DELETE, REACT, PIN, CREATE, ADD, REMOVE, UNPIN = 1, 2, 3, 4, 5, 6, 7, 8, 13
HIDE, BLOCK, UNBLOCK = 14, 15, 16
TEXT, EMOJI, HIDDEN = 1, 2, 12
BY_PASSWORD, BY_KEY, BY_TOKEN = 1, 3, 4
DIGEST, RESET = 1, 2
CAP_ACCOUNT_LOG, CAP_PINS = 11, 12
GROUP, ACCOUNT_KIND = 2, 6
FIRST_TS = 1763689200000
PAGE_RECORDS = 100


def text(words: str) -> Fields:
    """The content of a message."""
    return {"type": TEXT, "data": words}


@dataclass
class Log:
    """One conversation. `stamp`: of its last change; `seen`: the rrev at which the mark of a user changed last."""

    conv: int
    state: int = 0
    entries: dict[int, Fields] = field(default_factory=dict)
    records: Records = field(default_factory=dict)
    marks: dict[int, tuple[int, int]] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)
    rrev: int = 0
    stamp: int = 0

    @property
    def head(self) -> int:
        return len(self.entries)

    @property
    def account(self) -> bool:
        return self.conv == ACCOUNT

    def row(self) -> Fields:
        """What the digest says of it."""
        delivered, read = self.marks.get(ME, (0, 0))
        return {
            "conv": self.conv,
            "head": self.head,
            "rrev": self.rrev,
            "delivered": delivered,
            "read": read,
            "state": self.state,
            "account": self.account,
        }


class World:
    """`answers`: how each request is answered, by name; `told`: the TYPING, STATE and others that have no answer."""

    def __init__(self, handle: str) -> None:
        self.handle = handle
        self.logs: dict[int, Log] = {}
        self.stamp = 0
        self.epoch = os.urandom(4)
        self.device = DEVICE
        self.seed = os.urandom(32)
        self.key: bytes | None = public_key(self.seed)
        self.tokens: list[bytes] = []
        self.live: list[Peer] = []
        self.silent = False
        """Something has changed of which no push told: no horizon covers it."""
        self.welcome: Fields = {}
        self.blocked: list[int] = []
        self.sent: dict[tuple[int, bytes], tuple[Fields, Fields]] = {}
        self.begin(CONV, HELLO)

    # what happens in it

    def begin(self, conv: int, *words: str) -> Log:
        """A group that Bob has made, with messages of his."""
        log = self.logs[conv] = Log(conv)
        self.append(conv, CREATE, push=False, users=[BOB, ME, CAROL])
        for each in words:
            self.say(each, conv, push=False)
        self.silent = bool(self.live)
        return log

    def say(self, words: str, conv: int = CONV, *, sender: int = BOB, push: bool = True, **fields: Any) -> Fields:
        """A message."""
        return self.append(conv, MSG, sender=sender, push=push, content=text(words), **fields)

    def append(self, conv: int, kind: int, *, sender: int = BOB, push: bool = True, **fields: Any) -> Fields:
        """An entry of any kind. `push`: the client is told, if it is LIVE; otherwise it finds out by itself."""
        log = self.logs.setdefault(conv, Log(conv))
        seq = log.head + 1
        entry = {"conv": conv, "seq": seq, "ts": FIRST_TS + self.stamp, "sender": sender, "kind": kind, **fields}
        log.entries[seq] = entry
        fold(log.records, entry)
        self._changed(log)
        if push:
            for peer in self.live:
                peer.send("EVENT", **entry)
                peer.horizon = peer.horizon if self.silent else self.stamp
        else:
            self.silent = True
        return entry

    def mark(self, user: int, delivered: int, read: int, conv: int = CONV, *, push: bool = True) -> Fields:
        """Watermarks of a user rise. Returns the RECEIPT that tells it."""
        log = self.logs[conv]
        log.marks[user] = (delivered, read)
        log.rrev += 1
        log.seen[user] = log.rrev
        self._changed(log)
        mark = {"user": user, "delivered": delivered, "read": read}
        receipt = {"conv": conv, "after": log.rrev - 1, "upto": log.rrev, "marks": [mark]}
        if push:
            for peer in self.live:
                peer.send("RECEIPT", **receipt)
                peer.horizon = peer.horizon if self.silent else self.stamp
        else:
            self.silent = True
        return receipt

    def hide(self, conv: int, seqs: list[int], *, push: bool = True) -> None:
        """The user has hidden messages, on another device."""
        for seq in seqs:
            self.logs[conv].records.pop(seq, None)
        content = {"type": HIDDEN, "data": pack([conv, seqs])}
        self.append(ACCOUNT, HIDE, sender=ME, push=push, content=content)

    def put_back(self) -> None:
        """The server was restored: its tokens are void."""
        self.epoch = os.urandom(4)

    def _changed(self, log: Log) -> None:
        self.stamp += 1
        log.stamp = self.stamp

    # tokens

    def token(self, stamp: int | None = None) -> bytes:
        """The horizon at a stamp, now if none is given."""
        return self.epoch + (self.stamp if stamp is None else stamp).to_bytes(8, "big")

    def _since(self, token: bytes | None) -> int | None:
        """The stamp of a token; None when it is void."""
        if token is None or token[:4] != self.epoch:
            return None
        return int.from_bytes(token[4:], "big")

    # answering

    def answer(self, peer: Peer, frame: Frame) -> None:
        """What an honest server does with this frame."""
        name = str(frame.name)
        handler: Callable[[Peer, Frame], None] | None = getattr(self, f"_on_{name.lower()}", None)
        if frame.rid is not None and frame.name is None:
            peer.refuse(frame, 3001)
        elif frame.rid is not None and peer.state == GREETED and name != "AUTH":
            peer.refuse(frame, 2000)
        elif handler is not None:
            handler(peer, frame)
        elif frame.rid is not None:
            peer.refuse(frame, 3001)

    def _on_hello(self, peer: Peer, frame: Frame) -> None:
        peer.send("WELCOME", **self.greeting(peer, frame))

    def greeting(self, peer: Peer, frame: Frame) -> Fields:
        """The fields of WELCOME."""
        peer.caps = [cap for cap in frame["caps"] if cap in (CAP_ACCOUNT_LOG, CAP_PINS)]
        self.nonce = os.urandom(32)
        offer = {
            "version": 1,
            "caps": [*peer.caps, 27],
            "agent": "conformance",
            "now": int(time.time() * 1000),
            "nonce": self.nonce,
            "limits": peer.limits,
            "methods": [BY_PASSWORD, BY_KEY, BY_TOKEN],
            "bindings": [0],
        }
        offer.update(self.welcome)
        return offer

    def _on_auth(self, peer: Peer, frame: Frame) -> None:
        refusal = self._refusal(frame)
        if refusal is not None:
            peer.refuse(frame, refusal)
            return
        if frame["key"] is not None:
            self.key = frame["key"]
        self.let_in(peer, frame)

    def _refusal(self, frame: Frame) -> int | None:
        """The error code that answers this AUTH; None when it is right."""
        method, proof = frame["method"], frame["proof"]
        if method == BY_PASSWORD:
            right = frame["handle"] == self.handle and proof == PASSWORD.encode()
            return None if right and frame["device"] in (None, self.device) else 2001
        if method == BY_TOKEN:
            if proof not in self.tokens:
                return 2002
            del self.tokens[: self.tokens.index(proof)]
            return None
        if method == BY_KEY and frame["device"] == self.device:
            wanted = sign(self.seed, signed_bytes(self.nonce, self.device, 0, b""))
            return None if proof == wanted and not frame["binding"] else 2001
        return 2001 if method == BY_KEY else 3000

    def let_in(self, peer: Peer, frame: Frame) -> bytes:
        """AUTH_OK, with a fresh resume token, which is returned."""
        fresh = os.urandom(16)
        self.tokens.append(fresh)
        peer.state = AUTHED
        peer.reply(frame, user=ME, device=self.device, resume=fresh, resume_seconds=2592000)
        return fresh

    def _on_sync(self, peer: Peer, frame: Frame) -> None:
        self.digest(peer, frame)

    def digest(self, peer: Peer, frame: Frame) -> None:
        """Everything that changed since the token, in one page; from then on pushes."""
        mode, rows = self.rows(peer, frame["token"])
        self.silent = False
        peer.horizon = self.stamp
        self.go_live(peer)
        peer.reply(frame, mode=mode, rows=rows, token=self.token())

    def rows(self, peer: Peer, token: bytes | None) -> tuple[int, list[Fields]]:
        """Mode and rows of the digest."""
        since = self._since(token)
        shown = [log for log in self.logs.values() if not log.account or CAP_ACCOUNT_LOG in peer.caps]
        rows = [log.row() for log in sorted(shown, key=lambda log: log.conv) if since is None or log.stamp > since]
        return (RESET if since is None else DIGEST), rows

    def go_live(self, peer: Peer) -> None:
        """From now on this connection is told of what happens."""
        peer.state = LIVE
        self.live = [each for each in self.live if each.ended is None and each is not peer] + [peer]

    def _on_changes(self, peer: Peer, frame: Frame) -> None:
        log = self.logs.get(frame["conv"])
        if log is None:
            peer.refuse(frame, 4002)
            return
        peer.reply(frame, **self.changes(log, frame["since"], min(frame["limit"], PAGE_RECORDS)))

    def changes(self, log: Log, since: int, limit: int = PAGE_RECORDS) -> Fields:
        """The fields of CHANGES_OK."""
        found = sorted(
            (each for each in log.records.values() if each["rev"] > since), key=lambda each: int(each["rev"])
        )
        more = len(found) > limit
        page = found[:limit]
        upto = page[-1]["rev"] if more else max(since, log.head)
        return {"upto": upto, "records": list(map(plain, page)), "more": more}

    def _on_history(self, peer: Peer, frame: Frame) -> None:
        log = self.logs.get(frame["conv"])
        if log is None:
            peer.refuse(frame, 4002)
            return
        peer.reply(frame, **self.history(log, frame))

    def history(self, log: Log, question: Frame) -> Fields:
        """The fields of HISTORY_OK."""
        hi, limit = question["hi"], min(question["limit"], PAGE_RECORDS)
        highest = log.head if hi is None else min(hi, log.head)
        seqs = sorted(seq for seq in log.records if seq <= highest)[-limit:]
        below = any(seq < seqs[0] for seq in log.records) if seqs else False
        records = [plain(log.records[seq]) for seq in seqs]
        return {"lo": seqs[0] if below else 1, "hi": highest, "records": records, "rev": log.head}

    def _on_marks(self, peer: Peer, frame: Frame) -> None:
        log = self.logs.get(frame["conv"])
        if log is None:
            peer.refuse(frame, 4002)
            return
        later = sorted((rrev, user) for user, rrev in log.seen.items() if rrev > frame["since"])
        marks = [{"user": user, "delivered": log.marks[user][0], "read": log.marks[user][1]} for _, user in later]
        peer.reply(frame, upto=max(frame["since"], log.rrev), marks=marks, more=False)

    def _on_mark(self, peer: Peer, frame: Frame) -> None:
        log = self.logs.get(frame["conv"])
        if log is None or log.account:
            peer.refuse(frame, 4002 if log is None else 4001)
            return
        delivered, read = log.marks.get(ME, (0, 0))
        read = max(read, min(frame["seq"], log.head))
        self.mark(ME, max(delivered, read), read, log.conv)
        peer.reply(frame, read=read)

    def _on_send(self, peer: Peer, frame: Frame) -> None:
        seq, ts, dup = self.accept(frame)
        if seq:
            peer.reply(frame, seq=seq, ts=ts, dup=dup)
        else:
            peer.refuse(frame, ts)

    def accept(self, frame: Frame) -> tuple[int, int, bool]:
        """Executes a SEND, without answering: seq, ts and dup; 0 and the error code when it is refused."""
        fields = {name: value for name, value in frame.fields.items() if name != "rid"}
        known = self.sent.get((frame["conv"], frame["cid"]))
        if known is not None:
            return (known[1]["seq"], known[1]["ts"], True) if known[0] == fields else (0, 3004, False)
        log = self.logs.get(frame["conv"])
        if log is None or log.account:
            return 0, 4002 if log is None else 4001, False
        if frame["kind"] != MSG and frame["ref"] not in log.records:
            return 0, 4000, False
        given = {"content": frame["content"], "ref": frame["ref"], "users": frame["mentions"], "cid": frame["cid"]}
        silent = self.silent
        entry = self.append(log.conv, frame["kind"], sender=ME, push=False, **given)
        self.silent = silent
        self.sent[frame["conv"], frame["cid"]] = fields, entry
        return entry["seq"], entry["ts"], False

    def _on_ack(self, peer: Peer, frame: Frame) -> None:
        """Derives the delivered watermark as 12.8 says."""
        before = peer.acks[-2]["n"] if len(peer.acks) > 1 else 0
        covered: dict[int, int] = {}
        for push in peer.pushes[before : frame["n"]]:
            if push is not None:
                covered[push[0]] = max(push[1], covered.get(push[0], 0))
        covered |= {held["conv"]: held["pos"] for held in frame["held"] or ()}
        for conv, seq in covered.items():
            log = self.logs.get(conv)
            if log is not None and seq and not log.account:
                delivered, read = log.marks.get(ME, (0, 0))
                log.marks[ME] = max(delivered, min(seq, log.head)), read

    def delivered(self, conv: int = CONV) -> int:
        """What the client's ACKs and MARKs claim to have."""
        return self.logs[conv].marks.get(ME, (0, 0))[0]

    def _on_ping(self, peer: Peer, frame: Frame) -> None:
        token = self.token(peer.horizon) if peer.state == LIVE else None
        peer.send("PONG", t=frame["t"], now=int(time.time() * 1000), token=token)

    # what a client may ask beside

    def _on_conv_get(self, peer: Peer, frame: Frame) -> None:
        known = [self.logs[conv] for conv in frame["convs"] if conv in self.logs]
        infos = [
            {"conv": log.conv, "kind": ACCOUNT_KIND if log.account else GROUP, "role": 1, "members": 3} for log in known
        ]
        peer.reply(frame, infos=infos)

    def _on_members(self, peer: Peer, frame: Frame) -> None:
        members = [{"user": user, "role": 1, "since": 1} for user in (ME, CAROL, BOB)]
        peer.reply(frame, members=[each for each in members if each["user"] > (frame["after"] or 0)], more=False)

    def _on_user_get(self, peer: Peer, frame: Frame) -> None:
        peer.reply(frame, users=[self._user(user) for user in frame["users"] if user in (ME, BOB, CAROL)])

    def _on_user_find(self, peer: Peer, frame: Frame) -> None:
        found = [user for user in (ME, BOB, CAROL) if self._user(user)["handle"] == frame["handle"]]
        if found:
            peer.reply(frame, user=self._user(found[0]))
        else:
            peer.refuse(frame, 4000)

    def _user(self, user: int) -> Fields:
        return {"user": user, "handle": {ME: self.handle, BOB: "bob", CAROL: "carol"}[user]}

    def _on_account(self, peer: Peer, frame: Frame) -> None:
        peer.reply(frame, user=self._user(ME), audience=1, blocked=self.blocked, password=True)

    def _on_devices(self, peer: Peer, frame: Frame) -> None:
        peer.reply(frame, devices=[{"device": self.device, "name": "", "made": FIRST_TS, "online": True}])

    def _on_presence_sub(self, peer: Peer, frame: Frame) -> None:
        peer.reply(frame, users=[{"user": user, "online": user == BOB} for user in frame["users"]])

    def _on_unread(self, peer: Peer, frame: Frame) -> None:
        peer.reply(frame, counts=[])

    def _on_records(self, peer: Peer, frame: Frame) -> None:
        log = self.logs.get(frame["conv"])
        if log is None:
            peer.refuse(frame, 4002)
            return
        peer.reply(frame, records=[plain(log.records[s]) for s in frame["seqs"] if s in log.records], more=False)

    def _on_pins(self, peer: Peer, frame: Frame) -> None:
        log = self.logs.get(frame["conv"])
        pinned = _pins(log.records.values()) if log is not None else []
        peer.reply(frame, pins=pinned)

    def _on_mentions(self, peer: Peer, frame: Frame) -> None:
        peer.reply(frame, seqs=[], more=False)

    def _on_hide(self, peer: Peer, frame: Frame) -> None:
        if frame["conv"] not in self.logs:
            peer.refuse(frame, 4002)
            return
        self.hide(frame["conv"], sorted(frame["seqs"]), push=CAP_ACCOUNT_LOG in peer.caps)
        peer.reply(frame)


def _pins(records: Iterable[Fields]) -> list[Fields]:
    held = sorted((each for each in records if each.get("pinned")), key=lambda each: -int(each["pinned"]))
    return [{"seq": each["seq"], "pinned": each["pinned"], "user": BOB, "ts": FIRST_TS} for each in held]
