"""Windows above the conversation: choosing from a list, asking for a line, help."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import ClassVar

import attrs
from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Checkbox, Input, Label, Static

from wirechat.cli.chat.paint import DIM, one_line
from wirechat.cli.chat.widgets.rows import RowsView

__all__ = ["Choice", "Find", "Help", "Picker", "Secrets", "choice_lines"]


@attrs.frozen
class Choice:
    """One line to choose. `value` is what choosing it gives."""

    value: Hashable
    title: str
    about: str = ""
    colour: str = ""


Find = Callable[[str], Awaitable[Sequence[Choice]]]
CLOSE: list[BindingType] = [Binding("escape,f1", "dismiss", "Close")]


class Picker(ModalScreen[Hashable]):
    """Type to narrow the list down, choose with the arrows and Enter. Escape gives None.

    `find` gives the choices for a text; `free`: a text that fits no choice is a choice itself.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *CLOSE,
        Binding("down", "move(1)", "Down", show=False),
        Binding("up", "move(-1)", "Up", show=False),
    ]

    def __init__(self, title: str, hint: str, find: Find, *, text: str = "", free: bool = False) -> None:
        super().__init__()
        self._title = title
        self._hint = hint
        self._find = find
        self._text = text
        self._free = free

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._title, classes="dialog-title", markup=False)
            yield Input(self._text, placeholder=self._hint, select_on_focus=False)
            yield RowsView[Choice](choice_lines, lambda choice: choice.value, id="choices")

    def on_mount(self) -> None:
        """The first choices."""
        self._narrowing = self._narrow(self._text)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._narrowing = self._narrow(event.value)

    @work(exclusive=True)
    async def _narrow(self, text: str) -> None:
        found = list(await self._find(text))
        if self._free and text.strip() and not found:
            found.append(Choice(text.strip(), text.strip()))
        view = self._choices
        view.show(found, selected=found[0].value if found else None)
        view.scroll_home(animate=False)

    @property
    def _choices(self) -> RowsView[Choice]:
        return self.query_one("#choices", RowsView)

    def action_move(self, by: int) -> None:
        """The arrows work while one types."""
        self._choices.action_move(by)

    @on(Input.Submitted)
    async def _entered(self) -> None:
        await self._narrowing.wait()  # however fast one types, it is the choices for this text that count
        row = self._choices.selected_row()
        if row is not None:
            self.dismiss(row.value)

    @on(RowsView.Chosen)
    def _chosen(self, event: RowsView.Chosen) -> None:
        self.dismiss(event.key)


def choice_lines(choice: Choice, width: int) -> list[Text]:
    """A choice on one line, what is said about it at the right."""
    title = Text(" " + one_line(choice.title, width - 2), f"bold {choice.colour}")
    about = one_line(choice.about, width - 3 - title.cell_len)
    if about:
        title.append(" " * (width - 1 - title.cell_len - Text(about).cell_len))
        title.append(about, f"not bold {DIM}")
    return [title]


class Secrets(ModalScreen["tuple[str, str, bool] | None"]):
    """Asks for the present and a new password. Gives both, and whether to log out all other devices."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label("Change your password", classes="dialog-title")
            yield Input(placeholder="the present one", password=True, id="old")
            yield Input(placeholder="the new one, at least 8 letters", password=True, id="new")
            yield Input(placeholder="the new one again, then Enter", password=True, id="again")
            yield Checkbox("log out all my other devices", id="others")

    @on(Input.Submitted, "#old,#new")
    def _next(self) -> None:
        self.focus_next()

    @on(Input.Submitted, "#again")
    def _entered(self) -> None:
        old, new, again = (self.query_one(f"#{id}", Input).value for id in ("old", "new", "again"))
        if new != again or not new:
            self.notify("The new ones are not the same", severity="warning")
        else:
            self.dismiss((old, new, self.query_one("#others", Checkbox).value))


class Help(ModalScreen[None]):
    """Keys and commands."""

    BINDINGS: ClassVar[list[BindingType]] = [*CLOSE, Binding("q,question_mark,enter", "dismiss", "Close", show=False)]

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog help"):
            yield Label("Esc, q or F1 closes this; the arrows scroll", classes="dialog-title")
            yield Static(self._table)
