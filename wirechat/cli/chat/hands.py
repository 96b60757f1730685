"""What keys, clicks and words do."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from wirechat.cli.chat import commands
from wirechat.cli.chat.commands import Go, Outcome, Quit, Show, Tell, Wrong
from wirechat.cli.chat.compose import mentioned, parse
from wirechat.cli.chat.emoji import EMOJI, QUICK
from wirechat.cli.chat.help import help_text
from wirechat.cli.chat.paint import one_line
from wirechat.cli.chat.screen import ChatView
from wirechat.cli.chat.timeline import Message, said
from wirechat.cli.chat.widgets.compose_box import ComposeBox
from wirechat.cli.chat.widgets.dialogs import Choice, Find, Help, Picker, Secrets
from wirechat.cli.chat.widgets.rows import RowsView
from wirechat.cli.chat.widgets.timeline_view import TimelineView
from wirechat.client import ClientError

__all__ = ["ChatScreen"]

NEW = "New conversation"
TYPED_MAX = 60  # cells of a message in a title


class ChatScreen(ChatView):
    """The screen, and what the person does with it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help"),
        Binding("f2", "members", "Members"),
        Binding("f3", "list", "List"),
        Binding("ctrl+n", "new", "New", priority=True),
        Binding("ctrl+k", "switch", "Go to", priority=True),
        Binding("ctrl+f", "search", "Search", priority=True),
        Binding("alt+up,ctrl+up", "neighbour(-1)", "Above", priority=True, show=False),
        Binding("alt+down,ctrl+down", "neighbour(1)", "Below", priority=True, show=False),
    ]

    # --- writing

    @on(ComposeBox.Entered)
    def _entered(self, event: ComposeBox.Entered) -> None:
        typed = parse(event.text)
        if typed.command is not None:
            self._box.fill("")
            self.run_worker(self._command(typed.command, typed.text))
        elif typed.text and self.desk.conv is not None:
            self._say(self.desk.conv, typed.text)
        elif typed.text:
            self.say("Open a conversation first: Ctrl+N", severity="warning")

    def _say(self, conv: int, text: str) -> None:
        draft, messages = self.desk.draft, self.desk.client.messages
        mentions = mentioned(text, self.desk.handles())
        if draft.edit_of is not None:
            self.run_worker(self._deed(messages.edit, conv, draft.edit_of, text, mentions))
        else:
            self.run_worker(self._send(conv, text, draft.reply_to, mentions))
        self._box.fill("")
        self._settle_draft()

    async def _send(self, conv: int, text: str, reply_to: int | None, mentions: tuple[int, ...]) -> None:
        handle = await self._deed(self.desk.client.messages.send_soon, conv, text, reply_to, mentions)
        if handle is None and not self._box.text and self.desk.conv == conv:
            self._box.fill(text)
        window = self.desk.window
        if window is not None and window.conv == conv:
            window.unseen_after = None
            if not window.live:
                window.newest()
        self.draw(to_end=True)

    def _settle_draft(self) -> None:
        self.desk.draft.reply_to = self.desk.draft.edit_of = None
        self.changed()

    async def _command(self, name: str, rest: str) -> None:
        asked = f"/{name} {rest}".rstrip()
        if not self.desk.status.connected and name in commands.ASKS_SERVER and (rest or name == "notes"):
            self.say(f"{asked}: will be done when connected")
        try:
            outcome = await self._call(commands.run, self.desk, name, rest)
        except (ClientError, Wrong, ValueError) as error:
            self.say(f"{asked}: {getattr(error, 'message', error)}", severity="error")
        else:
            self._show_outcome(outcome)

    def _show_outcome(self, outcome: Outcome) -> None:
        if isinstance(outcome, Go):
            self._go(outcome.conv)
        elif isinstance(outcome, Tell):
            self.say(outcome.text)
        elif isinstance(outcome, Quit):
            self.app.exit()
        else:
            self._show(outcome)

    def _show(self, wanted: Show) -> None:
        shows: dict[str, Callable[[], object]] = {
            "help": self.action_help,
            "members": self.action_members,
            "switch": self.action_switch,
            "leave": lambda: self.run_worker(self._leave()),
            "pins": lambda: self.run_worker(self._pins()),
            "search": lambda: self.action_search(wanted.text),
            "password": lambda: self.run_worker(self._password()),
            "devices": lambda: self.run_worker(self._devices()),
        }
        shows[wanted.what]()

    async def _leave(self) -> None:
        conv = self.desk.conv
        if conv is None:
            self.say("open a conversation first", severity="warning")
        elif await self._ask(f"Leave {self.desk.title()[0]}?", [Choice(False, "Stay"), Choice(True, "Leave")]):
            outcome = await self._deed(commands.leave, self.desk, conv)
            if outcome is not None:
                self._show_outcome(outcome)

    def _go(self, conv: int) -> None:
        self.desk.happened_in(conv)
        self.open(conv)
        self._box.focus()

    @on(ComposeBox.Left)
    def _left(self, event: ComposeBox.Left) -> None:
        draft = self.desk.draft
        if event.key == "escape" and (draft.reply_to or draft.edit_of):
            if draft.edit_of:
                self._box.fill("")
            self._settle_draft()
        elif event.key in ("pageup", "pagedown"):
            self._timeline.action_page(-1 if event.key == "pageup" else 1)
        elif event.key == "up":
            self._edit_last()
        elif event.key == "shift+tab":
            self._list.focus()
        else:
            self._timeline.select_last_visible()
            self._timeline.focus()

    def _edit_last(self) -> None:
        record = self.desk.own_last()
        if record is not None:
            self._edit(record.seq, said(record.content) or "")

    def _edit(self, seq: int, text: str) -> None:
        self.desk.draft.edit_of, self.desk.draft.reply_to = seq, None
        self._box.fill(text)
        self._box.focus()
        self.changed()

    @on(TimelineView.Typed)
    def _typed_on(self, event: TimelineView.Typed) -> None:
        self._box.focus()
        self._box.insert(event.text)

    # --- the selected message

    @on(TimelineView.Wanted)
    def _wanted(self, event: TimelineView.Wanted) -> None:
        row, conv = event.row, self.desk.conv
        if event.deed == "write":
            self._box.focus()
        elif conv is None or row is None or row.seq is None:
            self.say("Choose a message that has been sent first", severity="warning")
        elif row.text is None:
            self.say("This message was deleted", severity="warning")
        else:
            self._with_message(event.deed, conv, row.seq, row)

    def _with_message(self, deed: str, conv: int, seq: int, row: Message) -> None:
        mine = row.sender == self.desk.people.me
        if deed == "edit" and not mine:
            self.say(f"Only {row.name} can edit this message", severity="warning")
        elif deed == "reply":
            self.desk.draft.reply_to, self.desk.draft.edit_of = seq, None
            self._box.focus()
            self.changed()
        elif deed == "edit":
            self._edit(seq, row.text or "")
        elif deed == "copy":
            self.app.copy_to_clipboard(row.text or "")
            self.say("Copied")
        else:
            asked = {
                "delete": self._delete,
                "hide": self._hide,
                "react": self._react,
                "forward": self._forward,
                "pin": self._pin,
                "info": self._info,
            }
            self.run_worker(asked[deed](conv, seq, row))

    async def _delete(self, conv: int, seq: int, row: Message) -> None:
        title = f"Delete “{one_line(row.text or '', TYPED_MAX)}” for all?"
        if await self._ask(title, [Choice(False, "Keep it"), Choice(True, "Delete it")]):
            await self._deed(self.desk.client.messages.delete, conv, seq)

    async def _hide(self, conv: int, seq: int, row: Message) -> None:
        title = f"Hide “{one_line(row.text or '', TYPED_MAX)}” for yourself, for ever?"
        if await self._ask(title, [Choice(False, "Keep it"), Choice(True, "Hide it")]):
            await self._deed(self.desk.client.account.hide, conv, [seq])

    async def _pin(self, conv: int, seq: int, row: Message) -> None:
        messages = self.desk.client.messages
        await self._deed(messages.unpin if row.pinned else messages.pin, conv, seq)

    async def _react(self, conv: int, seq: int, row: Message) -> None:
        mine = next((emoji for emoji, _, own in row.reactions if own), None)
        names = {emoji: name for name, emoji in EMOJI.items()}
        ordered = [*QUICK, *(emoji for emoji in names if emoji not in QUICK)]
        choices = [Choice(emoji, f"{emoji}  {names[emoji]}", "yours" if emoji == mine else "") for emoji in ordered]
        emoji = await self._ask("React", choices, hint="a name, or any emoji", free=True)
        if isinstance(emoji, str):
            await self._deed(self.desk.client.messages.react, conv, seq, None if emoji == mine else emoji)

    async def _forward(self, conv: int, seq: int, row: Message) -> None:
        target = await self._ask("Forward to", self._chat_choices(""), hint="a conversation")
        if isinstance(target, int):
            await self._deed(self.desk.client.messages.forward, conv, seq, target)

    async def _info(self, conv: int, seq: int, row: Message) -> None:
        marks = await self._deed(self.desk.client.receipts.who_read, conv, seq)
        if marks is not None:
            people = self.desk.people
            when = f"{row.time:%-d %B %Y %H:%M:%S}" if row.time is not None else ""
            states = [
                Choice(
                    mark.user,
                    people.name(mark.user),
                    "has read it" if mark.read >= seq else "has it" if mark.delivered >= seq else "not yet",
                    people.colour(mark.user),
                )
                for mark in marks
            ]
            await self._ask(f"{row.name}, {when}", states, hint="who has read it")

    @on(RowsView.Chosen, "#timeline")
    def _go_to_quoted(self, event: RowsView.Chosen) -> None:
        record = self.desk.record(event.key) if isinstance(event.key, int) else None
        if record is not None and record.ref and self.desk.conv is not None:
            self.run_worker(self._go_to(self.desk.conv, record.ref))

    async def _go_to(self, conv: int, seq: int) -> None:
        """Goes to a message, and fetches everything on the way when it is not here."""
        if await self._deed(commands.reach, self.desk, conv, seq):
            self.open(conv, seq)

    async def _pins(self) -> None:
        conv = self.desk.conv
        found = None if conv is None else await self._deed(commands.pinned, self.desk, conv)
        if conv is None or found is None:
            return
        name = self.desk.people.name
        choices = [
            Choice(record.seq, f"{name(record.sender)}: {said(record.content) or 'deleted message'}", name(pin.user))
            for pin, record in found
        ]
        seq = await self._ask("Pinned" if choices else "Nothing is pinned here", choices, hint="words")
        if isinstance(seq, int):
            await self._go_to(conv, seq)

    # --- conversations

    @on(RowsView.Chosen, "#list")
    def _chosen(self, event: RowsView.Chosen) -> None:
        if isinstance(event.key, int):
            self._go(event.key)

    def action_neighbour(self, by: int) -> None:
        """The conversation above or below."""
        conv = self.desk.neighbour(by)
        if conv is not None:
            self._go(conv)

    def action_switch(self) -> None:
        """Go to a conversation by name."""
        self.run_worker(self._switch())

    async def _switch(self) -> None:
        conv = await self._ask_for("Go to", "part of a name", self._find_chats)
        if isinstance(conv, int):
            self._go(conv)

    async def _find_chats(self, text: str) -> Sequence[Choice]:
        return self._chat_choices(text)

    def _chat_choices(self, text: str) -> list[Choice]:
        return [Choice(chat.conv, chat.title, one_line(chat.preview, 40)) for chat in self.desk.chats.matching(text)]

    def action_new(self) -> None:
        """A new conversation."""
        self.run_worker(self._new())

    async def _new(self) -> None:
        title, hint, text = NEW, "bob   or   bob carol: Tea party", ""
        while True:
            asked = await self._ask_for(title, hint, self._describe_new, text=text, free=True)
            if not isinstance(asked, str):
                return
            try:
                outcome = await self._call(commands.run, self.desk, "new", asked)
            except (ClientError, Wrong, ValueError) as error:
                title, text = f"{NEW}: {getattr(error, 'message', error)}", asked
            else:
                self._show_outcome(outcome)
                return

    async def _describe_new(self, text: str) -> Sequence[Choice]:
        people, _, title = text.partition(":")
        names = people.split()
        if len(names) > 1 or title.strip():
            return [Choice(text, f"New group {title.strip()}".rstrip(), f"with {', '.join(names) or 'nobody yet'}")]
        return [Choice(text, f"Talk to {names[0]}")] if names else []

    def action_search(self, text: str = "") -> None:
        """Search all messages on this device."""
        self.run_worker(self._search(text))

    async def _search(self, text: str) -> None:
        place = await self._ask_for("Search", "words", self._hits, text=text)
        if isinstance(place, tuple):
            self.open(*place)

    async def _hits(self, text: str) -> Sequence[Choice]:
        hits = await self._deed(self.desk.client.search, text) or []
        people = self.desk.people
        return [
            Choice(
                (hit.conv, hit.record.seq),
                f"{people.name(hit.record.sender)}: {said(hit.record.content) or ''}",
                self.desk.place(hit.conv, hit.record.ts),
            )
            for hit in hits
        ]

    # --- the account

    async def _password(self) -> None:
        entered = await self.app.push_screen_wait(Secrets())
        if entered is not None:
            old, new, others = entered
            change = self.desk.client.account.change_password
            if await self._done(change, old or None, new, others):
                self.say("Your password is another one now")

    async def _devices(self) -> None:
        devices = await self._deed(self.desk.client.account.devices)
        choices = [
            Choice(each.device, each.name or f"device {each.device}", self.desk.seen_at(each)) for each in devices or ()
        ]
        device = await self._ask("Your devices", choices, hint="choose one to log it out for ever")
        name = next((choice.title for choice in choices if choice.value == device), "")
        sure = [Choice(False, "No"), Choice(True, "Yes, for ever")]
        if not isinstance(device, int) or not await self._ask(f"Log out {name}?", sure):
            return
        if await self._done(self.desk.client.account.revoke_device, device):
            self.say(f"{name} is logged out")

    # --- dialogs and panels

    async def _ask(
        self, title: str, choices: Sequence[Choice], *, hint: str = "", free: bool = False
    ) -> Hashable | None:
        async def find(text: str) -> Sequence[Choice]:
            words = text.lower().split()
            return [choice for choice in choices if all(word in choice.title.lower() for word in words)]

        return await self.app.push_screen_wait(Picker(title, hint, find, free=free))

    async def _ask_for(
        self, title: str, hint: str, find: Find, *, text: str = "", free: bool = False
    ) -> Hashable | None:
        return await self.app.push_screen_wait(Picker(title, hint, find, text=text, free=free))

    def action_help(self) -> None:
        """Keys and commands."""
        self.app.push_screen(Help(help_text()))

    def action_members(self) -> None:
        """Shows or hides who is here."""
        self.query_one("#members").toggle_class("on")
        self.changed()

    def action_list(self) -> None:
        """Hides or shows the list of conversations."""
        self.toggle_class("no-list")
