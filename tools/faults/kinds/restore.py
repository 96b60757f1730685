"""A backup under load, and its restore into another directory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from tools.faults.fault import Fault
from tools.faults.notebook import What, read
from tools.faults.server import ServerFailed
from tools.faults.stage import Stage
from tools.faults.witness import Ack
from tools.history.checker import Violation


class Restore(Fault):
    """What was acknowledged before the backup began is there; what came after it is gone, for everybody alike.

    The world before is judged by itself, up to its end. In the one after, acknowledgements between the backup and the
    restore do not count, and every client must have noticed that it is another world.
    """

    name = "restore"
    about = "a backup under load, later its restore into another directory; the clients go on there"

    async def strike(self, stage: Stage) -> None:
        server, case = stage.server, stage.case
        file, data = stage.folder / "backup.wirechat", stage.folder / "restored"
        taken = time.monotonic()
        await _wirechat(stage.options.tree, "backup", "--data", str(server.data), str(file))
        await trio.sleep(stage.options.seconds / 2)
        await server.kill()
        stage.earlier.append(attrs.evolve(case, until=time.monotonic(), caches=False))
        await _wirechat(stage.options.tree, "restore", str(file), "--data", str(data))
        begun = time.monotonic()
        server.data = case.data = data
        case.since, case.believes = begun, _outside(taken, begun)
        await server.start()

    async def after(self, stage: Stage) -> list[Violation]:
        """Everybody has noticed."""
        noticed = {note.device for note in read(stage.case.notebooks) if note.what is What.RESYNCED}
        stage.told["clients that noticed"] = f"{len(noticed)} of {len(stage.members)}"
        deaf = [member.device for member in stage.members if member.device not in noticed]
        return [Violation("P5", "not noticed", f"devices {deaf} took the restored data for the old")] if deaf else []


def _outside(start: float, end: float) -> Callable[[Ack], bool]:
    def believes(ack: Ack) -> bool:
        return not start <= ack.at < end

    return believes


async def _wirechat(tree: Path, *arguments: str) -> None:
    """A command of the operator. Raises ServerFailed with what it said."""
    command = [sys.executable, "-m", "wirechat.cli.main", *arguments]
    done = await trio.run_process(command, cwd=tree, capture_stdout=True, capture_stderr=True, check=False)
    if done.returncode:
        raise ServerFailed(f"wirechat {arguments[0]} failed: {done.stderr.decode().strip()}")
