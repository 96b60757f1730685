"""Links within the repository lead somewhere: files exist, headings have the anchors that a forge makes for them."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = re.compile(r"[a-z]+:")


@cache
def tokens(path: Path) -> list[Token]:
    return MarkdownIt("gfm-like", {"linkify": False}).parse(path.read_text(encoding="utf-8"))


def links(path: Path) -> Iterator[str]:
    """Targets of links and images that are not on another host."""
    for token in tokens(path):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if target is not None and not ELSEWHERE.match(str(target)):
                yield str(target)


@cache
def anchors(path: Path) -> set[str]:
    """As GitHub makes them: lower case, punctuation gone, spaces to hyphens, repetitions numbered."""
    seen: Counter[str] = Counter()
    found = set()
    for opening, heading in zip(tokens(path), tokens(path)[1:], strict=False):
        if opening.type == "heading_open":
            text = "".join(part.content for part in heading.children or () if part.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def broken(path: Path) -> Iterator[str]:
    """Links that lead nowhere."""
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def test_links_lead_somewhere() -> None:
    """Of every Markdown file, for whoever reads it without the site."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = {name: lost for name in listed.splitlines() if (lost := list(broken(ROOT / name)))}
    assert found == {}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """The check must be able to fail, for files, headings and images."""
    (tmp_path / "there.md").write_text("# One thing\n\n# One thing\n\n## `wire`: 2.1, *then*\n")
    good = "[a](there.md) [b](there.md#one-thing) [c](there.md#one-thing-1) [d](there.md#wire-21-then) [e](http://x/y)"
    page = tmp_path / "page.md"
    page.write_text(good + "\n\n[f](not-there.md) [g](there.md#two-things) [h](#here) ![i](k.png)\n\n`[j](code.md)`\n")
    assert list(broken(page)) == ["not-there.md", "there.md#two-things", "#here", "k.png"]
