"""A process that serves a port on this machine: started, asked to end, killed, paused and started again by its handle,
never by its name. It does not outlive us.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.cluster.guard import Guard

START_SECONDS = 60.0
"""A slow machine that has much to do."""

STOP_SECONDS = 10.0
LOOK_SECONDS = 0.02
PORT_MIN = 10_000
_given: set[int] = set()
"""Ports that somebody here was given, and may not listen at yet."""
INSTALL = "pip install 'wirechat[demo]'"


class EngineError(Exception):
    """It does not run; the text is its last line."""


def free_port() -> int:
    """A port of loopback that nobody listens at, and that no outgoing connection is given: while a server is away its
    clients try to connect, and one that is given the server's own port connects to itself and keeps it.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(PORT_MIN, lowest)
        if port in _given:
            continue
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


class Engine:
    """Runs `command` with its log in a file. It is not started yet. `stop` asks it to end, `orphaned` when we are
    gone.
    """

    def __init__(
        self, command: Sequence[object], port: int, log: Path, *, user: str | None = None,
        stop: signal.Signals = signal.SIGTERM, orphaned: signal.Signals = signal.SIGTERM,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`environment`: on top of ours."""
        self.port = port
        self.user = user
        """Who it runs as; None: as we do."""
        self.log = log
        self._command = [str(word) for word in command]
        self._stop = stop
        self._orphaned = orphaned
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None
        self._paused: list[int] = []

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens. Raises EngineError."""
        self._process = self._run()
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise EngineError(f"{Path(self._command[0]).name} did not start: {self._last_line()}")
            time.sleep(LOOK_SECONDS)

    def _run(self) -> subprocess.Popen[bytes]:
        self._release()  # it may have ended by itself
        self._guard = Guard(self._orphaned)
        with self.log.open("ab") as out:
            try:
                # not in our group: Ctrl-C is for whoever runs this, and ends it in order
                return subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, user=self.user, cwd="/",
                    process_group=self._guard.group, env={**os.environ, **self._environment},
                )  # fmt: skip
            except FileNotFoundError:
                raise EngineError(f"there is no program {self._command[0]}: {INSTALL}") from None

    def ready(self) -> bool:
        """It takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def stop(self) -> None:
        """Ask it to end, and insist."""
        self._end(self._stop)

    def kill(self) -> None:
        """End it at once, with all its processes."""
        if self.running:
            family = self._family()
            for pid in family:
                _signal(pid, signal.SIGKILL)
            self._end(signal.SIGKILL)
            while any(map(_alive, family)):
                time.sleep(LOOK_SECONDS)

    @property
    def running(self) -> bool:
        """It was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def _family(self) -> list[int]:
        """Itself and the processes it has made, all of them stopped, so that no more are made meanwhile."""
        found, looked = [self.pid], 0
        while looked < len(found):
            pid = found[looked]
            _signal(pid, signal.SIGSTOP)
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            looked += 1
        return found

    def crash(self, how: signal.Signals) -> None:
        """End it by this signal, without insisting on more than that it ends. Raises subprocess.TimeoutExpired."""
        self.send_signal(how)
        assert self._process is not None
        self._process.wait(STOP_SECONDS)

    def pause(self) -> None:
        """It stays, with its connections, and does nothing."""
        self._paused = self._family()

    def resume(self) -> None:
        """It goes on."""
        for pid in self._paused:
            _signal(pid, signal.SIGCONT)
        self._paused = []

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, how: signal.Signals) -> None:
        if self.running:
            assert self._process is not None
            self._process.send_signal(how)
            self.resume()  # a paused one would not hear it
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._release()

    def _release(self) -> None:
        """It has ended; nobody needs to look after it."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _alive(pid: int) -> bool:
    """Neither gone nor a zombie, which nobody may ever bury where no init runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    """To one that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
