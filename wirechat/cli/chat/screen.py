"""What is on the screen: the list of conversations, the open one, the box to write in.

Rules: what is shown comes from the desk, and is drawn again at most once in FRAME_SECONDS however many events come.
Whatever asks the server is a worker of its own, so the keyboard never waits.
"""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.widgets import Label, Static, TextArea

from wirechat.cli.chat import commands
from wirechat.cli.chat.chats import Chat
from wirechat.cli.chat.commands import COMMANDS, Wrong
from wirechat.cli.chat.compose import Completion, completions
from wirechat.cli.chat.desk import Desk
from wirechat.cli.chat.emoji import EMOJI
from wirechat.cli.chat.paint import DIM, chat_lines, completion_lines, one_line, tame
from wirechat.cli.chat.timeline import Unseen, role_name, said
from wirechat.cli.chat.widgets.compose_box import ComposeBox
from wirechat.cli.chat.widgets.dialogs import Choice, choice_lines
from wirechat.cli.chat.widgets.rows import RowsView
from wirechat.cli.chat.widgets.timeline_view import TimelineView
from wirechat.client import ClientError, Connected, Event, Resynced, SendFailed
from wirechat.wire.registries import EntryKind, Role

__all__ = ["Call", "ChatView"]

FRAME_SECONDS = 0.04
PREVIEW = 20  # records to fetch of a conversation of which nothing is here
MESSAGE_HINTS = "r reply  e edit  d delete  a react  f forward  ? all keys  Esc back to writing"
STAYS_SECONDS = 3600  # until it is clicked away
OTHER_DATA = (
    "The server's data is another one than before: it was put back to a backup. "
    "Messages that came after that backup are gone."
)
HINTS = "F1 help  Ctrl+K go to  Ctrl+N new  Ctrl+F search  Ctrl+Q quit"

T = TypeVar("T")


class Call(Protocol):
    """Runs something on Trio; see guest.py."""

    async def __call__(self, fn: Callable[..., Awaitable[T]], *args: object) -> T: ...


