"""Everything durable of a client, in one SQLite file.

Rules: the token lives in the same transaction as the evidence it vouches for (a token restored without its logs would
lose messages). Changes collect in memory and are written by one `write`; a fact may be acted upon (acknowledged,
asked about, sent) only after that. Writing may happen in a thread, reading happens in the caller's: each has its own
connection. One program owns a file: the last that opened it, and an earlier one notices at its next write.
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, cast

import apsw
import attrs

from wirechat import wire
from wirechat.client.errors import CacheError
from wirechat.client.log import Log
from wirechat.client.outbox import Entry

__all__ = ["Cache", "Identity", "LogView", "cache_owner"]

VERSION = 3
APPLICATION_ID = 0x57434C31  # "WCL1"
OWNER_BYTES = 16
SEQ_END = 1 << 53  # above every seq

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE log (
    conv INTEGER PRIMARY KEY, pos INTEGER NOT NULL, want INTEGER NOT NULL, catch INTEGER NOT NULL,
    low INTEGER NOT NULL, rpos INTEGER NOT NULL, rwant INTEGER NOT NULL, delivered INTEGER NOT NULL,
    read INTEGER NOT NULL, former INTEGER NOT NULL, former_at INTEGER NOT NULL, described INTEGER NOT NULL
);
CREATE TABLE record (
    conv INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (conv, seq)
) WITHOUT ROWID;
CREATE TABLE mark (
    conv INTEGER NOT NULL, user INTEGER NOT NULL, delivered INTEGER NOT NULL, read INTEGER NOT NULL,
    PRIMARY KEY (conv, user)
) WITHOUT ROWID;
CREATE TABLE conversation (conv INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE user (user INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, conv INTEGER NOT NULL, cid BLOB NOT NULL, kind INTEGER NOT NULL,
    content BLOB, ref INTEGER, mentions TEXT, forward BLOB, UNIQUE (conv, cid)
);
"""
MIGRATIONS = {2: "ALTER TABLE outbox ADD COLUMN mentions TEXT; ALTER TABLE outbox ADD COLUMN forward BLOB;"}
"""Version -> how a cache of it becomes one of the next: with an outbox in it, it must never be thrown away."""
OUTBOX_FIELDS = "conv, cid, kind, content, ref, mentions, forward"
LOG_FIELDS = (
    *("conv", "pos", "want", "catch", "low", "rpos", "rwant"),
    *("delivered", "read", "former", "former_at", "described"),
)
PER_CONVERSATION = ("log", "record", "mark", "conversation")
WIPE = (*PER_CONVERSATION, "user")
PUT_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
PUT_LOG = f"INSERT OR REPLACE INTO log ({', '.join(LOG_FIELDS)}) VALUES ({', '.join('?' * len(LOG_FIELDS))})"
PUT_RECORD = "INSERT OR REPLACE INTO record VALUES (?, ?, ?)"
PUT_MARK = """INSERT INTO mark VALUES (?, ?, ?, ?) ON CONFLICT (conv, user)
    DO UPDATE SET delivered = max(delivered, excluded.delivered), read = max(read, excluded.read)"""

Statement = tuple[str, list[tuple[Any, ...]]]


@attrs.frozen
class Identity:
    """Who this device is. Empty on a new one."""

    handle: str | None = None
    user: int | None = None
    device: int | None = None
    resume: bytes | None = None
    key: bytes | None = None


@attrs.frozen
class LogView:
    """What is stored of one conversation, at one moment."""

    conv: int
    pos: int
    """Every change up to here is in `records`."""
    head: int
    """Entries exist up to here."""
    low: int
    """`records` has no hole from here on."""
    read: int
    """This user's own read watermark."""
    records: dict[int, wire.Record]
    """By seq, in its order."""
    marks: dict[int, wire.Watermark]
    """By user."""


