"""What other people wrote, on the operator's terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """On one line, and without anything that a terminal would obey or show in another order."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
