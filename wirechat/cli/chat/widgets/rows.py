"""A list of rows of any height, of which only what is visible is drawn.

Rules: rows are hashable values with a key each. A row is laid out once for each width, so that showing the same rows
again, with a few new ones, costs only the new ones. What one looks at stays where it is when rows come in elsewhere.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate
from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

__all__ = ["RowsView"]

R = TypeVar("R", bound=Hashable)
Key = Hashable


class RowsView(ScrollView, Generic[R], can_focus=True):
    """Shows rows; one of them is selected.

    bottom   short contents stand at the bottom, and the end is followed
    clicks   how many clicks choose a row; one always selects it
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--selected"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(0)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("enter", "choose", "Choose", show=False),
    ]

    class Chosen(Message):
        """Enter, or a click."""

        def __init__(self, view: "RowsView[Any]", key: Key) -> None:
            super().__init__()
            self.view = view
            self.key = key

        @property
        def control(self) -> "RowsView[Any]":
            return self.view

    class Scrolled(Message):
        """Other rows are visible now."""

    class Edge(Message):
        """Somebody wants to see more: at the top (-1) or at the bottom (1)."""

        def __init__(self, view: "RowsView[Any]", side: int) -> None:
            super().__init__()
            self.view = view
            self.side = side

        @property
        def control(self) -> "RowsView[Any]":
            return self.view

    def __init__(
        self,
        paint: Callable[[R, int], list[Text]],
        key: Callable[[R], Key | None],
        *,
        bottom: bool = False,
        clicks: int = 1,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._clicks = clicks
        self._paint = paint
        self._key = key
        self._bottom = bottom
        self._rows: Sequence[R] = ()
        self._starts: list[int] = [0]
        self._strips: dict[tuple[R, int], list[Strip]] = {}
        self._laid_width = 1
        self._was_at_end = True
        self.selected: Key | None = None

    # --- what is shown

    def show(self, rows: Sequence[R], *, selected: Key | None = None, to_end: bool = False) -> None:
        """Shows these rows. `selected`: select this key from now on. `to_end`: go to the last one."""
        follow = to_end or (self._bottom and self._was_at_end)
        anchor = self._anchor()
        self._rows = rows
        self._lay_out()
        if follow:
            self._scroll(self._starts[-1])
        elif anchor is not None:
            self._restore(*anchor)
        if selected is not None and selected != self.selected:
            self.selected = selected
            if (index := self._index_of(selected)) is not None:
                self._make_visible(index)
        self.refresh()

    @property
    def is_at_end(self) -> bool:
        """The last row is visible."""
        return self.scroll_offset.y >= self._starts[-1] - self._height

    @property
    def last_visible(self) -> Key | None:
        """The key of the lowest row that is visible to its end."""
        bottom = self.scroll_offset.y + self._height - self._pad
        for index in range(self._index(bottom - 1) if self._rows else -1, -1, -1):
            if self._starts[index + 1] <= bottom and (key := self._key(self._rows[index])) is not None:
                return key
        return None

    def begin_at(self, row: R) -> None:
        """Scrolls so that this row is the first, as far as there are enough behind it."""
        self._scroll(self._starts[self._rows.index(row)])

    def reveal(self, key: Key) -> None:
        """Selects a row and brings it into the middle."""
        self.selected = key
        index = self._index_of(key)
        if index is not None:
            self._scroll(self._starts[index] - self._height // 2)
        self.refresh()

    def select_last_visible(self) -> None:
        """Selects the lowest row that is visible to its end."""
        self.selected = self.last_visible
        self.refresh()

    def selected_row(self) -> R | None:
        """The row that is selected, if it is among those shown."""
        index = self._index_of(self.selected)
        return None if index is None else self._rows[index]

    # --- layout

    @property
    def _height(self) -> int:
        return self.scrollable_content_region.height

    @property
    def _width(self) -> int:
        return max(self.scrollable_content_region.width, 1)

    @property
    def _pad(self) -> int:
        return max(self._height - self._starts[-1], 0) if self._bottom else 0

    def _lay_out(self) -> None:
        width = self._laid_width = self._width
        old, self._strips = self._strips, {}
        for row in self._rows:
            self._strips[row, width] = old.get((row, width)) or self._drawn(row, width)
        heights = [len(self._strips[row, width]) for row in self._rows]
        self._starts = [0, *accumulate(heights)]
        self.virtual_size = Size(width, self._starts[-1])

    def _drawn(self, row: R, width: int) -> list[Strip]:
        lines = [Text.assemble(text) for text in self._paint(row, width)]  # a style of the whole is lost otherwise
        return [Strip(line.render(self.app.console)) for line in lines]

    def on_resize(self, event: events.Resize) -> None:
        """Everything is laid out anew."""
        anchor = self._anchor()
        self._lay_out()
        if self._bottom and self._was_at_end:
            self._scroll(self._starts[-1])
        elif anchor is not None:
            self._restore(*anchor)
        self.refresh()

    def _index(self, line: int) -> int:
        return max(min(bisect_right(self._starts, line), len(self._rows)) - 1, 0)

    def _index_of(self, key: Key | None) -> int | None:
        if key is None:
            return None
        return next((index for index, row in enumerate(self._rows) if self._key(row) == key), None)

    def _anchor(self) -> tuple[Key, int] | None:
        """The first row with a key that is visible, and where it stands."""
        top = self.scroll_offset.y
        for index in range(self._index(top), len(self._rows)):
            key = self._key(self._rows[index])
            if key is not None:
                return key, self._starts[index] - top
        return None

    def _restore(self, key: Key, offset: int) -> None:
        index = self._index_of(key)
        if index is not None:
            self._scroll(self._starts[index] - offset)

    def _scroll(self, line: int) -> None:
        self.scroll_to(y=max(min(line, self._starts[-1] - self._height), 0), animate=False, immediate=True, force=True)
        self._was_at_end = line >= self._starts[-1] - self._height

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self._laid_width
        line = self.scroll_offset.y + y - self._pad
        base = self.rich_style
        if not self._rows or not 0 <= line < self._starts[-1]:
            return Strip.blank(width, base)
        index = self._index(line)
        row = self._rows[index]
        if self.selected is not None and self._key(row) == self.selected and self._marks_selected:
            base = self.get_component_rich_style("rows--selected")
        strip = self._strips[row, width][line - self._starts[index]]
        return strip.apply_style(base).extend_cell_length(width, base).crop(0, width)

    @property
    def _marks_selected(self) -> bool:
        return True

    # --- what the person does

    def action_move(self, by: int) -> None:
        """Selects the next row that can be, in this direction."""
        at = self._index_of(self.selected)
        if at is None:
            at = self._index(self.scroll_offset.y + self._height - 1) + 1 if self._bottom else -1
        index = at + by
        while 0 <= index < len(self._rows):
            if self._select(index):
                return
            index += by
        self.post_message(self.Edge(self, by))

    def action_page(self, by: int) -> None:
        """Moves by what fits the screen."""
        self._scroll(self.scroll_offset.y + by * max(self._height - 2, 1))
        visible = self._index(self.scroll_offset.y + (0 if by < 0 else self._height - 1))
        towards_middle = range(visible, len(self._rows)) if by < 0 else range(visible, -1, -1)
        next((index for index in towards_middle if self._select(index)), None)

    def action_edge(self, last: int) -> None:
        """Goes to one of the ends."""
        order = range(len(self._rows) - 1, -1, -1) if last else range(len(self._rows))
        next((index for index in order if self._select(index)), None)
        self._scroll(self._starts[-1] if last else 0)
        self.post_message(self.Edge(self, 1 if last else -1))

    def action_choose(self) -> None:
        """Enter."""
        if self.selected is not None:
            self.post_message(self.Chosen(self, self.selected))

    def on_click(self, event: events.Click) -> None:
        """A click selects; enough of them choose."""
        line = self.scroll_offset.y + event.y - self._pad
        hit = self._rows and 0 <= line < self._starts[-1]
        if hit and self._select(self._index(line)) and event.chain >= self._clicks:
            self.action_choose()

    def _select(self, index: int) -> bool:
        key = self._key(self._rows[index])
        if key is None:
            return False
        self.selected = key
        self._make_visible(index)
        self.refresh()
        return True

    def _make_visible(self, index: int) -> None:
        top, start, end = self.scroll_offset.y, self._starts[index], self._starts[index + 1]
        if start < top:
            self._scroll(start)
        elif end > top + self._height:
            self._scroll(min(end - self._height, start))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Near an end, more may be wanted."""
        super().watch_scroll_y(old_value, new_value)
        self._was_at_end = self.is_at_end or (self._was_at_end and new_value >= old_value)
        self.post_message(self.Scrolled())
        if new_value < old_value and new_value < self._height // 2:
            self.post_message(self.Edge(self, -1))
        elif new_value > old_value and self.is_at_end:
            self.post_message(self.Edge(self, 1))
