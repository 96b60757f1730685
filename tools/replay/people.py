"""Accounts in bulk: each with a device key, none with a password."""

import os
from collections.abc import Callable, Sequence

import attrs
import trio

from tools.replay.pulse import Pulse
from wirechat.client.errors import ClientError, ConnectionFailed, Refused, Unavailable, UnknownOutcome, WrongServer
from wirechat.client.features.accounts import register
from wirechat.settings.urls import shown
from wirechat.wire import errors

AT_ONCE = 16  # registrations under way, so that they share commits
RETRY_SECONDS = 0.2
PATIENCE_SECONDS = 2.0  # then who waits is told for what
SEED_BYTES = 32


@attrs.frozen
class Person:
    """An account and the one device that holds its key. `url` is where this person always connects."""

    name: str
    handle: str
    key: bytes
    user: int
    device: int
    url: str


@attrs.define
class Registrar:
    """Makes accounts on one server. `run` begins the handles of this run and makes them its own."""

    urls: Sequence[str]
    run: str
    ca: str | None
    pulse: Pulse
    moved: Callable[[], None] = lambda: None
    tell: Callable[[str], None] = lambda line: None
    """Called once, when the server has kept us waiting."""
    _told: bool = False
    _made: int = 0

    async def register(self, names: Sequence[str]) -> list[Person]:
        """One account for each display name, in that order, spread over the URLs.

        Tries for ever while the server cannot be reached. Raises LoginFailed when registration is closed, Refused or
        WrongServer.
        """
        people: dict[int, Person] = {}
        failures: list[ClientError] = []
        waiting = iter(enumerate(names))

        async def work() -> None:
            try:
                for index, name in waiting:
                    people[index] = await self._one(name, self.urls[index % len(self.urls)])
            except ClientError as error:
                failures.append(error)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(work)
        if failures:
            raise failures[0]
        return [people[index] for index in range(len(names))]

    async def _one(self, name: str, url: str) -> Person:
        """REGISTER has no idempotency id, so after a lost answer the next try has another handle."""
        key, since = os.urandom(SEED_BYTES), trio.current_time()
        while True:
            self._made += 1
            handle = f"{self.run}-{self._made}"
            try:
                made = await register(url, handle, device_key=key, name=name, device_name="replay", ca=self.ca)
            except WrongServer:
                raise
            except (ConnectionFailed, Unavailable, UnknownOutcome) as error:
                if not self._told and trio.current_time() - since >= PATIENCE_SECONDS:
                    self._told = True
                    self.tell(f"waiting for {shown(url)}: {error}")
                await trio.sleep(max(RETRY_SECONDS, (error.retry_ms or 0) / 1000))
            except Refused as error:
                if error.code != errors.CONFLICT:
                    raise
            else:
                assert made.device is not None, "an account made with a key has a device"
                self.pulse.beat()
                self.moved()
                return Person(name, handle, key, made.user, made.device, url)
