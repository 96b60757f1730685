"""The append: a batch of entries in one transaction. P1 to P4 rest on what happens here.

The fast way assumes that no cid was used before and lets the unique index object; then the transaction is undone and
done again carefully, looking every cid up first. Membership and role are checked inside. Refused entries take no seq.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import attrs

from wirechat.store.features import conversations, sync
from wirechat.store.records import DIRECT, GROUP, MEMBER, OWNER, Append, Appended, Commit, Kind, Members, Refusal
from wirechat.store.tx import Tx

_INSERT = """
    INSERT INTO entry (conv, seq, ts, sender, kind, content, ref, users, cid, digest, target, rev)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
REACTIONS_MAX = 1000
"""Reactions on one message: a record must fit into a frame."""

_FOR_UPDATE = {"sqlite": "", "postgres": " FOR UPDATE"}


class SeenBefore(Exception):
    """A cid of the batch was used before: do it again, carefully."""


@attrs.define
class _Log:
    """A conversation as the batch goes on."""

    kind: int
    head: int
    last_ts: int
    version: int
    touched: bool = False


@attrs.define
class _Standing:
    """A member as the batch goes on."""

    role: int
    since: int
    until: int | None


class _Batch:
    """One run over a batch."""

    def __init__(self, tx: Tx, now_ms: int, stamp: int, members_max: int, careful: bool) -> None:
        self._tx = tx
        self._now_ms = now_ms
        self._stamp = stamp
        self._members_max = members_max
        self._careful = careful
        self.logs: dict[int, _Log | None] = {}
        self._standings: dict[tuple[int, int], _Standing | None] = {}
        self._rows: list[tuple[object, ...]] = []
        self._cids: set[tuple[int, int, bytes]] = set()

    async def one(self, item: Append) -> Appended | Refusal:
        """Append one entry."""
        if item.kind == Kind.CREATE:
            return await self._create(item)
        if self._careful:
            await self.flush()
            if (before := await self._before(item)) is not None:
                return before
        result = await self._judge(item)
        if isinstance(result, Refusal) and not self._careful:
            return await self._before(item) or result  # what was done is answered, whatever has changed since
        return result

    async def _judge(self, item: Append) -> Appended | Refusal:
        key = (item.conv, item.sender, item.cid)
        if key in self._cids:
            raise SeenBefore
        log = await self._log(item.conv)
        standing = await self._standing(item.conv, item.sender)
        if log is None or standing is None:
            return Refusal.NO_CONVERSATION
        if standing.until is not None:
            return Refusal.FORBIDDEN
        if item.kind == Kind.MSG and item.ref is None:
            self._cids.add(key)
            return self._enter(log, item, ())
        await self.flush()
        if item.kind == Kind.ADD:
            return await self._add(log, item)
        if item.kind == Kind.REMOVE:
            return await self._remove(log, standing, item)
        return await self._about(log, item)

    async def _before(self, item: Append) -> Appended | Refusal | None:
        row = await self._tx.fetchrow(
            "SELECT seq, ts, digest, users FROM entry WHERE conv = $1 AND sender = $2 AND cid = $3",
            item.conv, item.sender, item.cid,
        )  # fmt: skip
        if row is None:
            return None
        seq, ts, digest, users = row
        if bytes(digest) != item.digest:
            return Refusal.CID_REUSED
        return Appended(item.conv, seq, ts, True, unpack_users(users))

    async def _log(self, conv: int) -> _Log | None:
        if conv not in self.logs:
            row = await self._tx.fetchrow(
                "SELECT kind, head, last_ts, version FROM conv WHERE conv = $1" + _FOR_UPDATE[self._tx.engine], conv
            )
            self.logs[conv] = None if row is None else _Log(*row)
        return self.logs[conv]

    async def _standing(self, conv: int, user: int) -> _Standing | None:
        key = (conv, user)
        if key not in self._standings:
            row = await self._tx.fetchrow(
                "SELECT role, since, until FROM member WHERE conv = $1 AND user_id = $2", conv, user
            )
            self._standings[key] = None if row is None else _Standing(*row)
        return self._standings[key]

    def _enter(self, log: _Log, item: Append, users: tuple[int, ...], target: int | None = None) -> Appended:
        log.head = seq = log.head + 1
        log.last_ts = ts = max(self._now_ms, log.last_ts)
        log.touched = True
        packed = json.dumps(users) if users else None
        self._rows.append(
            (item.conv, seq, ts, item.sender, item.kind, item.content, item.ref, packed, item.cid, item.digest,
             target or seq, seq)
        )  # fmt: skip
        return Appended(item.conv, seq, ts, False, users)

    async def _about(self, log: _Log, item: Append) -> Appended | Refusal:
        """An entry about a message: a reply, an edit, a delete, a reaction."""
        target = await self._tx.fetchrow(
            "SELECT sender, content FROM entry WHERE conv = $1 AND seq = $2 AND kind = $3",
            item.conv,
            item.ref,
            Kind.MSG,
        )
        if target is None or not await self._sees(item):
            return Refusal.NOT_FOUND
        sender, content = target
        if item.kind == Kind.MSG:
            return self._enter(log, item, ())
        if item.kind != Kind.REACT and sender != item.sender:
            return Refusal.FORBIDDEN
        if content is None:
            return Refusal.DELETED
        if item.kind == Kind.REACT and item.content is not None and await self._reacted_enough(item):
            return Refusal.LIMIT
        done = self._enter(log, item, (), item.ref)
        await self.flush()
        await self._project(item, done)
        return done

    async def _reacted_enough(self, item: Append) -> bool:
        row = await self._tx.fetchrow(
            "SELECT count(*) FROM reaction WHERE conv = $1 AND seq = $2 AND user_id <> $3",
            item.conv,
            item.ref,
            item.sender,
        )
        assert row is not None
        return int(row[0]) >= REACTIONS_MAX

    async def _sees(self, item: Append) -> bool:
        standing = await self._standing(item.conv, item.sender)
        assert standing is not None
        assert item.ref is not None
        if item.ref >= standing.since:
            return True
        return await self._tx.fetchrow(
            "SELECT 1 FROM past_period WHERE conv = $1 AND user_id = $2 AND since <= $3 AND until >= $3",
            item.conv, item.sender, item.ref,
        ) is not None  # fmt: skip

    async def _project(self, item: Append, done: Appended) -> None:
        """What the entry does to the message it is about."""
        tx, conv, ref = self._tx, item.conv, item.ref
        if item.kind == Kind.EDIT:
            await tx.execute(
                "UPDATE entry SET latest = $1, edited = $2, rev = $3 WHERE conv = $4 AND seq = $5",
                item.content, done.ts, done.seq, conv, ref,
            )  # fmt: skip
        elif item.kind == Kind.DELETE:
            await tx.execute(
                "UPDATE entry SET content = NULL, latest = NULL, edited = NULL, rev = $1 WHERE conv = $2 AND seq = $3",
                done.seq, conv, ref,
            )  # fmt: skip
            await tx.execute(
                "UPDATE entry SET content = NULL WHERE conv = $1 AND target = $2 AND kind = $3 AND seq > $2",
                conv, ref, Kind.EDIT,
            )  # fmt: skip
            await tx.execute("DELETE FROM reaction WHERE conv = $1 AND seq = $2", conv, ref)
        else:
            await self._react(item, done)

    async def _react(self, item: Append, done: Appended) -> None:
        tx, conv, ref = self._tx, item.conv, item.ref
        if item.content is None:
            await tx.execute(
                "DELETE FROM reaction WHERE conv = $1 AND seq = $2 AND user_id = $3", conv, ref, item.sender
            )
        else:
            await tx.execute(
                "INSERT INTO reaction (conv, seq, user_id, content) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (conv, seq, user_id) DO UPDATE SET content = excluded.content",
                conv, ref, item.sender, item.content,
            )  # fmt: skip
        await tx.execute("UPDATE entry SET rev = $1 WHERE conv = $2 AND seq = $3", done.seq, conv, ref)

    async def _create(self, item: Append) -> Appended | Refusal:
        tx = self._tx
        await self.flush()
        row = await tx.fetchrow(
            "SELECT c.conv, c.digest, e.ts FROM creation c JOIN entry e ON e.conv = c.conv AND e.seq = 1"
            " WHERE c.creator = $1 AND c.cid = $2",
            item.sender, item.cid,
        )  # fmt: skip
        if row is not None:
            same = bytes(row[1]) == item.digest
            return Appended(row[0], 1, row[2], True, (item.sender, *item.users)) if same else Refusal.CID_REUSED
        users = (item.sender, *item.users)
        refusal = await self._may_create(item)
        if refusal is not None:
            return refusal
        if item.conv_kind == DIRECT and (existing := await self._direct(item)) is not None:
            return existing
        if await tx.fetchrow("SELECT 1 FROM conv WHERE conv = $1", item.conv) is not None:
            return Refusal.CONFLICT
        await self._found(item)
        log = self.logs[item.conv] = _Log(item.conv_kind, 0, 0, 1)
        done = self._enter(log, item, users)
        for user in users:
            owns = user == item.sender and item.conv_kind == GROUP
            await self._begin_period(item.conv, user, OWNER if owns else MEMBER, 1)
        return done

    async def _may_create(self, item: Append) -> Refusal | None:
        if item.sender in item.users:
            return Refusal.FORBIDDEN
        if len(item.users) + 1 > self._members_max:
            return Refusal.LIMIT
        return await self._unknown(item.users)

    async def _unknown(self, users: Sequence[int]) -> Refusal | None:
        for user in users:
            if await self._tx.fetchrow("SELECT 1 FROM account WHERE user_id = $1", user) is None:
                return Refusal.NOT_FOUND
        return None

    async def _direct(self, item: Append) -> Appended | None:
        low, high = sorted((item.sender, item.users[0]))
        row = await self._tx.fetchrow(
            "SELECT d.conv, e.ts, e.users FROM direct d JOIN entry e ON e.conv = d.conv AND e.seq = 1"
            " WHERE d.low = $1 AND d.high = $2",
            low, high,
        )  # fmt: skip
        return None if row is None else Appended(row[0], 1, row[1], True, unpack_users(row[2]))

    async def _found(self, item: Append) -> None:
        tx = self._tx
        await tx.execute(
            "INSERT INTO conv (conv, kind, title, head, last_ts, version, stamp) VALUES ($1, $2, $3, 0, 0, 1, $4)",
            item.conv, item.conv_kind, item.content, self._stamp,
        )  # fmt: skip
        await tx.execute("INSERT INTO conv_rc (conv, rrev, rstamp) VALUES ($1, 0, $2)", item.conv, self._stamp)
        await tx.execute(
            "INSERT INTO creation (creator, cid, conv, digest) VALUES ($1, $2, $3, $4)",
            item.sender, item.cid, item.conv, item.digest,
        )  # fmt: skip
        if item.conv_kind == DIRECT:
            low, high = sorted((item.sender, item.users[0]))
            await tx.execute("INSERT INTO direct (low, high, conv) VALUES ($1, $2, $3)", low, high, item.conv)

    async def _add(self, log: _Log, item: Append) -> Appended | Refusal:
        if log.kind != GROUP:
            return Refusal.FORBIDDEN
        if (refusal := await self._unknown(item.users)) is not None:
            return refusal
        fresh = []
        for user in item.users:
            standing = await self._standing(item.conv, user)
            if standing is None or standing.until is not None:
                fresh.append(user)
        if not fresh:
            return Refusal.CONFLICT
        count = await self._tx.fetchrow("SELECT count(*) FROM member WHERE conv = $1 AND until IS NULL", item.conv)
        assert count is not None
        if count[0] + len(fresh) > self._members_max:
            return Refusal.LIMIT
        done = self._enter(log, item, tuple(fresh))
        log.version = done.seq
        for user in fresh:
            await self._begin_period(item.conv, user, MEMBER, done.seq)
        return done

    async def _begin_period(self, conv: int, user: int, role: int, seq: int) -> None:
        earlier = await self._standing(conv, user)
        if earlier is not None and earlier.until is not None:
            role = earlier.role  # who made the group owns it again when he comes back
            await self._tx.execute(
                "INSERT INTO past_period (conv, user_id, since, until) VALUES ($1, $2, $3, $4)",
                conv, user, earlier.since, earlier.until,
            )  # fmt: skip
        await self._tx.execute(
            "INSERT INTO member (conv, user_id, role, since, until, stamp) VALUES ($1, $2, $3, $4, NULL, $5)"
            " ON CONFLICT (conv, user_id) DO UPDATE"
            " SET role = excluded.role, since = excluded.since, until = NULL, stamp = excluded.stamp",
            conv, user, role, seq, self._stamp,
        )  # fmt: skip
        self._standings[conv, user] = _Standing(role, seq, None)

    async def _remove(self, log: _Log, mine: _Standing, item: Append) -> Appended | Refusal:
        (user,) = item.users
        if log.kind != GROUP or (user != item.sender and mine.role != OWNER):
            return Refusal.FORBIDDEN
        theirs = await self._standing(item.conv, user)
        if theirs is None or theirs.until is not None:
            return Refusal.NOT_FOUND
        done = self._enter(log, item, item.users)
        log.version = done.seq
        theirs.until = done.seq
        await self._tx.execute(
            "UPDATE member SET until = $1, stamp = $2 WHERE conv = $3 AND user_id = $4",
            done.seq, self._stamp, item.conv, user,
        )  # fmt: skip
        return done

    async def flush(self) -> None:
        """Insert the entries so far."""
        if self._rows:
            rows, self._rows = self._rows, []
            await self._tx.executemany(_INSERT, rows)

    async def finish(self, known: Mapping[int, int]) -> dict[int, Members]:
        """Write the heads; returns the member lists the caller does not have."""
        await self.flush()
        touched = [(conv, log) for conv, log in self.logs.items() if log is not None and log.touched]
        await self._tx.executemany(
            "UPDATE conv SET head = $1, last_ts = $2, version = $3, stamp = $4 WHERE conv = $5",
            [(log.head, log.last_ts, log.version, self._stamp, conv) for conv, log in touched],
        )
        return {
            conv: await conversations.member_list(self._tx, conv)
            for conv, log in touched
            if known.get(conv) != log.version
        }


async def append(
    tx: Tx, batch: Sequence[Append], now_ms: int, known: Mapping[int, int], members_max: int, careful: bool
) -> Commit:
    """Append a batch in order. Raises SeenBefore, or the engine's constraint error, when it has to be done
    carefully.
    """
    run = _Batch(tx, now_ms, await sync.next_stamp(tx), members_max, careful)
    results: list[Appended | Refusal] = [await run.one(item) for item in batch]
    members = await run.finish(known)
    return Commit(list(results), members)


def unpack_users(users: str | None) -> tuple[int, ...]:
    """The users column."""
    return tuple(json.loads(users)) if users else ()
