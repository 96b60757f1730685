"""The numbered rules of docs/protocol.md, word for word, from protocol/rules.json."""

from __future__ import annotations

import json
from functools import cache

from .decoder import protocol_folder


@cache
def rules() -> dict[str, str]:
    """Text by number, such as "4-10"."""
    texts: dict[str, str] = json.loads((protocol_folder() / "rules.json").read_text("utf-8"))["rules"]
    return texts