@attrs.define
class _Changes:
    """What is not written yet."""

    wiped: bool = False
    forgotten: set[int] = attrs.field(factory=set)
    dropped: set[int] = attrs.field(factory=set)
    hidden: set[tuple[int, int]] = attrs.field(factory=set)
    logs: dict[int, Log] = attrs.field(factory=dict)
    records: dict[tuple[int, int], wire.Record] = attrs.field(factory=dict)
    marks: list[tuple[int, int, int, int]] = attrs.field(factory=list)
    infos: dict[int, wire.Info] = attrs.field(factory=dict)
    users: dict[int, wire.User] = attrs.field(factory=dict)
    meta: dict[str, Any] = attrs.field(factory=dict)
    added: list[Entry] = attrs.field(factory=list)
    removed: list[Entry] = attrs.field(factory=list)

    def statements(self) -> list[Statement]:
        """The rows as they are now, so that later changes of the same objects stay out of this transaction."""
        wipe: list[Statement] = [(f"DELETE FROM {table}", [()]) for table in WIPE] if self.wiped else []
        forgotten = [(conv,) for conv in self.forgotten]
        statements = [
            *wipe,
            *((f"DELETE FROM {table} WHERE conv = ?", forgotten) for table in PER_CONVERSATION),
            ("DELETE FROM record WHERE conv = ?", [(conv,) for conv in self.dropped]),
            (PUT_LOG, [tuple(getattr(log, name) for name in LOG_FIELDS) for log in self.logs.values()]),
            (PUT_RECORD, [(conv, seq, record.pack()) for (conv, seq), record in self.records.items()]),
            ("DELETE FROM record WHERE conv = ? AND seq = ?", list(self.hidden)),
            (PUT_MARK, list(self.marks)),
            ("INSERT OR REPLACE INTO conversation VALUES (?, ?)", [(c, info.pack()) for c, info in self.infos.items()]),
            ("INSERT OR REPLACE INTO user VALUES (?, ?)", [(u, user.pack()) for u, user in self.users.items()]),
            (PUT_META, list(self.meta.items())),
            (
                f"INSERT INTO outbox ({OUTBOX_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                list(map(_entry, self.added)),
            ),
            ("DELETE FROM outbox WHERE conv = ? AND cid = ?", [(entry.conv, entry.cid) for entry in self.removed]),
        ]
        return [(sql, rows) for sql, rows in statements if rows]


