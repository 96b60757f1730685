"""What a fault is. Each module of kinds/ has one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import trio

from tools.faults.notebook import What, read
from tools.faults.stage import Options, Stage
from tools.history.checker import Violation


class Fault:
    """Something that happens to a server, its machine, its network or its clients while everybody talks.

    `strike` is all of it, from its beginning to its end; recovery is measured from its return on.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    """One line for people."""

    def lacks(self) -> str | None:
        """Why it cannot be done here; None when it can."""
        return None

    def arrange(self, folder: Path) -> None:
        """What must be there before the server is; its data will be in folder/data."""

    def tidy(self) -> None:
        """Take back what `arrange` did, when nothing runs any more."""

    def environment(self, folder: Path) -> Mapping[str, str]:
        """What the server's environment needs for it."""
        return {}

    def stage(self, folder: Path, options: Options, nursery: trio.Nursery, tell: Callable[[str], None]) -> Stage:
        """Where it happens; nothing runs there yet."""
        return Stage(folder, options, nursery, tell, self.environment(folder))

    async def routes(self, stage: Stage) -> Mapping[str, str]:
        """Where the clients connect, by scheme."""
        return stage.server.urls

    async def before(self, stage: Stage) -> None:
        """What belongs to the state before, against which memory is compared."""

    async def strike(self, stage: Stage) -> None:
        """Do it, and take it back."""
        raise NotImplementedError

    async def after(self, stage: Stage) -> list[Violation]:
        """Once everybody has everything again: what was wrong beyond what is judged for all faults."""
        return []


def untold(stage: Stage, *events: str) -> list[Violation]:
    """Lines that the operator should find in the server's log, and does not."""
    return [
        Violation("P12", "not said", f"the log has no line {event!r}")
        for event in events
        if not stage.server.told(event)
    ]


def unaware(stage: Stage, sign: What, since: float, until: float = math.inf) -> list[Violation]:
    """Devices that should have noticed something between two moments, and did not. `sign`: the note of who has."""
    noticed = {note.device for note in read(stage.case.notebooks) if note.what is sign and since < note.at < until}
    stage.told["clients that noticed"] = f"{len(noticed)} of {len(stage.members)}"
    deaf = [member.device for member in stage.members if member.device not in noticed]
    return [Violation("P5", "not noticed", f"devices {deaf} went on as if nothing had happened")] if deaf else []
