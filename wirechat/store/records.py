"""What goes into the store and what comes out of it."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs

from wirechat.store.errors import StoreError
from wirechat.store.tx import Tx


class Kind(enum.IntEnum):
    """Kinds of entries the store knows the meaning of; the numbers are those of the protocol."""

    MSG = 1
    EDIT = 2
    DELETE = 3
    REACT = 4
    PIN = 5
    CREATE = 6
    ADD = 7
    REMOVE = 8
    META = 9
    ROLE = 10
    UNPIN = 13
    HIDE = 14
    BLOCK = 15
    UNBLOCK = 16
    PROFILE = 17
    DEVICE = 18


DIRECT, GROUP, SELF, ACCOUNT = 1, 2, 3, 6
"""Kinds of conversations."""

NONE, MEMBER, MODERATOR, ADMIN, OWNER = 0, 1, 2, 3, 4
"""Roles; NONE: not a member any more."""

TITLE, ABOUT = 10, 11
"""Content types of META entries."""

WALK_MAX = 10_000
"""Entries that one read looks at at most, for others wait for it: what is void or hidden costs as much as what is
shown.
"""

Origin = tuple[int, int]
"""(user, ts): who wrote a forwarded message first, and when."""


def pack_users(users: tuple[int, ...]) -> str | None:
    """A column of users."""
    return json.dumps(users) if users else None


def unpack_users(users: str | None) -> tuple[int, ...]:
    """The users of such a column."""
    return tuple(json.loads(users)) if users else ()


def content_type(content: bytes) -> int:
    """The type of a packed Content, which is a msgpack array that begins with it."""
    return content[1]


class Refusal(enum.Enum):
    """Why the store says no."""

    NO_CONVERSATION = "does not exist, or the user was never in it"
    FORBIDDEN = "the user may not do this here"
    NOT_FOUND = "no such user, message or device"
    DELETED = "the message was deleted"
    CID_REUSED = "the cid was used with other content"
    CONFLICT = "taken, or done already"
    LIMIT = "there is no room for more"
    TOO_LARGE = "the text is longer than allowed"
    BLOCKED = "one of the two has blocked the other"
    WRONG_PASSWORD = "the account has another password by now"
    REVOKED = "the device that asks was revoked"


Project = Callable[[Tx, int], Coroutine[Any, Any, "bool | Refusal"]]
"""`async def project(tx, stamp)`: does what an entry of an account log tells of, in the transaction of the entry.
False: nothing changed. Who refuses has changed nothing.
"""


@attrs.define
class Append:
    """An entry somebody wants in the log."""

    conv: int
    """For CREATE and for account logs, should there be none yet: a fresh random id proposed by the caller."""
    sender: int
    cid: bytes
    kind: int
    content: bytes | None
    ref: int | None
    users: tuple[int, ...]
    """ADD, REMOVE, ROLE: whom; CREATE: the others; MSG, EDIT: who is mentioned."""
    digest: bytes
    """Tells whether two requests with one cid are the same."""
    conv_kind: int = 0
    """CREATE: DIRECT, GROUP or SELF; with `project`: ACCOUNT."""
    source: tuple[int, int] | None = None
    """MSG: (conv, seq) of the message that is forwarded; its text is copied."""
    role: int | None = None
    """ROLE: which."""
    project: Project | None = None
    """The entry belongs to the account log of its sender, if this changes anything."""
    members_max: int | None = None
    """CREATE, ADD: the largest group, where it is smaller than the store's own limit."""
    refused: Refusal | None = None
    """What it is answered unless its cid is known: rules that change must not change what was done (P2)."""


@attrs.define
class Appended:
    """It is in the log, durably."""

    conv: int
    seq: int
    """0: nothing changed, so there is no entry."""
    ts: int
    dup: bool = False
    users: tuple[int, ...] = ()
    """ADD: those really added; REMOVE, ROLE: whom; CREATE: all first members, the creator first; MSG, EDIT: who is
    mentioned."""
    rrev: int = 0
    """ADD: the receipt counter, of which those added have not heard yet."""
    content: bytes | None = None
    """MSG that was forwarded: what was copied."""
    origin: Origin | None = None


