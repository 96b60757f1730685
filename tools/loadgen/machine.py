"""What this machine and the server on it did meanwhile: CPU, memory, and whether anything here was late.

A canary does nothing but sleep for ten milliseconds over and over; when it wakes late, everything on this machine did,
and latencies say nothing about the server. The server is watched when it runs here: its process is found by the port it
listens at, and its children count too.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil
import trio

from tools.loadgen.measures import Measures
from tools.loadgen.scrape import HISTOGRAMS, NOTHING, BadMetrics, Counted, Reading, Scraper

CANARY_SECONDS = 0.01
SAMPLE_SECONDS = 1.0


@attrs.frozen
class Sample:
    """One second."""

    second: float
    """Of the run."""
    server_cpu: float | None
    """Cores that the server used since the sample before."""
    server_mib: float | None
    """Memory that is its own."""
    machine_cpu: float
    """Cores that all processes of this machine used."""
    commits: float | None = None
    """Of the server's journal, a second; this and the following from its /metrics."""
    batch_entries: float | None = None
    """Entries in one commit, on average."""
    commit_ms: float | None = None
    """One commit, on average."""
    waiting: float | None = None
    """Entries that waited for the next commit."""
    loop_lag_ms: float | None = None
    """How late the server's event loop ran what was due, on average."""


@attrs.frozen
class Watched:
    """The server of which a run counted the CPU, and when."""

    name: str
    """Host and process, or, where only its metrics were read, their URL."""
    begin: float
    """Seconds since 1970."""
    end: float