class Cache:
    """The durable state: `identity`, `token`, `logs` and `outbox` are in memory, the rest is read when asked for."""

    def __init__(self, path: str | None, owner: bytes) -> None:
        """Opens or makes the file; None keeps everything in memory. `owner`: 16 fresh random bytes.

        Raises CacheError when the file is not ours, is newer than this program, or cannot be used.
        """
        with _errors():
            self._writer = _open(path)
            self._reader = self._writer if path is None else _connect(path)
        self.in_memory = path is None
        self._owner = owner
        self._pending = _Changes()
        self._writing = _Changes()
        self._dirty = False
        self._under_way = False
        self.revisions: Counter[int] = Counter()
        """How often the records of a conversation have changed since the file was opened."""
        with _errors():
            self._load()

    def _load(self) -> None:
        with self._writer:
            self._writer.execute(PUT_META, ("owner", self._owner))
            meta = dict(cast(Iterable[tuple[str, Any]], self._writer.execute("SELECT key, value FROM meta")))
            self.identity = Identity(**{field.name: meta.get(field.name) for field in attrs.fields(Identity)})
            self.token: bytes | None = meta.get("token")
            self.account_log: int | None = meta.get("account_log")
            rows = self._writer.execute(f"SELECT {', '.join(LOG_FIELDS)} FROM log ORDER BY conv")
            self.logs: dict[int, Log] = {cast(int, row[0]): _log(row) for row in rows}
            entries = self._writer.execute(f"SELECT {OUTBOX_FIELDS} FROM outbox ORDER BY place")
            self.outbox: list[Entry] = [_load_entry(row) for row in entries]

    # --- changing: in memory, until take() and write()

    @property
    def dirty(self) -> bool:
        """Something is not durable yet."""
        return self._dirty or self._under_way

    def changed(self) -> _Changes:
        """Where to note a change."""
        self._dirty = True
        return self._pending

    def set_token(self, token: bytes) -> None:
        """The newest horizon."""
        self.token = token
        self.changed().meta["token"] = token

    def drop_token(self) -> None:
        """The horizon is void: the next digest brings everything."""
        self.token = None
        self.changed().meta["token"] = None

    def set_account_log(self, conv: int) -> None:
        """Which conversation is the account log of this user."""
        self.account_log = conv
        self.changed().meta["account_log"] = conv

    def set_identity(self, identity: Identity) -> None:
        """Who this device is, from now on."""
        self.identity = identity
        self.changed().meta.update(attrs.asdict(identity))

    def log_out(self) -> None:
        """Forgets what this device could log in with. Whose cache it is stays."""
        self.set_identity(Identity(self.identity.handle, self.identity.user))

    def put_log(self, log: Log) -> None:
        """The log is new or its numbers changed."""
        self.logs[log.conv] = log
        self.changed().logs[log.conv] = log

    def put_record(self, conv: int, record: wire.Record) -> None:
        """The record is new or changed."""
        self.revisions[conv] += 1
        self.changed().records[conv, record.seq] = record

    def put_marks(self, conv: int, marks: Iterable[wire.Watermark]) -> None:
        """Watermarks, merged by maximum with those known."""
        self.changed().marks.extend((conv, mark.user, mark.delivered, mark.read) for mark in marks)

    def put_info(self, info: wire.Info) -> None:
        """The description of a conversation."""
        self.changed().infos[info.conv] = info

    def put_me(self, user: wire.User) -> None:
        """One's own account; its handle may be another one than before."""
        self.put_users((user,))
        if user.handle != self.identity.handle:
            self.set_identity(attrs.evolve(self.identity, handle=user.handle))

    def put_users(self, users: Iterable[wire.User]) -> None:
        """Accounts, by id."""
        self.changed().users.update((user.user, user) for user in users)

    def drop_records(self, conv: int) -> None:
        """Forgets what was said in a conversation, for a jump."""
        self.revisions[conv] += 1
        changes = self.changed()
        changes.dropped.add(conv)
        for key in [key for key in changes.records if key[0] == conv]:
            del changes.records[key]

    def hide(self, conv: int, seqs: Iterable[int]) -> None:
        """Forgets messages for ever."""
        self.revisions[conv] += 1
        changes = self.changed()
        for seq in seqs:
            changes.records.pop((conv, seq), None)
            changes.hidden.add((conv, seq))

    def forget(self, conv: int) -> None:
        """Forgets a conversation; what waits for it in the outbox stays."""
        self.drop_records(conv)
        changes = self.changed()
        changes.forgotten.add(conv)
        changes.marks = [mark for mark in changes.marks if mark[0] != conv]
        changes.infos.pop(conv, None)
        changes.logs.pop(conv, None)
        self.logs.pop(conv, None)

    def wipe(self) -> None:
        """Forgets everything but who we are and the outbox."""
        old, self._pending = self.changed(), _Changes(wiped=True)
        self._pending.meta = {**old.meta, "token": None, "account_log": None}
        self._pending.added, self._pending.removed = old.added, old.removed
        self.token = self.account_log = None
        self.revisions.update(list(self.logs))
        self.logs.clear()

    def add_entry(self, entry: Entry) -> None:
        """An entry enters the outbox."""
        self.changed().added.append(entry)

    def remove_entry(self, entry: Entry) -> None:
        """An entry was answered and leaves the outbox."""
        self.changed().removed.append(entry)

    # --- writing: one at a time

    def take(self) -> list[Statement]:
        """What is to be written now. Follow it by write() and written()."""
        self._writing, self._pending = self._pending, _Changes()
        self._under_way, self._dirty = self._dirty, False
        return self._writing.statements() if self._under_way else []

    def write(self, statements: list[Statement]) -> None:
        """Writes in one transaction; touches no memory, so it may run in a thread. Raises CacheError."""
        with _errors(), self._writer:
            owner = self._writer.execute("SELECT value FROM meta WHERE key = 'owner'").fetchone()
            if owner != (self._owner,):
                raise CacheError("another program has opened this cache")
            for sql, rows in statements:
                self._writer.executemany(sql, rows)

    def written(self) -> None:
        """What was taken is durable now."""
        self._writing, self._under_way = _Changes(), False

    def close(self) -> None:
        """Closes the file. What was not written is forgotten."""
        self._reader.close()
        self._writer.close()

    # --- reading

    def record(self, conv: int, seq: int) -> wire.Record | None:
        """A record as of now, written or not."""
        for changes in (self._pending, self._writing):
            found = changes.records.get((conv, seq))
            if found is not None:
                return found
            if changes.wiped or conv in changes.dropped:
                return None
        row = self._one("SELECT body FROM record WHERE conv = ? AND seq = ?", conv, seq)
        return None if row is None else wire.Record.unpack(row[0])

    def records_above(self, conv: int, seq: int) -> Iterable[wire.Record]:
        """The records above a seq as of now, written or not."""
        found: dict[int, wire.Record] = {}
        hidden: set[tuple[int, int]] = set()
        for changes in (self._pending, self._writing):
            hidden |= changes.hidden
            for (of, each), record in changes.records.items():
                if of == conv and each > seq and (conv, each) not in hidden:
                    found.setdefault(each, record)
            if changes.wiped or conv in changes.dropped:
                return found.values()
        for (body,) in self._all("SELECT body FROM record WHERE conv = ? AND seq > ?", conv, seq):
            record = wire.Record.unpack(body)
            if (conv, record.seq) not in hidden:
                found.setdefault(record.seq, record)
        return found.values()

    def view(self, conv: int, newest: int | None = None, before: int | None = None) -> LogView:
        """What is durable of a conversation; at most its `newest` records below seq `before`, None = all."""
        with _errors(), self._reader:
            row = self._one("SELECT pos, want, low, read FROM log WHERE conv = ?", conv) or (0, 0, 1, 0)
            sql = "SELECT body FROM record WHERE conv = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
            bodies = self._all(sql, conv, SEQ_END if before is None else before, -1 if newest is None else newest)
            marks = self._all("SELECT user, delivered, read FROM mark WHERE conv = ? ORDER BY user", conv)
        records = [wire.Record.unpack(body) for (body,) in reversed(bodies)]
        by_user = {user: wire.Watermark(user, delivered, read) for user, delivered, read in marks}
        pos, head, low, read = row
        return LogView(conv, pos, head, low, read, {record.seq: record for record in records}, by_user)

    def account_records(self) -> Iterator[wire.Record]:
        """The account log, in the order of seq."""
        for (body,) in self._all("SELECT body FROM record WHERE conv = ? ORDER BY seq", self.account_log or 0):
            yield wire.Record.unpack(body)

    def records_after(
        self, place: tuple[int, int], count: int, conv: int | None = None
    ) -> list[tuple[int, int, bytes]]:
        """Up to `count` durable records, packed, as (conv, seq, body) in this order, behind the one at `place`."""
        only = "" if conv is None else "conv = ? AND "
        sql = f"SELECT conv, seq, body FROM record WHERE {only}(conv, seq) > (?, ?) ORDER BY conv, seq LIMIT ?"
        return cast(list[tuple[int, int, bytes]], self._all(sql, *(() if conv is None else (conv,)), *place, count))

    def infos(self) -> dict[int, wire.Info]:
        """The durable descriptions, by conversation."""
        rows = self._all("SELECT conv, body FROM conversation ORDER BY conv")
        return {conv: wire.Info.unpack(body) for conv, body in rows}

    def info(self, conv: int) -> wire.Info | None:
        """The durable description of a conversation."""
        row = self._one("SELECT body FROM conversation WHERE conv = ?", conv)
        return None if row is None else wire.Info.unpack(row[0])

    def user(self, user: int) -> wire.User | None:
        """A durable account."""
        row = self._one("SELECT body FROM user WHERE user = ?", user)
        return None if row is None else wire.User.unpack(row[0])

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        with _errors():
            return cast(tuple[Any, ...] | None, self._reader.execute(sql, values).fetchone())

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with _errors():
            return cast(list[tuple[Any, ...]], self._reader.execute(sql, values).fetchall())


