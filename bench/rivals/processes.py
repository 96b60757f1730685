"""A server with all its processes, seen through the kernel: our own child, never a daemon, ended by its handle."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.benchmark import BenchError

START_SECONDS = 30.0
STOP_SECONDS = 10.0

Cpu = dict[tuple[int, int], int]
"""CPU time in nanoseconds by process and thread."""


class Processes:
    """Processes, their children and theirs."""

    def __init__(self, *roots: int) -> None:
        self._roots = roots

    def and_those_of(self, other: Processes) -> Processes:
        """Both together."""
        return Processes(*self._roots, *other._roots)

    def pids(self) -> list[int]:
        """All of them."""
        found = list(self._roots)
        for pid in found:
            with contextlib.suppress(OSError):
                for thread in os.listdir(f"/proc/{pid}/task"):
                    found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
        return found

    def cpu(self) -> Cpu:
        """Of each thread, user and system; `spent` compares two."""
        found: Cpu = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with contextlib.suppress(OSError):
                        told = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
                        found[pid, int(thread)] = int(told.split()[0])
        return found

    def private_dirty_kib(self) -> int:
        """Memory that is their own and written to."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Private_Dirty:"):
                        total += int(line.split()[1])
        return total


def spent_ns(before: Cpu, after: Cpu) -> int:
    """CPU time between the two. What a thread spent that has ended meanwhile is not known."""
    return sum(nanoseconds - before.get(thread, 0) for thread, nanoseconds in after.items())


@contextmanager
def running(
    command: Sequence[str | Path],
    scratch: Path,
    port: int,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Processes]:
    """Start it in `scratch` and wait until it listens at the port; it ends with the block. Raises BenchError."""
    log = scratch / f"{Path(command[0]).name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=scratch, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        _wait(process, port, log)
        yield Processes(process.pid)
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise BenchError(f"{Path(str(process.args[0])).name} did not start: {lines[-1] if lines else 'it said nothing'}")  # type: ignore[index]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, and insist."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
