"""What F1 shows: keys and commands."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from wirechat.cli.chat.commands import COMMANDS
from wirechat.cli.chat.paint import ACCENT, DIM

__all__ = ["help_text"]

KEYS = {
    "Writing": {
        "Enter": "send",
        "Ctrl+J, Alt+Enter": "new line",
        "Tab": "complete @name, :emoji, /command; else go to the messages",
        "Up in an empty box": "edit your last message",
        "Esc": "give up a reply or an edit; else go to the messages",
    },
    "Messages": {
        "Up Down PgUp PgDn Home End": "move",
        "r": "reply",
        "e": "edit your message",
        "d": "delete for all: your own, or as a moderator",
        "a": "react with an emoji; the same again takes it back",
        "h": "hide for yourself, on all your devices",
        "f": "forward",
        "p": "pin or unpin",
        "i": "who has it, who has read it",
        "y": "copy the text",
        "Enter": "go to the message it answers",
        "/": "search all messages on this device",
        "?": "this help",
        "Esc, Tab": "back to writing; so does any letter that is no key, and types it",
    },
    "Everywhere": {
        "Alt+Up, Alt+Down": "the conversation above, below",
        "Ctrl+K": "go to a conversation by name",
        "Ctrl+N": "new conversation",
        "Ctrl+F": "search all messages on this device",
        "F2": "who is here",
        "F3": "hide or show the list of conversations",
        "F1": "this help",
        "Ctrl+Q": "leave",
    },
}
TICKS = {
    "…": "still to be sent",
    "✓": "on the server",
    "✓✓": "on a device of everybody; blue: read by everybody",
}


def help_text() -> Table:
    """All of it, in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(style=DIM)
    for heading, keys in KEYS.items():
        _part(table, heading, keys.items())
    _part(table, "Commands", ((f"/{name} {each.usage}", each.about) for name, each in COMMANDS.items()))
    _part(table, "Ticks", TICKS.items())
    return table


def _part(table: Table, heading: str, lines: Iterable[tuple[str, str]]) -> None:
    table.add_row(Text(heading, ACCENT), "")
    for left, right in lines:
        table.add_row(f" {left}", right)
    table.add_row()
