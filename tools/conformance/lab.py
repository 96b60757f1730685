"""What a check has at hand: connections to the server under test, and people with fresh accounts on them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from .connection import Connection
from .decoder import Schema
from .person import RESUME_METHOD, Person
from .sockets import connect, parse_url
from .trace import Trace
from .verdict import Failed, Skipped

NAMES = ("alice", "bob", "carol", "dave", "eve", "frank")
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    """The server under test. `patience`: seconds to wait for what must come."""

    url: str
    ca: str | None = None
    patience: float = PATIENCE_SECONDS
    schema: Schema = field(default_factory=Schema)

    def lab(self) -> Lab:
        """For one check."""
        return Lab(self)

    @property
    def scheme(self) -> str:
        return parse_url(self.url).scheme

    @property
    def websocket(self) -> bool:
        return self.scheme in ("ws", "wss")

    @property
    def secure(self) -> bool:
        return self.scheme in ("wirechats", "wss")

    @property
    def loopback(self) -> bool:
        host = str(parse_url(self.url).hostname)
        with suppress(ValueError):
            return ip_address(host).is_loopback
        return host == "localhost"


class Lab:
    """One check's share of the server. Everything it opened is closed in the end."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.schema = target.schema
        self.trace = Trace()
        self._open: list[Connection] = []
        self._names = iter(NAMES)

    def close(self) -> None:
        for connection in self._open:
            with suppress(OSError):
                connection.bodies.close()

    def connect(self, who: str | None = None, receive_buffer: int = 0) -> Person:
        """A connection on which nothing was said yet."""
        name = who or next(self._names, None) or f"c{len(self._open)}"
        try:
            bodies = connect(self.target.url, self.target.ca, self.target.patience, receive_buffer)
        except OSError as error:
            raise Failed("a connection", str(error)) from None
        person = Person(bodies, self.schema, self.trace, name, self.target.patience)
        self._open.append(person)
        return person

    def greeted(self, who: str | None = None, caps: Iterable[int] = (), window: int | None = None) -> Person:
        """A connection after WELCOME."""
        person = self.connect(who)
        person.hello(caps=tuple(caps), window=window)
        return person

    def person(
        self,
        who: str | None = None,
        *,
        caps: Iterable[int] = (),
        window: int | None = None,
        password: bool = False,
        sync: bool = True,
    ) -> Person:
        """Somebody with a fresh account, logged in, and LIVE unless told otherwise."""
        person = self.greeted(who, caps, window)
        person.make_account(handle(), password=password)
        person.log_in()
        if sync:
            person.sync()
        return person

    def people(self, count: int, **options: Any) -> list[Person]:
        """Several of them."""
        return [self.person(**options) for _ in range(count)]

    def again(
        self, person: Person, *, caps: Iterable[int] = (), window: int | None = None, receive_buffer: int = 0
    ) -> Person:
        """Another connection of the same device, logged in but not synced. It replaces the one before."""
        other = self.connect(person.who, receive_buffer)
        other.hello(caps=tuple(caps), window=window)
        other.handle, other.user, other.device, other.by_key = person.handle, person.user, person.device, person.by_key
        if RESUME_METHOD in other.welcome["methods"]:
            other.go_on(person.resume)
        else:
            other.log_in()
        person.resume = other.resume
        return other

    def live_again(self, person: Person, token: bytes | None = None, **options: Any) -> Person:
        """The same, LIVE."""
        other = self.again(person, **options)
        other.sync(token)
        return other

    def other_device(self, person: Person, *, caps: Iterable[int] = (), sync: bool = True) -> Person:
        """A second device of an account with a password."""
        other = self.greeted(f"{person.who}2", caps)
        other.handle, other.by_key = person.handle, False
        other.log_in(name="second")
        if sync:
            other.sync()
        return other

    def skip_unless(self, condition: object, why: str) -> None:
        """Raises Skipped."""
        if not condition:
            raise Skipped(why)


def handle() -> str:
    """A fresh one."""
    return "conf-" + os.urandom(8).hex()
