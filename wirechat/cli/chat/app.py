"""The program on the terminal: one client, one screen, one look."""

import asyncio
import signal
import sys
import time
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.theme import Theme

from wirechat.cli.chat.desk import Desk
from wirechat.cli.chat.guest import Guest, Opening
from wirechat.cli.chat.hands import ChatScreen
from wirechat.client import Client, ClientError, Event

__all__ = ["ChatApp", "chat"]

THEME = Theme(
    name="wirechat",
    primary="#7aa2f7",
    secondary="#bb9af7",
    warning="#e0af68",
    error="#f7768e",
    success="#9ece6a",
    accent="#7dcfff",
    foreground="#c0caf5",
    background="#16161e",
    surface="#1a1b26",
    panel="#24283b",
    dark=True,
)


class ChatApp(App[None]):
    """Shows one client until the person leaves."""

    CSS_PATH = "chat.tcss"
    TITLE = "wirechat"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", "Quit", priority=True)]

    def __init__(self, client: Client, guest: Guest, events: "asyncio.Queue[Event]") -> None:
        super().__init__()
        self.desk = Desk(client, time.monotonic)
        self._chat = ChatScreen(self.desk, guest.call, events)
        self._guest = guest

    def on_mount(self) -> None:
        """Opens the screen; ends when the client does."""
        self.register_theme(THEME)
        self.theme = THEME.name
        self.push_screen(self._chat)
        self._guest.ended.add_done_callback(lambda _: self.exit())


async def chat(opening: Opening) -> ClientError | None:
    """Runs the program on this terminal. Returns why the client has given up, None when the person left.

    Raises what opening the client raises.
    """
    events: asyncio.Queue[Event] = asyncio.Queue()
    guest = Guest(opening, events.put_nowait)
    client = await guest.start()
    try:
        app = ChatApp(client, guest, events)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(ending, app.exit)
        await app.run_async()
        if app.return_code:
            sys.exit(app.return_code)
    finally:
        await guest.stop()
    return guest.ended.result()
