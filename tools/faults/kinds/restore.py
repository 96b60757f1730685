"""A backup under load, and its restore into another directory."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import attrs
import trio

from tools.cluster.server import ServerFailed
from tools.faults.fault import Fault, unaware
from tools.faults.judge import heads
from tools.faults.notebook import What, read
from tools.faults.stage import Stage
from tools.faults.witness import Restore as Restored
from tools.faults.witness import Witness
from tools.history.checker import History, Violation


class Restore(Fault):
    """What was acknowledged before the backup began is there; what came after it is gone, for everybody alike.

    The world before is judged by itself, up to its end; then the whole, in which every client must have noticed that
    the world is another one.
    """

    name = "restore"
    about = "a backup under load, later its restore into another directory; the clients go on there"

    async def strike(self, stage: Stage) -> None:
        server, case = stage.server, stage.case
        file, data = stage.folder / "backup.wirechat", stage.folder / "restored"
        self._taken = time.monotonic()
        await _wirechat(stage.options.tree, "backup", *server.place, str(file))
        await trio.sleep(stage.options.seconds / 2)
        await server.kill()
        stage.earlier.append(attrs.evolve(case, until=time.monotonic(), caches=False))
        await _wirechat(stage.options.tree, "restore", str(file), "--data", str(data))
        case.data = data
        server.place = ("--data", str(data))
        self._restored = case.restore = Restored(time.monotonic(), heads(data))
        await server.start()

    async def after(self, stage: Stage) -> list[Violation]:
        """Nothing is gone that had been acknowledged when the backup began, and everybody has noticed."""
        witness = Witness(History(), {member.device: member.user for member in stage.members})
        witness.tell(note for note in read(stage.case.notebooks) if note.at < self._taken)
        heads = self._restored.heads
        found = [
            Violation("P1", "not in the backup", f"{ack}, where the log ended at {heads.get(ack.name[1], 0)}")
            for ack in witness.acks
            if ack.seq > heads.get(ack.name[1], 0)
        ]
        stage.told["acknowledged before the backup"] = len(witness.acks)
        return [*found, *unaware(stage, What.RESYNCED, self._restored.at)]


async def _wirechat(tree: Path, *arguments: str) -> None:
    """A command of the operator. Raises ServerFailed with what it said."""
    command = [sys.executable, "-m", "wirechat.cli.main", *arguments]
    done = await trio.run_process(command, cwd=tree, capture_stdout=True, capture_stderr=True, check=False)
    if done.returncode:
        raise ServerFailed(f"wirechat {arguments[0]} failed: {done.stderr.decode().strip()}")
