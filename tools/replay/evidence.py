"""What was promised, what is held, and what the server says: three accounts of one conversation, in one plain form.

A fact is an entry as anybody may see it. Promises come from acknowledgements, holdings from the members' caches, both
through the client library; the server's account comes from the independent reader.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs


@attrs.frozen
class Fact:
    """One record: `text` is None without content, `users` are those who joined or left, or whom a message mentions."""

    seq: int
    rev: int
    ts: int
    sender: int
    kind: int
    text: str | None = None
    ref: int | None = None
    users: tuple[int, ...] = ()
    edited: int | None = None
    reactions: tuple[tuple[int, str], ...] = ()
    origin: tuple[int, int] | None = None
    role: int | None = None
    pinned: int | None = None


@attrs.frozen
class Promise:
    """Somebody was told that this stands at `seq`. `step` is its place in the plan, -1 for the beginning; `ts` is None
    where the answer did not say it.
    """

    step: int
    seq: int
    ts: int | None
    sender: int
    kind: int
    text: str | None = None
    ref: int | None = None
    users: tuple[int, ...] = ()


@attrs.frozen
class Holding:
    """What the device of one member ended with. `read` is the read watermark of each user it knows of."""

    user: int
    name: str
    facts: Mapping[int, Fact]
    read: Mapping[int, int]


@attrs.define
class Account:
    """The server's own account of a conversation. `marks` are (delivered, read) by user."""

    head: int
    facts: dict[int, Fact]
    marks: dict[int, tuple[int, int]]
    faults: list[str]


@attrs.define
class Evidence:
    """Everything known about one played conversation. `marked`: the read watermarks that were acknowledged.

    `unfinished` says in one line each what never got an answer.
    """

    name: str
    conv: int
    promises: list[Promise] = attrs.Factory(list)
    marked: dict[int, int] = attrs.Factory(dict)
    holdings: list[Holding] = attrs.Factory(list)
    unfinished: list[str] = attrs.Factory(list)


def fact_of_fields(fields: Mapping[str, Any]) -> Fact:
    """A fact from a record as the reader decodes it."""
    content, origin = fields["content"], fields["origin"]
    return Fact(
        fields["seq"],
        fields["rev"],
        fields["ts"],
        fields["sender"],
        fields["kind"],
        None if content is None else content["data"],
        fields["ref"],
        tuple(fields["users"] or ()),
        fields["edited"],
        tuple((reaction["user"], reaction["emoji"]) for reaction in fields["reactions"] or ()),
        None if origin is None else (origin["user"], origin["ts"]),
        fields["role"],
        fields["pinned"],
    )


def periods(promises: Iterable[Promise], user: int, *, joins: Iterable[int], leaves: Iterable[int]) -> list[range]:
    """The ranges of seq that a user may see, from the promised joins and leaves. The last entry he sees is his leaving.

    `joins` and `leaves` are entry kinds.
    """
    joins, leaves = set(joins), set(leaves)
    found: list[range] = []
    start: int | None = None
    for promise in sorted(promises, key=lambda promise: promise.seq):
        if user not in promise.users:
            continue
        if promise.kind in joins and start is None:
            start = promise.seq
        elif promise.kind in leaves and start is not None:
            found.append(range(start, promise.seq + 1))
            start = None
    return found if start is None else [*found, range(start, 2**53)]
