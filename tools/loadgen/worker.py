"""One process of a load: `python -m tools.loadgen.worker`. Orders come as lines of JSON, and so do its reports.

In: the job; then {"phase": name, "begin": …, "end": …, "scale": [a, b], "measured": …} for each phase,
{"stop": true, "drain_seconds": …}.
Out: {"made": n, "of": m} while everything is made, {"ready": true}, twice a second {"progress": …}, in the end
{"result": …}, or {"failed": "why"}.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import time
from collections.abc import Callable
from random import Random
from typing import Any

import attrs

from tools.loadgen import descriptors, scenario, targets
from tools.loadgen.activities import Activity, activities
from tools.loadgen.crowd import Crowd
from tools.loadgen.judge import Checking, Judge, Silent
from tools.loadgen.loop import READ, Loop
from tools.loadgen.measures import Measures, histogram, record
from tools.loadgen.people import People
from tools.loadgen.place import find_place
from tools.loadgen.schedule import Stretch
from tools.loadgen.targets.crowd import Crowd as OtherCrowd

PROGRESS_SECONDS = 0.5

STALLED_SECONDS = 60.0
"""Without any progress while everything is made: then it is given up."""
SILENT_SECONDS = 15.0
"""The same before the first account: what does not answer at all is no server of ours."""


@attrs.frozen
class Job:
    """What a process has to do."""

    scenario: dict[str, Any]
    url: str
    ca: str | None
    name: str
    """Begins the handles of its people."""
    seed: str
    check: bool
    target: str = targets.OWN


class Orders:
    """Lines from whoever started this process."""

    def __init__(self, loop: Loop, obey: Callable[[dict[str, Any]], None], gone: Callable[[], None]) -> None:
        self._loop = loop
        self._obey = obey
        self._gone = gone
        self._tail = b""

    def fileno(self) -> int:
        return 0

    def ready(self, events: int) -> None:
        data = os.read(0, 65536)
        if not data:
            self._loop.forget(self)
            self._gone()
            return
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))


class Worker:
    """Makes everything, does what it is told, reports."""

    def __init__(self, job: Job) -> None:
        self._loop = Loop()
        self._measures = Measures()
        self._judge: Judge = Checking() if job.check else Silent()
        self._drain_seconds = 0.0
        self._plan = scenario.from_plain(job.scenario)
        self._chance = Random(job.seed)
        self._crowd = self._people(job)
        self._activities: list[Activity] = []
        self._stopping = self._abandoned = False
        self._measured = False
        self._cpu = 0.0
        self._traffic = (0, 0)

    def _people(self, job: Job) -> People:
        loop, plan, measures = self._loop, self._plan, self._measures
        if job.target == targets.OWN:
            return Crowd(loop, find_place(job.url, job.ca), plan, job.name, self._chance, measures, self._judge)
        return OtherCrowd(loop, targets.find(job.target, job.url, job.ca), plan, job.name, measures)

    def run(self) -> None:
        """Until the result is told."""
        if why := descriptors.too_few(self._plan.people):
            _say({"failed": why})
            return
        self._loop.watch(Orders(self._loop, self._obey, self._leave), READ)
        self._crowd.begin()
        if not self._make():
            return
        self._activities = activities(self._plan, self._crowd, self._chance)
        gc.collect()
        gc.freeze()
        _say({"ready": True})
        self._loop.after(PROGRESS_SECONDS, self._progress)
        self._loop.run(lambda: self._stopping, float("inf"))
        for activity in self._activities:
            activity.stop()
        self._drain()
        _say({"result": self._result()})
        self._crowd.close()

    def _make(self) -> bool:
        crowd, made, moved = self._crowd, -1, self._loop.now
        while not self._loop.run(
            lambda: crowd.ready or self._abandoned or crowd.failure is not None, self._loop.now + 0.5
        ):
            _say({"made": crowd.made, "of": crowd.steps})
            if crowd.made != made:
                made, moved = crowd.made, self._loop.now
            elif self._loop.now - moved > (STALLED_SECONDS if made else SILENT_SECONDS):
                crowd.failure = crowd.complaint or "the server does not answer"
        if crowd.failure is not None:
            _say({"failed": crowd.failure})
        return crowd.ready and not self._abandoned

    def _obey(self, order: dict[str, Any]) -> None:
        if order.get("stop"):
            self._stopping, self._drain_seconds = True, order["drain_seconds"]
            return
        stretch = Stretch(order["begin"], order["end"], *order["scale"])
        self._measures.began = order["run_began"]
        if order["measured"]:
            self._measures.measure(stretch.begin, stretch.end)
        self._loop.at(stretch.begin, lambda: self._begin(order["phase"], stretch, order["measured"]))

    def _begin(self, phase: str, stretch: Stretch, measured: bool) -> None:
        if measured and not self._measured:
            self._measured = True
            self._cpu, self._traffic = time.process_time(), self._bytes()
        self._measures.begin_phase(stretch.begin)
        for activity in self._activities:
            activity.begin(phase, stretch)

    def _leave(self) -> None:
        self._stopping = self._abandoned = True

    def _progress(self) -> None:
        gc.freeze()  # what the judge keeps is kept to the end: a collection that walks over all of it would be lag
        measures = self._measures
        told = {
            "counts": dict(measures.counts),
            "percentiles": {series: measures.percentiles(series) for series in ("delivered", "lag")},
            "done": {series: found.get_total_count() for series, found in measures.latencies.items()},
            "under_way": self._crowd.under_way,
            "phase_p99_ms": self._phase_p99_ms(),
            "live": sum(peer.is_live for peer in self._crowd.peers),
        }
        _say({"progress": told})
        if not self._stopping:
            self._loop.after(PROGRESS_SECONDS, self._progress)

    def _phase_p99_ms(self) -> float:
        """Of the texts that arrived in this phase and of those that have not, which take as long as they are old."""
        found = histogram()
        found.add(self._measures.phase)
        for talk in self._crowd.talks:
            for said in talk.under_way.values():
                record(found, self._loop.now - said.due)
        return round(float(found.get_value_at_percentile(99)) / 1000, 3)

    def _bytes(self) -> tuple[int, int]:
        traffic = [peer.traffic for peer in self._crowd.peers]
        return sum(sent for sent, _ in traffic), sum(received for _, received in traffic)

    def _drain(self) -> None:
        """What is under way and who is away are waited for; what has not come then is lost."""
        self._cpu = time.process_time() - self._cpu
        sent, received = self._bytes()
        self._traffic = sent - self._traffic[0], received - self._traffic[1]
        self._loop.run(
            lambda: self._abandoned or self._crowd.is_settled,
            self._loop.now + self._drain_seconds,
        )

    def _result(self) -> dict[str, Any]:
        crowd = self._crowd
        gone = sum(not peer.is_live for peer in crowd.peers)
        missing = [*crowd.waiting(), *crowd.lacking()]
        return {
            "measures": self._measures.as_plain(),
            "violations": [*self._judge.verdict(), *(missing if not gone else ())],
            "gone": gone,
            "people": len(crowd.peers),
            "conversations": len(crowd.talks),
            "entries": sum(talk.head for talk in crowd.talks),
            "unfinished": crowd.under_way,
            "pushes": sum(peer.pushes for peer in crowd.peers),
            "bytes_sent": self._traffic[0],
            "bytes_received": self._traffic[1],
            "cpu_seconds": self._cpu,
        }


def _say(report: dict[str, Any]) -> None:
    line = json.dumps(report).encode() + b"\n"
    while line:
        line = line[os.write(1, line) :]


def main() -> None:
    """Read the job and do it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers
    descriptors.raise_limit()
    line = b""
    while not line.endswith(b"\n"):
        select.select([0], [], [])
        if not (byte := os.read(0, 1)):
            return
        line += byte
    try:
        Worker(Job(**json.loads(line))).run()
    except Exception as error:
        _say({"failed": f"the generator itself failed: {type(error).__name__}: {error}"})
        raise


if __name__ == "__main__":
    main()
