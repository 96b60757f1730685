"""The face of every bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Bus(Protocol):
    """Carries messages between the nodes. What is sent may be lost, repeated, reordered or delayed, never altered."""

    @property
    def node(self) -> int:
        """The number of this node, drawn anew for every process; below 2^53."""

    @property
    def trouble(self) -> str | None:
        """Why nothing gets through now and what to do, in one line for the operator; None while all is well."""

    def send(self, node: int | None, data: bytes) -> None:
        """To one node, or to all others. Never waits and never raises: what cannot be sent is lost."""

    async def run(self, receive: Callable[[bytes], None]) -> None:
        """Hand over what the others send, in the Trio thread, until cancelled."""
