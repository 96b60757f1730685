"""Short words for what people do in a store. Used by the tests of the store."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from wirechat.store.database import Store
from wirechat.store.features import accounts, conversations, devices, history, privacy, receipts
from wirechat.store.records import (
    ACCOUNT,
    DIRECT,
    GROUP,
    SELF,
    Append,
    Appended,
    Commit,
    Kind,
    Project,
    Refusal,
    StoredRecord,
)

PATIENCE = 20.0
"""Seconds a test waits for the store."""
LARGE = 1_000_000
"""A limit that limits nothing."""


def cid() -> bytes:
    return os.urandom(8)


def entry(
    conv: int,
    sender: int,
    kind: Kind,
    content: bytes | None = None,
    ref: int | None = None,
    users: tuple[int, ...] = (),
    id: bytes | None = None,
    conv_kind: int = 0,
    source: tuple[int, int] | None = None,
    role: int | None = None,
) -> Append:
    """An entry somebody wants; the digest is that of its content."""
    what = (int(kind), content, ref, users, conv_kind, source, role)
    digest = hashlib.blake2b(repr(what).encode(), digest_size=16).digest()
    return Append(conv, sender, id or cid(), kind, content, ref, users, digest, conv_kind, source, role)


def msg(
    conv: int,
    sender: int,
    text: bytes = b"hello",
    ref: int | None = None,
    id: bytes | None = None,
    mentions: tuple[int, ...] = (),
) -> Append:
    return entry(conv, sender, Kind.MSG, text, ref, mentions, id)


def forward(conv: int, sender: int, source: tuple[int, int], ref: int | None = None, id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.MSG, None, ref, id=id, source=source)


def edit(
    conv: int,
    sender: int,
    ref: int,
    text: bytes = b"better",
    id: bytes | None = None,
    mentions: tuple[int, ...] = (),
) -> Append:
    return entry(conv, sender, Kind.EDIT, text, ref, mentions, id)


def pin(conv: int, sender: int, ref: int, id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.PIN, None, ref, id=id)


def unpin(conv: int, sender: int, ref: int, id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.UNPIN, None, ref, id=id)


def delete(conv: int, sender: int, ref: int, id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.DELETE, None, ref, id=id)


def react(conv: int, sender: int, ref: int, emoji: bytes | None = b"+1", id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.REACT, emoji, ref, id=id)


def add(conv: int, sender: int, *users: int, id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.ADD, users=users, id=id)


def remove(conv: int, sender: int, user: int, id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.REMOVE, users=(user,), id=id)


def assign(conv: int, sender: int, user: int, role: int, id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.ROLE, users=(user,), id=id, role=role)


def title(conv: int, sender: int, text: bytes = b"title", id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.META, packed(10, text), id=id)


def about(conv: int, sender: int, text: bytes = b"about", id: bytes | None = None) -> Append:
    return entry(conv, sender, Kind.META, packed(11, text), id=id)


def packed(kind: int, text: bytes) -> bytes:
    """A Content of at most 31 bytes, as msgpack has it."""
    return bytes([0x92, kind, 0xA0 + len(text)]) + text


def group(owner: int, *others: int, title: bytes | None = None, id: bytes | None = None) -> Append:
    return entry(int.from_bytes(os.urandom(6), "big"), owner, Kind.CREATE, title, users=others, id=id, conv_kind=GROUP)


def direct(one: int, other: int, id: bytes | None = None) -> Append:
    return entry(int.from_bytes(os.urandom(6), "big"), one, Kind.CREATE, users=(other,), id=id, conv_kind=DIRECT)


def notes(user: int, id: bytes | None = None) -> Append:
    return entry(int.from_bytes(os.urandom(6), "big"), user, Kind.CREATE, id=id, conv_kind=SELF)


class Talk:
    """A store in use. Users are 1, 2, 3 …"""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_ms = 1_000

    async def people(self, count: int) -> Talk:
        """Make accounts 1 to `count`."""

        async def make(tx: Any) -> None:
            for user in range(1, count + 1):
                await accounts.create(tx, user, f"user{user}", None, None, 0)

        await self.store.write(make)
        return self

    async def append(self, *batch: Append, now_ms: int | None = None, known: Mapping[int, int] | None = None) -> Commit:
        """One batch, committed."""
        self.now_ms += 1
        return await append(self.store, batch, self.now_ms if now_ms is None else now_ms, known or {})

    async def results(self, *batch: Append) -> list[Any]:
        return (await self.append(*batch)).results

    async def done(self, item: Append) -> Appended:
        """One entry that must be accepted."""
        (result,) = await self.results(item)
        assert isinstance(result, Appended), result
        return result

    async def refused(self, item: Append) -> Refusal:
        """One entry that must be refused."""
        (result,) = await self.results(item)
        assert isinstance(result, Refusal), result
        return result

    async def group(self, owner: int, *others: int) -> int:
        return (await self.done(group(owner, *others))).conv

    async def say(self, conv: int, sender: int, text: bytes = b"hello", ref: int | None = None) -> int:
        return (await self.done(msg(conv, sender, text, ref))).seq

    async def records(self, user: int, conv: int) -> list[StoredRecord]:
        """Everything a user may see, by rev."""
        page = await self.store.read(history.changes, user, conv, 0, LARGE, LARGE)
        assert not isinstance(page, Refusal), page
        return page.records

    async def texts(self, user: int, conv: int) -> list[bytes | None]:
        """What a user may read, in order of seq."""
        return [record.content for record in sorted(await self.records(user, conv), key=lambda record: record.seq)]

    async def head(self, user: int, conv: int) -> int:
        page = await self.store.read(history.history, user, conv, None, 1, LARGE)
        assert not isinstance(page, Refusal), page
        return page.rev

    async def members(self, conv: int) -> dict[int, int]:
        return (await self.store.read(conversations.member_list, conv)).since

    async def roles(self, asking: int, conv: int) -> dict[int, int]:
        """The roles of the members, as a member is told."""
        rows = await self.store.read(conversations.members, asking, conv, 0, LARGE)
        assert not isinstance(rows, Refusal), rows
        return {user: role for user, role, _ in rows}

    async def mark(self, conv: int, user: int, delivered: int = 0, read: int = 0, large: int = 64) -> Any:
        """(delivered, read) after raising them, or a refusal."""
        results, _ = await self.store.write(receipts.flush, [(conv, user, delivered, read)], large)
        return results[0]


async def append(store: Store, batch: Any, now_ms: int, known: Mapping[int, int]) -> Commit:
    """Start an append and wait for its end."""
    ended = trio.Event()
    commits: list[Commit] = []

    def done(commit: Commit) -> None:
        commits.append(commit)
        ended.set()

    store.start_append(batch, now_ms, known, done)
    with trio.fail_after(PATIENCE):
        await ended.wait()
    assert len(commits[0].results) == len(batch)
    return commits[0]


def account(user: int, kind: Kind, project: Project, users: tuple[int, ...] = ()) -> Append:
    """An entry of a user's account log."""
    fresh = int.from_bytes(os.urandom(6), "big")
    return Append(fresh, user, cid(), kind, None, None, users, b"", ACCOUNT, project=project)


def block(user: int, other: int, on: bool = True, blocked_max: int = 1000) -> Append:
    kind = Kind.BLOCK if on else Kind.UNBLOCK
    return account(user, kind, lambda tx, stamp: privacy.block(tx, user, other, on, blocked_max), (other,))


def hide(user: int, conv: int, *seqs: int) -> Append:
    item = account(user, Kind.HIDE, lambda tx, stamp: privacy.hide(tx, user, conv, seqs))
    return attrs.evolve(item, content=repr((conv, list(seqs))).encode())


def read_hidden(content: bytes) -> Any:
    """What `hide` has written."""
    try:
        return ast.literal_eval(content.decode())
    except SyntaxError as error:
        raise ValueError from error


def renamed(user: int, device: int, name: str) -> Append:
    return account(user, Kind.DEVICE, lambda tx, stamp: devices.rename(tx, user, device, name))
