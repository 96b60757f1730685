"""The files of the server may not grow any more, as with a quota; a full disk for those who are not root."""

from __future__ import annotations

import resource

import trio

from tools.faults.fault import Fault, untold
from tools.faults.notebook import received
from tools.faults.stage import Stage
from tools.history.checker import Violation
from wirechat import wire
from wirechat.store.sqlite import FILE

STORE_FAILED = (wire.errors.UNAVAILABLE, wire.errors.STORAGE, wire.errors.UNKNOWN_OUTCOME)


class Quota(Fault):
    """RLIMIT_FSIZE at the present size of SQLite's log: the next frames cannot be written."""

    name = "quota"
    about = "files may not grow (RLIMIT_FSIZE), as with a quota"

    async def strike(self, stage: Stage) -> None:
        size = (stage.case.data / f"{FILE}-wal").stat().st_size
        resource.prlimit(stage.server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        await trio.sleep(stage.options.seconds)
        resource.prlimit(stage.server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    async def after(self, stage: Stage) -> list[Violation]:
        """Senders were told, and so was the operator."""
        errors = [error for _, error in received(stage.case.notebooks, wire.Error)]
        stage.told["refused by the store"] = sum(error.code in STORE_FAILED for error in errors)
        found = untold(stage, "entries cannot be stored", "entries are stored again")
        if not stage.told["refused by the store"]:
            found.append(Violation("P12", "not said", "nobody was told that nothing can be stored"))
        return found
