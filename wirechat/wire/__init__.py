"""The protocol: bytes in, typed messages out. No I/O, clock, randomness, or logging; both sides share it.

packing      msgpack, typed                        codec       bodies to messages
scan         the strict profile, from raw bytes    codes       what an unknown code means
message      base classes                          features/   generated: one class for each frame and struct
violation    who is to blame                       errors, limits, registries   generated numbers
connection   buffer and state of one connection    state       which frame is allowed when, as a table
fold         entries and records to a log          auth        the bytes a device key signs
"""

from wirechat.wire import auth, errors, features, fold, limits, registries
from wirechat.wire.codec import decode
from wirechat.wire.connection import Connection
from wirechat.wire.features import *  # noqa: F403
from wirechat.wire.message import CLIENT, SERVER, Message, Range, Reply, Request, Side, Struct, Unknown
from wirechat.wire.registries import (
    AuthMethod,
    Binding,
    Capability,
    ContentType,
    ConversationKind,
    EntryKind,
    GoawayCode,
    MemberState,
    Role,
    SyncMode,
)
from wirechat.wire.state import TABLE, ConnectionState
from wirechat.wire.violation import LocalViolation, ProtocolViolation

__all__ = [
    "CLIENT",
    "SERVER",
    "TABLE",
    "AuthMethod",
    "Binding",
    "Capability",
    "Connection",
    "ConnectionState",
    "ContentType",
    "ConversationKind",
    "EntryKind",
    "GoawayCode",
    "LocalViolation",
    "MemberState",
    "Message",
    "ProtocolViolation",
    "Range",
    "Reply",
    "Request",
    "Role",
    "Side",
    "Struct",
    "SyncMode",
    "Unknown",
    "auth",
    "decode",
    "errors",
    "features",
    "fold",
    "limits",
    "registries",
]
__all__ += features.__all__
