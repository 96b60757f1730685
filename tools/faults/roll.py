"""The harness' end of a crowd: starts the process, tells it what to do, hears what it has done."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import trio

from tools.faults.crowd import Member, Spec

PATIENCE_SECONDS = 30.0


class CrowdFailed(Exception):
    """The process of clients did not do what it was told; one line."""


@attrs.define
class Crowd:
    """One process of clients.

    folder      for its files
    url         where its clients connect
    module      what it runs
    """

    name: str
    folder: Path
    url: str
    members: list[Member]
    seed: int
    module: str = "tools.faults.crowd"
    life: int = 0
    _process: trio.Process | None = None
    _heard: list[dict[str, Any]] = attrs.Factory(list)
    _more: trio.Event = attrs.Factory(trio.Event)

    @property
    def notebook(self) -> Path:
        """What its connections carried, in all its lives."""
        return self.folder / f"{self.name}.notes"

    async def start(self, nursery: trio.Nursery, files: int = 0) -> None:
        """Start it, without waiting for it. `files`: how many it may open, 0 = as usual."""
        self.life += 1
        self._heard = []
        spec = Spec(self.url, str(self.notebook), self.members, self.seed, self.life)
        path = self.folder / f"{self.name}.json"
        path.write_text(spec.text())
        errors = (self.folder / f"{self.name}.log").open("ab")
        self._process = await trio.lowlevel.open_process(
            [sys.executable, "-m", self.module, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        errors.close()
        if files:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (files, hard))
        nursery.start_soon(self._listen, self._process, self._heard)

    async def _listen(self, process: trio.Process, heard: list[dict[str, Any]]) -> None:
        """Of one life alone: what a killed one still had to say is not for the next."""
        assert process.stdout is not None
        rest = b""
        async for data in process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            heard += [json.loads(line) for line in lines]
            self._more.set()
            self._more = trio.Event()
        heard.append({"event": "ended"})
        self._more.set()

    async def hear(self, event: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The next answer of this kind. Raises CrowdFailed."""
        with trio.move_on_after(seconds):
            while True:
                for place, heard in enumerate(self._heard):
                    if heard["event"] == event:
                        return self._heard.pop(place)
                    if heard["event"] == "ended":
                        raise CrowdFailed(f"crowd {self.name} ended: {self._last_words()}")
                await self._more.wait()
        raise CrowdFailed(f"crowd {self.name} was not {event} in {seconds:g} s")

    def _last_words(self) -> str:
        lines = (self.folder / f"{self.name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def tell(self, **order: Any) -> None:
        """Tell it to do something."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(json.dumps(order).encode() + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise CrowdFailed(f"crowd {self.name} ended: {self._last_words()}") from None

    async def stop(self) -> None:
        """Let everybody leave politely."""
        await self.tell(do="stop")
        await self.hear("stopped")
        assert self._process is not None
        await self._process.wait()
        self._process = None

    async def kill(self) -> None:
        """kill -9; harmless when it is gone."""
        if self._process is not None:
            with trio.CancelScope(shield=True):
                self._process.kill()
                await self._process.wait()
            self._process = None
