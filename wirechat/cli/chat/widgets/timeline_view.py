"""The messages of the open conversation. Keys say what to do with the selected one."""

import datetime
from collections.abc import Hashable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message as Said

from wirechat.cli.chat.paint import paint
from wirechat.cli.chat.timeline import Message, Row
from wirechat.cli.chat.widgets.rows import RowsView

__all__ = ["TimelineView", "key_of"]

DEEDS = {
    "r": ("reply", "Reply"),
    "e": ("edit", "Edit"),
    "d": ("delete", "Delete"),
    "a": ("react", "React"),
    "f": ("forward", "Forward"),
    "h": ("hide", "Hide for yourself"),
    "p": ("pin", "Pin or unpin"),
    "i": ("info", "Who has read it"),
    "y": ("copy", "Copy"),
}


def key_of(row: Row) -> Hashable | None:
    """What names a row: its seq, or its cid while it waits."""
    if isinstance(row, Message):
        return row.seq or row.cid
    return None


class TimelineView(RowsView[Row]):
    """Rows of a conversation, the newest at the bottom."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"deed('{name}')", label, show=False) for key, (name, label) in DEEDS.items()),
        Binding("plus,x", "deed('react')", "React", show=False),
        Binding("escape,tab", "deed('write')", "Write", show=False),
        Binding("question_mark", "screen.help", "Help", show=False),
        Binding("slash", "screen.search", "Search", show=False),
    ]

    class Wanted(Said):
        """Do this with the selected message."""

        def __init__(self, deed: str, row: Message | None) -> None:
            super().__init__()
            self.deed = deed
            self.row = row

    class Typed(Said):
        """A letter that means nothing here."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str) -> None:
        super().__init__(_paint, key_of, bottom=True, clicks=2, id=id)

    def on_key(self, event: events.Key) -> None:
        """Whoever types on is writing: what is no key here belongs into the box."""
        if event.is_printable and event.character and event.key not in self._bindings.key_to_bindings:
            event.stop()
            self.post_message(self.Typed(event.character))

    def action_deed(self, name: str) -> None:
        """A key was pressed."""
        row = self.selected_row()
        self.post_message(self.Wanted(name, row if isinstance(row, Message) else None))

    @property
    def _marks_selected(self) -> bool:
        return self.has_focus


def _paint(row: Row, width: int) -> list[Text]:
    return paint(row, width, datetime.datetime.now().date())
