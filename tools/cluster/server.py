"""`wirechat serve` as a child process that can be killed, stopped and starved, and started again at the same place. It
does not outlive us.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import attrs
import trio

from tools.cluster.engine import free_port
from tools.cluster.guard import Guard

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.02
SCHEMES = {"wirechat": "--tcp", "ws": "--ws"}


class ServerFailed(Exception):
    """The server did not do what a server does; one line."""


@attrs.define
class Server:
    """One server. `urls` by scheme, once it listens; the same after each start.

    place           the flags that say where its data is, unless the environment does
    log             file for what it says; each life goes on where the one before ended
    environment     on top of ours without settings of a server: settings, and what a fault needs
    tree            the source tree to run, another one for a planted bug
    schemes         of the addresses it listens at, each with its flag
    """

    place: Sequence[str]
    log: Path
    environment: Mapping[str, str] = attrs.Factory(dict)
    tree: Path = ROOT
    schemes: Mapping[str, str] = attrs.field(default=SCHEMES, kw_only=True)
    urls: dict[str, str] = attrs.Factory(dict)
    _process: trio.Process | None = None
    _guard: Guard | None = None
    _out: IO[bytes] | None = None
    _told_from: int = 0

    @property
    def pid(self) -> int:
        """Of the running process. Raises ServerFailed when there is none."""
        if self._process is None:
            raise ServerFailed("the server does not run")
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it listens. Raises ServerFailed with its last words."""
        places = [word for scheme, flag in self.schemes.items() for word in (flag, self._address(scheme))]
        command = [sys.executable, "-m", "wirechat.cli.main", "serve", *self.place, *places]
        ours = {name: value for name, value in os.environ.items() if not name.startswith("WIRECHAT_")}
        self._out = self.log.open("ab")
        self._told_from = self.log.stat().st_size
        self._guard = Guard(signal.SIGTERM)
        self._process = await trio.lowlevel.open_process(
            command,
            cwd=self.tree,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._out,
            process_group=self._guard.group,  # Ctrl-C is for whoever runs this, and ends it in order
            env={**ours, "PYTHONPATH": str(self.tree), **self.environment},
        )
        with trio.move_on_after(START_SECONDS):
            while self._process.returncode is None:
                heard = [str(line["url"]) for line in self.told("listening")]
                if len(heard) == len(self.schemes):
                    self.urls = {url.partition("://")[0]: url for url in heard}
                    return
                await trio.sleep(LOOK_SECONDS)
        raise ServerFailed(f"the server did not start: {self.last_words()}")

    def _address(self, scheme: str) -> str:
        return self.urls[scheme].partition("://")[2] if scheme in self.urls else f"127.0.0.1:{free_port()}"

    def told(self, event: str) -> list[dict[str, Any]]:
        """What this life has said so far about this."""
        lines = self.log.read_bytes()[self._told_from :].split(b"\n")[:-1]
        said = [json.loads(line) for line in lines if line.startswith(b"{")]
        return [line for line in said if line["event"] == event]

    def last_words(self) -> str:
        """The last line it has written."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            await self._gone(self._process)

    async def terminate(self) -> None:
        """SIGTERM, and wait until it has drained and ended. Raises ServerFailed when it does not, or does not run."""
        process = self._process
        if process is None:
            raise ServerFailed("the server does not run")
        process.terminate()
        with trio.move_on_after(STOP_SECONDS) as patience:
            await self._gone(process)
        if patience.cancelled_caught:
            await self.kill()
            raise ServerFailed(f"the server did not end in {STOP_SECONDS:g} s")
        if process.returncode:
            raise ServerFailed(f"the server ended with status {process.returncode}: {self.last_words()}")

    async def _gone(self, process: trio.Process) -> None:
        await process.wait()
        self._process = None
        if self._guard is not None:
            self._guard.close()
        if self._out is not None:
            self._out.close()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def limit_files(self, count: int) -> int:
        """From now on it may have that many open files; how many it might have before."""
        before, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (count, hard))
        return before

    @property
    def open_files(self) -> int:
        """How many it has."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def cpu_seconds(self) -> float:
        """What this life has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_bytes(self) -> int:
        """Its memory that is in RAM."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ServerFailed("the server has ended")
