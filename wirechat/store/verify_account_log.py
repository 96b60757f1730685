"""Is an account log consistent, and is everything that follows from it as it says? See `verify`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from wirechat.store.records import MEMBER, Kind, unpack_users
from wirechat.store.tx import Tx

ReadHidden = Callable[[bytes], tuple[int, Sequence[int]]]
"""content of a HIDE entry -> (conv, seqs); raises ValueError."""

KINDS = frozenset({Kind.HIDE, Kind.BLOCK, Kind.UNBLOCK, Kind.PROFILE, Kind.DEVICE})


@attrs.define
class AccountLog:
    """One account log, as it is read."""

    tx: Tx
    conv: int
    problem: Callable[[str], None]
    read_hidden: ReadHidden
    seq: int = 0
    ts: int = 0
    blocked: set[int] = attrs.Factory(set)
    hidden: set[tuple[int, int]] = attrs.Factory(set)

    def say(self, text: str) -> None:
        self.problem(f"account log {self.conv}: {text}")

    def expect(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            self.say(f"{what} is {found}, should be {expected}")

    async def check(self, head: int, last_ts: int, version: int, rrev: int | None) -> int:
        """Compare everything with the log; returns how many entries it has."""
        owner = await self._owner()
        for row in await self.tx.fetch(
            "SELECT seq, ts, sender, kind, content, users, target, rev FROM entry WHERE conv = $1 ORDER BY seq",
            self.conv,
        ):
            self._take(owner, *row)
        self.expect("head", head, self.seq)
        self.expect("time of the last entry", last_ts, self.ts)
        self.expect("version of the member list", version, 1)
        self.expect("receipt counter", rrev, 0)
        if await self.tx.fetchrow("SELECT 1 FROM mark WHERE conv = $1", self.conv) is not None:
            self.say("it has watermarks")
        await self._check_projections(owner)
        return self.seq

    async def _owner(self) -> int:
        """Its only member, to whose account it belongs."""
        members = await self.tx.fetch("SELECT user_id, role, since, until FROM member WHERE conv = $1", self.conv)
        noted = await self.tx.fetch("SELECT user_id FROM account WHERE log = $1", self.conv)
        owner: int = noted[0][0] if noted else members[0][0] if members else 0
        if len(noted) != 1:
            self.say(f"it is noted as the log of {len(noted)} accounts")
        self.expect("its member", members, [(owner, MEMBER, 1, None)])
        return owner

    def _take(
        self, owner: int, seq: int, ts: int, sender: int, kind: int, content: bytes | None, users: str | None,
        target: int, rev: int,
    ) -> None:  # fmt: skip
        if seq != self.seq + 1:
            self.say(f"entries after {self.seq} are missing")
        if ts < self.ts:
            self.say(f"entry {seq} is older than the one before it")
        self.seq, self.ts = seq, ts
        self.expect(f"sender of entry {seq}", sender, owner)
        self.expect(f"target and rev of entry {seq}", (target, rev), (seq, seq))
        if kind not in KINDS:
            self.say(f"entry {seq} has the unknown kind {kind}")
        try:
            self._fold(kind, content, unpack_users(users))
        except ValueError:
            self.say(f"entry {seq} cannot be read")

    def _fold(self, kind: int, content: bytes | None, users: tuple[int, ...]) -> None:
        if kind == Kind.HIDE:
            conv, seqs = self.read_hidden(content or b"")
            self.hidden.update((conv, seq) for seq in seqs)
        elif kind == Kind.BLOCK:
            self.blocked.update(users)
        elif kind == Kind.UNBLOCK:
            self.blocked.difference_update(users)

    async def _check_projections(self, owner: int) -> None:
        blocked = {user for (user,) in await self.tx.fetch("SELECT blocked FROM block WHERE user_id = $1", owner)}
        self.expect("list of blocked users", sorted(blocked), sorted(self.blocked))
        hidden = {(conv, seq) for conv, seq in await self.tx.fetch(
            "SELECT conv, seq FROM hidden WHERE user_id = $1", owner
        )}  # fmt: skip
        for conv, seq in sorted(hidden ^ self.hidden):
            self.say(f"message {seq} of {conv} is {'' if (conv, seq) in hidden else 'not '}hidden, not as in the log")


async def check_unlogged(tx: Tx, problem: Callable[[str], None]) -> None:
    """Who has no log has nothing that follows from one."""
    for table in ("block", "hidden"):
        for (user,) in await tx.fetch(
            f"SELECT DISTINCT t.user_id FROM {table} t LEFT JOIN account a ON a.user_id = t.user_id"
            " WHERE a.log IS NULL ORDER BY 1"
        ):
            problem(f"user {user} has no account log, but there are rows of him in {table}")
    for user, log in await tx.fetch(
        "SELECT a.user_id, a.log FROM account a LEFT JOIN conv c ON c.conv = a.log AND c.kind = 6"
        " WHERE a.log IS NOT NULL AND c.conv IS NULL ORDER BY 1"
    ):
        problem(f"user {user} has {log} noted as his account log, and it is none")
