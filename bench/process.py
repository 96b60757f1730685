"""The measured process, seen through the kernel: its CPU time, its memory, its waits for the disk.

Nothing is asked of the process itself, so that measuring changes nothing in it. CPU time and memory come from /proc.
Waits for the disk (fsync, fdatasync) are counted by strace, which stops the process at exactly those calls; a traced
process is never timed.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.benchmark import BenchError

START_SECONDS = 20.0
STOP_SECONDS = 15.0

SYNC = re.compile(r"^\d+ +(\d+\.\d+) (?:fsync|fdatasync)\(", re.MULTILINE)
STRACE = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-ttt", "-e", "trace=fsync,fdatasync")
"""-D: the traced process stays our own child; --seccomp-bpf: all other calls run at full speed."""

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)


class Process:
    """A running server or relay. Ends with the `with` block."""

    def __init__(self, module: str, *arguments: str, root: Path, scratch: Path, traced: bool = False) -> None:
        """Start `python -m module arguments` in `root` and wait until it listens; `scratch` is a directory for its
        output. Raises BenchError.
        """
        self._log = scratch / "log"
        self._trace = scratch / "trace"
        command: Sequence[str] = (sys.executable, "-m", module, *arguments)
        if traced:
            command = (*STRACE, "-o", str(self._trace), *command)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.port = self._listening()
        except BenchError:
            self.stop()
            raise

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _listening(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            for line in self._log.read_text().splitlines():
                if line.startswith("{") and line.endswith("}") and (url := json.loads(line).get("url")):
                    return int(url.rpartition(":")[2])
            time.sleep(0.02)
        raise BenchError(f"the server did not start: {self.last_words()}")

    def last_words(self) -> str:
        """The last line it wrote."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def cpu_ns(self) -> int:
        """CPU time, user and system, of all its threads."""
        tasks = Path(f"/proc/{self._process.pid}/task")
        return sum(int((tasks / task / "schedstat").read_text().split()[0]) for task in os.listdir(tasks))

    def private_dirty_kib(self) -> int:
        """Memory that is its own and written to; what it shares or could read again from a file does not count."""
        rollup = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty:"))

    def syncs(self, since: float, until: float) -> int:
        """How often it waited for the disk between two times of the wall clock. Traced processes only."""
        return sum(since <= float(at) <= until for at in SYNC.findall(self._trace.read_text()))

    def stop(self) -> None:
        """Ask it to stop, and insist."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="wirechat-bench-") as path:
        yield Path(path)


@contextmanager
def serve(root: Path, *listen: str, data: Path | None = None, traced: bool = False) -> Iterator[Process]:
    """The server of a work tree, with a fresh store unless there is one in `data`."""
    with scratch() as folder:
        arguments = ("serve", "--data", str(data or folder / "data"), *listen)
        with Process("wirechat.cli.main", *arguments, root=root, scratch=folder, traced=traced) as process:
            yield process


@contextmanager
def counted_syncs(trace: Path) -> Iterator[Callable[[], int]]:
    """strace looks at this process meanwhile; what is given says afterwards how often it waited for the disk. Raises
    BenchError.
    """
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    command = ("strace", "-f", "-ttt", "-e", "trace=fsync,fdatasync", "-o", str(trace), "-p", str(os.getpid()))
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    if "attached" not in (line := tracer.stderr.readline()):
        raise BenchError(f"strace may not look at this process: {line.strip()}")
    try:
        yield lambda: len(SYNC.findall(trace.read_text()))
    finally:
        tracer.terminate()
        tracer.communicate()


def can_trace() -> bool:
    """Whether strace is here and allowed to do its work."""
    if shutil.which(STRACE[0]) is None:
        return False
    tried = subprocess.run([*STRACE, "-o", os.devnull, "true"], capture_output=True, check=False)
    return tried.returncode == 0
