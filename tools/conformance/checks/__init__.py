"""The checks, one module for each part of docs/protocol.md. Importing this package enters all of them."""

from . import connection, conversations, encoding, envelope, log, login, receipts, resume, sending, transcripts, transport, vectors

__all__ = [
    "connection",
    "conversations",
    "encoding",
    "envelope",
    "log",
    "login",
    "receipts",
    "resume",
    "sending",
    "transcripts",
    "transport",
    "vectors",
]
