"""A process that serves a port on this machine: started, asked to end, killed, paused and started again by its handle,
never by its name.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

START_SECONDS = 60.0
"""A slow machine that has much to do."""

STOP_SECONDS = 10.0
LOOK_SECONDS = 0.02


class EngineError(Exception):
    """It does not run; the text is its last line."""


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Engine:
    """Runs `command` with its log in a file. It is not started yet."""

    def __init__(
        self, command: Sequence[object], port: int, log: Path, *, user: str | None = None,
        stop: signal.Signals = signal.SIGTERM,
    ) -> None:  # fmt: skip
        self.port = port
        self.log = log
        self._command = [str(word) for word in command]
        self._user = user
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens. Raises EngineError."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, user=self._user, cwd="/"
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise EngineError(f"{Path(self._command[0]).name} did not start: {self._last_line()}")
            time.sleep(LOOK_SECONDS)

    def ready(self) -> bool:
        """It takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def stop(self) -> None:
        """Ask it to end, and insist."""
        self._end(self._stop)

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def crash(self, how: signal.Signals) -> None:
        """End it by this signal, without insisting on more than that it ends. Raises subprocess.TimeoutExpired."""
        self.send_signal(how)
        assert self._process is not None
        self._process.wait(STOP_SECONDS)

    def pause(self) -> None:
        """It stays, with its connections, and does nothing."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self.send_signal(signal.SIGCONT)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # a paused one would not hear it
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