@attrs.define
class Members:
    """The current members as of one transaction."""

    version: int
    """seq of the last membership entry."""
    since: dict[int, int]
    """user -> first seq of the current period."""


@attrs.define
class Commit:
    """The outcome of a batch."""

    results: list[Appended | Refusal | StoreError]
    members: Mapping[int, Members]
    """Only where the caller's version was another."""


@attrs.define
class Entry:
    """One entry as it is now: without content when its message was deleted."""

    conv: int
    seq: int
    ts: int
    sender: int
    kind: int
    content: bytes | None
    ref: int | None
    users: tuple[int, ...]
    cid: bytes
    origin: Origin | None = None
    role: int | None = None


@attrs.define
class StoredRecord:
    """A record in its latest state."""

    seq: int
    rev: int
    ts: int
    sender: int
    kind: int
    content: bytes | None
    ref: int | None
    users: tuple[int, ...]
    edited: int | None
    reactions: tuple[tuple[int, bytes], ...]
    """(user, content of the REACT), ordered by user."""
    cid: bytes
    origin: Origin | None = None
    role: int | None = None
    pinned: int | None = None
    """seq of the PIN that holds."""


@attrs.define
class ChangesPage:
    """Records by rev."""

    upto: int
    records: list[StoredRecord]
    more: bool
    passed: int = attrs.field(default=0, eq=False)
    """Entries that were looked at and are not shown."""


@attrs.define
class HistoryPage:
    """Records by seq."""

    lo: int
    hi: int
    records: list[StoredRecord]
    rev: int
    passed: int = attrs.field(default=0, eq=False)
    """Entries that were looked at and are not shown."""


@attrs.define
class MentionsPage:
    """Where somebody is mentioned."""

    seqs: list[int]
    """The highest first."""
    below: int
    """The highest seq below them at which there may be others; 0 if there are none."""
    passed: int = attrs.field(default=0, eq=False)
    """Mentions that were looked at and are not shown."""


@attrs.define
class Count:
    """How much of one conversation one user has not read."""

    conv: int
    head: int
    """Highest seq that was counted."""
    read: int
    unread: int
    mentions: int
    """Those among them that mention him."""
    more: bool
    """Only the newest entries were looked at."""


@attrs.define
class DigestRow:
    """What one user should know of one conversation."""

    conv: int
    head: int
    rrev: int
    delivered: int
    read: int
    former: bool
    account_log: bool = False
    """The conversation is the user's account log, of which not every client wants to hear."""


@attrs.define
class Description:
    """What one user may know of a conversation besides its log."""

    conv: int
    kind: int
    role: int
    """NONE for a former member."""
    members: int
    """0 for a former member."""
    title: bytes | None
    """Packed, as the entry has it that said so last; so is `about`."""
    peer: int | None
    about: bytes | None


@attrs.define
class ReceiptChange:
    """Watermarks that rose in one conversation."""

    conv: int
    after: int
    upto: int
    marks: tuple[tuple[int, int, int], ...]
    """(user, delivered, read)."""
    members: Members | None = None
    """Of that moment, if the caller has others."""


@attrs.frozen
class Login:
    """Somebody was let in."""

    user: int
    device: int
    number: int
    """Of two logins of a device the newer one has the higher number."""


@attrs.define
class News:
    """What of one conversation was not offered on a node yet."""

    conv: int
    head: int
    rrev: int
    receipts: int
    """The receipt counter after which `marks` begin."""
    complete: bool
    """All of it is here; otherwise there is more than is worth pushing."""
    members: Members | None = None
    """None: the version that is known holds."""
    entries: list[Entry] = attrs.Factory(list)
    marks: list[tuple[int, int, int]] = attrs.Factory(list)
    """(user, delivered, read)."""


@attrs.define
class Device:
    """A device of a user."""

    device: int
    user: int
    key: bytes | None
    name: str
    revoked: bool
