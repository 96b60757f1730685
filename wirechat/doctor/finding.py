"""What a check says: fine, doubtful or wrong, and what to do."""

from __future__ import annotations

import attrs

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@attrs.frozen
class Finding:
    """One line of the doctor."""

    check: str
    state: str
    """ "ok", "warning" or "problem"."""
    text: str
    todo: str = ""
    """What to do; empty when all is well."""
