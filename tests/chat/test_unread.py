"""What is read: what was on the screen, and nothing else."""

from pathlib import Path

import pytest

from tests.chat.rig import Person, Terminal, account, play, terminal
from tests.replay.server import ServerProcess

SMALL = (80, 24)


def last_shown(screen: Terminal) -> int:
    """The number of the lowest message on the screen."""
    return max(int(word) for line in screen.timeline.splitlines() for word in line.split()[1:2] if "message" in line)


async def read_by(other: Person, conv: int, user: int) -> int:
    """Up to where the server knows that somebody has read."""
    marks = await other.do(other.client.receipts.who_read, conv, 2)
    return next(mark.read for mark in marks if mark.user == user)


@pytest.mark.parametrize("count", [60, 150, 300])
def test_only_what_was_on_the_screen_is_read(server: ServerProcess, tmp_path: Path, count: int) -> None:
    """Opening begins at the first unread; the mark is at the last visible message, and moves as one goes on (P7)."""
    reader = account(server, tmp_path, f"reader{count}", "Reader")
    writer = account(server, tmp_path, f"writer{count}", "Writer")

    async def story() -> None:
        async with Person(writer) as other, terminal(reader, size=SMALL) as screen:
            conv = await other.do(other.client.conversations.create_group, "Crowd", [reader.user])
            for number in range(count):
                handle = await other.do(other.client.messages.send_soon, conv, f"message {number}")
            await other.do(handle.wait)
            first = 2  # the conversation's first entry says who made it
            await screen.until(lambda: f" {min(count, 99)}" in screen.rows("list"), "all unread")
            await screen.press("alt+down")
            await screen.sees(" new ", "message 0")
            shown = last_shown(screen)
            assert 5 < shown < 24
            assert f"↓ {count - 1 - shown} newer" in screen.line("typing")
            await screen.pilot.pause(0.5)
            assert await read_by(other, conv, reader.user) == first + shown
            await screen.press("pagedown")
            await screen.until(lambda: last_shown(screen) > shown + 10, "the next page")
            shown = last_shown(screen)
            await screen.pilot.pause(0.5)
            assert await read_by(other, conv, reader.user) == first + shown

    play(story())


def test_what_came_before_the_start_begins_at_its_first(server: ServerProcess, tmp_path: Path) -> None:
    """A device that was away opens a conversation while it catches up: nothing that only flew by is read."""
    away, busy = account(server, tmp_path, "away", "Away"), account(server, tmp_path, "busy", "Busy")

    async def story() -> None:
        async with Person(busy) as other:
            conv = await other.do(other.client.conversations.create_group, "Flood", [away.user])
            async with terminal(away, size=SMALL) as screen:
                await screen.until(lambda: "● connected" in screen.line("status"), "connected")
            for number in range(60):
                handle = await other.do(other.client.messages.send_soon, conv, f"message {number}")
            await other.do(handle.wait)
            async with terminal(away, size=SMALL) as screen:
                await screen.sees(" new ", "message 0")
                await screen.until(lambda: "● connected" in screen.line("status"), "connected")
                await screen.pilot.pause(0.5)
                assert await read_by(other, conv, away.user) == 2 + last_shown(screen)

    play(story())
