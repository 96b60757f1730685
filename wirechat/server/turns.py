"""What arrives in one turn of the loop is handled in one go.

The sockets of all connections are in one epoll of our own, for as long as their readers wait. Trio's own wait costs a
system call, a chain of coroutines and a change of task for each piece that arrives; here a piece is read and handled
where it is noticed, and the task of its connection is woken only for what has to wait (docs/design/turns.md tells what
that saves).

Rules:
* What handles a piece never waits. It says so when something has to; then its socket is not looked at until its reader
  comes back.
* At the end of a turn, once for all pieces, what they left is settled: the commit is begun, the sockets are written to.
"""

from __future__ import annotations

import select
from collections.abc import Awaitable, Callable

import structlog
import trio

from wirechat.server.endpoint import Endpoint, StreamEndpoint

log = structlog.get_logger(__name__)

PIECES_A_TURN = 64
"""Pieces handled before the rest of the server has its turn."""

Handle = Callable[[bytes], bool]
"""Handles what was received. False: its task has to go on with it, before more is received."""


class Turns:
    """Reads from every connection of a node."""

    def __init__(self, settle: Callable[[], None]) -> None:
        """`settle` is called after each turn."""
        self.settle = settle
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._watched: dict[int, StreamEndpoint] = {}

    def receive(self, endpoint: Endpoint, handle: Handle) -> Awaitable[bool]:
        """Hand what arrives to `handle` until it returns False; then True. False: nothing more will arrive."""
        if self._epoll is not None and isinstance(endpoint, StreamEndpoint):
            return endpoint.watched(self, handle)
        return self._each(endpoint, handle)

    async def _each(self, endpoint: Endpoint, handle: Handle) -> bool:
        while data := await endpoint.recv():
            handled = handle(data)
            self.settle()
            if not handled:
                return True
        return False

    def watch(self, fd: int, endpoint: StreamEndpoint) -> None:
        """Call `readable` of the endpoint whenever there is something for it. Raises OSError."""
        assert self._epoll is not None
        self._epoll.register(fd, select.EPOLLIN)
        self._watched[fd] = endpoint

    def forget(self, fd: int) -> None:
        """Not any more."""
        assert self._epoll is not None
        del self._watched[fd]
        self._epoll.unregister(fd)

    async def run(self) -> None:
        """Take turns, for ever."""
        if self._epoll is None:  # not Linux
            await trio.sleep_forever()
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0, PIECES_A_TURN):
                endpoint = self._watched.get(fd)  # one piece may end another connection
                if endpoint is not None:
                    try:
                        endpoint.readable()
                    except Exception:  # nobody's piece stops another's (P10)
                        log.exception("a connection failed", peer=endpoint.peer.address)
                        endpoint.abort()
            self.settle()
