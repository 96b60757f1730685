"""Where one writes. Enter sends; what Tab would make of the word at the cursor is shown above."""

from collections.abc import Callable

from textual import events
from textual.message import Message
from textual.reactive import var
from textual.widgets import TextArea

from wirechat.cli.chat.compose import Completion

__all__ = ["ComposeBox"]

NEWLINES = frozenset({"shift+enter", "alt+enter", "ctrl+enter", "ctrl+j"})


class ComposeBox(TextArea):
    """A text area that grows with its text."""

    chosen = var(0)

    class Entered(Message):
        """Enter was pressed on a text."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Escape, or a key that means the conversation: up in an empty box, pages."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Completing(Message):
        """What Tab would insert has changed."""

        def __init__(self, found: list[Completion], chosen: int) -> None:
            super().__init__()
            self.found = found
            self.chosen = chosen

    def __init__(self, complete: Callable[[str], list[Completion]], *, id: str) -> None:
        super().__init__(
            id=id,
            compact=True,
            show_line_numbers=False,
            soft_wrap=True,
            highlight_cursor_line=False,
            placeholder="Write a message, or /help",
        )
        self._complete = complete
        self._found: list[Completion] = []

    def fill(self, text: str) -> None:
        """Puts a text into the box, the cursor at its end."""
        self.text = text
        self.move_cursor(self.document.end)
        self.history.clear()  # what was sent does not come back with Ctrl+Z

    async def _on_key(self, event: events.Key) -> None:
        if self._handled(event.key):
            event.stop()
            event.prevent_default()
        else:
            await super()._on_key(event)

    def _handled(self, key: str) -> bool:
        if key == "enter":
            self.post_message(self.Entered(self.text))
        elif key in NEWLINES:
            self.insert("\n")
        elif self._found and key in ("up", "down"):
            self._offer(self._found, (self.chosen + (1 if key == "down" else -1)) % len(self._found))
        elif key == "tab":
            self._insert_completion()
        elif self._found and key == "escape":
            self._offer([])
        elif key in ("escape", "pageup", "pagedown", "shift+tab") or (key == "up" and not self.text):
            self.post_message(self.Left(key))
        else:
            return False
        return True

    def _insert_completion(self) -> None:
        if not self._found:
            self.post_message(self.Left("tab"))
            return
        completion = self._found[self.chosen]
        row, column = self.cursor_location
        self.replace(completion.text, (row, column - completion.replaces), (row, column))

    def on_text_area_changed(self) -> None:
        """Looks for completions anew."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        self._offer(self._complete(before if row == 0 or not before.startswith("/") else ""))

    def _offer(self, found: list[Completion], chosen: int = 0) -> None:
        self._found, self.chosen = found, chosen
        self.post_message(self.Completing(found, chosen))
