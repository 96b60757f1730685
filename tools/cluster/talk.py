"""Two people on different nodes: what they say to each other, and how long it takes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import trio

from wirechat.client import Client, MessageAdded, open_client, register

PATIENCE_SECONDS = 30.0
MEASURED = 50
LINES = ("Is that you over there?", "It is. Another node, the same conversation.")


async def talk(urls: tuple[str, str], people: Mapping[str, str], show: Callable[[str], None]) -> float:
    """Make two accounts, let each say something from a node of his own, and measure.

    urls        of the two nodes
    people      handle -> password, of two
    show        called with each line that has arrived

    Returns the median of seconds from sending on one node until the client on the other has it on disk. Raises
    ClientError, or trio.TooSlowError when something does not arrive.
    """
    (one, first), (other, second) = people.items()
    for (handle, password), url in zip(people.items(), urls, strict=True):
        await register(url, handle, password=password, name=handle.title())
    with trio.fail_after(PATIENCE_SECONDS):
        async with (
            open_client(urls[0], handle=one, password=first) as here,
            open_client(urls[1], handle=other, password=second) as there,
        ):
            conv = await here.conversations.direct((await here.accounts.find(other)).user)
            for speaker, hearer, name, text in ((here, there, one, LINES[0]), (there, here, other, LINES[1])):
                seconds = await _said(speaker, hearer, conv, text)
                show(f"{name}, on the other node {1000 * seconds:.1f} ms later: {text}")
            return statistics.median([await _said(here, there, conv, f"number {n}") for n in range(MEASURED)])


async def _said(speaker: Client, hearer: Client, conv: int, text: str) -> float:
    """Seconds until the other has it."""
    events, began = hearer.events(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speaker.messages.send, conv, text)
        async for event in events:
            if isinstance(event, MessageAdded) and event.conv == conv and _text(event) == text:
                return trio.current_time() - began
    raise AssertionError("events end with their client")


def _text(event: MessageAdded) -> object:
    return event.record.content.data if event.record.content is not None else None
