"""What is being typed: what it would do, and how it may go on.

Rules: pure text. A line that begins with one slash is a command, with two it is a message that begins with one.
"""

import re
from collections.abc import Iterable, Mapping

import attrs

__all__ = ["Completion", "Draft", "Typed", "completions", "mentioned", "parse"]

HANDLE = r"[a-z0-9][a-z0-9._-]*"
WORD = re.compile(r"(?:^|(?<=[\s(]))[@/:][\w.+-]*$")
MENTION = re.compile(rf"(?<![\w@])@({HANDLE})", re.IGNORECASE)
COMPLETIONS_MAX = 6


@attrs.define
class Draft:
    """What stands in the box of one conversation when one comes back to it."""

    text: str = ""
    reply_to: int | None = None
    edit_of: int | None = None


@attrs.frozen
class Typed:
    """What was entered: a message, or a command with the rest of its line."""

    text: str
    command: str | None = None


@attrs.frozen
class Completion:
    """How a word may go on. `text` replaces the last `replaces` characters."""

    text: str
    about: str
    replaces: int


def parse(text: str) -> Typed:
    """What this text does when it is entered."""
    text = text.strip()
    if text.startswith("//"):
        return Typed(text[1:])
    if text.startswith("/"):
        command, _, rest = text[1:].partition(" ")
        return Typed(rest.strip(), command.lower())
    return Typed(text)


def mentioned(text: str, handles: Mapping[str, int]) -> tuple[int, ...]:
    """Who is meant by an @handle, in order; `handles`: user by handle. A full stop at its end ends the sentence."""
    found: dict[int, None] = {}
    for match in MENTION.finditer(text):
        handle = match[1].lower()
        while handle not in handles and handle[-1:] in {".", "-", "_"}:
            handle = handle[:-1]
        if handle in handles:
            found[handles[handle]] = None
    return tuple(found)


def completions(
    before: str, people: Iterable[tuple[str, str]], commands: Iterable[tuple[str, str]], emoji: Mapping[str, str]
) -> list[Completion]:
    """How the text before the cursor may go on.

    `people`: handles and names; `commands`: names and what they do; `emoji`: by short name.
    """
    match = WORD.search(before)
    if match is None:
        return []
    word, size = match[0][1:].lower(), len(match[0])
    if match[0][0] == "@":
        found = [
            Completion(f"@{handle} ", name, size)
            for handle, name in people
            if handle.startswith(word) or name.lower().startswith(word)
        ]
    elif match[0][0] == "/":
        found = [
            Completion(f"/{name} ", about, size)
            for name, about in commands
            if name.startswith(word) and size == len(before)
        ]
    else:
        found = [Completion(f"{shown} ", name, size) for name, shown in emoji.items() if size > 2 and word in name]
    return found[:COMPLETIONS_MAX]
