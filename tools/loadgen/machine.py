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
import time
from collections.abc import Iterator
from typing import Any

import attrs
import psutil
import trio

from tools.loadgen.measures import Measures

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


class Server:
    """The server's processes, when they run on this machine."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    def _all(self) -> Iterator[psutil.Process]:
        yield self._process
        with contextlib.suppress(psutil.Error):
            yield from self._process.children(recursive=True)

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        return int(self._process.pid)

    def cpu_seconds(self) -> float:
        """User and system, of all of them."""
        total = 0.0
        for process in self._all():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def mib(self) -> float:
        """Memory that is theirs alone."""
        total = 0
        for process in self._all():
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().uss
        return total / 2**20


def find_server(address: tuple[str, int], pid: int | None) -> Server | None:
    """By its number, or by where it listens; None when it is not here or belongs to somebody else."""
    with contextlib.suppress(psutil.Error, OSError):
        if pid is not None:
            return Server(psutil.Process(pid))
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == address[1:] and connection.pid:
                process = psutil.Process(connection.pid)
                if process.pid != os.getpid():
                    return Server(process)
    return None


class Watch:
    """Samples of a run."""

    def __init__(self, server: Server | None, measures: Measures) -> None:
        self.samples: list[Sample] = []
        self._server = server
        self._measures = measures

    async def look(self) -> None:
        """A sample a second, until cancelled."""
        before, at = self._cpu(), time.monotonic()
        while True:
            await trio.sleep(SAMPLE_SECONDS)
            now, cpu = time.monotonic(), self._cpu()
            server = None if self._server is None else (cpu[0] - before[0]) / (now - at)
            mib = None if self._server is None else self._server.mib()
            machine = (cpu[1] - before[1]) / (now - at)
            self.samples.append(Sample(now - self._measures.began, server, mib, machine))
            before, at = cpu, now

    def _cpu(self) -> tuple[float, float]:
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0)
        return 0.0 if self._server is None else self._server.cpu_seconds(), busy

    async def canary(self) -> None:
        """Until cancelled."""
        while True:
            due = time.monotonic() + CANARY_SECONDS
            await trio.sleep(CANARY_SECONDS)
            self._measures.latency("canary", due, max(due, time.monotonic()))


def about() -> dict[str, Any]:
    """What a reader of a report must know of this machine."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "load_before": round(os.getloadavg()[0], 2),
    }
