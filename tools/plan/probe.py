"""What is measured: the disk, what an idle connection costs, how many texts a second go until they take too long."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import attrs
import psutil
import trio

from tools.cluster.server import Server
from tools.loadgen.crowd import Crowd
from tools.loadgen.judge import Silent
from tools.loadgen.loop import Loop
from tools.loadgen.machine import Sample
from tools.loadgen.machine import Server as Process
from tools.loadgen.measures import Measures
from tools.loadgen.place import find_place
from tools.loadgen.run import MAKING, Failed, Options, Progress, Result, Run, Tell
from tools.loadgen.scenario import Climb, Conversations, Messages, Phase, Reads, Scenario
from tools.loadgen.scrape import open_metrics
from tools.plan.server import serving

P99_MS = 100.0
"""What is still well served."""
FACTOR = 1.6
"""By how much each step exceeds the one before: the answer is that coarse."""
TALKERS = 20, 200
"""At least, and when there is time to make them."""
GROUP = 10
WARM = 100
"""People who come first: what grows once, whoever comes, grows with them and is charged to nobody."""
BATCHES, BATCH = 3, 250
"""Those whose cost is told; always as many, so that it does not hang on the time. The median of the batches counts: the
server's memory also jumps now and then by a MiB or two for nobody in particular.
"""
LEAST_CPU_SECONDS = 2 / os.sysconf("SC_CLK_TCK")
"""The system counts in ticks: a difference below two of them is rounding."""
BLOCK = bytes(4096)
DRAIN_SECONDS = 5.0
SETTLE_SECONDS = 0.3
"""After the last of a batch has come."""
CONNECT_SECONDS = 60.0
"""In which idle people must have come."""
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
    """By which each of them makes it grow, once others are there."""
    cores: float | None
    """CPU that each of them takes; None when that is less than `cores_least`."""
    cores_least: float
    """What could be told from nothing in that time."""


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
    others: float
    """Cores that neither the server nor the load used, while there was one."""


async def probe(directory: Path, seconds: float, files: int, tell: Tell) -> Measured:
    """Takes about so many seconds. Raises ServerFailed, Failed, OSError."""
    began = time.monotonic()
    machine = Machine(os.cpu_count() or 1, psutil.virtual_memory().available / 2**20, files)
    tell(Progress("disk", 0, 1, {}))
    disk = await trio.to_thread.run_sync(_disk, directory, seconds * SHARES["disk"], abandon_on_cancel=True)
    async with serving(directory) as server:
        since, strange = time.monotonic(), _strange_cpu_seconds()
        tell(Progress("idle people", 0, 1, {}))
        idle = await trio.to_thread.run_sync(_idle, server, seconds * SHARES["idle"], abandon_on_cancel=True)
        pairs = await _climb(server, "pairs", 2, 200.0, seconds * SHARES["pairs"], tell)
        groups = await _climb(server, "groups", GROUP, 20.0, seconds * SHARES["groups"], tell)
        others = max(0.0, _strange_cpu_seconds() - strange) / (time.monotonic() - since)
    return Measured(time.monotonic() - began, machine, disk, idle, pairs, groups, round(others, 2))


def _strange_cpu_seconds() -> float:
    """CPU of this machine that was neither ours nor that of our children, those that have ended included."""
    times = psutil.cpu_times()
    spent = sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            own = process.cpu_times()
            spent -= own.user + own.system + own.children_user + own.children_system
    return float(spent)


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


def _idle(server: Server, seconds: float) -> Idle:
    """Between a few people and many: what the server has or does for nobody in particular is in both. Raises Failed."""
    process, loop = Process(psutil.Process(server.pid)), Loop()
    rest = _there(process.mib())
    few = _connected(loop, server, 0, WARM)
    few_cpu, few_mib = _spent(process, loop, seconds / 2), _there(process.mib())
    crowds, sizes = [few], [few_mib]
    for number in range(1, BATCHES + 1):
        crowds.append(_connected(loop, server, number, BATCH))
        _spent(process, loop, SETTLE_SECONDS)
        sizes.append(_there(process.mib()))
    spent, people = _spent(process, loop, seconds / 2) - few_cpu, BATCHES * BATCH
    for crowd in crowds:
        crowd.close()
    each = people * seconds / 2
    grown = statistics.median(after - before for before, after in itertools.pairwise(sizes))
    return Idle(
        people,
        round(rest, 1),
        round(max(0.0, grown) * 1024 / BATCH, 2),
        spent / each if spent >= LEAST_CPU_SECONDS else None,
        LEAST_CPU_SECONDS / each,
    )


def _connected(loop: Loop, server: Server, number: int, people: int) -> Crowd:
    """So many more people, who say nothing. Raises Failed."""
    plan = Scenario("people who say nothing", people, (Phase("hold", 1.0),))
    place = find_place(server.urls["wirechat"], None)
    crowd = Crowd(loop, place, plan, f"idle{number}", Random(number), Measures(), Silent())
    crowd.begin()
    loop.run(lambda: crowd.ready or crowd.failure is not None, time.monotonic() + CONNECT_SECONDS)
    if not crowd.ready:
        raise Failed(crowd.failure or crowd.complaint or f"{people} people did not come in {CONNECT_SECONDS:.0f} s")
    return crowd


def _spent(process: Process, loop: Loop, seconds: float) -> float:
    """CPU seconds of it in so many seconds."""
    before = _there(process.cpu_seconds())
    loop.run(lambda: False, time.monotonic() + seconds)
    return _there(process.cpu_seconds()) - before


def _there(figure: float | None) -> float:
    """A figure of the server's process. Raises Failed when it is gone."""
    if figure is None:
        raise Failed("the server ended while it was probed")
    return figure


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
    result = await _run(server, what, plan, seconds, tell)
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


async def _run(server: Server, what: str, plan: Scenario, seconds: float, tell: Tell) -> Result:
    """Stopped when its time is over, which begins with the load."""
    url = server.urls["wirechat"]
    scraper = open_metrics(f"{server.urls['http']}/metrics", url, None)
    options = Options(what, plan, url, check=False, pid=server.pid, scraper=scraper)
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
