"""From what went wrong inside to what the client is told (P12): every refusal has a code, and the code says what
to do.
"""

from __future__ import annotations

from wirechat import wire
from wirechat.store.errors import OutcomeUnknown, StorageFull, StoreError
from wirechat.store.records import Refusal


class RequestError(Exception):
    """A request fails with a code of the registry; the connection lives."""

    def __init__(self, code: int, text: str | None = None, retry_ms: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.retry_ms = retry_ms

    def message(self, rid: int | None) -> wire.Error:
        """The ERROR frame."""
        return wire.Error(rid, code=self.code, retry_ms=self.retry_ms, message=self.text)


_REFUSALS: dict[Refusal, tuple[int, str]] = {
    Refusal.NO_CONVERSATION: (wire.errors.NO_CONVERSATION, "no such conversation"),
    Refusal.FORBIDDEN: (wire.errors.FORBIDDEN, "you may not do this here"),
    Refusal.NOT_FOUND: (wire.errors.NOT_FOUND, "no such user, message or device"),
    Refusal.DELETED: (wire.errors.DELETED, "the message was deleted"),
    Refusal.CID_REUSED: (wire.errors.CID_REUSED, "this cid was used with other content"),
    Refusal.CONFLICT: (wire.errors.CONFLICT, "taken, or done already"),
    Refusal.LIMIT: (wire.errors.LIMIT, "there is no room for more"),
    Refusal.WRONG_PASSWORD: (wire.errors.BAD_CREDENTIALS, "unknown account or wrong password"),
    Refusal.REVOKED: (wire.errors.DEVICE_REVOKED, "this device was revoked"),
    Refusal.BLOCKED: (wire.errors.BLOCKED, "one of you has blocked the other"),
    Refusal.TOO_LARGE: (wire.errors.TOO_LARGE, "the text is longer than this server allows"),
}


def of_refusal(refusal: Refusal) -> RequestError:
    """What a client is told when the store says no."""
    return RequestError(*_REFUSALS[refusal])


def of_store(error: StoreError) -> RequestError:
    """What a client is told when the store fails: surely not executed, or unknown."""
    if isinstance(error, OutcomeUnknown):
        return RequestError(wire.errors.UNKNOWN_OUTCOME, "the commit was interrupted; ask again with the same cid")
    if isinstance(error, StorageFull):
        return RequestError(wire.errors.STORAGE, "the disk is full; nothing was stored", retry_ms=2000)
    return RequestError(wire.errors.UNAVAILABLE, "the store does not answer; nothing was stored", retry_ms=1000)
