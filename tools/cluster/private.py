"""Files with secrets in them."""

from __future__ import annotations

from pathlib import Path


def write(file: Path, text: str) -> None:
    """Nobody but us and root may read it, at no moment."""
    file.unlink(missing_ok=True)  # it might be another's, or open to others
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(text)
