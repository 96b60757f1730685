"""What is measured: the disk, what an idle connection costs, how many texts a second go until they take too long."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import psutil
import trio

from tools.loadgen.machine import Sample
from tools.loadgen.run import MAKING, Options, Progress, Result, Run, Tell
from tools.loadgen.scenario import Climb, Conversations, Messages, Phase, Reads, Scenario
from tools.loadgen.scrape import open_metrics
from tools.plan.server import Server, serving

P99_MS = 100.0
"""What is still well served."""
FACTOR = 1.6
"""By how much each step exceeds the one before: the answer is that coarse."""
TALKERS = 20, 200
"""At least, and when there is time to make them."""
GROUP = 10
BLOCK = bytes(4096)
DRAIN_SECONDS = 5.0
SHARES = {"disk": 0.03, "idle": 0.17, "pairs": 0.4, "groups": 0.3}
"""Of the time."""


@attrs.frozen
class Disk:
    """Writes of 4 KiB, each with an fsync."""

    count: int
    p50_ms: float
    p99_ms: float


@attrs.frozen
class Idle:
    """People who are connected and say nothing."""

    people: int
    at_rest_mib: float
    """The server's own memory without them."""
    kib: float
    """Each of them."""
    cores: float
    """CPU that each of them takes."""
    others: float
    """Cores that were used meanwhile by what has nothing to do with this."""


@attrs.frozen
class Step:
    """A rate that was held for a while."""

    rate: float
    """Texts a second, all together."""
    p99_ms: float
    """Until another member has the text."""
    server_cpu: float
    """Cores."""
    machine_cpu: float
    """Cores, of everything on this machine."""
    commit_ms: float

    @property
    def held(self) -> bool:
        """Whether people were well served."""
        return self.p99_ms <= P99_MS


@attrs.frozen
class Climbed:
    """Steps, until one took too long or the time was over."""

    size: int
    """Members of each conversation."""
    steps: tuple[Step, ...]
    generator_cpu: float
    """Cores that this program took from the server, on average."""

    @property
    def best(self) -> Step | None:
        """The last step that was held."""
        held = [step for step in self.steps if step.held]
        return held[-1] if held else None

    @property
    def broken(self) -> Step | None:
        """The step that was not."""
        return next((step for step in self.steps if not step.held), None)


@attrs.frozen
class Machine:
    """What there is."""

    cores: int
    available_mib: float
    files: int
    """Open files that a process may have, at most."""


@attrs.frozen
class Measured:
    """Everything."""

    seconds: float
    machine: Machine
    disk: Disk
    idle: Idle
    pairs: Climbed
    groups: Climbed


async def probe(directory: Path, seconds: float, files: int, tell: Tell) -> Measured:
    """Takes about so many seconds. Raises NoServer, Failed, OSError."""
    began = time.monotonic()
    machine = Machine(os.cpu_count() or 1, psutil.virtual_memory().available / 2**20, files)
    tell(Progress("disk", 0, 1, {}))
    disk = await trio.to_thread.run_sync(_disk, directory, seconds * SHARES["disk"])
    async with serving(directory) as server:
        idle = await _idle(server, seconds * SHARES["idle"], files, tell)
        pairs = await _climb(server, "pairs", 2, 200.0, seconds * SHARES["pairs"], tell)
        groups = await _climb(server, "groups", GROUP, 20.0, seconds * SHARES["groups"], tell)
    return Measured(time.monotonic() - began, machine, disk, idle, pairs, groups)


def _disk(directory: Path, seconds: float) -> Disk:
    """Raises OSError."""
    took, until = list[float](), time.monotonic() + seconds
    with (directory / "disk").open("wb", buffering=0) as file:
        while not took or time.monotonic() < until:
            began = time.monotonic()
            file.write(BLOCK)
            os.fsync(file.fileno())
            took.append((time.monotonic() - began) * 1000)
    took.sort()
    return Disk(len(took), round(took[len(took) // 2], 3), round(took[len(took) * 99 // 100], 3))


async def _idle(server: Server, seconds: float, files: int, tell: Tell) -> Idle:
    people = max(50, min(1000, int(seconds * 40), files - 100))
    rest = psutil.Process(server.pid).memory_full_info().uss / 2**20
    phase = Phase("hold", max(1.5, seconds / 2))
    plan = Scenario("people who say nothing", people, (phase,))
    result = await _run(server, "idle", plan, seconds, tell, scraped=False)
    most = max((sample.server_mib or 0.0 for sample in result.samples), default=rest)
    cores = result.totals["server_cpu_seconds"] / (result.measured_seconds or 1.0) / people
    others = mean([sample.machine_cpu - (sample.server_cpu or 0.0) for sample in result.samples])
    return Idle(people, round(rest, 1), round(max(0.0, most - rest) * 1024 / people, 2), cores, others)


async def _climb(server: Server, what: str, size: int, rate: float, seconds: float, tell: Tell) -> Climbed:
    """Pairs talk; groups also mark what they have read, as people do."""
    activities: tuple[Any, ...] = (Messages(rate=rate, senders=size),)
    if size > 2:
        activities += (Reads(rate=rate),)
    length = max(0.5, seconds / 10)
    plan = Scenario(
        f"people who talk in conversations of {size}",
        max(TALKERS[0], min(TALKERS[1], int(seconds * 10))),
        (Phase("warm-up", length, (0.0, 1.0), measured=False),),
        Conversations(size),
        activities,
        Climb(FACTOR, length, P99_MS, 30),
    )
    result = await _run(server, what, plan, seconds, tell, scraped=True)
    steps = [
        _step(rate * phase["scale"][0], phase, result.samples)
        for phase in result.phases
        if "p99_ms" in phase and phase["end"] - phase["begin"] > 0.9 * length
    ]
    spent = sum(phase["end"] - phase["begin"] for phase in result.phases if phase["measured"])
    return Climbed(size, tuple(steps), round(result.totals["generator_cpu_seconds"] / (spent or 1.0), 2))


def _step(rate: float, phase: dict[str, Any], samples: Sequence[Sample]) -> Step:
    """The samples that lie in it: each tells of the second before it."""
    within = [sample for sample in samples if phase["begin"] + 0.5 <= sample.second <= phase["end"] + 0.5]
    return Step(
        round(rate, 1),
        phase["p99_ms"],
        mean([sample.server_cpu for sample in within]),
        mean([sample.machine_cpu for sample in within]),
        mean([sample.commit_ms for sample in within]),
    )


def mean(values: Sequence[float | None]) -> float:
    """Of those that are known; 0 of none."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else 0.0


async def _run(server: Server, what: str, plan: Scenario, seconds: float, tell: Tell, *, scraped: bool) -> Result:
    """Stopped when its time is over, which begins with the load."""
    scraper = open_metrics(server.metrics, server.url, None) if scraped else None
    options = Options(what, plan, server.url, check=False, pid=server.pid, scraper=scraper)
    begun = trio.Event()

    def passed_on(told: Progress) -> None:
        if told.stage != MAKING:
            begun.set()
        tell(attrs.evolve(told, stage=f"{what}: {told.stage}"))

    run = Run(options, passed_on, drain_seconds=DRAIN_SECONDS)

    async def over() -> None:
        await begun.wait()
        await trio.sleep(seconds)
        run.stop("its time is over")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(over)
        result = await run.run()
        nursery.cancel_scope.cancel()
    return result
