"""The append: a batch of entries in one transaction. P1 to P4 rest on what happens here.

What the batch needs to know is asked first, by the set: its conversations, which are locked, where everyone concerned
stands, and which cids were used before. Membership and role are checked inside. Refused entries take no seq.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from wirechat.store.features import account_log, forwards, mentions, messages, privacy, roles, sync
from wirechat.store.records import (
    ABOUT,
    ACCOUNT,
    ADMIN,
    DIRECT,
    GROUP,
    MEMBER,
    MODERATOR,
    NONE,
    OWNER,
    SELF,
    Append,
    Appended,
    Commit,
    Kind,
    Members,
    Origin,
    Project,
    Refusal,
    content_type,
    pack_users,
    unpack_users,
)
from wirechat.store.tx import FOR_UPDATE, Tx

_INSERT = """
    INSERT INTO entry (conv, seq, ts, sender, kind, content, ref, users, cid, digest, target, rev,
                       origin_user, origin_ts, role)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""
MEMBERS_MAX = 1000
"""Members of a group."""

_MSG = int(Kind.MSG)
_MENTIONING = (Kind.MSG, Kind.EDIT)

_LOG = """
    SELECT conv, kind, head, last_ts, version, CASE kind WHEN 1 THEN EXISTS (
        SELECT 1 FROM direct d JOIN block b ON (b.user_id = d.low AND b.blocked = d.high)
                                            OR (b.user_id = d.high AND b.blocked = d.low) WHERE d.conv = conv.conv)
    ELSE kind = 6 END
    FROM conv WHERE conv = $1
"""
_SILENCED = frozenset({Kind.MSG, Kind.EDIT, Kind.REACT, Kind.PIN, Kind.UNPIN})
"""What nobody does in a direct conversation while one of the two blocks the other."""


@attrs.define
class _Log:
    """A conversation as the batch goes on."""

    kind: int
    head: int
    last_ts: int
    version: int
    closed: bool = False
    """Nobody just writes here: an account log, or one of the two has blocked the other."""
    touched: bool = False