def cache_owner(path: str | os.PathLike[str]) -> str | None:
    """The handle of the device whose cache this is; None when nobody has logged in with it, or there is no file.

    Does not take the file from a program that uses it. Raises CacheError when it is not ours or is newer than we are.
    """
    if not os.path.exists(path) or not os.path.getsize(path):
        return None
    with _errors(), contextlib.closing(_connect(os.fspath(path))) as connection:
        version = cast(int, connection.pragma("user_version"))
        if connection.pragma("application_id") != APPLICATION_ID:
            raise CacheError("this file is not a client's cache")
        if version > VERSION:
            raise CacheError(f"this cache has version {version}; this program knows version {VERSION}")
        row = connection.execute("SELECT value FROM meta WHERE key = 'handle'").fetchone()
        return None if row is None else cast(str | None, row[0])


def _connect(path: str) -> apsw.Connection:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(5000)
    return connection


def _open(path: str | None) -> apsw.Connection:
    if path is None:
        connection = apsw.Connection(":memory:")
    else:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds keys: for its owner's eyes only
        connection = _connect(path)
        connection.pragma("journal_mode", "WAL")
        connection.pragma("synchronous", "FULL")
        connection.pragma("secure_delete", True)  # what was deleted or hidden leaves no bytes behind
    connection.transaction_mode = "IMMEDIATE"
    with connection:
        _prepare(connection)
    return connection


