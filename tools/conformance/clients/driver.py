"""The command under test: a client, and the lines of JSON by which it is told what to do and says what it shows.

The client need not read its standard input. Lines it writes that are no JSON object are passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..trace import Trace

LINE_BYTES_MAX = 4 << 20
TOLD_LINES = 6
TOLD_CHARACTERS = 400
ENDING_SECONDS = 3.0

Answer = dict[str, Any]


class Driver:
    """One run of the command. `answers`: by the id of what was asked; `outcomes`: lines that nobody asked for."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], trace: Trace) -> None:
        self.answers: dict[int, Answer] = {}
        self.outcomes: list[Answer] = []
        self._trace = trace
        self._next = 1
        self._untraced: set[int] = set()
        self._received = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in end()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self.stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self.stdout.fileno(), False)
        trace.add("driver", sent=True, note=f"starts {Path(command[0]).name} {' '.join(command[1:])}".rstrip())

    @property
    def running(self) -> bool:
        """The process has not ended."""
        return self._process.poll() is None

    def tell(self, do: str, fields: Mapping[str, Any], *, traced: bool = True) -> int:
        """Writes one command and returns its id."""
        number, self._next = self._next, self._next + 1
        line = json.dumps({"id": number, "do": do, **fields}, ensure_ascii=False)
        if traced:
            self._trace.add("driver", sent=True, note=line)
        else:
            self._untraced.add(number)
        with contextlib.suppress(OSError):
            self._stdin.write(line.encode() + b"\n")
            self._stdin.flush()
        return number

    def read(self) -> bool:
        """Takes what the command has written. False at its end."""
        try:
            chunk = os.read(self.stdout.fileno(), 65536)
        except BlockingIOError:
            return True
        self._received += chunk
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            self._heard(line)
        return bool(chunk) and len(self._received) < LINE_BYTES_MAX

    def _heard(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        if said.get("id") not in self._untraced:
            self._trace.add("driver", sent=False, note=line.decode(errors="replace")[:TOLD_CHARACTERS])
        if isinstance(said.get("id"), int):
            self.answers[said["id"]] = said
        else:
            self.outcomes.append(said)

    def kill(self) -> None:
        """Ends it at once, as `kill -9` does, and everything it has started."""
        self._trace.add("driver", sent=True, note="kill -9")
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """Ends it, and says in the trace what it wrote to standard error."""
        self._signal(signal.SIGKILL)
        for stream in (self._stdin, self.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        for line in self.errors():
            self._trace.add("driver", sent=False, note=f"stderr: {line}")
        self._errors.close()

    def errors(self) -> list[str]:
        """The last lines of its standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").splitlines()[-TOLD_LINES:]

    def _signal(self, number: int) -> None:
        """The group is the command's own, and lives as long as a process of it is not waited for."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING_SECONDS)
