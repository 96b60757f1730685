"""What a conversation looks like: its records as rows, from the oldest to the newest.

Rules: pure; what is not a function of its arguments comes in by Scene. A row is a value: equal rows look the same, so
whoever has drawn one need not draw it again.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import IntEnum

import attrs

from wirechat import wire
from wirechat.cli.chat import when
from wirechat.cli.chat.people import People
from wirechat.client.outbox import Entry
from wirechat.wire.registries import ContentType, EntryKind, Role

__all__ = [
    *("Day", "Hint", "Message", "Notice", "Quote", "Row", "Scene", "Tick", "Unseen"),
    *("notice", "role_name", "rows", "said"),
]

TOGETHER_MS = 5 * 60 * 1000  # messages of one person closer than this share one name


class Tick(IntEnum):
    """How far an own message got; by its least eager reader."""

    WAITING = 0
    SENT = 1
    DELIVERED = 2
    READ = 3


@attrs.frozen
class Day:
    """A new day begins."""

    date: datetime.date


@attrs.frozen
class Unseen:
    """What follows was not read when the conversation was opened."""


@attrs.frozen
class Notice:
    """Something that happened to the conversation."""

    seq: int
    time: datetime.datetime
    text: str


@attrs.frozen
class Quote:
    """What a message answers."""

    name: str
    colour: str
    text: str


@attrs.frozen
class Message:
    """A message, or one that is to be sent. `text` is None when it was deleted."""

    seq: int | None
    cid: bytes | None
    sender: int
    name: str
    colour: str
    first: bool
    """The name is shown: the message before is of somebody else or long ago."""
    time: datetime.datetime | None
    text: str | None
    edited: bool = False
    tick: Tick | None = None
    quote: Quote | None = None
    origin: str | None = None
    """Whose message was forwarded."""
    pinned: bool = False
    reactions: tuple[tuple[str, int, bool], ...] = ()
    """Emoji, how many, and whether one's own is among them."""
    names: tuple[tuple[str, bool], ...] = ()
    """@handles that mean somebody, and whether it is oneself."""
    pending: bool = False
    """A change of it is to be sent."""


@attrs.frozen
class Hint:
    """What one could do, where there is nothing to show."""

    text: str


Row = Day | Unseen | Notice | Message | Hint


@attrs.frozen
class Scene:
    """What the rows depend on besides the records."""

    people: People
    find: Callable[[int], wire.Record | None] = lambda seq: None
    """A record that is not among those shown."""
    marks: Mapping[int, wire.Watermark] = attrs.Factory(dict)
    members: Mapping[int, int] = attrs.Factory(dict)
    """Current members, and the seq since which."""
    blocked: Collection[int] = ()
    """Whose messages are not to be shown."""
    source: Callable[[wire.Source], wire.Record | None] = lambda source: None
    """The message that is to be forwarded."""
    unseen_after: int | None = None
    """The read watermark when the conversation was opened."""
    zone: datetime.tzinfo | None = None
    """None: that of this machine."""

    def time(self, ts: int) -> datetime.datetime:
        """Milliseconds since 1970 as a time of day here."""
        return when.local(ts, self.zone)


def said(content: wire.Content | None) -> str | None:
    """The text of a content; None when it was deleted."""
    if content is None:
        return None
    if content.type in (ContentType.TEXT, ContentType.EMOJI) and isinstance(content.data, str):
        return content.data
    return "(something this program cannot show)"


def rows(records: Iterable[wire.Record], waiting: Sequence[Entry], scene: Scene, *, upto_end: bool = True) -> list[Row]:
    """The rows of these records, followed by what waits to be sent. `upto_end`: the newest record is among them."""
    shown = {record.seq: record for record in records}
    changing = {entry.ref: entry for entry in waiting if entry.kind != EntryKind.MSG}
    found: list[Row] = []
    day, before, unseen = None, None, scene.unseen_after
    for record in shown.values():
        time = scene.time(record.ts)
        if time.date() != day:
            day, before = time.date(), None
            found.append(Day(day))
        if unseen is not None and record.seq > unseen and _counts(record, scene.people.me):
            unseen, before = None, None
            found.append(Unseen())
        if record.kind != EntryKind.MSG:
            before = None
            found.append(Notice(record.seq, time, notice(record, scene.people)))
            continue
        first = before is None or before.sender != record.sender or record.ts - before.ts > TOGETHER_MS
        found.append(_message(record, first, time, shown, changing.get(record.seq), scene))
        before = record
    if upto_end:
        found += _unsent(waiting, before, shown, scene)
    return found


def _counts(record: wire.Record, me: int) -> bool:
    return record.kind == EntryKind.MSG and record.content is not None and record.sender != me


