"""The client library: a device that stays in sync for ever.

    async with open_client("wirechats://chat.example.org:7000", handle="ada", password=…, cache="ada.db") as client:
        await client.messages.send(conv, "hello")
        async for event in client.events():
            ...

client       open_client and what a program sees     features/   what one can do
connector    one session after the other             session     one logged-in connection at work
link         frames, requests and replies            transport   TCP, TLS, WebSocket
login        how we prove who we are                 sync        the resume algorithm, with log, acks
cache        everything durable, in one file         commit      when it becomes durable
outbox       entries the server has not answered     watching    who is there, who types
                                                     events, errors, backoff
"""

from wirechat.client.cache import LogView, cache_owner
from wirechat.client.client import Client, open_client
from wirechat.client.errors import (
    CacheError,
    ClientError,
    ConnectionFailed,
    LoginFailed,
    Refused,
    Unavailable,
    UnknownOutcome,
)
from wirechat.client.events import (
    AccountChanged,
    Connected,
    ConversationChanged,
    DevicesChanged,
    Disconnected,
    Event,
    MessageAdded,
    MessagesHidden,
    PresenceChanged,
    ReceiptChanged,
    RecordChanged,
    Refresh,
    Resynced,
    SendFailed,
    TypingChanged,
)
from wirechat.client.features.account import Me
from wirechat.client.features.accounts import Registered, register
from wirechat.client.features.conversations import Conversation
from wirechat.client.features.history import Mentioned, Page
from wirechat.client.features.messages import Handle
from wirechat.client.features.search import Hit
from wirechat.client.outbox import Sent
from wirechat.client.transport import Transport

__all__ = [
    "AccountChanged",
    "CacheError",
    "Client",
    "ClientError",
    "Connected",
    "ConnectionFailed",
    "Conversation",
    "ConversationChanged",
    "DevicesChanged",
    "Disconnected",
    "Event",
    "Handle",
    "Hit",
    "LogView",
    "LoginFailed",
    "Me",
    "Mentioned",
    "MessageAdded",
    "MessagesHidden",
    "Page",
    "PresenceChanged",
    "ReceiptChanged",
    "RecordChanged",
    "Refresh",
    "Refused",
    "Registered",
    "Resynced",
    "SendFailed",
    "Sent",
    "Transport",
    "TypingChanged",
    "Unavailable",
    "UnknownOutcome",
    "cache_owner",
    "open_client",
    "register",
]
