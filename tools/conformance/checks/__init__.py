"""The checks, one module for each part of docs/protocol.md. Importing this package enters all of them."""

from . import (
    account,
    connection,
    conversations,
    encoding,
    envelope,
    log,
    login,
    presence,
    reading,
    receipts,
    resume,
    roles,
    sending,
    transcripts,
    transport,
    vectors,
)

__all__ = [
    "account",
    "connection",
    "conversations",
    "encoding",
    "envelope",
    "log",
    "login",
    "presence",
    "reading",
    "receipts",
    "resume",
    "roles",
    "sending",
    "transcripts",
    "transport",
    "vectors",
]
