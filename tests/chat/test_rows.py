"""The list of rows: what one looks at stays where it is."""

from rich.text import Text
from textual.app import App, ComposeResult

from tests.chat.rig import play
from wirechat.cli.chat.widgets.rows import RowsView

drawn: list[tuple[int, int]] = []


def paint(row: int, width: int) -> list[Text]:
    """Every third row is two lines high."""
    drawn.append((row, width))
    return [Text(f"row {row}", "bold")] + ([Text("more")] if row % 3 == 0 else [])


class Rows(App[None]):
    """Nothing but the list."""

    CSS = "RowsView { height: 1fr; scrollbar-gutter: stable; }"

    def __init__(self, *, bottom: bool) -> None:
        super().__init__()
        self.view: RowsView[int] = RowsView(paint, lambda row: row if row % 5 else None, bottom=bottom)
        self.chosen: list[object] = []
        self.edges: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.view

    def on_rows_view_chosen(self, event: RowsView.Chosen) -> None:
        self.chosen.append(event.key)

    def on_rows_view_edge(self, event: RowsView.Edge) -> None:
        self.edges.append(event.side)

    @property
    def lines(self) -> list[str]:
        return [self.view.render_line(y).text.strip() for y in range(self.view.size.height)]


def test_the_end_is_followed_until_one_scrolls_up() -> None:
    """And followed again once one is back; a short list stands at the bottom."""

    async def story() -> None:
        app = Rows(bottom=True)
        async with app.run_test(size=(30, 10)) as pilot:
            app.view.show([1, 2])
            await pilot.pause()
            assert [bool(each.style and each.style.bold) for each in app.view.render_line(9) if each.text.strip()] == [
                True
            ]
            assert app.lines == [""] * 8 + ["row 1", "row 2"]
            app.view.show(range(1, 101))
            await pilot.pause()
            assert app.lines[-1] == "row 100"
            app.view.show(range(1, 102))
            await pilot.pause()
            assert app.lines[-1] == "row 101"
            app.view.focus()
            await pilot.press("pageup", "pageup")
            before = app.lines
            app.view.show(range(1, 120))
            await pilot.pause()
            assert app.lines == before
            await pilot.press("end")
            app.view.show(range(1, 130))
            await pilot.pause()
            assert app.lines[-2:] == ["row 129", "more"]
            await pilot.resize_terminal(30, 6)
            assert app.lines[-2:] == ["row 129", "more"]

    play(story())


def test_what_comes_in_above_moves_nothing() -> None:
    """Older rows are loaded while one looks at the top; only the new ones are laid out."""

    async def story() -> None:
        app = Rows(bottom=True)
        async with app.run_test(size=(30, 10)) as pilot:
            app.view.show(range(100, 200))
            await pilot.pause()
            app.view.focus()
            await pilot.press("home")
            assert app.lines[:2] == ["row 100", "row 101"]
            assert -1 in app.edges
            first = app.lines[1:]
            drawn.clear()
            app.view.show(range(50, 200))
            await pilot.pause()
            assert app.lines[1:] == first
            assert {row for row, _ in drawn} == set(range(50, 100))

    play(story())


def test_keys_and_clicks_select_what_can_be_selected() -> None:
    """Rows without a key are passed over."""

    async def story() -> None:
        app = Rows(bottom=False)
        async with app.run_test(size=(30, 10)) as pilot:
            app.view.show(range(3, 60))
            await pilot.pause()
            app.view.focus()
            await pilot.press("down", "down", "down")
            assert app.view.selected == 6
            await pilot.press("enter", "up", "enter")
            await pilot.click(offset=(2, 0))
            await pilot.pause()
            assert app.chosen == [6, 4, 3]
            await pilot.press("end")
            assert (app.view.selected, app.view.last_visible) == (59, 59)
            app.view.show(range(3, 60), selected=7)
            await pilot.pause()
            assert "row 7" in app.lines
            app.view.show([])
            await pilot.pause()
            assert app.view.selected_row() is None
            assert app.lines == [""] * 10

    play(story())