def _message(
    record: wire.Record,
    first: bool,
    time: datetime.datetime,
    shown: Mapping[int, wire.Record],
    change: Entry | None,
    scene: Scene,
) -> Message:
    people = scene.people
    text = said(record.content)
    if change is not None and change.kind == EntryKind.EDIT:
        text = said(change.content)
    if record.sender in scene.blocked and text is not None:
        text = "a message of somebody you have blocked"
    return Message(
        seq=record.seq,
        cid=record.cid,
        sender=record.sender,
        name=people.name(record.sender),
        colour=people.colour(record.sender),
        first=first,
        time=time,
        text=text,
        edited=record.edited is not None,
        tick=_tick(record, scene) if record.sender == people.me and text is not None else None,
        quote=_quote(record.ref, shown, scene) if text is not None else None,
        origin=None if record.origin is None else people.name(record.origin.user),
        pinned=record.pinned is not None,
        reactions=_reactions(record.reactions or (), people.me),
        names=_names(record.users or (), people),
        pending=change is not None,
    )


def _unsent(
    waiting: Iterable[Entry], before: wire.Record | None, shown: Mapping[int, wire.Record], scene: Scene
) -> Iterable[Message]:
    people = scene.people
    first = before is None or before.sender != people.me
    for entry in waiting:
        if entry.kind == EntryKind.MSG:
            source = None if entry.forward is None else scene.source(entry.forward)
            yield Message(
                seq=None,
                cid=entry.cid,
                sender=people.me,
                name=people.name(people.me),
                colour=people.colour(people.me),
                first=first,
                time=None,
                text=said(entry.content if source is None else source.content) or "a message to forward",
                quote=_quote(entry.ref, shown, scene),
                origin=None if source is None else people.name(source.origin.user if source.origin else source.sender),
                names=_names(entry.mentions, people),
                tick=Tick.WAITING,
            )
            first = False


def _quote(ref: int | None, shown: Mapping[int, wire.Record], scene: Scene) -> Quote | None:
    if ref is None:
        return None
    record = shown.get(ref) or scene.find(ref)
    if record is None:
        return Quote("", "", "an earlier message")
    people = scene.people
    return Quote(people.name(record.sender), people.colour(record.sender), said(record.content) or "deleted message")


def _tick(record: wire.Record, scene: Scene) -> Tick:
    """The least that everybody reached who was a member when it was written."""
    audience = [user for user, since in scene.members.items() if user != scene.people.me and since < record.seq]
    marks = [scene.marks.get(user) for user in audience]
    if not marks or None in marks:
        return Tick.SENT
    if all(mark.read >= record.seq for mark in marks if mark is not None):
        return Tick.READ
    return Tick.DELIVERED if all(mark.delivered >= record.seq for mark in marks if mark is not None) else Tick.SENT


def _reactions(reactions: Iterable[wire.Reaction], me: int) -> tuple[tuple[str, int, bool], ...]:
    reactions = list(reactions)
    mine = {reaction.emoji for reaction in reactions if reaction.user == me}
    counts = Counter(reaction.emoji for reaction in reactions)
    return tuple((emoji, count, emoji in mine) for emoji, count in counts.most_common())


def _names(users: Collection[int], people: People) -> tuple[tuple[str, bool], ...]:
    handles = [(people.handle(user), user == people.me) for user in users]
    return tuple((handle, mine) for handle, mine in handles if handle is not None)


def _described(content: wire.Content) -> str:
    text = content.data if isinstance(content.data, str) else ""
    what = "title" if content.type == ContentType.TITLE else "description"
    return f"changed the {what} to “{text}”" if text else f"took the {what} away"


def role_name(role: int) -> str:
    """A role in words; one that is not known is a member's."""
    names = {Role.MODERATOR: "moderator", Role.ADMIN: "admin", Role.OWNER: "owner"}
    return next((name for known, name in names.items() if known == role), "member")


def notice(record: wire.Record, people: People) -> str:
    """What a record that is no message says."""
    who = "You" if record.sender == people.me else people.name(record.sender)
    users = record.users or ()
    if record.kind == EntryKind.CREATE:
        others = [user for user in users if user != record.sender]
        return f"{who} started this with {people.names(others)}" if others else f"{who} started this"
    if record.kind == EntryKind.ADD:
        return f"{who} added {people.names(users)}"
    if record.kind == EntryKind.REMOVE:
        return f"{who} left" if users == (record.sender,) else f"{who} removed {people.names(users)}"
    if record.kind == EntryKind.META and record.content is not None:
        return f"{who} {_described(record.content)}"
    if record.kind == EntryKind.ROLE:
        return f"{who} made {people.names(users)} {role_name(record.role or Role.MEMBER)}"
    return f"{who} did something this program cannot show"