def _prepare(connection: apsw.Connection) -> None:
    version = (connection.pragma("application_id"), connection.pragma("user_version"))
    if version == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        connection.execute(SCHEMA)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", VERSION)
    elif version[0] != APPLICATION_ID:
        raise CacheError("this file is not a client's cache")
    elif version[1] != VERSION:
        _migrate(connection, version[1])


def _migrate(connection: apsw.Connection, version: int) -> None:
    if not set(range(version, VERSION)) <= MIGRATIONS.keys() or version > VERSION:
        raise CacheError(f"this cache has version {version}; this program knows version {VERSION}")
    for step in range(version, VERSION):
        connection.execute(MIGRATIONS[step])
    connection.pragma("user_version", VERSION)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise CacheError(f"the cache failed: {error}") from error


def _entry(entry: Entry) -> tuple[Any, ...]:
    content = None if entry.content is None else entry.content.pack()
    mentions = json.dumps(entry.mentions) if entry.mentions else None
    forward = None if entry.forward is None else entry.forward.pack()
    return (entry.conv, entry.cid, entry.kind, content, entry.ref, mentions, forward)


def _load_entry(row: tuple[Any, ...]) -> Entry:
    conv, cid, kind, content, ref, mentions, forward = row
    unpacked = None if content is None else wire.Content.unpack(content)
    source = None if forward is None else wire.Source.unpack(forward)
    users = () if mentions is None else tuple(json.loads(mentions))
    return Entry(conv, cid, kind, unpacked, ref, users, source, durable=True)


def _log(row: tuple[Any, ...]) -> Log:
    log = Log(*row)
    log.catch, log.former, log.described = bool(log.catch), bool(log.former), bool(log.described)
    return log
