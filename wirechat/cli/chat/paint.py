"""Rows as lines of a terminal.

Rules: what people wrote never reaches the terminal as it is: control characters are made visible (P10: a message must
not be able to steer somebody's terminal). Every line fits the width in cells, emoji and wide characters counted as
such. Pure, except for the clock that says what "today" is, which comes in.
"""

import datetime
import io
import re
from collections.abc import Iterator, Sequence
from functools import singledispatch

from rich.console import Console
from rich.text import Text

from wirechat.cli.chat import when
from wirechat.cli.chat.chats import Chat
from wirechat.cli.chat.compose import Completion
from wirechat.cli.chat.timeline import Day, Hint, Message, Notice, Row, Tick, Unseen

__all__ = ["ACCENT", "DIM", "chat_lines", "completion_lines", "one_line", "paint", "tame"]

ACCENT = "#7aa2f7"
DIM = "#6b7394"
FAINT = "#3b4261"
GREEN = "#9ece6a"
WARM = "#e0af68"
TICKS = {Tick.WAITING: ("…", DIM), Tick.SENT: ("✓", DIM), Tick.DELIVERED: ("✓✓", DIM), Tick.READ: ("✓✓", ACCENT)}
INDENT = 3
MARGIN = 5  # for ticks, at the right
LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")
UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028-\u2029\u2066-\u2069]")
RULER = Console(file=io.StringIO(), color_system=None)  # it measures, and prints nothing


def tame(text: str) -> str:
    """The same text without anything that a terminal would obey; line breaks stay."""
    return UNSAFE.sub(_visible, text.replace("\r\n", "\n").expandtabs(4))


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "�"


def one_line(text: str, width: int) -> str:
    """Tame, on one line of at most `width` cells."""
    line = Text(" ".join(tame(text).split()))
    line.truncate(max(width, 0), overflow="ellipsis")
    return line.plain


@singledispatch
def paint(row: Row, width: int, today: datetime.date) -> list[Text]:
    """The lines of a row, none wider than `width` cells."""
    raise TypeError(row)


@paint.register
def _(row: Day, width: int, today: datetime.date) -> list[Text]:
    return [Text(), _rule(when.day(row.date, today), width, DIM, FAINT)]


@paint.register
def _(row: Unseen, width: int, today: datetime.date) -> list[Text]:
    return [_rule("new", width, f"bold {WARM}", WARM)]


@paint.register
def _(row: Notice, width: int, today: datetime.date) -> list[Text]:
    line = Text(tame(f"{row.text} · {row.time:%H:%M}"), f"italic {DIM}")
    return [*_wrapped(line, width - 2 * INDENT, INDENT)]


@paint.register
def _(row: Hint, width: int, today: datetime.date) -> list[Text]:
    return [Text(), *_wrapped(Text(row.text, DIM), width - 2 * INDENT, INDENT)]


@paint.register
def _(row: Message, width: int, today: datetime.date) -> list[Text]:
    return list(_message(row, width))


def _message(row: Message, width: int) -> Iterator[Text]:
    room = width - INDENT - MARGIN
    if row.first:
        time = Text(f"  {row.time:%H:%M}" if row.time is not None else "", DIM)
        yield Text()
        yield Text.assemble((f" {one_line(row.name, room)}", f"bold {row.colour}"), time)
    if row.pinned:
        yield Text(f"{' ' * INDENT}📌 pinned", WARM)
    if row.origin is not None:
        yield Text(" " * INDENT + one_line(f"↪ forwarded from {row.origin}", room), f"italic {DIM}")
    if row.quote is not None:
        quoted = f"{row.quote.name}: {row.quote.text}" if row.quote.name else row.quote.text
        bar = (f"{' ' * INDENT}▎", row.quote.colour or DIM)
        yield Text.assemble(bar, (one_line(quoted, room - 1), f"italic {DIM}"))
    lines = list(_wrapped(_body(row), room, INDENT))
    if row.tick is not None:
        mark, style = TICKS[row.tick]
        lines[-1].append(" " * (width - 1 - len(mark) - lines[-1].cell_len))
        lines[-1].append(mark, style)
    yield from lines
    if row.reactions:
        yield from _wrapped(_reactions(row), room, INDENT)


def _body(row: Message) -> Text:
    if row.text is None:
        return Text("message deleted", f"italic {DIM}")
    body = Text(tame(row.text), "" if row.seq is not None else DIM)
    body.highlight_regex(LINK, f"underline {ACCENT}")
    for handle, mine in row.names:
        style = f"bold {WARM}" if mine else f"bold {ACCENT}"
        body.highlight_regex(rf"(?i)(?<!\w)@{re.escape(handle)}(?![\w-])", style)
    if row.edited:
        body.append("  edited", f"italic {DIM}")
    if row.pending:
        body.append("  …", DIM)
    return body


def _reactions(row: Message) -> Text:
    pills = Text()
    for emoji, count, mine in row.reactions:
        style = f"on #2b3a67 bold {ACCENT}" if mine else "on #24283b"
        pills.append(f" {tame(emoji)} {f'{count} ' if count > 1 else ''}", style).append(" ")
    return pills


def _wrapped(text: Text, room: int, indent: int) -> Iterator[Text]:
    for line in text.wrap(RULER, max(room, 1)) or [Text()]:
        line.rstrip()
        yield Text.assemble(" " * indent, line)


def _rule(label: str, width: int, style: str, line: str) -> Text:
    left = max(width - len(label) - 2, 2) // 2
    right = max(width - len(label) - 2 - left, 0)
    return Text.assemble(("─" * left, line), (f" {label} ", style), ("─" * right, line))


def chat_lines(chat: Chat, width: int, now: datetime.datetime) -> list[Text]:
    """A conversation in the list: its title and what is unread, the last words and when they were said."""
    badge = f"@{chat.count}" if chat.mentions else chat.count
    bold = "bold" if chat.unread else ""
    time = when.short(chat.last_ms, now) if chat.last_ms else ""
    title = Text(" " + one_line(chat.title, width - len(time) - 5), f"{bold} {DIM}" if chat.former else bold)
    if chat.online:
        title.append(" ●", f"not bold {GREEN}")
    words = Text(" " + one_line(chat.preview, width - len(badge) - 5), DIM)
    _at_right(title, Text(time, f"not bold {DIM}"), width - 1)
    if badge:
        _at_right(words, Text(f" {badge} ", f"bold #16161e on {WARM if chat.mentions else ACCENT}"), width - 1)
    return [title, words]


def completion_lines(found: Sequence[Completion], chosen: int, width: int) -> Text:
    """What Tab would insert, and what else there is."""
    lines = []
    for index, each in enumerate(found):
        word, about = one_line(each.text, width // 2), one_line(each.about, width // 2)
        mark = "▸" if index == chosen else " "
        style = f"bold {ACCENT}" if index == chosen else ""
        lines.append(Text.assemble((f"{mark} {word:<14}", style), (f"  {about}", DIM)))
    return Text("\n").join(lines)


def _at_right(line: Text, end: Text, width: int) -> None:
    line.append(" " * (width - line.cell_len - end.cell_len)).append_text(end)
