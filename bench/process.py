"""The measured processes, seen through the kernel: their CPU time, their memory, their waits for the disk.

Nothing is asked of a process itself, so that measuring changes nothing in it. CPU time and memory come from /proc.
Waits for the disk (fsync, fdatasync) are counted by strace, which stops the process at exactly those calls; a traced
process is never timed. All are our own children, never daemons, and are ended by their handles.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.benchmark import BenchError
from tools.cluster.engine import Engine, EngineError

SYNC = re.compile(r"^\d+ +(\d+\.\d+) (?:fsync|fdatasync)\(", re.MULTILINE)
STRACE = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-ttt", "-e", "trace=fsync,fdatasync")
"""-D: the traced process stays our own child; --seccomp-bpf: all other calls run at full speed."""

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)


class Processes:
    """Processes, their children and theirs."""

    def __init__(self, *roots: int) -> None:
        self._roots = roots
        self._spent: dict[tuple[int, int], int] = {}
        """CPU time of each process and thread as last seen: that of one that has ended stays."""

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

    def cpu_ns(self) -> int:
        """CPU time, user and system, of all their threads; of one that ended what it had when last asked."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with contextlib.suppress(OSError):
                        told = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
                        self._spent[pid, int(thread)] = int(told.split()[0])
        return sum(self._spent.values())

    def private_dirty_kib(self) -> int:
        """Memory that is their own and written to; what is shared or could be read again from a file does not count."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Private_Dirty:"):
                        total += int(line.split()[1])
        return total


class Process(Processes):
    """A running server or relay of a work tree. Ends with the `with` block."""

    def __init__(self, module: str, *arguments: str, root: Path, scratch: Path, traced: bool = False) -> None:
        """Start `python -m module arguments` with the code of `root` and wait until it listens; `scratch` is a
        directory for its output. Raises BenchError.
        """
        self._trace = scratch / "trace"
        command: Sequence[str] = (sys.executable, "-m", module, *arguments)
        if traced:
            command = (*STRACE, "-o", str(self._trace), *command)
        self._engine = _Python(command, 0, scratch / "log", environment={"PYTHONPATH": str(root)})
        try:
            self._engine.start()
        except EngineError as error:
            raise BenchError(str(error)) from None
        super().__init__(self._engine.pid)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        self._engine.stop()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._engine.pid

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._engine.port

    def syncs(self, since: float, until: float) -> int:
        """How often it waited for the disk between two times of the wall clock. Traced processes only."""
        return sum(since <= float(at) <= until for at in SYNC.findall(self._trace.read_text()))


class _Python(Engine):
    """It says where it listens."""

    def ready(self) -> bool:
        for line in self.log.read_text().splitlines():
            if line.startswith("{") and line.endswith("}") and (url := json.loads(line).get("url")):
                self.port = int(url.rpartition(":")[2])
        return self.port > 0


@contextmanager
def running(
    command: Sequence[object], scratch: Path, port: int, *, environment: Mapping[str, str] | None = None
) -> Iterator[Processes]:
    """Any other server, once it listens at the port; it ends with the block. Raises BenchError."""
    engine = Engine(command, port, scratch / f"{Path(str(command[0])).name}.log", environment=environment)
    try:
        engine.start()
        yield Processes(engine.pid)
    except EngineError as error:
        raise BenchError(str(error)) from None
    finally:
        engine.stop()


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
