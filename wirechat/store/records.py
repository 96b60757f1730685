"""What goes into the store and what comes out of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from wirechat.store.errors import StoreError


class Kind(enum.IntEnum):
    """Kinds of entries the store knows the meaning of; the numbers are those of the protocol."""

    MSG = 1
    EDIT = 2
    DELETE = 3
    REACT = 4
    CREATE = 6
    ADD = 7
    REMOVE = 8


DIRECT, GROUP = 1, 2
"""Kinds of conversations."""

MEMBER, OWNER = 1, 4
"""Roles."""


class Refusal(enum.Enum):
    """Why the store says no."""

    NO_CONVERSATION = "does not exist, or the user was never in it"
    FORBIDDEN = "the user may not do this here"
    NOT_FOUND = "no such user or message"
    DELETED = "the message was deleted"
    CID_REUSED = "the cid was used with other content"
    CONFLICT = "taken, or done already"
    LIMIT = "the group is full"
    TOO_LARGE = "the text is longer than allowed"


@attrs.define
class Append:
    """An entry somebody wants in the log."""

    conv: int
    """For CREATE: a fresh random id proposed by the caller."""
    sender: int
    cid: bytes
    kind: int
    content: bytes | None
    ref: int | None
    users: tuple[int, ...]
    """ADD, REMOVE: whom; CREATE: the others."""
    digest: bytes
    """Tells whether two requests with one cid are the same."""
    conv_kind: int = 0
    """CREATE: DIRECT or GROUP."""
    members_max: int | None = None
    """CREATE, ADD: the largest group, where it is smaller than the store's own limit."""
    refused: Refusal | None = None
    """What it is answered unless its cid is known: rules that change must not change what was done (P2)."""


@attrs.define
class Appended:
    """It is in the log, durably."""

    conv: int
    seq: int
    ts: int
    dup: bool = False
    users: tuple[int, ...] = ()
    """ADD: those really added; REMOVE: whom; CREATE: all first members, the creator first."""
    rrev: int = 0
    """ADD: the receipt counter, of which those added have not heard yet."""


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


@attrs.define
class ChangesPage:
    """Records by rev."""

    upto: int
    records: list[StoredRecord]
    more: bool


@attrs.define
class HistoryPage:
    """Records by seq."""

    lo: int
    hi: int
    records: list[StoredRecord]
    rev: int


@attrs.define
class DigestRow:
    """What one user should know of one conversation."""

    conv: int
    head: int
    rrev: int
    delivered: int
    read: int
    former: bool


@attrs.define
class ReceiptChange:
    """Watermarks that rose in one conversation."""

    conv: int
    after: int
    upto: int
    marks: tuple[tuple[int, int, int], ...]
    """(user, delivered, read)."""


@attrs.define
class Device:
    """A device of a user."""

    device: int
    user: int
    key: bytes | None
    name: str
    revoked: bool
