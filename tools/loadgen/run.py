"""A whole run: processes, phases, watching, the result. What the processes do stands in `worker`.

The run is not valid when the generator or the machine was the bottleneck: then its figures say nothing about the
server, however good they look.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import attrs
import trio

from tools.loadgen import machine, scenario, targets
from tools.loadgen.hosts import Lines, NoWorker, Remote, connect, say
from tools.loadgen.line import Place
from tools.loadgen.machine import Sample, Watch, Watched
from tools.loadgen.measures import Measures
from tools.loadgen.place import BadPlace, find_place
from tools.loadgen.scenario import Phase, Scenario
from tools.loadgen.scrape import Counted, Scraper
from tools.loadgen.worker import Job

START_SECONDS = 0.3
"""From the order to begin until the beginning: all processes begin at once."""
LAG_P99_MS = 25.0
"""The generator may be so late; above, it measures itself."""
CANARY_P99_MS = 25.0
"""The machine may wake somebody so late."""
PROCESS_CPU = 0.9
"""Of a core that one process of the generator may use."""
OTHERS_CORES = 0.25
"""Used by processes that are no part of the run: less is no reason for anything."""
DRAIN_SECONDS = 30.0
"""What is under way at the end is waited for; what has not come then is lost."""
GONE = "the server is gone"
MAKING = "making people"
"""The stage before the first phase."""
TIMES = ("begin", "end", "run_began")
"""Of an order, in monotonic seconds."""
GONE_SECONDS = 10.0
"""Without a single live connection: then the server is gone."""


class Failed(Exception):
    """Why there is no load, in one line."""


class Interrupted(Failed):
    """Why there is no result of a load that was there, or could have been."""


@attrs.frozen
class Options:
    """What to run and where.

    seconds, people and rate of the scenario are as they shall be, of all shares together.
    """

    name: str
    scenario: Scenario
    url: str
    ca: str | None = None
    processes: int = 1
    seed: int = 1
    check: bool = True
    pid: int | None = None
    target: str = targets.OWN
    """What kind of server it is."""
    scraper: Scraper | None = None
    """Where the server tells its metrics."""
    workers: tuple[str, ...] = ()
    """Hosts that make the load, each as host:port with `processes` processes; none: this one does."""
    token: str = ""
    """Which the workers know."""
    share: tuple[int, int] = (1, 1)
    """Which part of the scenario this run is, from 1, and of how many."""

    @property
    def part(self) -> Scenario:
        """What this run does itself. Raises BadScenario when there are more shares than can be divided."""
        number, of = self.share
        return self.scenario.share(number - 1, of)

    @property
    def place(self) -> Place:
        """Raises BadPlace."""
        if self.target == targets.OWN:
            try:
                return find_place(self.url, self.ca)
            except BadPlace as error:
                raise BadPlace(f"{error}{targets.hint(self.url)}") from None
        return targets.find(self.target, self.url, self.ca).place


@attrs.define
class Result:
    """What came of it."""

    options: Options
    measures: Measures
    phases: list[dict[str, Any]]
    """name, begin, end in seconds of the run, scale, measured; of steps also what came of them."""
    violations: list[str]
    invalid: list[str]
    """Why the figures say nothing about the server; empty if they do."""
    samples: list[Sample]
    totals: dict[str, float]
    """Sums over the processes: people, entries, bytes, CPU seconds, each under its name."""
    machine: dict[str, Any]
    began: float
    """Seconds since 1970."""
    partial: str = ""
    """Why it ended before its end; empty if it did not."""
    counted: dict[str, Counted] = attrs.Factory(dict)
    """What the server counted in the measured phases, by the names of its metrics; empty when it does not tell."""
    watched: Watched | None = None
    """Whose CPU was counted; None when it is not known."""

    @property
    def measured_seconds(self) -> float:
        """Length of the measured phases."""
        return sum((phase["end"] - phase["begin"] for phase in self.phases if phase["measured"]), 0.0)


@attrs.frozen
class Progress:
    """How it stands, for people who watch."""

    stage: str
    done: float
    of: float
    """0 when nobody knows."""
    told: dict[str, int | float]
    """Sums over the processes, and so far the worst p99 in ms, which is a float; the most important first."""


Tell = Callable[[Progress], None]


class _Process:
    """A worker as its parent sees it: a process here, or at the other end of a connection."""

    def __init__(self, number: int, pipe: trio.abc.SendStream, lines: Lines, remote: Remote | None = None) -> None:
        self.number = number
        self.remote = remote
        self.told: dict[str, Any] = {}
        self.made = (0, 1)
        self.ready = False
        self.result: dict[str, Any] | None = None
        self.host: dict[str, Any] | None = None
        """What its host says of itself."""
        self._pipe = pipe
        self._lines = lines

    @property
    def name(self) -> str:
        """For people."""
        where = "" if self.remote is None else f" on {self.remote.address}"
        return f"process {self.number} of the generator{where}"

    async def order(self, order: dict[str, Any]) -> None:
        """Times are those of our clock."""
        if self.remote is not None:
            ahead = {key: order[key] + self.remote.ahead for key in TIMES if key in order}
            order = {**order, **ahead}
        try:
            await say(self._pipe, order)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Interrupted(f"{self.name} ended") from None

    async def listen(self) -> None:
        """Until it has told its result. Raises Failed."""
        try:
            async for line in self._lines:
                report = json.loads(line)
                if "failed" in report:
                    raise (Interrupted if self.ready else Failed)(report["failed"])
                self.ready = self.ready or "ready" in report
                self.told = report.get("progress", self.told)
                self.host = report.get("host", self.host)
                self.result = report.get("result", self.result)
                if "made" in report:
                    self.made = report["made"], report["of"]
                if self.result is not None:
                    return
        except trio.BrokenResourceError:
            pass
        raise Interrupted(f"{self.name} ended before its time")


class Run:
    """One run. `stop` ends it before its time; what was measured until then is told all the same."""

    def __init__(
        self, options: Options, tell: Tell, *, drain_seconds: float = DRAIN_SECONDS, gone_seconds: float = GONE_SECONDS
    ) -> None:
        """`drain_seconds`: how long the last texts are waited for."""
        self._options = options
        self._drain_seconds = drain_seconds
        self._gone_seconds = gone_seconds
        self._tell = tell
        self._measures = Measures()  # of the canary
        self._processes: list[_Process] = []
        self._ends: list[Callable[[], None]] = []
        self._phases: list[dict[str, Any]] = []
        self._stopped = trio.Event()
        self._partial = ""
        self._server_cpu = 0.0
        self._alive = 0.0
        self._played = (0.0, 0.0)  # when, in seconds since 1970

    def stop(self, why: str) -> None:
        """End it now."""
        self._partial = why
        self._stopped.set()

    async def run(self) -> Result:
        """Raises Failed."""
        options = self._options
        try:
            server = machine.find_server(options.place.address, options.pid)
        except machine.BadProcess as error:
            raise Failed(str(error)) from None
        watch = Watch(server, options.scraper, self._measures)
        about, began = machine.about(), time.time()
        async with trio.open_nursery() as nursery:
            try:
                await self._start(nursery, began)
                await self._ready()
                self._measures.began = time.monotonic() + START_SECONDS
                async with trio.open_nursery() as watching:
                    watching.start_soon(watch.look)
                    watching.start_soon(watch.canary)
                    since = time.time()
                    await self._play(server)
                    self._played = since, time.time()
                    watching.cancel_scope.cancel()
                await watch.sample()
                drain = 0.0 if self._partial == GONE else self._drain_seconds + options.scenario.away_seconds
                for process in self._processes:
                    await process.order({"stop": True, "drain_seconds": drain})
                await self._results(drain)
            finally:
                nursery.cancel_scope.cancel()
                for end in self._ends:
                    end()
        return self._result(watch, about, began)

    async def _start(self, nursery: trio.Nursery, began: float) -> None:
        options, part = self._options, self._options.part
        count = min(options.processes * max(1, len(options.workers)), part.units)
        for number in range(count):
            process = await self._process(number)
            self._processes.append(process)
            nursery.start_soon(process.listen)
            name = f"l{int(began * 1000) % 36**7:x}-{options.seed}-{number}"
            plain = scenario.to_plain(part.share(number, count))
            ca = options.ca
            if process.remote is not None and ca is not None:
                ca = await trio.Path(ca).read_text()
            job = Job(
                plain, options.url, ca, name, f"{options.seed}/{options.share[0]}/{number}", options.check,
                options.target,
            )  # fmt: skip
            await process.order(attrs.asdict(job))

    async def _process(self, number: int) -> _Process:
        workers = self._options.workers
        if workers:
            try:
                remote = await connect(workers[number % len(workers)], self._options.token)
            except NoWorker as error:
                raise Failed(str(error)) from None
            self._ends.append(remote.stream.socket.close)
            return _Process(number, remote.stream, remote.lines, remote)
        command = [sys.executable, "-m", "tools.loadgen.worker"]
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        self._ends.append(process.kill)
        return _Process(number, process.stdin, Lines(process.stdout))

    async def _ready(self) -> None:
        while not all(process.ready for process in self._processes):
            made = sum(process.made[0] for process in self._processes)
            of = sum(process.made[1] for process in self._processes)
            self._tell(Progress(MAKING, made, of, {}))
            if await self._pause(0.2):
                raise Interrupted(f"{self._partial} before the load began")

    async def _pause(self, seconds: float) -> bool:
        """True when the run was stopped."""
        with trio.move_on_after(seconds):
            await self._stopped.wait()
        return self._stopped.is_set()

    async def _play(self, server: machine.Server | None) -> None:
        at = self._measures.began
        for phase in self._options.scenario.phases:
            before = None if server is None else server.cpu_seconds()
            at = await self._phase(phase, at)
            after = None if server is None else server.cpu_seconds()
            if phase.measured and before is not None and after is not None:
                self._server_cpu += after - before
            if self._stopped.is_set():
                return
        if self._options.scenario.climb is not None:
            await self._climb(self._options.scenario.climb, at)

    async def _phase(self, phase: Phase, at: float) -> float:
        """Returns when it ends."""
        end = at + phase.seconds
        began = self._measures.began
        told = {"phase": phase.name, "begin": at, "end": end, "scale": phase.scale, "measured": phase.measured}
        for process in self._processes:
            await process.order({**told, "run_began": began})
        if phase.measured:
            self._measures.measure(at, end)
        while (left := end - time.monotonic()) > 0:
            if await self._pause(min(left, 0.25)):
                end = time.monotonic()
            sums = self._sums()
            self._tell(Progress(phase.name, max(0.0, phase.seconds - left), phase.seconds, sums))
            self._look_whether_it_is_gone(sums["live"])
        self._phases.append({**told, "begin": at - began, "end": end - began, "scale": list(phase.scale)})
        return end

    def _look_whether_it_is_gone(self, live: float) -> None:
        now = time.monotonic()
        if live or not self._alive:
            self._alive = now
        elif now - self._alive > self._gone_seconds:
            self.stop(GONE)

    async def _climb(self, climb: scenario.Climb, at: float) -> None:
        """Steps, until one takes too long. Of each the deliveries of that step alone count."""
        for step in range(climb.steps):
            scale = climb.factor**step
            at = await self._phase(Phase(f"step {step + 1}", climb.seconds, (scale, scale)), at)
            await trio.sleep(0.6)  # until everybody has told of it
            p99 = max((process.told.get("phase_p99_ms", 0.0) for process in self._processes), default=0.0)
            self._phases[-1]["p99_ms"] = p99
            if p99 > climb.p99_ms or self._stopped.is_set():
                return
            at = max(at, time.monotonic() + START_SECONDS)

    def _sums(self) -> dict[str, int | float]:
        told = [process.told for process in self._processes if process.told]
        done = [each["done"] for each in told]
        return {
            "texts": sum(each["counts"].get("texts", 0) for each in told),
            "delivered": sum(each.get("delivered", 0) for each in done),
            "p99": max((each["percentiles"]["delivered"].get("p99", 0.0) for each in told), default=0.0),
            "live": sum(each["live"] for each in told),
            "under way": sum(each["under_way"] for each in told),
            "lag p99": max((each["percentiles"]["lag"].get("p99", 0.0) for each in told), default=0.0),
        }

    async def _results(self, drain_seconds: float) -> None:
        """Waits as long as that may take."""
        with trio.move_on_after(drain_seconds + 60):
            while any(process.result is None for process in self._processes):
                self._tell(Progress("waiting for the last", 0, 0, self._sums()))
                await trio.sleep(0.05)
            return
        raise Interrupted("a process of the generator did not tell its result")

    def _result(self, watch: Watch, about: dict[str, Any], began: float) -> Result:
        results = [process.result for process in self._processes if process.result is not None]
        measures = self._measures
        for each in results:
            measures.add(Measures.from_plain(each["measures"]))
        names = ("people", "conversations", "entries", "unfinished", "pushes", "bytes_sent", "bytes_received")
        totals = {name: sum(each[name] for each in results) for name in names}
        totals["generator_cpu_seconds"] = sum(each["cpu_seconds"] for each in results)
        totals["server_cpu_seconds"] = self._server_cpu
        if hosts := self._hosts():
            about = {**about, **hosts}
        if watch.build:
            about = {**about, "server": watch.build}
        violations = [line for each in results for line in each["violations"]]
        gone = sum(each["gone"] for each in results)
        if gone and not self._partial:
            who = "1 connection" if gone == 1 else f"{gone:,} connections"
            self._partial = GONE if gone == totals["people"] else f"{who} did not come back"
        result = Result(
            self._options, measures, self._phases, violations, [], watch.samples, totals, about, began, self._partial,
            watch.counted, Watched(watch.server_name, *self._played) if watch.server_name else None,
        )  # fmt: skip
        if watch.server_is_gone:
            totals["server_cpu_seconds"] = 0.0  # nobody knows how much it was
        elif not self._server_cpu and watch.server_cores is not None:
            totals["server_cpu_seconds"] = watch.server_cores * result.measured_seconds
        others = "" if self._options.workers else _others(result, watch)
        result.invalid = _invalid(result, max((each["cpu_seconds"] for each in results), default=0.0), others)
        return result

    def _hosts(self) -> dict[str, str]:
        """Of each worker how late it and its machine were, and how well its clock is known."""
        hosts = {}
        for process in self._processes:
            if process.remote is not None and process.host is not None and process.result is not None:
                measures = Measures.from_plain(process.host["measures"])
                self._measures.add(measures)
                canary, lag = (
                    each.percentiles(series).get("p99", 0.0)
                    for each, series in ((measures, "canary"), (Measures.from_plain(process.result["measures"]), "lag"))
                )
                name = f"worker {process.remote.address}, process {process.number}"
                hosts[name] = (
                    f"lag p99 {lag:.1f} ms, canary p99 {canary:.1f} ms, clock to {process.remote.clock_ms:.1f} ms,"
                    f" {process.host['machine']['cores']} cores, {process.host['machine']['system']}"
                )
        return hosts


def _others(result: Result, watch: Watch) -> str:
    """What kept this machine busy beside the run; empty if nothing did."""
    if watch.others_cores is None or not result.measured_seconds:
        return ""
    cores = watch.others_cores - result.totals["generator_cpu_seconds"] / result.measured_seconds
    who = "other processes" if watch.knows_server else "processes other than the generator"
    return f"; {who} took {cores:.1f} of {result.machine['cores']} cores" if cores >= OTHERS_CORES else ""


def _invalid(result: Result, cpu_seconds: float, others: str) -> list[str]:
    why = []
    for series, limit, who in (("lag", LAG_P99_MS, "the generator"), ("canary", CANARY_P99_MS, "the machine")):
        p99 = result.measures.percentiles(series).get("p99", 0.0)
        if p99 > limit:
            why.append(f"{who} was late: {series} p99 is {p99:.1f} ms, more than {limit:.0f}{others}")
    if result.measured_seconds and cpu_seconds / result.measured_seconds > PROCESS_CPU:
        why.append("a process of the generator used a whole core: use more --processes, or another machine")
    if not result.measures.latencies.get("delivered") and result.options.scenario.conversations is not None:
        why.append("nothing was delivered in the measured phases")
    return why
