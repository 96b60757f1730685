"""What F1 shows: keys and commands."""

from collections.abc import Iterable

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
        "d": "delete your message for all",
        "a": "react with an emoji; the same again takes it back",
        "f": "forward",
        "p": "pin or unpin",
        "i": "who has it, who has read it",
        "y": "copy the text",
        "Enter": "go to the message it answers",
        "Esc, Tab": "back to writing",
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


def help_text() -> Text:
    """All of it, in columns."""
    text = Text()
    for heading, keys in KEYS.items():
        _table(text, heading, keys.items())
    _table(text, "Commands", ((f"/{name} {each.usage}", each.about) for name, each in COMMANDS.items()))
    text.append("✓ on the server   ✓✓ on everybody's device   ", DIM).append("✓✓", ACCENT)
    return text.append(" read by everybody   … still to be sent", DIM)


def _table(text: Text, heading: str, lines: Iterable[tuple[str, str]]) -> None:
    text.append(f"{heading}\n", f"bold {ACCENT}")
    for left, right in lines:
        text.append(f"  {left:<27}", "bold").append(f"{right}\n", DIM)
    text.append("\n")
