"""Accounts: making one, and finding people."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import attrs
import trio

from wirechat import wire
from wirechat.client.cache import Cache
from wirechat.client.calls import Call, check
from wirechat.client.errors import ClientError, ConnectionFailed, UnknownOutcome, network_errors
from wirechat.client.link import Link
from wirechat.client.login import public_key
from wirechat.client.transport import Connect, Network, greeting, parse_url
from wirechat.wire.registries import AuthMethod

__all__ = ["Accounts", "Registered", "register"]

REGISTER_SECONDS = 30.0
USERS_MAX = 256  # ids in one USER_GET


@attrs.frozen
class Registered:
    """A new account. `device`: the device that holds the key, when it was made with one."""

    user: int
    device: int | None


async def register(
    url: str,
    handle: str,
    *,
    password: str | None = None,
    device_key: bytes | None = None,
    name: str | None = None,
    device_name: str | None = None,
    ca: str | None = None,
    connect: Connect | None = None,
) -> Registered:
    """Makes an account on a connection of its own; does not log in.

    Give either a password or `device_key`, a 32-byte Ed25519 seed. `name`: display name. Raises Refused (a handle that
    is taken: 4005), LoginFailed (registration is closed), Unavailable, ConnectionFailed (not sent), UnknownOutcome.
    """
    request = _request(handle, password, device_key, name, device_name)
    check(request)
    if connect is None:
        parse_url(url)
    async with trio.open_nursery() as nursery:
        outcome = await _registered(connect or Network(nursery, ca).connect, url, request)
        nursery.cancel_scope.cancel()
    if isinstance(outcome, Registered):
        return outcome
    raise outcome


def _request(
    handle: str, password: str | None, key: bytes | None, name: str | None, device_name: str | None
) -> wire.Register:
    if key is not None and password is None:
        return wire.Register(0, handle, AuthMethod.DEVICE_KEY, public_key(key), name, device_name)
    if password is not None and key is None:
        return wire.Register(0, handle, AuthMethod.PASSWORD, password.encode(), name)
    raise ValueError("give either a password or a device key")


async def _registered(connect: Connect, url: str, request: wire.Register) -> Registered | ClientError:
    link, sent = None, False
    try:
        with trio.move_on_after(REGISTER_SECONDS):
            with network_errors():
                link = Link(await connect(url), window=0)
            with greeting(url):
                await link.hello()
            sent = True
            reply = await link.exchange(request, wire.RegisterOk)
            return Registered(reply.user, reply.device)
        raise ConnectionFailed("the server took too long")
    except ClientError as error:
        lost = sent and isinstance(error, ConnectionFailed)
        return UnknownOutcome("the connection broke before the answer came") if lost else error
    finally:
        if link is not None:
            with trio.CancelScope(shield=True):
                await link.aclose()


class Accounts:
    """client.accounts"""

    def __init__(self, call: Call, cache: Cache, register: Callable[..., Awaitable[Registered]]) -> None:
        self._call = call
        self._cache = cache
        self.register = register
        """As the function `register`, on a new connection to the same server."""

    async def find(self, handle: str) -> wire.User:
        """The account with exactly this handle. Raises Refused (4000) when there is none."""
        reply = await self._call(wire.UserFind(0, handle), wire.UserFindOk, lambda reply: self._keep((reply.user,)))
        return reply.user

    async def get(self, users: Iterable[int]) -> dict[int, wire.User]:
        """Accounts by id, from the cache where they are known; ids that do not exist are left out."""
        wanted = dict.fromkeys(users)
        known = self.known(wanted)
        unknown = [user for user in wanted if user not in known]
        for start in range(0, len(unknown), USERS_MAX):
            request = wire.UserGet(0, tuple(unknown[start : start + USERS_MAX]))
            reply = await self._call(request, wire.UserGetOk, lambda reply: self._keep(reply.users))
            known.update((user.user, user) for user in reply.users)
        return known

    def known(self, users: Iterable[int]) -> dict[int, wire.User]:
        """Accounts by id as far as the cache knows them; asks nobody."""
        return {user: found for user in users if (found := self._cache.user(user)) is not None}

    def _keep(self, users: Sequence[wire.User]) -> None:
        self._cache.put_users(users)