class Server:
    """The server's processes, when they run on this machine."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._spent: dict[psutil.Process, float] = {}
        """CPU seconds of each, as last seen: those of a child that ended stay."""

    @property
    def is_gone(self) -> bool:
        """Whether the process that listened has ended."""
        with contextlib.suppress(psutil.Error):
            return not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE
        return True

    def _all(self) -> Iterator[psutil.Process]:
        yield self._process
        with contextlib.suppress(psutil.Error):
            yield from self._process.children(recursive=True)

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        return int(self._process.pid)

    def cpu_seconds(self) -> float | None:
        """User and system, of all of them; None when it is gone."""
        for process in self._all():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._spent[process] = times.user + times.system
        return None if self.is_gone else sum(self._spent.values())

    def mib(self) -> float | None:
        """Memory that is theirs alone; None when it is gone."""
        if self.is_gone:
            return None
        total = 0
        for process in self._all():
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().uss
        return total / 2**20


class BadProcess(Exception):
    """Why a process is no server that can be watched, in one line."""


def find_server(address: tuple[str, int], pid: int | None) -> Server | None:
    """By its number, or by where it listens; None when it is not here or belongs to somebody else.

    Raises BadProcess when the one of that number cannot be it.
    """
    if pid is not None:
        return Server(_listening(pid))
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == address[1:] and connection.pid:
                process = psutil.Process(connection.pid)
                if process.pid != os.getpid():
                    return Server(process)
    return None


def _listening(pid: int) -> psutil.Process:
    """Wherever it listens: the port in the URL may be that of a proxy. Raises BadProcess."""
    try:
        process = psutil.Process(pid)
        connections = [
            each for one in (process, *process.children(recursive=True)) for each in one.net_connections("tcp")
        ]
    except psutil.NoSuchProcess:
        raise BadProcess(f"--pid {pid}: there is no such process") from None
    except psutil.AccessDenied:
        raise BadProcess(f"--pid {pid}: it may not be looked at; run this as its user or as root") from None
    if not any(each.status == psutil.CONN_LISTEN for each in connections):
        raise BadProcess(f"--pid {pid}: it is no server, for it listens nowhere")
    return process


@attrs.frozen
class _Moment:
    """Counters that rise, as of one moment."""

    at: float
    server_cpu: float | None
    machine_cpu: float
    own_cpu: float
    """Of this process."""
    reading: Reading | None


class Watch:
    """Samples of a run."""

    def __init__(self, server: Server | None, scraper: Scraper | None, measures: Measures) -> None:
        self.samples: list[Sample] = []
        self.server_cores: float | None = None
        """That the server used in the measured phases, as the samples tell; None when nobody tells."""
        self.others_cores: float | None = None
        """That neither this process nor the server, where its process is known, used in the measured phases."""
        self.counted: dict[str, Counted] = {}
        """What the server counted in the measured phases, to a second."""
        self.build = ""
        self._server = server
        self._scraper = scraper
        self._measures = measures
        self._before: _Moment | None = None
        self._told = (0.0, 0.0)  # CPU seconds of the server, and in how many
        self._others = (0.0, 0.0)

    @property
    def server_name(self) -> str:
        """As in Watched; empty when nobody tells its CPU."""
        if self._server is not None:
            return f"{platform.node()}, process {self._server.pid}"
        return "" if self._scraper is None or self.server_cores is None else self._scraper.url

    @property
    def knows_server(self) -> bool:
        """Whether its process was found here."""
        return self._server is not None

    @property
    def server_is_gone(self) -> bool:
        """It was found here, and has ended."""
        return self._server is not None and self._server.is_gone

    async def look(self) -> None:
        """A sample a second, until cancelled."""
        self._before = await self._moment()
        while True:
            await trio.sleep(SAMPLE_SECONDS)
            await self.sample()

    async def sample(self) -> None:
        """One more: of the end of a run, which may have been shorter than a second."""
        before, self._before = self._before, await self._moment()
        if before is not None:
            self._compare(before, self._before)

    async def _moment(self) -> _Moment:
        reading = None
        if self._scraper is not None:
            with contextlib.suppress(BadMetrics):  # then this second has none
                reading = await trio.to_thread.run_sync(self._scraper.read, abandon_on_cancel=True)
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0)
        told = None if reading is None else reading.cpu_seconds
        cpu = told if self._server is None else self._server.cpu_seconds()
        return _Moment(time.monotonic(), cpu, busy, time.process_time(), reading)

    def _compare(self, before: _Moment, now: _Moment) -> None:
        seconds = now.at - before.at
        measured = self._measures.counts_at((before.at + now.at) / 2)
        cpu = None if now.server_cpu is None or before.server_cpu is None else now.server_cpu - before.server_cpu
        if cpu is not None and cpu < 0:
            cpu = None  # another process answers at /metrics
        if measured and cpu is not None:
            self._told = self._told[0] + cpu, self._told[1] + seconds
            self.server_cores = self._told[0] / self._told[1]
        if measured:
            others = now.machine_cpu - before.machine_cpu - (now.own_cpu - before.own_cpu)
            if self._server is not None:
                others -= cpu or 0.0
            self._others = self._others[0] + others, self._others[1] + seconds
            self.others_cores = self._others[0] / self._others[1]
        mib = None if now.reading is None else now.reading.mib
        if self._server is not None:
            mib = self._server.mib()
        sample = Sample(
            now.at - self._measures.began,
            None if cpu is None else cpu / seconds,
            mib,
            (now.machine_cpu - before.machine_cpu) / seconds,
        )
        if now.reading is not None and before.reading is not None:
            self.build = now.reading.build
            counted = {name: each - before.reading.histograms[name] for name, each in now.reading.histograms.items()}
            sample = _with_counted(sample, now.reading, counted, seconds)
            if measured:
                self.counted = {name: self.counted.get(name, NOTHING) + each for name, each in counted.items()}
        self.samples.append(sample)

    async def canary(self) -> None:
        """Until cancelled."""
        while True:
            due = time.monotonic() + CANARY_SECONDS
            await trio.sleep(CANARY_SECONDS)
            self._measures.latency("canary", due, max(due, time.monotonic()))


def _with_counted(sample: Sample, reading: Reading, counted: dict[str, Counted], seconds: float) -> Sample:
    batches, commits, lag = (counted[name] for name in HISTOGRAMS)
    return attrs.evolve(
        sample,
        commits=batches.count / seconds,
        batch_entries=batches.mean,
        commit_ms=_ms(commits.mean),
        waiting=reading.waiting,
        loop_lag_ms=_ms(lag.mean),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def about() -> dict[str, Any]:
    """What a reader of figures must know of this machine."""
    flags = (sysconfig.get_config_var("CONFIG_ARGS") or "").replace("'", "").split()
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
        "python_build": " ".join(flag for flag in flags if flag.startswith(("--enable-opt", "--with-lto"))) or "plain",
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
