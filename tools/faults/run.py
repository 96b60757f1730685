"""One fault from beginning to verdict.

start, load, rest        resident memory before
load, the fault, its end
rest                     recovery: until a new message is through and every device has everything
load, rest               resident memory after: the same load as before, so that like is compared with like
stop                     the judgement
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from tools.cluster.engine import EngineError
from tools.cluster.server import ServerFailed
from tools.faults.fault import Fault
from tools.faults.judge import Findings, judge, read_independently, verify
from tools.faults.roll import CrowdFailed
from tools.faults.stage import NotConverged, Options, Stage
from tools.history.checker import Violation

RECOVERY_SECONDS_MAX = 5.0
MEMORY_SHARE_MAX = 0.10

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@attrs.define
class Outcome:
    """What came of one fault. `seconds` of recovery and `memory` in bytes are None when it did not come so far."""

    name: str
    status: str = PASSED
    why: str = ""
    """Of a skip."""
    recovery_seconds: float | None = None
    memory_before: int | None = None
    memory_after: int | None = None
    acknowledged: int = 0
    entries: int = 0
    counts: dict[str, int] = attrs.Factory(dict)
    told: dict[str, Any] = attrs.Factory(dict)
    violations: list[str] = attrs.Factory(list)
    promises: dict[str, int] = attrs.Factory(dict)
    """Violations by promise."""
    seconds: float = 0.0

    def add(self, violations: list[Violation]) -> None:
        """These were found."""
        self.violations += map(str, violations)
        self.promises = dict(Counter(self.promises) + Counter(each.promise for each in violations))


async def run(fault: Fault, options: Options, tell: Callable[[str], None] = lambda phase: None) -> Outcome:
    """Do it all. Raises nothing that a fault can bring about."""
    outcome, began = Outcome(fault.name), time.monotonic()
    lacking = fault.lacks()
    if lacking is not None:
        outcome.status, outcome.why = SKIPPED, lacking
        return outcome
    with tempfile.TemporaryDirectory(prefix="wirechat-faults-") as folder:
        fault.arrange(Path(folder))
        try:
            await _conduct(fault, options, Path(folder), outcome, tell)
        finally:
            fault.tidy()
    outcome.status = FAILED if outcome.violations else PASSED
    outcome.seconds = time.monotonic() - began
    return outcome


async def _conduct(fault: Fault, options: Options, folder: Path, outcome: Outcome, tell: Callable[[str], None]) -> None:
    failure = None
    async with trio.open_nursery() as nursery:
        stage = fault.stage(folder, options, nursery, tell)
        try:
            try:
                await _act(fault, stage, outcome)
            except* (ServerFailed, EngineError, CrowdFailed, NotConverged) as errors:
                failure = errors.exceptions[0]
            finally:
                await stage.clear()
            outcome.told = stage.told
            if failure is not None:
                outcome.add([Violation("P5", "no recovery", f"{failure} ({stage.last_words()})")])
            tell("judging")
            for case in (*stage.earlier, stage.case):
                _count(outcome, await trio.to_thread.run_sync(judge, case))
                outcome.add(await trio.to_thread.run_sync(verify, case))
        finally:
            await stage.close()
        nursery.cancel_scope.cancel()


async def _act(fault: Fault, stage: Stage, outcome: Outcome) -> None:
    seconds, tell = stage.options.seconds, stage.tell
    await stage.prepare(partial(fault.routes, stage))
    await fault.before(stage)
    tell("warming up")
    outcome.memory_before = await _memory(stage, seconds)
    await stage.busy(seconds / 3)
    tell("the fault")
    await fault.strike(stage)
    tell("recovering")
    outcome.recovery_seconds = await stage.converge()
    if outcome.recovery_seconds > RECOVERY_SECONDS_MAX:
        outcome.add([Violation("P5", "slow recovery", f"{outcome.recovery_seconds:.1f} s")])
    tell("comparing")
    outcome.memory_after = await _memory(stage, seconds)
    grown = outcome.memory_after / outcome.memory_before - 1
    if grown > MEMORY_SHARE_MAX:
        outcome.add([Violation("P6", "memory", f"{grown:.0%} more than before")])
    outcome.add(await fault.after(stage))
    tell("stopping")
    await stage.converge()
    await stage.part()
    reader = partial(read_independently, stage.server.urls["wirechat"], stage.case.data, stage.members[0])
    outcome.add(await trio.to_thread.run_sync(reader))
    await stage.end()


async def _memory(stage: Stage, seconds: float) -> int:
    """Of the server, at rest after so many seconds of load."""
    await stage.busy(seconds)
    await stage.converge()
    return stage.resident_bytes


def _count(outcome: Outcome, findings: Findings) -> None:
    outcome.add(findings.violations)
    outcome.acknowledged = len(findings.witness.acks)
    outcome.entries = findings.entries
    outcome.counts = dict(sorted(findings.witness.counts.items()))
