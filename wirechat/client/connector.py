"""Staying connected: one session after the other, for ever.

Rules: full jitter between attempts, the server's wish (GOAWAY, retry_ms) comes first, and nobody fights: after an error
that a further connection cannot mend the client gives up and says why to whoever asks. Being replaced (2007) is one,
unless a login of ours that was never answered may have done it.
"""

from collections import deque
from collections.abc import Callable

import attrs
import trio

from wirechat import wire
from wirechat.client.backoff import Backoff
from wirechat.client.cache import Identity
from wirechat.client.errors import CacheError, ClientError, ConnectionFailed, LoginFailed, network_errors
from wirechat.client.events import Connected, Disconnected
from wirechat.client.link import Link
from wirechat.client.login import FINAL, Credentials, login
from wirechat.client.session import Session, State
from wirechat.client.transport import Connect, greeting
from wirechat.wire import errors
from wirechat.world import World

__all__ = ["Connector", "Options"]

LOGIN_SECONDS = 30.0  # from connecting to AUTH_OK
UNANSWERED_SECONDS = 60.0  # what an unanswered login may take to replace us (7-28)
UNANSWERED_MAX = 8  # backoff lets hardly more happen meanwhile


@attrs.frozen
class Options:
    """How to connect; see open_client."""

    url: str
    connect: Connect
    credentials: Credentials
    world: World
    window: int
    reconnect: bool


class Connector:
    """Makes sessions. `failure`: why it has given up; None while it has not."""

    def __init__(self, options: Options, state: State) -> None:
        self.failure: ClientError | None = None
        self._options = options
        self._state = state
        self._backoff = Backoff(options.world.uniform)
        self._goaway: wire.Goaway | None = None
        self._session: Session | None = None
        self._opened = False
        self._unanswered: deque[float] = deque(maxlen=UNANSWERED_MAX)
        """When logins began whose connection ended before the server answered."""

    @property
    def session(self) -> Session | None:
        """The session that is up, if any."""
        return None if self._session is None or self._session.over else self._session

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition that progress may bring. Raises the failure."""
        while self.failure is None and not condition():
            await self._state.progress.wait()
        if self.failure is not None:
            raise self.failure

    async def opened(self) -> None:
        """Waits for the first login. A device known to its server may start without a connection."""
        await self.until(lambda: self._opened)

    async def run(self) -> None:
        """Connects again and again, until there is no sense in it."""
        while self.failure is None:
            error = await self._one_connection()
            if error.code == errors.DEVICE_REVOKED:
                error = await self._logged_out()
            final = not self._options.reconnect or (_is_final(error) and not self._replaced_by_itself(error))
            delay = None if final else self._delay(error)
            self._state.events.publish(Disconnected(error, delay))
            if delay is None:
                self._give_up(error)
            else:
                self._opened = self._opened or self._state.cache.identity.user is not None
                self._state.progress.happened()
                await trio.sleep(delay)

    def close(self) -> None:
        """The program has left: whoever still waits is told."""
        self._state.events.close(None)
        if self.failure is None:
            self._give_up(ConnectionFailed("the client is closed"))

    def _give_up(self, error: ClientError) -> None:
        self.failure = error
        for entry in self._state.outbox:
            if entry.waiter is not None:
                entry.waiter.settled(error)
        self._state.events.close(error)
        self._state.progress.happened()

    def _replaced_by_itself(self, error: ClientError) -> bool:
        """Whether a login of ours, unanswered and done late, may be what replaced us; each is an excuse only once."""
        if error.code != errors.REPLACED:
            return False
        while self._unanswered:
            if trio.current_time() - self._unanswered.popleft() < UNANSWERED_SECONDS:
                return True
        return False

    async def _logged_out(self) -> ClientError:
        """This device was revoked: what it could log in with is worth nothing any more."""
        self._state.cache.log_out()
        try:
            await self._state.committer.commit()
        except CacheError as error:
            return error
        return LoginFailed("this device was revoked; log in again with the password", code=errors.DEVICE_REVOKED)

    def _delay(self, error: ClientError) -> float:
        goaway, self._goaway = self._goaway, None
        if goaway is not None and goaway.after_ms + goaway.jitter_ms:
            return goaway.after_ms / 1000 + self._options.world.uniform(0.0, goaway.jitter_ms / 1000)
        return self._backoff.delay(at_least=(error.retry_ms or 0) / 1000)

    async def _one_connection(self) -> ClientError:
        """Returns why it ended, or why there was none."""
        try:
            with trio.move_on_after(LOGIN_SECONDS) as patience:
                link, limits, user = await self._logged_in()
            if patience.cancelled_caught:
                return ConnectionFailed("the server took too long to let us in")
            return await self._serve(link, limits, user)
        except ClientError as error:
            return error

    async def _logged_in(self) -> tuple[Link, wire.Limits, int]:
        with network_errors():
            transport = await self._options.connect(self._options.url)
        link = Link(transport, window=self._options.window)
        try:
            with greeting(self._options.url):
                welcome = await link.hello()
            user = await self._log_in(link, welcome)
            return link, welcome.limits, user
        except BaseException:
            self._goaway = link.goaway
            transport.abort()
            raise

    async def _log_in(self, link: Link, welcome: wire.Welcome) -> int:
        cache, credentials = self._state.cache, self._options.credentials
        began = trio.current_time()
        try:
            reply = await login(link, welcome, cache.identity, credentials)
        except (ConnectionFailed, trio.Cancelled):
            self._unanswered.append(began)
            raise
        if cache.identity.user not in (None, reply.user):
            raise CacheError("this cache belongs to another account")
        handle = credentials.handle or cache.identity.handle
        cache.set_identity(Identity(handle, reply.user, reply.device, reply.resume, credentials.key))
        await self._state.committer.commit()
        return reply.user

    async def _serve(self, link: Link, limits: wire.Limits, user: int) -> ClientError:
        self._session = Session(link, self._state, self._options.world.uniform)
        self._opened = True
        self._state.events.publish(Connected(user, self._state.cache.identity.device or 0))
        since = trio.current_time()
        try:
            return await self._session.run(user, limits, self._options.window)
        finally:
            self._session = None
            self._goaway = link.goaway
            self._backoff.lived(trio.current_time() - since)
            with trio.CancelScope(shield=True):
                await link.aclose()


def _is_final(error: ClientError) -> bool:
    if isinstance(error, LoginFailed):
        return error.code is None or error.code in FINAL
    return isinstance(error, CacheError) or error.code == errors.VERSION
