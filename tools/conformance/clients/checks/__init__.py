"""The checks of clients, one module for each part of docs/protocol.md. Importing this package enters all of them."""

from . import acks, connection, envelope, fold, going, login, receipts, resume, sending, stories, transport

__all__ = [
    "acks",
    "connection",
    "envelope",
    "fold",
    "going",
    "login",
    "receipts",
    "resume",
    "sending",
    "stories",
    "transport",
]
