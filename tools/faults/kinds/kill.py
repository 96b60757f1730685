"""kill -9, several times."""

from __future__ import annotations

import apsw
import trio

from tools.faults.fault import Fault
from tools.faults.stage import Stage
from wirechat.store.sqlite import FILE

KILLS = 4
LOCKED_SECONDS = 0.5


class Kill(Fault):
    """Every other time while another process holds the database, so that a batch is certainly on its way to disk."""

    name = "kill"
    about = "kill -9 of the server under load, several times"

    async def strike(self, stage: Stage) -> None:
        for number in range(KILLS):
            if number % 2:
                await _locked_kill(stage)
            else:
                await stage.server.kill()
            await stage.server.start()
            await trio.sleep(stage.chance.uniform(0.5, 1.5) if number < KILLS - 1 else 0)
        stage.told["kills"] = KILLS


async def _locked_kill(stage: Stage) -> None:
    other = apsw.Connection(str(stage.case.data / FILE))
    try:
        other.set_busy_timeout(5000)
        other.execute("BEGIN IMMEDIATE")
        await trio.sleep(LOCKED_SECONDS)
        await stage.server.kill()
    finally:
        other.close()
