"""The append: a batch of entries in one transaction. P1 to P4 rest on what happens here.

What the batch needs to know is asked first, by the set: its conversations, which are locked, where everyone concerned
stands, and which cids were used before. Membership and role are checked inside. Refused entries take no seq.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import attrs

from wirechat.store.features import sync
from wirechat.store.records import DIRECT, GROUP, MEMBER, OWNER, Append, Appended, Commit, Kind, Members, Refusal
from wirechat.store.tx import FOR_UPDATE, Tx

_INSERT = """
    INSERT INTO entry (conv, seq, ts, sender, kind, content, ref, users, cid, digest, target, rev)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
REACTIONS_MAX = 1000
"""Users with a reaction on one message: a record must fit into a frame."""

MEMBERS_MAX = 1000
"""Members of a group."""

_MSG = int(Kind.MSG)


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
    """One run over a batch. What it has asked for once it keeps up to date itself."""

    def __init__(self, tx: Tx, now_ms: int, stamp: int) -> None:
        self._tx = tx
        self._now_ms = now_ms
        self._stamp = stamp
        self._logs: dict[int, _Log] = {}
        self._standings: dict[tuple[int, int], _Standing] = {}
        self._done: dict[tuple[int, int, bytes], tuple[bytes, Appended]] = {}
        """(conv, sender, cid) -> digest and first answer."""
        self._rows: list[tuple[object, ...]] = []

    async def load(self, batch: Sequence[Append]) -> None:
        """Lock the conversations, always in the same order, and ask what has to be known."""
        batch = [item for item in batch if item.kind != Kind.CREATE]
        logs = await self._tx.fetchmany(
            "SELECT conv, kind, head, last_ts, version FROM conv WHERE conv = $1" + FOR_UPDATE[self._tx.engine],
            [(conv,) for conv in sorted({item.conv for item in batch})],
        )
        for conv, kind, head, last_ts, version in logs:
            self._logs[conv] = _Log(kind, head, last_ts, version)
        standings = await self._tx.fetchmany(
            "SELECT conv, user_id, role, since, until FROM member WHERE conv = $1 AND user_id = $2",
            sorted(_concerned(batch)),
        )
        for conv, user, role, since, until in standings:
            self._standings[conv, user] = _Standing(role, since, until)
        done = await self._tx.fetchmany(
            "SELECT conv, sender, cid, digest, seq, ts, users FROM entry WHERE conv = $1 AND sender = $2 AND cid = $3",
            [(item.conv, item.sender, item.cid) for item in batch],
        )
        for conv, sender, cid, digest, seq, ts, users in done:
            self._done[conv, sender, cid] = digest, Appended(conv, seq, ts, True, unpack_users(users))

    async def run(self, batch: Sequence[Append]) -> list[Appended | Refusal]:
        """Append one after the other."""
        return [self._plain(item) or await self._any(item) for item in batch]

    def _plain(self, item: Append) -> Appended | None:
        """The common case, for which nothing has to be asked: a member writes a message that refers to none."""
        if (
            item.kind != _MSG
            or item.ref is not None
            or item.refused
            or (item.conv, item.sender, item.cid) in self._done
        ):
            return None
        log = self._logs.get(item.conv)
        standing = self._standings.get((item.conv, item.sender))
        if log is None or standing is None or standing.until is not None:
            return None
        return self._enter(log, item, ())

    async def _any(self, item: Append) -> Appended | Refusal:
        await self._flush()
        if item.kind == Kind.CREATE:
            return await self._create(item)
        return self._before(item) or await self._judge(item)

    def _before(self, item: Append) -> Appended | Refusal | None:
        """What was done is answered as the first time, whatever has changed since."""
        before = self._done.get((item.conv, item.sender, item.cid))
        if before is None:
            return item.refused
        digest, answer = before
        return answer if digest == item.digest else Refusal.CID_REUSED

    async def _judge(self, item: Append) -> Appended | Refusal:
        log = self._logs.get(item.conv)
        standing = self._standings.get((item.conv, item.sender))
        if log is None or standing is None:
            return Refusal.NO_CONVERSATION
        if standing.until is not None:
            return Refusal.FORBIDDEN
        if item.kind == Kind.ADD:
            return await self._add(log, item)
        if item.kind == Kind.REMOVE:
            return await self._remove(log, standing, item)
        if item.ref is None:
            return self._enter(log, item, ())
        return await self._about(log, standing, item, item.ref)

    def _enter(self, log: _Log, item: Append, users: tuple[int, ...], target: int | None = None) -> Appended:
        log.head = seq = log.head + 1
        log.last_ts = ts = max(self._now_ms, log.last_ts)
        log.touched = True
        packed = json.dumps(users) if users else None
        self._rows.append(
            (item.conv, seq, ts, item.sender, item.kind, item.content, item.ref, packed, item.cid, item.digest,
             target or seq, seq)
        )  # fmt: skip
        self._done[item.conv, item.sender, item.cid] = item.digest, Appended(item.conv, seq, ts, True, users)
        return Appended(item.conv, seq, ts, False, users)

    # entries about a message

    async def _about(self, log: _Log, standing: _Standing, item: Append, ref: int) -> Appended | Refusal:
        """A reply, an edit, a delete, a reaction."""
        message = await self._tx.fetchrow(
            "SELECT sender, content FROM entry WHERE conv = $1 AND seq = $2 AND kind = $3", item.conv, ref, _MSG
        )
        if message is None or not await self._sees(standing, item, ref):
            return Refusal.NOT_FOUND
        sender, content = message
        if item.kind == _MSG:
            return self._enter(log, item, ())
        if item.kind != Kind.REACT and sender != item.sender:
            return Refusal.FORBIDDEN
        if content is None:
            return Refusal.DELETED
        if item.kind == Kind.REACT and item.content is not None and await self._reacted_enough(item):
            return Refusal.LIMIT
        done = self._enter(log, item, (), ref)
        await self._project(item, done)
        return done

    async def _sees(self, standing: _Standing, item: Append, ref: int) -> bool:
        if ref >= standing.since:
            return True
        return await self._tx.fetchrow(
            "SELECT 1 FROM past_period WHERE conv = $1 AND user_id = $2 AND since <= $3 AND until >= $3",
            item.conv, item.sender, ref,
        ) is not None  # fmt: skip

    async def _reacted_enough(self, item: Append) -> bool:
        others = await self._tx.fetchrow(
            "SELECT count(*) FROM reaction WHERE conv = $1 AND seq = $2 AND user_id <> $3",
            item.conv, item.ref, item.sender,
        )  # fmt: skip
        assert others is not None
        return int(others[0]) >= REACTIONS_MAX

    async def _project(self, item: Append, done: Appended) -> None:
        """What the entry does to the message it is about."""
        if item.kind == Kind.EDIT:
            await self._tx.execute(
                "UPDATE entry SET latest = $1, edited = $2, rev = $3 WHERE conv = $4 AND seq = $5",
                item.content, done.ts, done.seq, item.conv, item.ref,
            )  # fmt: skip
        elif item.kind == Kind.DELETE:
            await self._wipe(item, done)
        else:
            await self._react(item, done)

    async def _wipe(self, item: Append, done: Appended) -> None:
        tx, conv, ref = self._tx, item.conv, item.ref
        await tx.execute(
            "UPDATE entry SET content = NULL, latest = NULL, edited = NULL, rev = $1 WHERE conv = $2 AND seq = $3",
            done.seq, conv, ref,
        )  # fmt: skip
        await tx.execute(
            "UPDATE entry SET content = NULL WHERE conv = $1 AND seq IN"
            " (SELECT seq FROM entry WHERE conv = $1 AND ref = $2 AND kind = 2)",
            conv,
            ref,
        )  # fmt: skip  the literal 2 (EDIT) lets the partial index serve; a walk of the log would hold up all writers
        await tx.execute("DELETE FROM reaction WHERE conv = $1 AND seq = $2", conv, ref)

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

    # new conversations

    async def _create(self, item: Append) -> Appended | Refusal:
        known = await self._tx.fetchrow(
            "SELECT conv, digest FROM creation WHERE creator = $1 AND cid = $2", item.sender, item.cid
        )
        if known is not None:
            return await self._again(known[0]) if known[1] == item.digest else Refusal.CID_REUSED
        if (refusal := await self._may_create(item)) is not None:
            return refusal
        if item.conv_kind == DIRECT and (existing := await self._direct(item)) is not None:
            await self._note_creation(item, existing)
            return await self._again(existing)
        while await self._tx.fetchrow("SELECT 1 FROM conv WHERE conv = $1", item.conv) is not None:
            item = attrs.evolve(item, conv=item.conv + 1)
        return await self._found(item)

    async def _again(self, conv: int) -> Appended:
        row = await self._tx.fetchrow("SELECT ts, users FROM entry WHERE conv = $1 AND seq = 1", conv)
        assert row is not None
        return Appended(conv, 1, row[0], True, unpack_users(row[1]))

    async def _may_create(self, item: Append) -> Refusal | None:
        if item.sender in item.users:
            return Refusal.FORBIDDEN
        if len(item.users) + 1 > (item.members_max or MEMBERS_MAX):
            return Refusal.LIMIT
        return await self._unknown(item.users)

    async def _unknown(self, users: Sequence[int]) -> Refusal | None:
        known = await self._tx.fetchmany("SELECT 1 FROM account WHERE user_id = $1", [(user,) for user in users])
        return None if len(known) == len(users) else Refusal.NOT_FOUND

    async def _direct(self, item: Append) -> int | None:
        low, high = sorted((item.sender, *item.users))
        row = await self._tx.fetchrow("SELECT conv FROM direct WHERE low = $1 AND high = $2", low, high)
        return None if row is None else int(row[0])

    async def _note_creation(self, item: Append, conv: int) -> None:
        await self._tx.execute(
            "INSERT INTO creation (creator, cid, conv, digest) VALUES ($1, $2, $3, $4)",
            item.sender, item.cid, conv, item.digest,
        )  # fmt: skip

    async def _found(self, item: Append) -> Appended:
        tx, conv = self._tx, item.conv
        await tx.execute(
            "INSERT INTO conv (conv, kind, title, head, last_ts, version, stamp) VALUES ($1, $2, $3, 0, 0, 1, $4)",
            conv, item.conv_kind, item.content, self._stamp,
        )  # fmt: skip
        await tx.execute("INSERT INTO conv_rc (conv, rrev, rstamp) VALUES ($1, 0, $2)", conv, self._stamp)
        await self._note_creation(item, conv)
        if item.conv_kind == DIRECT:
            low, high = sorted((item.sender, *item.users))
            await tx.execute("INSERT INTO direct (low, high, conv) VALUES ($1, $2, $3)", low, high, conv)
        log = self._logs[conv] = _Log(item.conv_kind, 0, 0, 1)
        done = self._enter(log, item, (item.sender, *item.users))
        await self._begin_periods(conv, item.users, MEMBER, done.seq)
        await self._begin_periods(conv, (item.sender,), OWNER if item.conv_kind == GROUP else MEMBER, done.seq)
        return done

    # members

    async def _add(self, log: _Log, item: Append) -> Appended | Refusal:
        if log.kind != GROUP:
            return Refusal.FORBIDDEN
        if (refusal := await self._unknown(item.users)) is not None:
            return refusal
        fresh = tuple(user for user in item.users if not self._is_member(item.conv, user))
        if not fresh:
            return Refusal.CONFLICT
        count = await self._tx.fetchrow("SELECT count(*) FROM member WHERE conv = $1 AND until IS NULL", item.conv)
        assert count is not None
        if count[0] + len(fresh) > (item.members_max or MEMBERS_MAX):
            return Refusal.LIMIT
        done = self._enter(log, item, fresh)
        log.version = done.seq
        await self._begin_periods(item.conv, fresh, MEMBER, done.seq)
        receipts = await self._tx.fetchrow("SELECT rrev FROM conv_rc WHERE conv = $1", item.conv)
        assert receipts is not None
        done.rrev = receipts[0]
        return done

    def _is_member(self, conv: int, user: int) -> bool:
        standing = self._standings.get((conv, user))
        return standing is not None and standing.until is None

    async def _begin_periods(self, conv: int, users: Sequence[int], role: int, seq: int) -> None:
        """Who comes back has one more period, and the role he had: who made a group owns it again."""
        earlier = {user: self._standings[conv, user] for user in users if (conv, user) in self._standings}
        await self._tx.executemany(
            "INSERT INTO past_period (conv, user_id, since, until) VALUES ($1, $2, $3, $4)",
            [(conv, user, was.since, was.until) for user, was in earlier.items()],
        )
        now = {user: _Standing(earlier[user].role if user in earlier else role, seq, None) for user in users}
        await self._tx.executemany(
            "INSERT INTO member (conv, user_id, role, since, until, stamp) VALUES ($1, $2, $3, $4, NULL, $5)"
            " ON CONFLICT (conv, user_id) DO UPDATE"
            " SET role = excluded.role, since = excluded.since, until = NULL, stamp = excluded.stamp",
            [(conv, user, standing.role, seq, self._stamp) for user, standing in now.items()],
        )
        self._standings.update({(conv, user): standing for user, standing in now.items()})

    async def _remove(self, log: _Log, mine: _Standing, item: Append) -> Appended | Refusal:
        (user,) = item.users
        if log.kind != GROUP or (user != item.sender and mine.role != OWNER):
            return Refusal.FORBIDDEN
        if not self._is_member(item.conv, user):
            return Refusal.NOT_FOUND
        done = self._enter(log, item, item.users)
        log.version = done.seq
        self._standings[item.conv, user].until = done.seq
        await self._tx.execute(
            "UPDATE member SET until = $1, stamp = $2 WHERE conv = $3 AND user_id = $4",
            done.seq, self._stamp, item.conv, user,
        )  # fmt: skip
        return done

    # the end

    async def _flush(self) -> None:
        """Insert the entries so far."""
        if self._rows:
            rows, self._rows = self._rows, []
            await self._tx.executemany(_INSERT, rows)

    async def finish(self, known: Mapping[int, int]) -> dict[int, Members]:
        """Write what is left; returns the member lists the caller does not have."""
        await self._flush()
        touched = {conv: log for conv, log in self._logs.items() if log.touched}
        await self._tx.executemany(
            "UPDATE conv SET head = $1, last_ts = $2, version = $3, stamp = $4 WHERE conv = $5",
            [(log.head, log.last_ts, log.version, self._stamp, conv) for conv, log in touched.items()],
        )
        wanted = {conv: Members(log.version, {}) for conv, log in touched.items() if known.get(conv) != log.version}
        for conv, user, since in await self._tx.fetchmany(
            "SELECT conv, user_id, since FROM member WHERE conv = $1 AND until IS NULL ORDER BY user_id",
            [(conv,) for conv in wanted],
        ):
            wanted[conv].since[user] = since
        return wanted


def _concerned(batch: Iterable[Append]) -> set[tuple[int, int]]:
    """(conv, user) of those who write, are added or are removed."""
    found = {(item.conv, item.sender) for item in batch}
    found.update((item.conv, user) for item in batch for user in item.users)
    return found


async def append(tx: Tx, batch: Sequence[Append], now_ms: int, known: Mapping[int, int]) -> Commit:
    """Append a batch in order; `known`: versions of the member lists that the caller has. Raises Violated when another
    node did one of them at the same time.
    """
    run = _Batch(tx, now_ms, await sync.next_stamp(tx))
    await run.load(batch)
    results = await run.run(batch)
    return Commit(list(results), await run.finish(known))


def unpack_users(users: str | None) -> tuple[int, ...]:
    """The users column."""
    return tuple(json.loads(users)) if users else ()
