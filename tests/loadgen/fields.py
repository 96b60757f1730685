"""Which fields of a result nobody can look up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tools.loadgen.report.fields import fields

_KNOWN = re.compile(
    "|".join(
        re.sub(r"\\{(.*?)\\}", lambda word: ".+" if "." in word[1] else "[^/]+", re.escape(pointer))
        for group in fields().values()
        for pointer in group
    )
)


def undocumented(plain: Any, pointer: str = "") -> Iterator[str]:
    """Pointers to the values of a result that have no line in docs/reference/loadgen.md."""
    inner = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else None
    if inner is not None:
        for name, value in inner:
            yield from undocumented(value, f"{pointer}/{name}")
    elif not _KNOWN.fullmatch(pointer):
        yield pointer