@attrs.define
class _Standing:
    """A member as the batch goes on."""

    role: int
    """NONE once he is not a member any more."""
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
        self._account_logs: dict[int, int] = {}
        """user -> his log, if he has one."""
        self._rows: list[tuple[object, ...]] = []
        self._mentions: list[mentions.Mention] = []

    async def load(self, batch: Sequence[Append]) -> None:
        """Lock the conversations, always in the same order, and ask what has to be known."""
        accounts = {item.sender for item in batch if item.project is not None}
        if accounts:
            self._account_logs = await account_log.find(self._tx, accounts)
        plain = [item for item in batch if not item.conv_kind]
        logs = await self._tx.fetchmany(
            _LOG + FOR_UPDATE[self._tx.engine],
            [(conv,) for conv in sorted({*(item.conv for item in plain), *self._account_logs.values()})],
        )
        for conv, kind, head, last_ts, version, closed in logs:
            self._logs[conv] = _Log(kind, head, last_ts, version, closed)
        standings = await self._tx.fetchmany(
            "SELECT conv, user_id, role, since, until FROM member WHERE conv = $1 AND user_id = $2",
            sorted(_concerned(plain)),
        )
        for conv, user, role, since, until in standings:
            self._standings[conv, user] = _Standing(role, since, until)
        done = await self._tx.fetchmany(
            "SELECT conv, sender, cid, digest, seq, ts, users FROM entry WHERE conv = $1 AND sender = $2 AND cid = $3",
            [(item.conv, item.sender, item.cid) for item in map(self._placed, batch)],
        )
        for conv, sender, cid, digest, seq, ts, users in done:
            self._done[conv, sender, cid] = digest, Appended(conv, seq, ts, True, unpack_users(users))

    def _placed(self, item: Append) -> Append:
        """With the account log it goes to, if it goes to one that is there."""
        if item.project is None or item.sender not in self._account_logs:
            return item
        return attrs.evolve(item, conv=self._account_logs[item.sender])

    async def run(self, batch: Sequence[Append]) -> list[Appended | Refusal]:
        """Append one after the other."""
        return [self._plain(item) or await self._any(item) for item in batch]

    def _plain(self, item: Append) -> Appended | None:
        """The common case, for which nothing has to be asked: a member writes a message that refers to none."""
        if item.kind != _MSG or item.ref is not None or item.source is not None or item.refused is not None:
            return None
        if (item.conv, item.sender, item.cid) in self._done:
            return None
        log = self._logs.get(item.conv)
        standing = self._standings.get((item.conv, item.sender))
        if log is None or log.closed or standing is None or standing.until is not None:
            return None
        return self._enter(log, item, item.users)

    async def _any(self, item: Append) -> Appended | Refusal:
        await self._flush()
        if item.kind == Kind.CREATE:
            return await self._create(item)
        if item.project is not None:
            return await self._account(item, item.project)
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
        if standing.until is not None or log.kind == ACCOUNT:
            return Refusal.FORBIDDEN
        if log.closed and item.kind in _SILENCED:
            return Refusal.BLOCKED
        if item.kind == Kind.ADD:
            return await self._add(log, item)
        if item.kind == Kind.REMOVE:
            return await self._remove(log, standing, item)
        if item.kind == Kind.META:
            return await self._describe(log, standing, item)
        if item.kind == Kind.ROLE:
            return await self._assign(log, standing, item)
        if item.source is not None:
            return await self._forward(log, standing, item, item.source)
        if item.ref is None:
            return self._enter(log, item, item.users)
        return await self._about(log, standing, item, item.ref)

    def _enter(
        self,
        log: _Log,
        item: Append,
        users: tuple[int, ...],
        target: int | None = None,
        origin: Origin | tuple[None, None] = (None, None),
    ) -> Appended:
        log.head = seq = log.head + 1
        log.last_ts = ts = max(self._now_ms, log.last_ts)
        log.touched = True
        packed = pack_users(users) if users else None
        self._rows.append(
            (item.conv, seq, ts, item.sender, item.kind, item.content, item.ref, packed, item.cid,
             item.digest, target or seq, seq, *origin, item.role)
        )  # fmt: skip
        if users and item.kind == _MSG:
            self._mentions += mentions.of(item.conv, seq, item.sender, users)
        self._done[item.conv, item.sender, item.cid] = item.digest, Appended(item.conv, seq, ts, True, users)
        return Appended(item.conv, seq, ts, False, users)

    # account logs

    async def _account(self, item: Append, project: Project) -> Appended | Refusal:
        """Do what the entry tells of, once; there is one only if that changed something."""
        if (before := self._before(self._placed(item))) is not None:
            return before
        changed = await project(self._tx, self._stamp)
        if isinstance(changed, Refusal):
            return changed
        conv = self._account_logs.get(item.sender)
        if not changed:
            return Appended(conv or 0, 0, self._now_ms, True)
        if conv is None:
            conv = await account_log.make(self._tx, item.sender, item.conv, self._stamp)
            self._account_logs[item.sender] = conv
            self._logs[conv] = _Log(ACCOUNT, 0, 0, 1, True)
        return self._enter(self._logs[conv], attrs.evolve(item, conv=conv), item.users)

    # entries about a message

    async def _about(self, log: _Log, standing: _Standing, item: Append, ref: int) -> Appended | Refusal:
        """A reply, an edit, a delete, a reaction, a pin."""
        message = await self._message(standing, item, ref)
        if isinstance(message, Refusal):
            return message
        if item.kind == _MSG:
            return self._enter(log, item, item.users)
        if not await self._may_change(log, standing, item, message.sender):
            return Refusal.FORBIDDEN
        if (refusal := await messages.refusal(self._tx, item, message)) is not None:
            return refusal
        done = self._enter(log, item, item.users, ref)
        await messages.project(self._tx, item, done, message)
        return done

    async def _message(self, standing: _Standing, item: Append, ref: int) -> messages.Message | Refusal:
        """The message an entry refers to, if its sender sees it."""
        message = await messages.find(self._tx, item.conv, ref)
        if message is None or not await self._sees(standing, item, ref):
            return Refusal.NOT_FOUND
        return message

    async def _may_change(self, log: _Log, mine: _Standing, item: Append, author: int) -> bool:
        """Whether the sender has the right to do this to a message of this author."""
        if item.kind in (Kind.PIN, Kind.UNPIN):
            return roles.may_pin(log.kind, mine.role)
        if item.sender == author or item.kind == Kind.REACT:
            return True
        return item.kind == Kind.DELETE and roles.may_moderate(log.kind, mine.role, await self._role(item.conv, author))

    async def _role(self, conv: int, user: int) -> int:
        standing = self._standings.get((conv, user))
        if standing is not None:
            return standing.role
        row = await self._tx.fetchrow("SELECT role FROM member WHERE conv = $1 AND user_id = $2", conv, user)
        return NONE if row is None else int(row[0])

    async def _sees(self, standing: _Standing, item: Append, ref: int) -> bool:
        if ref >= standing.since:
            return True
        return await self._tx.fetchrow(
            "SELECT 1 FROM past_period WHERE conv = $1 AND user_id = $2 AND since <= $3 AND until >= $3",
            item.conv, item.sender, ref,
        ) is not None  # fmt: skip

    async def _forward(
        self, log: _Log, standing: _Standing, item: Append, source: tuple[int, int]
    ) -> Appended | Refusal:
        """A message whose text is a copy."""
        if item.ref is not None:
            message = await self._message(standing, item, item.ref)
            if isinstance(message, Refusal):
                return message
        copied = await forwards.copy(self._tx, item.sender, *source)
        if isinstance(copied, Refusal):
            return copied
        content, origin = copied
        done = self._enter(log, attrs.evolve(item, content=content), (), origin=origin)
        done.content, done.origin = content, origin
        return done

    # new conversations

    async def _create(self, item: Append) -> Appended | Refusal:
        known = await self._tx.fetchrow(
            "SELECT conv, digest FROM creation WHERE creator = $1 AND cid = $2", item.sender, item.cid
        )
        if known is not None:
            return await self._again(known[0]) if known[1] == item.digest else Refusal.CID_REUSED
        if (refusal := await self._may_create(item)) is not None:
            return refusal
        if item.conv_kind != GROUP and (existing := await self._direct(item)) is not None:
            await self._note_creation(item, existing)
            return await self._again(existing)
        if await privacy.apart(self._tx, item.sender, item.users):
            return Refusal.BLOCKED
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
        low, high = _pair(item)
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
        if item.conv_kind in (DIRECT, SELF):
            low, high = _pair(item)
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
        if await privacy.apart(self._tx, item.sender, fresh):
            return Refusal.BLOCKED
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
        """Who comes back has one more period."""
        earlier = {user: self._standings[conv, user] for user in users if (conv, user) in self._standings}
        await self._tx.executemany(
            "INSERT INTO past_period (conv, user_id, since, until) VALUES ($1, $2, $3, $4)",
            [(conv, user, was.since, was.until) for user, was in earlier.items()],
        )
        now = {user: _Standing(role, seq, None) for user in users}
        await self._tx.executemany(
            "INSERT INTO member (conv, user_id, role, since, until, stamp) VALUES ($1, $2, $3, $4, NULL, $5)"
            " ON CONFLICT (conv, user_id) DO UPDATE"
            " SET role = excluded.role, since = excluded.since, until = NULL, stamp = excluded.stamp",
            [(conv, user, standing.role, seq, self._stamp) for user, standing in now.items()],
        )
        self._standings.update({(conv, user): standing for user, standing in now.items()})

    async def _remove(self, log: _Log, mine: _Standing, item: Append) -> Appended | Refusal:
        (user,) = item.users
        leaves = user == item.sender
        if log.kind != GROUP or not (leaves or mine.role >= MODERATOR):
            return Refusal.FORBIDDEN
        if not self._is_member(item.conv, user):
            return Refusal.NOT_FOUND
        theirs = self._standings[item.conv, user]
        if not leaves and not roles.may_moderate(log.kind, mine.role, theirs.role):
            return Refusal.FORBIDDEN
        done = self._enter(log, item, item.users)
        log.version = done.seq
        left, theirs.role, theirs.until = theirs.role, NONE, done.seq
        await self._tx.execute(
            "UPDATE member SET until = $1, role = $2, stamp = $3 WHERE conv = $4 AND user_id = $5",
            done.seq, NONE, self._stamp, item.conv, user,
        )  # fmt: skip
        if left == OWNER:
            await self._succeed(item.conv)
        return done

    # roles, title and description

    async def _succeed(self, conv: int) -> None:
        """The owner left: whoever stands highest, and of those was there first, follows him."""
        heir = await self._tx.fetchrow(
            "SELECT user_id FROM member WHERE conv = $1 AND until IS NULL ORDER BY role DESC, since, user_id LIMIT 1",
            conv,
        )
        if heir is not None:
            await self._give(conv, heir[0], OWNER)

    async def _give(self, conv: int, user: int, role: int) -> None:
        standing = self._standings.get((conv, user))
        if standing is not None:
            standing.role = role
        await self._tx.execute("UPDATE member SET role = $1 WHERE conv = $2 AND user_id = $3", role, conv, user)

    async def _assign(self, log: _Log, mine: _Standing, item: Append) -> Appended | Refusal:
        (user,) = item.users
        assert item.role is not None
        if log.kind != GROUP or mine.role < ADMIN:
            return Refusal.FORBIDDEN
        if not self._is_member(item.conv, user):
            return Refusal.NOT_FOUND
        theirs = self._standings[item.conv, user].role
        if not roles.may_assign(mine.role, theirs, item.role):
            return Refusal.FORBIDDEN
        if theirs == item.role:
            return Refusal.CONFLICT
        done = self._enter(log, item, item.users)
        await self._give(item.conv, user, item.role)
        if item.role == OWNER:
            await self._give(item.conv, item.sender, ADMIN)
        return done

    async def _describe(self, log: _Log, mine: _Standing, item: Append) -> Appended | Refusal:
        if not roles.may_describe(log.kind, mine.role):
            return Refusal.FORBIDDEN
        assert item.content is not None
        done = self._enter(log, item, ())
        column = "about" if content_type(item.content) == ABOUT else "title"
        await self._tx.execute(f"UPDATE conv SET {column} = $1 WHERE conv = $2", item.content, item.conv)
        return done

    # the end

    async def _flush(self) -> None:
        """Insert the entries so far."""
        if self._rows:
            rows, self._rows = self._rows, []
            await self._tx.executemany(_INSERT, rows)
        if self._mentions:
            noted, self._mentions = self._mentions, []
            await mentions.note(self._tx, noted)

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
    found.update((item.conv, user) for item in batch if item.kind not in _MENTIONING for user in item.users)
    return found


def _pair(item: Append) -> tuple[int, int]:
    """How a direct conversation or notes to self are noted: by the two who are in it, or twice by the one."""
    both = (item.sender, *item.users)
    return min(both), max(both)


async def append(tx: Tx, batch: Sequence[Append], now_ms: int, known: Mapping[int, int]) -> Commit:
    """Append a batch in order; `known`: versions of the member lists that the caller has. Raises Violated when another
    node did one of them at the same time.
    """
    run = _Batch(tx, now_ms, await sync.stamp(tx))
    await run.load(batch)
    results = await run.run(batch)
    return Commit(list(results), await run.finish(known))
