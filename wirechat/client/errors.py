"""What can go wrong for a user of the client, and what to do about it.

Rules: the class tells what to do (P12), the thousands of `code` choose the class, an unknown code is never a riddle.
`code` is None where no server spoke: a network or the local cache failed.
"""

import contextlib
from collections.abc import Iterator
from typing import ClassVar

import trio

__all__ = [
    "CacheError",
    "ClientError",
    "ConnectionFailed",
    "LoginFailed",
    "Refused",
    "Unavailable",
    "UnknownOutcome",
    "WrongServer",
    "cause",
    "from_code",
    "network_errors",
    "reason",
]


class ClientError(Exception):
    """Base of everything the client raises on purpose.

    `code`: number of protocol/errors.json, or None. `retry_ms`: do not retry earlier than this many milliseconds.
    `to_do`: what to do now, in a sentence or two.
    """

    to_do: ClassVar[str] = "Fix the program and try again."

    def __init__(self, message: str, *, code: int | None = None, retry_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retry_ms = retry_ms

    def __str__(self) -> str:
        return self.message if self.code is None else f"{self.message} (error {self.code})"


class ConnectionFailed(ClientError):
    """The connection could not be made or broke; 1xxx when the server said why."""

    to_do = "Check the address and the network; connect again with backoff."


class WrongServer(ConnectionFailed):
    """Somebody listens, but is no server of this protocol that we trust: the same attempt will fail again."""


class LoginFailed(ClientError):
    """2xxx: the server does not accept who we say we are."""

    to_do = "Log in again, or ask the person to."


class Refused(ClientError):
    """3xxx or 4xxx: surely not executed, and the same request will be refused again."""

    to_do = "Do not repeat it unchanged; change the request, or wait until membership or rights changed."


class Unavailable(ClientError):
    """5xxx: surely not executed; the same request may succeed later."""

    to_do = "Retry after retry_ms, or with backoff."


class UnknownOutcome(ClientError):
    """6xxx, or the connection broke before the answer: it may have been executed."""

    to_do = "Retry with the same cid until an answer comes."


class CacheError(ClientError):
    """The cache file cannot be used or written; nothing more is acknowledged."""

    to_do = "Make room or repair the file, then open the client again."


_CLASSES: dict[int, type[ClientError]] = {
    1: ConnectionFailed,
    2: LoginFailed,
    3: Refused,
    4: Refused,
    5: Unavailable,
    6: UnknownOutcome,
}


def from_code(
    code: int, message: str | None = None, retry_ms: int | None = None, *, fatal: bool = False
) -> ClientError:
    """The exception for an error code, known or not. `fatal`: it is about the connection, not about a request."""
    kind = _CLASSES.get(code // 1000, ConnectionFailed if fatal else UnknownOutcome)
    return kind(message or kind.to_do, code=code, retry_ms=retry_ms)


@contextlib.contextmanager
def network_errors() -> Iterator[None]:
    """Turns what sockets and streams raise into ConnectionFailed."""
    try:
        yield
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise ConnectionFailed(f"the connection broke: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The last cause in words; of several attempts (one for each address of a host) that of the first."""
    last = cause(error)
    return getattr(last, "strerror", None) or str(last) or type(last).__name__


def cause(error: BaseException) -> BaseException:
    """What is behind an error; of several attempts the first."""
    last = error.__cause__ or error
    while isinstance(last, BaseExceptionGroup):
        last = last.exceptions[0]
    return last
