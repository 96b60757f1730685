"""How features reach the server.

Rules: a call waits across reconnects until the server gave a final answer, so every request that changes something
carries a cid or may be repeated harmlessly. What the server would refuse for its form is refused here, before it could
block a queue or cost the connection.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from wirechat import wire
from wirechat.client.errors import Refused
from wirechat.client.outbox import Entry
from wirechat.wire import errors

__all__ = ["CID_BYTES", "Call", "Post", "check", "nothing"]

CID_BYTES = 8

R = TypeVar("R", bound=wire.Reply)


class Call(Protocol):
    """Sends a request and returns its reply, once what it changed is durable here."""

    async def __call__(self, request: wire.Request, reply: type[R], apply: Callable[[R], Any] = ...) -> R:
        """Raises Refused, or LoginFailed, CacheError or ConnectionFailed once the client has given up."""


class Post(Protocol):
    """Puts an entry into the outbox and returns once it is durable here."""

    async def __call__(self, entry: Entry) -> None:
        """Raises Refused for an entry that no server takes, CacheError, or why the client has given up."""


def nothing(_: Any) -> None:
    """What to apply when a reply changes nothing here."""


def check(request: wire.Request) -> None:
    """Raises Refused when the request does not fit the protocol."""
    body = request.encode()[4:]
    if len(body) > wire.limits.FRAME_BYTES:
        raise Refused(f"{request.NAME} is longer than a frame may be", code=errors.TOO_LARGE)
    try:
        wire.decode(body, side=wire.CLIENT)
    except wire.ProtocolViolation as violation:
        raise Refused(violation.message, code=violation.code) from None
