"""The program on a terminal in memory, beside a real server and other people's clients."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio
from textual.pilot import Pilot
from textual.widgets import Input, Static, TextArea

from tests.replay.server import ServerProcess
from wirechat.cli.chat.app import ChatApp
from wirechat.cli.chat.guest import Guest
from wirechat.cli.chat.widgets.compose_box import ComposeBox
from wirechat.cli.chat.widgets.rows import RowsView
from wirechat.client import Client, open_client, register

SECONDS = 60  # what must come comes within this
KEY_BYTES = 32


@attrs.frozen
class Account:
    """Somebody with a device key, so that no password has to be hashed."""

    url: str
    handle: str
    user: int
    device: int
    cache: Path

    def opening(self, **options: Any) -> Callable[[], Any]:
        key = self.handle.encode().ljust(KEY_BYTES)
        return partial(
            open_client, self.url, handle=self.handle, device_key=key, device=self.device, cache=self.cache, **options
        )


def account(server: ServerProcess, directory: Path, handle: str, name: str | None = None) -> Account:
    url = server.urls[0]
    made = trio.run(partial(register, url, handle, device_key=handle.encode().ljust(KEY_BYTES), name=name))
    assert made.device is not None
    return Account(url, handle, made.user, made.device, directory / f"{handle}.db")


def play(story: Coroutine[Any, Any, None]) -> None:
    """Runs a story on asyncio, in bounded time. On a loop of its own kind: trio-asyncio, which the tests of PostgreSQL
    import, takes over the usual one for the whole process.
    """
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_bounded(story))


async def _bounded(story: Coroutine[Any, Any, None]) -> None:
    await asyncio.wait_for(story, 3 * SECONDS)


class Person:
    """Another person's client, on Trio in a thread of its own."""

    client: Client

    def __init__(self, account: Account) -> None:
        self._opening = account.opening()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        self._token, self._left = trio.lowlevel.current_trio_token(), trio.Event()
        async with self._opening() as self.client:
            self._ready.set()
            await self._left.wait()

    async def __aenter__(self) -> "Person":
        self._thread.start()
        assert await asyncio.to_thread(self._ready.wait, SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._left.set)
        await asyncio.to_thread(self._thread.join, SECONDS)

    async def do(self, fn: Callable[..., Any], *args: object) -> Any:
        async def bounded() -> Any:
            with trio.fail_after(SECONDS):
                return await fn(*args)

        return await asyncio.to_thread(trio.from_thread.run, bounded, trio_token=self._token)


class Terminal:
    """What one sees and does."""

    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    def rows(self, id: str) -> str:
        """A list as it stands on the screen."""
        view = self.app.screen_stack[-1].query_one(f"#{id}", RowsView)
        return "\n".join(view.render_line(y).text.rstrip() for y in range(view.size.height))

    @property
    def timeline(self) -> str:
        view = self.app.screen_stack[1].query_one("#timeline", RowsView)
        return "\n".join(view.render_line(y).text.rstrip() for y in range(view.size.height))

    @property
    def unread(self) -> list[str]:
        """What the list says at the right of its lines that begin with the last words."""
        words = [line.rsplit(None, 1)[-1] for line in self.rows("list").splitlines()[1::2] if line.strip()]
        return [word for word in words if word.isdigit()]

    @property
    def dialog_title(self) -> str:
        """What stands above a dialog; empty when there is none."""
        return "".join(str(each.render()) for each in self.app.screen.query(".dialog-title").results(Static))

    def timeline_at_top(self) -> bool:
        """Nothing more can be scrolled to."""
        return self.app.screen_stack[1].query_one("#timeline", RowsView).scroll_offset.y == 0

    def line(self, id: str) -> str:
        """One of the lines around the conversation."""
        return str(self.app.screen_stack[1].query_one(f"#{id}", Static).render())

    @property
    def box(self) -> ComposeBox:
        return self.app.screen_stack[1].query_one("#compose", ComposeBox)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str, *keys: str) -> None:
        """Puts a text where the cursor is, as fast as a paste, then presses keys."""
        place = self.app.focused
        if isinstance(place, TextArea):
            place.insert(text)
        else:
            assert isinstance(place, Input), place
            place.insert_text_at_cursor(text)
        await self.pilot.press(*keys)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for something to be so."""
        async with asyncio.timeout(SECONDS):
            try:
                while not condition():
                    await self.pilot.pause(0.02)
            except (TimeoutError, asyncio.CancelledError):
                print(f"waited for: {what}\n{self.timeline}\n{self.line('status')}")
                raise

    async def sees(self, *texts: str) -> None:
        """Waits until the conversation shows all of these."""
        await self.until(lambda: all(text in self.timeline for text in texts), f"{texts}")

    async def tells(self, text: str) -> None:
        """Waits for a word in the corner."""
        await self.until(lambda: any(text in each.message for each in self.app._notifications), f"a word: {text}")

    async def misses(self, text: str) -> None:
        """Waits until the conversation does not show this any more."""
        await self.until(lambda: text not in self.timeline, f"no {text}")


@asynccontextmanager
async def terminal(account: Account, *, size: tuple[int, int] = (100, 30), **options: Any) -> AsyncIterator[Terminal]:
    """The program of this account."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    guest = Guest(account.opening(**options), events.put_nowait)
    client = await guest.start()
    try:
        app = ChatApp(client, guest, events)
        async with app.run_test(size=size) as pilot:
            yield Terminal(app, pilot)
    finally:
        await guest.stop()