class ChatView(Screen[None]):
    """Shows the desk; what keys do is added in hands.py."""

    def __init__(self, desk: Desk, call: Call, events: "asyncio.Queue[Event]") -> None:
        super().__init__()
        self.desk = desk
        self._call = call
        self._events = events
        self._pending = False
        self._asked: set[int] = set()
        self._asking: set[int] = set()
        self._previewed: set[int] = set()
        self._watched: tuple[int, ...] = ()

    # --- the parts

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="side"):
                yield Static(id="me", markup=False)
                yield RowsView[Chat](_chat_lines, lambda chat: chat.conv, id="list")
            with Vertical(id="main"):
                yield Static(id="head", markup=False)
                yield TimelineView(id="timeline")
                yield Static(id="typing", markup=False)
                yield Static(id="banner", markup=False)
                yield Static(id="completions", markup=False)
                yield ComposeBox(self._complete, id="compose")
            with Vertical(id="members"):
                yield Label("Members", id="members-title")
                yield RowsView[Choice](choice_lines, lambda member: member.value, id="member-rows")
        yield Static(id="status", markup=False)

    @property
    def _list(self) -> RowsView[Chat]:
        return self.query_one("#list", RowsView)

    @property
    def _timeline(self) -> TimelineView:
        return self.query_one("#timeline", TimelineView)

    @property
    def _box(self) -> ComposeBox:
        return self.query_one("#compose", ComposeBox)

    def on_mount(self) -> None:
        """Shows what is cached, at once."""
        self._box.focus()
        self.watch(self.app, "app_focus", self._looked, init=False)
        self.set_interval(1, self._show_status)
        self.run_worker(self._listen())
        self.run_worker(self._catch_up(), group="sync", exclusive=True)
        self.changed()
        self.call_after_refresh(self._open_first)

    # --- showing

    async def _listen(self) -> None:
        while True:
            event = await self._events.get()
            self.desk.happened(event)
            if isinstance(event, Connected):
                self.run_worker(self._catch_up(), group="sync", exclusive=True)
            elif isinstance(event, Resynced):
                self._begin_anew()
            self.changed()

    def _begin_anew(self) -> None:
        """Nothing is cached any more: whatever is shown has to be asked for again, names too."""
        self._asked.clear()
        self._asking.clear()
        self._previewed.clear()
        self.notify(OTHER_DATA, severity="warning", timeout=STAYS_SECONDS, markup=False)

    def changed(self) -> None:
        """Something is different; it is drawn soon."""
        if not self._pending:
            self._pending = True
            self.set_timer(FRAME_SECONDS, self.draw)

    def draw(self, *, to_end: bool = False) -> None:
        """Looks at everything again and shows it."""
        self._show_all(to_end=to_end)
        self._seen()
        self._fetch()

    def _show_all(self, *, to_end: bool) -> None:
        self._pending = False
        self.desk.look()
        for failure in self.desk.failures:
            self._tell_failure(failure)
        self.desk.failures.clear()
        choosing = self._list.has_focus
        self._list.show(self.desk.listed(), selected=None if choosing else self.desk.conv)
        self._timeline.show(self.desk.rows(), to_end=to_end)
        self._show_head()
        self._show_typing()
        self._show_banner()
        self._show_members()
        self._show_status()

    def open(self, conv: int, seq: int | None = None) -> None:
        """Opens a conversation, at a message or where one left off."""
        self.keep_draft()
        self.desk.open(conv)
        window = self.desk.window
        if window is not None and seq is not None and seq not in window.view.records:
            window.around(seq)
        self._box.fill(self.desk.draft.text)
        self._show_all(to_end=seq is None)
        if seq is not None:
            self._timeline.reveal(seq)
            self._timeline.focus()
        else:
            self._begin()
        self._seen()  # not earlier: what was passed on the way has been seen by nobody
        self._fetch()

    def _begin(self) -> None:
        """Goes to the first message that was not seen, if that is among those shown."""
        unseen = [row for row in self.desk.rows() if isinstance(row, Unseen)]
        if unseen:
            self._timeline.begin_at(unseen[0])

    def _open_first(self) -> None:
        """A new device knows of no conversation before it has caught up."""
        first = self.desk.neighbour(0)
        if self.desk.conv is None and first is not None:
            self.open(first)

    def keep_draft(self) -> None:
        """Notes what stands in the box, for when one comes back."""
        if self.desk.conv is not None:
            self.desk.draft.text = self._box.text

    def _show_head(self) -> None:
        title, about = self.desk.title()
        head = Text(one_line(title, self.size.width), "bold")
        self.query_one("#head", Static).update(head.append(f"  {one_line(about, self.size.width)}", f"not bold {DIM}"))
        self.query_one("#me", Static).update(one_line(self.desk.people.name(self.desk.people.me), 40))

    def _show_status(self) -> None:
        status = self.query_one("#status", Static)
        line = Text(self.desk.status.line(self.desk.waiting), no_wrap=True)
        status.update(line.append(f"    {MESSAGE_HINTS if self._timeline.has_focus else HINTS}", "not bold"))
        status.set_class(not self.desk.status.connected, "offline")

    def _show_typing(self) -> None:
        last = self._timeline.last_visible
        newer = self.desk.newer(last) if isinstance(last, int) else ""
        line = self.desk.presence.writing(self.desk.conv or 0)
        words = "  ".join(part for part in (newer and f"↓ {newer} newer", line) if part)
        self.query_one("#typing", Static).update(one_line(words, self.size.width))

    def _show_banner(self) -> None:
        draft = self.desk.draft
        seq = draft.reply_to or draft.edit_of
        record = None if seq is None else self.desk.record(seq)
        banner = self.query_one("#banner", Static)
        banner.set_class(record is not None, "on")
        if record is not None:
            whom = self.desk.people.name(record.sender)
            what = "✎ Editing" if draft.edit_of else f"↩ Replying to {whom}"
            text = said(record.content) or "deleted message"
            room = self.query_one("#head").size.width - 17
            banner.update(one_line(f"{what}: {text}", room) + "  Esc gives up")

    def _show_members(self) -> None:
        if self.query_one("#members").has_class("on"):
            self.query_one("#member-rows", RowsView).show(self._members())

    def _members(self) -> list[Choice]:
        people = self.desk.people
        members = self.desk.members.get(self.desk.conv or 0, {}).values()
        return [
            Choice(
                member.user,
                f"{self._dot(member.user)}{people.name(member.user)}{' (you)' if member.user == people.me else ''}",
                _role(member.role),
                people.colour(member.user),
            )
            for member in sorted(members, key=lambda member: (-member.role, people.name(member.user).lower()))
        ]

    def say(self, text: str, severity: SeverityLevel = "information") -> None:
        """A word in the corner; an error stays a while longer."""
        self.notify(tame(text), severity=severity, timeout=10 if severity == "error" else 5, markup=False)

    def _dot(self, user: int | None) -> str:
        return "● " if self.desk.presence.online(user) else ""

    def _tell_failure(self, failure: SendFailed) -> None:
        self.say(f"Not sent: {failure.error.message}", severity="error")
        if failure.kind == EntryKind.MSG and failure.conv == self.desk.conv and not self._box.text:
            self._box.fill(said(failure.content) or "")

    # --- what is seen is read

    def _looked(self, focused: bool) -> None:
        self.run_worker(self._deed(commands.looking, self.desk, focused, quiet=True))
        if focused:
            if self._timeline.is_at_end:
                self._begin()
            self._seen()
        elif self.desk.window is not None:
            self.desk.window.away()

    def on_descendant_focus(self) -> None:
        """Keys mean something else now."""
        self._show_status()

    def on_screen_resume(self) -> None:
        """A dialog is gone."""
        self._seen()

    @on(RowsView.Scrolled)
    def _scrolled(self) -> None:
        self._show_typing()
        self._seen()

    def _seen(self) -> None:
        conv = self.desk.conv
        if conv is None or not self.app.app_focus or self.app.screen is not self or self.desk.status.catching_up:
            return
        last = self._timeline.last_visible
        if not isinstance(last, int):
            return
        upto = self.desk.unread_upto(last)
        if upto is not None and self.desk.has_seen(upto):
            self._list.show(self.desk.listed())
            mark = self._deed(self.desk.client.receipts.mark_read, conv, upto)
            self.run_worker(mark, group=f"read {conv}", exclusive=True)

    # --- what has to be asked for

    def _fetch(self) -> None:
        watched = self.desk.watched()
        if watched != self._watched:
            self._watched = watched
            watch = self._deed(self.desk.client.presence.watch, watched, quiet=True)
            self.run_worker(watch, group="watch", exclusive=True)
        people = self.desk.people.wanted - self._asked
        if people:
            self._asked |= people
            self.run_worker(self._fetch_people(sorted(people)))
        unseen = [conv for conv in self.desk.chats.unseen() if conv not in self._previewed]
        if unseen:
            self._previewed.update(unseen)
            self.run_worker(self._fetch_previews(unseen))
        window = self.desk.window
        if window is None or window.conv in self._asking:
            return
        if window.lacks is not None:
            self._asking.add(window.conv)
            self.run_worker(self._fetch_page(window.conv, window.lacks))
        elif self.desk.needs_members():
            self._asking.add(window.conv)
            self.run_worker(self._fetch_members(window.conv))

    async def _fetch_people(self, users: list[int]) -> None:
        await self._deed(self.desk.client.accounts.get, users)
        self.desk.named()
        self.changed()

    async def _fetch_members(self, conv: int) -> None:
        members = await self._deed(self.desk.client.conversations.members, conv, quiet=True)
        self.desk.has_members(conv, members or ())
        self._asking.discard(conv)
        self.changed()

    async def _fetch_page(self, conv: int, before: int) -> None:
        page = await self._deed(self.desk.client.history.page, conv, before)
        if page is not None:
            self._asking.discard(conv)
        self.changed()

    async def _fetch_previews(self, convs: list[int]) -> None:
        for conv in convs:
            await self._deed(self.desk.client.history.page, conv, None, PREVIEW, quiet=True)
            self.desk.happened_in(conv)
            self.changed()

    async def _catch_up(self) -> None:
        await self._deed(self.desk.client.synced, quiet=True)
        counts = await self._deed(self.desk.client.receipts.unread, quiet=True)
        self.desk.look()
        self.desk.chats.told(counts or {})
        self._open_first()
        self._show_caught_up()

    def _show_caught_up(self) -> None:
        """What came while nobody could see it begins where it began, not at its end."""
        following = self._timeline.is_at_end
        if following and self.desk.window is not None:
            self.desk.window.resume()
        self._show_all(to_end=False)
        if following:
            self._begin()
        self.desk.status.caught_up = self.desk.status.connected
        self.draw()

    @on(RowsView.Edge, "#timeline")
    def _edge(self, event: RowsView.Edge) -> None:
        window = self.desk.window
        if window is None:
            return
        if event.side < 0 and window.lacks is None and len(window.view.records) > 1:
            window.older()
            self.changed()
        elif event.side > 0 and not window.live:
            window.newer()
            self.changed()

    # --- working

    async def _deed(self, fn: Callable[..., Awaitable[T]], *args: object, quiet: bool = False) -> T | None:
        """Runs it on Trio; None and a word to the person when it cannot be done."""
        try:
            return await self._call(fn, *args)
        except (ClientError, Wrong, ValueError) as error:
            if not quiet:
                self.say(getattr(error, "message", str(error)), severity="error")
            return None

    async def _done(self, fn: Callable[..., Awaitable[object]], *args: object) -> bool:
        """As _deed, for what returns nothing: whether it was done."""

        async def done() -> bool:
            await fn(*args)
            return True

        return await self._deed(done) or False

    @on(TextArea.Changed, "#compose")
    def _typed(self, event: TextArea.Changed) -> None:
        text = event.text_area.text
        known = text.startswith("/") or text == self.desk.draft.text  # a command, or a draft that was put back
        if self.desk.conv is not None and not known:
            self.run_worker(self._deed(commands.writing, self.desk, self.desk.conv, bool(text), quiet=True))

    def _complete(self, before: str) -> list[Completion]:
        people = [(handle, self.desk.people.name(user)) for handle, user in sorted(self.desk.handles().items())]
        words = [(name, f"{each.usage}  {each.about}".strip()) for name, each in COMMANDS.items()]
        return completions(before, people, words, EMOJI)

    @on(ComposeBox.Completing)
    def _show_completions(self, event: ComposeBox.Completing) -> None:
        shown = self.query_one("#completions", Static)
        shown.set_class(bool(event.found), "on")
        if event.found:
            shown.update(completion_lines(event.found, event.chosen, self.size.width))


def _chat_lines(chat: Chat, width: int) -> list[Text]:
    return chat_lines(chat, width, datetime.datetime.now().astimezone())


def _role(role: int) -> str:
    return "" if role == Role.MEMBER else role_name(role)
