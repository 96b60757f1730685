"""Rows as lines: they fit, and nothing in them steers the terminal."""

import datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirechat.cli.chat.chats import Chat
from wirechat.cli.chat.paint import chat_lines, one_line, paint, tame
from wirechat.cli.chat.timeline import Day, Message, Notice, Quote, Row, Tick, Unseen

TODAY = datetime.date(2026, 11, 28)
TIME = datetime.datetime(2026, 11, 28, 14, 53, tzinfo=datetime.UTC)


def message(text: str | None = "hello", **changes: Any) -> Message:
    return attrs.evolve(Message(1, None, 8, "Bob", "#7aa2f7", True, TIME, text), **changes)


def plain(row: Row, width: int = 40) -> list[str]:
    return [line.plain.rstrip() for line in paint(row, width, TODAY)]


def test_a_message() -> None:
    """Name and time, quote, text, ticks at the right, reactions."""
    row = message(
        "well, yes", quote=Quote("Carol", "#fff", "really?"), tick=Tick.READ, edited=True, reactions=(("🎉", 2, True),)
    )
    assert plain(row) == ["", " Bob  14:53", "   ▎Carol: really?", "   well, yes  edited" + " " * 17 + "✓✓", "    🎉 2"]
    assert plain(message(first=False)) == ["   hello"]
    assert plain(message(None, first=False)) == ["   message deleted"]
    assert plain(message(first=False, origin="Dan", pinned=True)) == [
        "   📌 pinned",
        "   ↪ forwarded from Dan",
        "   hello",
    ]


def test_a_mention_is_marked_and_nothing_else() -> None:
    """@bob is somebody, @bobby is not."""
    row = message("hi @bob, not @bobby or x@bob", first=False, names=(("bob", True),))
    [line] = paint(row, 60, TODAY)
    assert [line.plain[span.start : span.end] for span in line.spans if "bold" in str(span.style)] == ["@bob"]


@pytest.mark.parametrize(
    ("date", "text"),
    [
        ((2026, 11, 28), "Today"),
        ((2026, 11, 27), "Yesterday"),
        ((2026, 11, 20), "Friday, 20 November"),
        ((2025, 1, 2), "Thursday, 2 January 2025"),
    ],
)
def test_days(date: tuple[int, int, int], text: str) -> None:
    assert f" {text} " in plain(Day(datetime.date(*date)))[-1]


HOSTILE = st.text(st.sampled_from("a \n\t\x1b\x9b\r\x00\x07\u202e\u2066👍🏽e\u0301漢@b❤️"), max_size=200)


@given(HOSTILE, HOSTILE, st.integers(12, 60))
def test_p10_no_text_leaves_its_place_or_reaches_the_terminal(text: str, name: str, width: int) -> None:
    """Whatever people write or call themselves, lines fit, and no control character or direction mark is left."""
    row = message(text, name=name, quote=Quote(name, "#fff", text), tick=Tick.SENT, reactions=((text[:8], 2, False),))
    chat = Chat(1, 2, name, None, 2, 1, False, 5, 1_700_000_000_000, text, 3, 1)
    lines = [*paint(row, width, TODAY), *paint(Notice(1, TIME, name), width, TODAY), *paint(Unseen(), width, TODAY)]
    lines += chat_lines(chat, max(width, 24), TIME)
    for line in lines:
        assert line.cell_len <= max(width, 24), line
        assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in line.plain)
        assert not set(line.plain) & set("\u202e\u2066\u2028")


def test_tame_text_shows_what_it_took_away() -> None:
    assert tame("a\x1b[31mred\r\nb\x9bx\x7f") == "a␛[31mred\nb�x␡"
    assert one_line("two\nlines  and more", 12) == "two lines a…"


def test_a_conversation_in_the_list() -> None:
    """What is unread, and whether one is meant, stands at the right."""
    chat = Chat(1, 1, "Bob", 8, 2, 1, False, 5, 1_764_341_580_000, "Bob: hello there, how are you", 3, 0)
    title, words = (
        line.plain for line in chat_lines(chat, 24, datetime.datetime(2025, 11, 28, 20, tzinfo=datetime.UTC))
    )
    assert title.startswith(" Bob ")
    assert title.rstrip().endswith("14:53")
    assert words == " Bob: hello there,…  3 "
    assert chat_lines(attrs.evolve(chat, mentions=1, unread=100), 24, TIME)[1].plain.rstrip().endswith("@99+")
