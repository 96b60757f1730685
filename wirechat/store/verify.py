"""Is everything stored consistent? Every number and projection is computed again from the logs, in one snapshot.

Works on both engines, on a copy or beside a running server. One conversation is in memory at a time, and of its log
only what was changed, its contents as hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable

import attrs

from wirechat.store.records import ABOUT, ACCOUNT, DIRECT, SELF, Kind, content_type, unpack_users
from wirechat.store.roster import Periods, Roster
from wirechat.store.tx import Row, Tx
from wirechat.store.verify_account_log import AccountLog, ReadHidden, check_unlogged

PAGE = 1000
"""Rows fetched at a time."""

Tell = Callable[[str], None]
"""Is given one line for each problem."""

_NEWEST_STAMP = {
    "sqlite": "SELECT value FROM stamp",
    "postgres": "SELECT value + pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1 FROM stamp",
}


@attrs.define
class Summary:
    """What was looked at."""

    conversations: int = 0
    entries: int = 0
    problems: int = 0


async def verify(tx: Tx, tell: Tell, read_hidden: ReadHidden) -> Summary:
    """Check everything. `tell` is called while the snapshot is open, from whatever thread it runs in."""
    summary = Summary()

    def problem(text: str) -> None:
        summary.problems += 1
        tell(text)

    if not await _file_is_sound(tx, problem):
        return summary
    newest = await tx.fetchrow(_NEWEST_STAMP[tx.engine])
    assert newest is not None
    async for row in _pages(tx, _CONVERSATIONS):
        log = _Log(tx, problem, newest[0], *row)
        if log.kind == ACCOUNT:
            account_log = AccountLog(tx, log.conv, problem, read_hidden)
            summary.entries += await account_log.check(log.head, log.last_ts, log.version, log.rrev)
            continue
        await log.check()
        summary.conversations += 1
        summary.entries += log.count
    await check_unlogged(tx, problem)
    await _check_orphans(tx, problem)
    return summary


async def _file_is_sound(tx: Tx, problem: Tell) -> bool:
    """What SQLite itself thinks of its file; in a damaged one there is nothing more to be found."""
    if tx.engine != "sqlite":
        return True
    found = [text for (text,) in await tx.fetch("PRAGMA quick_check(20)") if text != "ok"]
    for text in found:
        problem(f"the file is damaged: {' '.join(text.split())}")
    return not found


_CONVERSATIONS = (
    "SELECT c.conv, c.kind, c.title, c.about, c.head, c.last_ts, c.version, c.stamp, r.rrev, r.rstamp"
    " FROM conv c LEFT JOIN conv_rc r ON r.conv = c.conv WHERE c.conv > $1 ORDER BY c.conv LIMIT $2"
)
_ENTRIES = (
    "SELECT seq, ts, sender, kind, content, ref, users, cid, digest, target, rev, latest, edited, latest_users,"
    " pinned, origin_user, role FROM entry WHERE conv = $1 AND seq > $2 ORDER BY seq LIMIT $3"
)


async def _pages(tx: Tx, sql: str, *args: int) -> AsyncIterator[Row]:
    """All rows of a statement whose last parameters are a key to begin after and a limit; the key comes first."""
    after = -1
    while rows := await tx.fetch(sql, *args, after, PAGE):
        for row in rows:
            yield row
        after = rows[-1][0]


def _hash(content: bytes | None) -> bytes | None:
    return None if content is None else hashlib.blake2b(content, digest_size=16).digest()


_CHANGES = (Kind.EDIT, Kind.DELETE, Kind.REACT, Kind.PIN, Kind.UNPIN)


# one conversation

RECORDS = (Kind.MSG, Kind.CREATE, Kind.ADD, Kind.REMOVE, Kind.META, Kind.ROLE)
"""Kinds of entries that make a record."""


_State = tuple[int, bytes | None, int | None, bool, str | None, int | None]
"""(rev, hash of the latest text, time of the last edit, deleted, whom the last edit mentions, PIN that holds)."""
_STATE = ("rev", "latest text", "time of the last edit", "deletion", "mentions of the last edit", "pin")


@attrs.define
class _Message:
    """A message that was changed, as its row says and as the log says."""

    sender: int
    row: _State
    rev: int
    latest: bytes | None = None
    edited: int | None = None
    deleted: bool = False
    mentioned: str | None = None
    pinned: int | None = None
    wiped: int = 0
    """Edits without content."""
    naming: int = 0
    """Edits that mention somebody."""
    edits: int = 0
    reactions: dict[int, bytes | None] = attrs.Factory(dict)

    def delete(self) -> None:
        """Nothing of it is left."""
        self.deleted, self.reactions = True, {}
        self.latest = self.edited = self.mentioned = self.pinned = None

    @property
    def log(self) -> _State:
        """The same as the log says."""
        return self.rev, self.latest, self.edited, self.deleted, self.mentioned, self.pinned


@attrs.define
class _Log:
    """A conversation: its row, and its log as it is read."""

    tx: Tx
    problem: Tell
    newest: int
    conv: int
    kind: int
    title: bytes | None
    about: bytes | None
    head: int
    last_ts: int
    version: int
    stamp: int
    rrev: int | None
    rstamp: int | None
    count: int = 0
    seq: int = 0
    ts: int = 0
    membership: int = 0
    """seq of the last entry that changed it."""
    first: Row = ()
    """(sender, cid, digest) of entry 1."""
    described: dict[str, bytes | None] = attrs.Factory(lambda: {"title": None, "about": None})
    """As the newest entries say."""
    mentions: dict[int, set[int]] = attrs.Factory(dict)
    """seq -> whom its message mentions in its latest state, without its sender."""
    kinds: bytearray = attrs.Factory(lambda: bytearray(1))
    """By seq."""
    messages: dict[int, _Message] = attrs.Factory(dict)
    roster: Roster = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.roster = Roster(self.kind)

    def say(self, text: str) -> None:
        self.problem(f"conversation {self.conv}: {text}")

    def expect(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            self.say(f"{what} is {found}, should be {expected}")

    async def check(self) -> None:
        """Read the log, then compare everything else with it."""
        async for row in _pages(self.tx, _ENTRIES, self.conv):
            self._take(*row)
        self.expect("head", self.head, self.seq)
        self.expect("time of the last entry", self.last_ts, self.ts)
        self.expect("version of the member list", self.version, self.membership)
        self._check_messages()
        await self._check_reactions()
        await self._check_mentions()
        await self._check_members()
        await self._check_creation()
        await self._check_marks()
        self._check_stamp("stamp", self.stamp)
        self._check_stamp("stamp of its receipts", self.rstamp)

    def _check_stamp(self, name: str, stamp: int | None) -> None:
        if stamp is not None and stamp > self.newest:
            self.say(f"{name} is {stamp}, which was never given; the newest is {self.newest}")

    # the log

    def _take(
        self, seq: int, ts: int, sender: int, kind: int, content: bytes | None, ref: int | None, users: str | None,
        cid: bytes, digest: bytes, target: int, rev: int, latest: bytes | None, edited: int | None,
        latest_users: str | None, pinned: int | None, origin: int | None, role: int | None,
    ) -> None:  # fmt: skip
        if seq != self.seq + 1:
            missing = f"entry {seq - 1} is" if seq == self.seq + 2 else f"entries {self.seq + 1} to {seq - 1} are"
            self.say(f"{missing} missing")
        if ts < self.ts:
            self.say(f"entry {seq} is older than the one before it")
        if seq == 1:
            self.first = (sender, cid, digest)
            self.described["title"] = content
        self.kinds.extend(bytes(seq - len(self.kinds)))
        self.kinds.append(kind if 0 <= kind < 256 else 0)
        self.count, self.seq, self.ts = self.count + 1, seq, ts
        if kind in (Kind.CREATE, Kind.ADD, Kind.REMOVE):
            self._take_membership(seq, sender, kind, users)
        elif not self._is_member(sender):
            self.say(f"entry {seq} is from user {sender}, who was no member")
        if kind == Kind.ROLE:
            self._take_role(seq, sender, users, role)
        elif kind == Kind.META:
            self._take_description(seq, sender, content)
        if kind in _CHANGES:
            self._take_change(seq, ts, sender, kind, content, ref, users, target)
        else:
            deleted = kind == Kind.MSG and content is None
            row = (rev, _hash(latest), edited, deleted, latest_users, pinned)
            self._take_record(seq, sender, kind, ref, target, row)
            if deleted and (users, origin) != (None, None):
                self.say(f"message {seq} was deleted, but whom it mentions or who wrote it first is still there")
            if kind == Kind.MSG:
                self._take_mentions(seq, sender, users)

    def _take_mentions(self, seq: int, sender: int, packed: str | None) -> None:
        """The message of this sender mentions these from here on."""
        try:
            users = set(unpack_users(packed)) - {sender}
        except ValueError:
            self.say(f"the mentions of message {seq} cannot be read")
            return
        self.mentions.pop(seq, None)
        if users:
            self.mentions[seq] = users

    def _take_record(self, seq: int, sender: int, kind: int, ref: int | None, target: int, row: _State) -> None:
        if kind not in RECORDS:
            self.say(f"entry {seq} has the unknown kind {kind}")
        self.expect(f"target of entry {seq}", target, seq)
        if ref is not None and not self._is_message(ref):
            self.say(f"entry {seq} refers to entry {ref}, which is no earlier message")
        if row != (seq, None, None, False, None, None):
            self.messages[seq] = _Message(sender, row, seq)

    def _is_message(self, seq: int) -> bool:
        return 0 < seq < len(self.kinds) - 1 and self.kinds[seq] == Kind.MSG

    def _take_change(
        self, seq: int, ts: int, sender: int, kind: int, content: bytes | None, ref: int | None, users: str | None,
        target: int,
    ) -> None:  # fmt: skip
        self.expect(f"target of entry {seq}", target, ref)
        if ref is None or not self._is_message(ref):
            self.say(f"entry {seq} changes entry {ref}, which is no earlier message")
            return
        message = self.messages.get(ref)
        if message is None:
            self.say(f"entry {seq} changes message {ref}, which does not know it")
            return
        if message.deleted:
            self.say(f"entry {seq} changes message {ref}, which was deleted before")
        if kind in (Kind.PIN, Kind.UNPIN) and not self.roster.may_pin(sender):
            self.say(f"entry {seq} pins message {ref} or not, which user {sender} might not do")
        if sender != message.sender and not self._may_change(kind, sender, message.sender):
            self.say(f"entry {seq} changes message {ref} of somebody else")
        message.rev = seq
        if kind == Kind.DELETE:
            message.delete()
            self.mentions.pop(ref, None)
        elif kind == Kind.EDIT:
            message.latest, message.edited, message.mentioned = _hash(content), ts, users
            message.edits += 1
            message.wiped += content is None
            message.naming += users is not None
            self._take_mentions(ref, message.sender, users)
        elif kind == Kind.PIN:
            message.pinned = seq
        elif kind == Kind.UNPIN:
            message.pinned = None
        elif content is None:
            message.reactions.pop(sender, None)
        else:
            message.reactions[sender] = _hash(content)

    def _may_change(self, kind: int, sender: int, author: int) -> bool:
        """Whether this is done to a message of another."""
        return kind in (Kind.REACT, Kind.PIN, Kind.UNPIN) or (
            kind == Kind.DELETE and self.roster.may_delete(sender, author)
        )

    def _check_messages(self) -> None:
        for seq, message in self.messages.items():
            wrong = [name for name, row, log in zip(_STATE, message.row, message.log, strict=True) if row != log]
            if wrong:
                self.say(f"{' and '.join(wrong)} of message {seq} not as in the log")
            if message.deleted and message.wiped != message.edits:
                self.say(f"message {seq} was deleted, but the text of an edit is still there")
            if message.deleted and message.naming:
                self.say(f"message {seq} was deleted, but whom an edit mentions is still there")
            if not message.deleted and message.wiped:
                self.say(f"message {seq} was not deleted, but the text of an edit is gone")

    async def _check_reactions(self) -> None:
        found: dict[int, dict[int, bytes | None]] = {}
        for seq, user, content in await self.tx.fetch(
            "SELECT seq, user_id, content FROM reaction WHERE conv = $1 ORDER BY seq, user_id", self.conv
        ):
            found.setdefault(seq, {})[user] = _hash(content)
        expected = {seq: message.reactions for seq, message in self.messages.items() if message.reactions}
        for seq in sorted(found.keys() | expected.keys()):
            if found.get(seq) != expected.get(seq):
                self.say(f"reactions to message {seq} are not as in the log")

    async def _check_mentions(self) -> None:
        found: dict[int, set[int]] = {}
        for seq, user in await self.tx.fetch("SELECT seq, user_id FROM mention WHERE conv = $1", self.conv):
            found.setdefault(seq, set()).add(user)
        for seq in sorted(found.keys() | self.mentions.keys()):
            if found.get(seq) != self.mentions.get(seq):
                self.say(f"mentions of message {seq} are not as in the log")

    # members

    def _is_member(self, user: int) -> bool:
        return user in self.roster.roles

    def _users(self, seq: int, packed: str | None) -> tuple[int, ...]:
        try:
            return unpack_users(packed)
        except ValueError:
            self.say(f"users of entry {seq} cannot be read")
            return ()

    def _take_membership(self, seq: int, sender: int, kind: int, packed: str | None) -> None:
        self.membership = seq
        if (kind == Kind.CREATE) != (seq == 1):
            self.say(f"entry {seq} is of kind {kind}; the first and only the first makes the conversation")
        if kind != Kind.CREATE and not self._is_member(sender):
            self.say(f"entry {seq} is from user {sender}, who was no member")
        for user in self._users(seq, packed):
            if kind == Kind.CREATE:
                wrong = self.roster.found(seq, sender, user)
            elif kind == Kind.ADD:
                wrong = self.roster.joined(seq, user)
            else:
                wrong = self.roster.left(seq, sender, user)
            if wrong:
                self.say(f"entry {seq} {wrong}")

    def _take_role(self, seq: int, sender: int, packed: str | None, role: int | None) -> None:
        for user in self._users(seq, packed):
            if wrong := self.roster.assigned(sender, user, role or 0):
                self.say(f"entry {seq} {wrong}")

    def _take_description(self, seq: int, sender: int, content: bytes | None) -> None:
        if content is None or not self.roster.may_describe(sender):
            self.say(f"entry {seq} changes title or description, which user {sender} might not do")
        else:
            self.described["about" if content_type(content) == ABOUT else "title"] = content

    async def _check_members(self) -> None:
        found: dict[int, Periods] = {}
        for user, since, until in await self.tx.fetch(
            "SELECT user_id, since, until FROM past_period WHERE conv = $1 ORDER BY user_id, since", self.conv
        ):
            found.setdefault(user, []).append((since, until))
        for user, role, since, until, stamp in await self.tx.fetch(
            "SELECT user_id, role, since, until, stamp FROM member WHERE conv = $1 ORDER BY user_id", self.conv
        ):
            found.setdefault(user, []).append((since, until))
            self.expect(f"role of user {user}", role, self.roster.role(user))
            self._check_stamp(f"stamp of user {user}", stamp)
        expected = self.roster.periods
        for user in sorted(found.keys() | expected.keys()):
            if found.get(user) != expected.get(user):
                self.say(
                    f"membership of user {user} is {_said(found.get(user))}, should be {_said(expected.get(user))}"
                )

    async def _check_creation(self) -> None:
        if not self.first or not self.roster.periods:
            self.say("it has no first entry, or nobody in it")
            return
        creator, cid, digest = self.first
        for what, found in (("title", self.title), ("about", self.about)):
            if found != self.described[what]:
                self.say(f"its {what} is not as in the log")
        made = await self.tx.fetchrow("SELECT conv, digest FROM creation WHERE creator = $1 AND cid = $2", creator, cid)
        if made != (self.conv, digest):
            self.say(f"its creation by user {creator} is not noted; repeating it would make another")
        if self.kind in (DIRECT, SELF):
            pair = sorted(self.roster.periods)
            noted = await self.tx.fetch("SELECT conv FROM direct WHERE low = $1 AND high = $2", pair[0], pair[-1])
            if len(pair) != (2 if self.kind == DIRECT else 1) or noted != [(self.conv,)]:
                self.say("it is not noted as the direct conversation of its two members, or the notes of its one")

    # receipts

    async def _check_marks(self) -> None:
        if self.rrev is None:
            self.say("it has no receipt counter")
            return
        last = 0
        for rrev, user, delivered, read in await self.tx.fetch(
            "SELECT rrev, user_id, delivered, read FROM mark WHERE conv = $1 ORDER BY rrev", self.conv
        ):
            if not 0 <= read <= delivered <= self.seq:
                self.say(f"watermarks of user {user} are read {read}, delivered {delivered} with a head of {self.seq}")
            if user not in self.roster.periods:
                self.say(f"user {user} has watermarks and was never a member")
            if rrev == last:
                self.say(f"two watermarks have the receipt counter {rrev}")
            last = rrev
        self.expect("receipt counter", self.rrev, last)


def _said(periods: Iterable[tuple[int, int | None]] | None) -> str:
    return ", ".join(f"{since} to {until or 'now'}" for since, until in periods or ()) or "none"


# what belongs to nothing

_LOST = (
    "SELECT DISTINCT t.{key} FROM {table} t LEFT JOIN {parent} p ON p.{id} = t.{key} WHERE p.{id} IS NULL ORDER BY 1"
)


_STRANGE_PAIRS = """
    SELECT d.conv, d.low, d.high FROM direct d JOIN conv c ON c.conv = d.conv
    LEFT JOIN member l ON l.conv = d.conv AND l.user_id = d.low
    LEFT JOIN member h ON h.conv = d.conv AND h.user_id = d.high
    WHERE c.kind <> (CASE WHEN d.low = d.high THEN 3 ELSE 1 END) OR l.conv IS NULL OR h.conv IS NULL ORDER BY 1
"""


async def _check_orphans(tx: Tx, problem: Tell) -> None:
    for conv, low, high in await tx.fetch(_STRANGE_PAIRS):
        problem(f"conversation {conv}: it is noted as the direct conversation of users {low} and {high}, and is not")
    for table in ("conv_rc", "entry", "member", "past_period", "reaction", "mention", "mark", "creation", "direct"):
        for (conv,) in await tx.fetch(_LOST.format(table=table, key="conv", parent="conv", id="conv")):
            problem(f"conversation {conv} does not exist, but there are rows of it in {table}")
    for table in ("member", "device"):
        for (user,) in await tx.fetch(_LOST.format(table=table, key="user_id", parent="account", id="user_id")):
            problem(f"user {user} has no account, but there are rows of him in {table}")
    for (device,) in await tx.fetch(_LOST.format(table="resume", key="device", parent="device", id="device")):
        problem(f"device {device} does not exist, but there are tokens of it")
