"""The page about OWASP's Application Security Verification Standard: what of it is met, from docs/security/asvs.toml.

A requirement is met with a pointer, not applicable with a reason, or open with what is missing; `problems` says what is
wrong with that, pointers that lead nowhere among it.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import attrs

from wirechat.settings.schema import FIELDS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "docs/security"

MET, NOT_APPLICABLE, OPEN = "met", "n/a", "open"
SHOWN = {MET: "met", NOT_APPLICABLE: "not applicable", OPEN: "**open**"}
CLAIMED = (1, 2)

LEVELS = """
1.1:22 1.2:1111122223 1.3:112222222223 1.4:222 1.5:123 2.1:122 2.2:112 2.3:12223 2.4:23 3.1:3 3.2:113 3.3:12223
3.4:11222233 3.5:11122333 3.6:3 3.7:22333 4.1:12233 4.2:23333 4.3:22 4.4:1222 5.1:2 5.2:112333 5.3:113 5.4:222
6.1:122 6.2:111111112222 6.3:11223333 6.4:112233 6.5:22222333 6.6:2223 6.7:33 6.8:2222 7.1:222 7.2:1111 7.3:22
7.4:11222 7.5:223 7.6:22 8.1:1233 8.2:1123 8.3:133 8.4:23 9.1:111 9.2:1222 10.1:22 10.2:223 10.3:22223
10.4:1111122222233333 10.5:22222 10.6:22 10.7:222 11.1:2233 11.2:22233 11.3:11233 11.4:1222 11.5:23 11.6:23
11.7:33 12.1:12233 12.2:11 12.3:22223 13.1:2333 13.2:222223 13.3:2233 13.4:1222233 14.1:22 14.2:12223333
14.3:122 15.1:12233 15.2:12233 15.3:1222222 15.4:3333 16.1:2 16.2:22222 16.3:2222 16.4:222 16.5:2223 17.1:23
17.2:22223333 17.3:22
"""
"""The levels of all 345 requirements of ASVS 5.0.0, in their order, section by section."""


@attrs.frozen
class Requirement:
    """One line of the standard, and how it stands here."""

    number: str
    level: int
    status: str
    asks: str
    where: tuple[str, ...] = ()
    note: str = ""


@attrs.frozen
class Book:
    """The file."""

    chapters: dict[str, str]
    requirements: list[Requirement]

    def of(self, chapter: str) -> list[Requirement]:
        """Those of one chapter."""
        return [each for each in self.requirements if each.number.startswith(f"{chapter}.")]


def read(root: Path = ROOT) -> Book:
    """The book of the repository."""
    told = tomllib.loads((root / FOLDER / "asvs.toml").read_text("utf-8"))
    entries = [pair for chapter in told["requirements"].values() for pair in chapter.items()]
    made = [Requirement(number, **{**entry, "where": tuple(entry.get("where", ()))}) for number, entry in entries]
    return Book(told["chapters"], made)


def levels() -> dict[str, int]:
    """Number -> level, of all three levels."""
    sections = [section.split(":") for section in LEVELS.split()]
    return {f"{section}.{at}": int(level) for section, each in sections for at, level in enumerate(each, 1)}


# what can be wrong


def problems(book: Book, root: Path = ROOT) -> Iterator[str]:
    """A line for each."""
    wanted = [(number, level) for number, level in levels().items() if level in CLAIMED]
    found = [(each.number, each.level) for each in book.requirements]
    for number, level in Counter(wanted) - Counter(found):
        yield f"{number} of level {level} is missing"
    for number, level in Counter(found) - Counter(wanted):
        yield f"{number} of level {level} is there twice, or is none of the standard"
    for each in book.requirements:
        if each.status not in SHOWN:
            yield f"{each.number}: {each.status} is none of {', '.join(SHOWN)}"
        elif each.status == MET and not each.where:
            yield f"{each.number} is met, but nothing points to what makes it so"
        elif each.status != MET and not each.note:
            yield f"{each.number} is {each.status} without a word why"
        for pointer in each.where:
            if not leads_somewhere(pointer, root):
                yield f"{each.number}: {pointer} leads nowhere"


def leads_somewhere(pointer: str, root: Path = ROOT) -> bool:
    """Whether there is such a rule, setting, test or file."""
    if _is_rule(pointer):
        return pointer in _rules(root)
    if pointer in FIELDS:
        return True
    name, _, test = pointer.partition("::")
    path = root / name.partition("#")[0]
    return path.is_file() and (not test or test in _tests(path))


def _is_rule(pointer: str) -> bool:
    return re.fullmatch(r"\d+-\d+", pointer) is not None


@cache
def _rules(root: Path) -> frozenset[str]:
    return frozenset(json.loads((root / "protocol/rules.json").read_text("utf-8"))["rules"])


@cache
def _tests(path: Path) -> frozenset[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, kinds))


# the page

PAGE = """\
# OWASP ASVS 5.0

How wirechat stands to the [OWASP Application Security Verification Standard 5.0.0](https://owasp.org/asvs), levels 1
and 2: {all} questions that a reviewer of any application asks. Each is met, with a pointer to the rule of
[the protocol](../protocol.md), the [setting](../reference/configuration.md), the test or the file that makes it so; or
not applicable, with the reason; or open, with what is missing. Nobody but its authors has judged it: look yourself.

The words are ours and much shorter; the original says what each really means. Copyright of the standard: the OWASP
Foundation, [CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/), which holds for the column "asks" too. This
page is made from `docs/security/asvs.toml`, and a test follows every pointer.

{counts}

## What is open

{open}
"""


def page() -> str:
    """The whole page."""
    book = read()
    lacking = [each for each in book.requirements if each.status == OPEN]
    parts = [PAGE.format(all=len(book.requirements), counts=_counts(book), open=_table(lacking, ("asks", "missing")))]
    for chapter, name in book.chapters.items():
        parts.append(f"\n## {chapter}. {name}\n\n{_table(book.of(chapter), ('asks', 'here'))}\n")
    return "".join(parts)


def _counts(book: Book) -> str:
    rows = ["| level | met | not applicable | open | all |", "|---|---|---|---|---|"]
    for name, wanted in (("1", (1,)), ("2", (2,)), ("both", CLAIMED)):
        count = Counter(each.status for each in book.requirements if each.level in wanted)
        rows.append(f"| {name} | {' | '.join(str(count[status]) for status in SHOWN)} | {count.total()} |")
    return "\n".join(rows)


def _table(requirements: Iterable[Requirement], columns: tuple[str, str]) -> str:
    rows = [f"| | level | {columns[0]} | | {columns[1]} |", "|---|---|---|---|---|"]
    rows += [
        f"| {each.number} | {each.level} | {each.asks} | {SHOWN[each.status]} | {_here(each)} |"
        for each in requirements
    ]
    return "\n".join(rows)


def _here(each: Requirement) -> str:
    return " ".join(filter(None, [each.note, ", ".join(map(_shown, each.where))]))


def _shown(pointer: str) -> str:
    """A pointer as Markdown: pages of the site are links, everything else is named."""
    if _is_rule(pointer):
        return f"rule {pointer}"
    path, _, anchor = pointer.partition("#")
    if path.startswith("docs/") and path.endswith(".md"):
        name = path.removeprefix("docs/").removesuffix(".md")
        return f"[{name}{f': {anchor}' if anchor else ''}](../{pointer.removeprefix('docs/')})"
    return f"`{pointer}`"
