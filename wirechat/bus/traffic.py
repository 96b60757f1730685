"""What a bus counts."""

from __future__ import annotations

import attrs


@attrs.define
class Traffic:
    """What went through since the start, in messages, and in bytes of what they carried."""

    sent: int = 0
    sent_bytes: int = 0
    unsent: int = 0
    """Lost here: nobody to give them to, or too many waited."""
    received: int = 0
    received_bytes: int = 0
    unreceived: int = 0
    """Lost here: they came faster than they were taken."""
    reconnects: int = 0
