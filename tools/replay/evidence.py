"""What was observed of one conversation: the history of what its people did and were told, what their devices ended
with, and what the server says through the independent reader.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from tools.history.checker import History, Record


@attrs.frozen
class Device:
    """What the device of one member ended with. `read` is the read watermark of each user it knows of."""

    user: int
    name: str
    records: Mapping[int, Record]
    read: Mapping[int, int]


@attrs.define
class Account:
    """The server's own account of a conversation. `marks` are (delivered, read) by user."""

    head: int
    records: dict[int, Record]
    marks: dict[int, tuple[int, int]]
    faults: list[str]


@attrs.define
class Evidence:
    """Everything known about one played conversation. `unfinished` says in one line each what never got an answer."""

    name: str
    owner: int
    conv: int = 0
    history: History = attrs.Factory(History)
    devices: list[Device] = attrs.Factory(list)
    unfinished: list[str] = attrs.Factory(list)


def record_of_fields(fields: Mapping[str, Any]) -> Record:
    """A record as the reader decodes it, in the words of the judge."""
    content, origin = fields["content"], fields["origin"]
    return Record(
        fields["seq"],
        fields["rev"],
        fields["ts"],
        fields["sender"],
        fields["kind"],
        None if content is None else content["data"],
        fields["ref"],
        tuple(fields["users"] or ()),
        fields["edited"],
        {reaction["user"]: reaction["emoji"] for reaction in fields["reactions"] or ()},
        fields["role"],
        None if origin is None else (origin["user"], origin["ts"]),
        fields["pinned"],
    )
