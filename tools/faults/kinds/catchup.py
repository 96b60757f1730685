"""Restarts while clients catch up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import trio

from tools.faults.fault import Fault
from tools.faults.stage import Stage
from tools.history.checker import Violation
from tools.simulate.file import DeviceFile

KILLS = 3
PAGE = 5
"""Records on a page, so that there are many."""
TALKING_PAUSE = 0.02
LOOK_SECONDS = 0.005
CATCHING_SECONDS = 5.0


class CatchUp(Fault):
    """Half of the clients are away and miss much; the server is killed while they fetch it, again and again."""

    name = "catch-up"
    about = "kill -9 of the server while clients that were away catch up"

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"WIRECHAT_LIMITS__PAGE": str(PAGE)}

    async def strike(self, stage: Stage) -> None:
        present, away = stage.crowds
        await away.kill()
        await present.tell(do="load", pause=TALKING_PAUSE)
        await trio.sleep(stage.options.seconds)
        await present.tell(do="rest")
        await present.hear("resting")
        await away.start(stage.nursery)
        stage.told["interrupted at"] = []
        for _ in range(KILLS):
            stage.told["interrupted at"].append(await _halfway(stage))
            await stage.server.kill()
            await stage.server.start()

    async def after(self, stage: Stage) -> list[Violation]:
        """They really were in the middle."""
        if any(stage.told["interrupted at"]):
            return []
        return [Violation("P5", "the fault did not bite", "nobody was catching up when the server was killed")]


async def _halfway(stage: Stage) -> int:
    """How many entries those who were away have fetched, a moment after the first came."""
    files = [DeviceFile(Path(member.cache)) for member in stage.members[1::2]]
    try:
        before = now = _held(files)
        end = time.monotonic() + CATCHING_SECONDS
        while now == before and time.monotonic() < end:
            await trio.sleep(LOOK_SECONDS)
            now = _held(files)
        return now - before
    finally:
        for file in files:
            file.close()


def _held(files: list[DeviceFile]) -> int:
    return sum(position.pos for file in files for position in file.positions().values())
