"""A connection that logs in, and the requests that checks make often, in one word each."""

from __future__ import annotations

import os
from typing import Any

from . import ed25519
from .connection import Connection
from .decoder import Frame
from .verdict import Failed, Skipped

PASSWORD_METHOD, KEY_METHOD, RESUME_METHOD = 1, 3, 4
MSG, EDIT, DELETE, REACT, PIN, UNPIN = 1, 2, 3, 4, 5, 13
CREATE, ADD, REMOVE, META, ROLE = 6, 7, 8, 9, 10
DIRECT, GROUP, NOTES = 1, 2, 3
TEXT, EMOJI = 1, 2
SECRET = b"conformance-runner-test-account!"  # one key for all accounts of the runner: making keys costs time
PASSWORD = b"correct horse battery"
AGENT = "wirechat-conformance/1"


def cid() -> bytes:
    """A fresh idempotency id."""
    return os.urandom(8)


class Person(Connection):
    """`user`, `device`, `handle`, `resume`, `token` and `mode` of the last SYNC are known once they were told."""

    welcome: Frame
    handle = ""
    user = device = mode = 0
    resume = token = b""
    by_key = True

    # beginning

    def hello(self, *, caps: tuple[int, ...] = (), window: int | None = None, **fields: Any) -> Frame:
        """HELLO and its WELCOME."""
        self.send("HELLO", **hello(caps, window, **fields))
        self.welcome = self.expect("WELCOME")
        return self.welcome

    def make_account(self, handle: str, *, password: bool = False) -> None:
        """REGISTER. Raises Skipped when this connection allows no password and one is needed."""
        self.handle = handle
        self.by_key = not password and KEY_METHOD in self.welcome["methods"]
        method, secret = (KEY_METHOD, ed25519.public_key(SECRET)) if self.by_key else (PASSWORD_METHOD, PASSWORD)
        if method not in self.welcome["methods"]:
            raise Skipped("the server takes no password on this connection")
        made = self.ask("REGISTER", handle=handle, method=method, secret=secret)
        self.user, self.device = made["user"], made["device"] or 0

    def log_in(self, **fields: Any) -> Frame:
        """AUTH with what was registered: the key, or the password and the device if there is one."""
        return self._entered(self.ask("AUTH", **self.proof(), **fields))

    def proof(self) -> dict[str, Any]:
        """The fields of AUTH that prove who this is."""
        if self.by_key:
            return {"method": KEY_METHOD, "proof": self.signature(), "device": self.device}
        known = {"device": self.device} if self.device else {}
        return {"method": PASSWORD_METHOD, "handle": self.handle, "proof": PASSWORD, **known}

    def signature(self, binding: int = 0, bound: bytes = b"", nonce: bytes | None = None) -> bytes:
        """The device key's signature over the nonce of this connection."""
        signed = ed25519.signed_bytes(nonce or self.welcome["nonce"], self.device, binding, bound)
        return ed25519.sign(SECRET, signed)

    def go_on(self, resume: bytes) -> Frame:
        """AUTH with a resume token."""
        return self._entered(self.ask("AUTH", method=RESUME_METHOD, proof=resume))

    def _entered(self, entered: Frame) -> Frame:
        self.user, self.device, self.resume = entered["user"], entered["device"], entered["resume"]
        return entered

    def sync(self, token: bytes | None = None, page: int | None = None) -> list[dict[str, Any]]:
        """SYNC to the last page. Returns all rows; `mode` and `token` are kept."""
        answer = self.ask("SYNC", token=token, page=page)
        rows = list(answer["rows"])
        self.mode = answer["mode"]
        while answer["cursor"] is not None:
            answer = self.ask("SYNC", cursor=answer["cursor"], page=page)
            rows += answer["rows"]
        if answer["token"] is None:
            raise Failed("a token with the last page of SYNC_OK", "none")
        self.token = answer["token"]
        return rows

    # conversations

    def new_group(self, *others: Person, title: str | None = "group") -> int:
        """CONV_NEW of a group. Every other one waits until he has heard of it."""
        members = [other.user for other in others]
        conv = int(self.ask("CONV_NEW", cid=cid(), kind=GROUP, members=members, title=title)["conv"])
        for other in others:
            other.expect("EVENT", conv=conv, seq=1)
        return conv

    def new_direct(self, other: Person) -> int:
        """CONV_NEW of the two."""
        conv = int(self.ask("CONV_NEW", cid=cid(), kind=DIRECT, members=[other.user])["conv"])
        other.expect("EVENT", conv=conv, seq=1)
        return conv

    def add(self, conv: int, *others: Person) -> int:
        """MEMBER_ADD; the seq of its entry."""
        return int(self.ask("MEMBER_ADD", conv=conv, cid=cid(), users=[other.user for other in others])["seq"])

    def remove(self, conv: int, other: Person) -> int:
        """MEMBER_DEL; the seq of its entry."""
        return int(self.ask("MEMBER_DEL", conv=conv, cid=cid(), user=other.user)["seq"])

    def info(self, conv: int) -> dict[str, Any]:
        """CONV_GET of one conversation."""
        infos = self.ask("CONV_GET", convs=[conv])["infos"]
        if len(infos) != 1:
            raise Failed(f"CONV_GET describes conversation {conv}", f"{len(infos)} descriptions")
        found: dict[str, Any] = infos[0]
        return found

    # writing

    def say(self, conv: int, text: str = "hello", **more: Any) -> int:
        """A message; its seq."""
        return int(self.ask("SEND", **msg(conv, text, **more))["seq"])

    def edit(self, conv: int, ref: int, text: str) -> int:
        """An edit; its seq."""
        return int(self.ask("SEND", **entry(conv, EDIT, ref, text))["seq"])

    def delete(self, conv: int, ref: int) -> int:
        """A delete; its seq."""
        return int(self.ask("SEND", **entry(conv, DELETE, ref))["seq"])

    def react(self, conv: int, ref: int, emoji: str | None) -> int:
        """A reaction, None takes it back; its seq."""
        return int(self.ask("SEND", **reaction(conv, ref, emoji))["seq"])

    # reading

    def changes(self, conv: int, since: int = 0, limit: int | None = None) -> Frame:
        """One page of CHANGES."""
        return self.ask("CHANGES", conv=conv, since=since, limit=limit)

    def history(self, conv: int, hi: int | None = None, limit: int | None = None) -> Frame:
        """One page of HISTORY."""
        return self.ask("HISTORY", conv=conv, hi=hi, limit=limit)

    def records(self, conv: int) -> dict[int, dict[str, Any]]:
        """All records, read forwards, by seq."""
        found: dict[int, dict[str, Any]] = {}
        since, more = 0, True
        while more:
            page = self.changes(conv, since)
            found.update((record["seq"], record) for record in page["records"])
            if page["more"] and page["upto"] <= since:
                raise Failed("each page of CHANGES ends above the one before", f"upto {page['upto']} twice")
            since, more = page["upto"], page["more"]
        return found

    def marks(self, conv: int) -> dict[int, tuple[int, int]]:
        """All watermarks: user to delivered and read."""
        page = self.ask("MARKS", conv=conv, since=0)
        return {mark["user"]: (mark["delivered"], mark["read"]) for mark in page["marks"]}


def hello(caps: tuple[int, ...] = (), window: int | None = None, **fields: Any) -> dict[str, Any]:
    """The fields of HELLO."""
    return {"magic": "WC", "vmin": 1, "vmax": 1, "caps": list(caps), "agent": AGENT, "window": window, **fields}


def msg(conv: int, text: str = "hello", **more: Any) -> dict[str, Any]:
    """The fields of SEND for a message, with a fresh cid."""
    return {"conv": conv, "cid": cid(), "kind": MSG, "content": {"type": TEXT, "data": text}, **more}


def entry(conv: int, kind: int, ref: int | None, text: str | None = None, **more: Any) -> dict[str, Any]:
    """The fields of SEND for what refers to a message."""
    content = None if text is None else {"type": TEXT, "data": text}
    return {"conv": conv, "cid": cid(), "kind": kind, "content": content, "ref": ref, **more}


def reaction(conv: int, ref: int, emoji: str | None) -> dict[str, Any]:
    """The fields of SEND for a reaction."""
    content = None if emoji is None else {"type": EMOJI, "data": emoji}
    return {"conv": conv, "cid": cid(), "kind": REACT, "content": content, "ref": ref}
