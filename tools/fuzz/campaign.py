"""A run of the fuzzer: one process after another that hunts, until there were enough inputs or the time is over.

A process of its own, because a decoder in C that fails may take its process with it, and because libFuzzer leaves as it
likes. What ends it is an input to be kept: libFuzzer has written it down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tools.fuzz import corpus
from tools.fuzz.targets import TARGETS
from tools.simulate.bugs import ROOT

SLICE = {"codec": 2_000_000, "sessions": 20_000}
"""Inputs of one process; the next one begins with another seed and empty memory."""

KEPT_BYTES_MAX = {"codec": 1_500, "sessions": 3_000}


@attrs.define
class Figures:
    """What was done so far, over all processes."""

    done: int = 0
    cpu_seconds: float = 0.0
    grown_objects: int = 0
    """The most that a process had more at its end than after its warm-up."""
    grown_kib: int = 0
    """The most that its largest size in memory grew meanwhile, the fuzzer's own inputs included."""
    more: dict[str, float] = attrs.Factory(dict)
    """What the target counts beside."""
    faults: list[str] = attrs.Factory(list)
    """Crashes, wrong results, frames that take too long, memory that grows."""

    def with_process(self, told: dict[str, Any]) -> Figures:
        """These and what a process tells of itself: counts add up, what is slowest or largest is the larger."""
        more = dict(self.more)
        for name, value in told.items():
            if name not in _OF_ALL:
                more[name] = max(more.get(name, 0), value) if name.startswith("slowest") else more.get(name, 0) + value
        return Figures(
            self.done + told["done"],
            round(self.cpu_seconds + told["cpu_seconds"], 1),
            max(self.grown_objects, told.get("grown_objects", 0)),
            max(self.grown_kib, told.get("grown_kib", 0)),
            more,
            [*self.faults, *([told["fault"]] if "fault" in told else [])],
        )

    def as_json(self, unit: str) -> dict[str, Any]:
        """One object; what was counted has the name of its unit."""
        plain = attrs.asdict(self)
        return {unit: plain.pop("done"), **plain.pop("more"), **plain, "faults": len(self.faults)}


_OF_ALL = {"done", "cpu_seconds", "grown_objects", "grown_kib", "fault", "over"}


@attrs.frozen
class Find:
    """An input that shows a fault. `file`: where it is now."""

    file: Path
    about: str


class Campaign:
    """Hunts for one target. `finds`: where inputs that show a fault go."""

    def __init__(self, target: str, finds: Path, kept: Path | None = None) -> None:
        self.name = target
        self.unit = TARGETS[target]().unit
        self.figures = Figures()
        self.finds: list[Find] = []
        self.seed = 0
        """Of the process that ran last."""
        self._finds = finds
        self._kept = corpus.FOLDER / f"{target}.txt" if kept is None else kept
        self._folder = tempfile.TemporaryDirectory(prefix="wirechat-fuzz-")
        self._inputs = Path(self._folder.name) / "inputs"

    def prepare(self) -> None:
        """Lay out the inputs to begin with. Raises ValueError when what is kept is no corpus."""
        self._inputs.mkdir()
        target = TARGETS[self.name]()
        for number, data in enumerate((*target.seeds(), *corpus.read(self._kept))):
            if len(data) <= target.input_bytes_max:
                (self._inputs / f"{number}").write_bytes(data)

    def run(self, amount: int, first_seed: int, minutes: float | None) -> Iterator[Figures]:
        """Hunt; yields about once a second how far it is. Ends early when something was found."""
        end = None if minutes is None else time.monotonic() + 60 * minutes
        self.seed = first_seed - 1
        while self.figures.done < amount and not self.finds and (end is None or time.monotonic() < end):
            self.seed += 1
            seconds = 1e6 if end is None else max(1.0, end - time.monotonic())
            yield from self._process(min(SLICE[self.name], amount - self.figures.done), seconds)

    def _process(self, amount: int, seconds: float) -> Iterator[Figures]:
        before, raw = self.figures, Path(self._folder.name) / f"finds-{self.seed}"
        raw.mkdir()
        command = [
            sys.executable, "-m", "tools.fuzz.hunt", self.name, "--amount", str(amount), "--seed", str(self.seed),
            "--seconds", str(seconds), "--corpus", str(self._inputs), "--finds", str(raw),
        ]  # fmt: skip
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
        ):
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    self.figures = before.with_process(json.loads(line))
                    yield self.figures
                process.wait()
            finally:
                process.kill()
            errors.seek(0)
            self._keep_finds(raw, process.returncode, errors.read())

    def _keep_finds(self, raw: Path, status: int, errors: str) -> None:
        """Move what libFuzzer wrote down to where it stays. Raises RuntimeError when the fuzzer itself failed."""
        found = sorted(raw.iterdir())
        if not found and status:
            raise RuntimeError(f"the fuzzer itself failed with status {status}:\n{errors[-2000:]}")
        for path in found:
            kind = path.name.partition("-")[0]
            if not self.figures.faults:
                self.figures.faults.append(f"{kind}: {_last_line(errors)}")
            self._finds.mkdir(parents=True, exist_ok=True)
            kept = self._finds / f"{self.name}-{path.name}"
            kept.write_bytes(path.read_bytes())
            self.finds.append(Find(kept, self.figures.faults[-1]))

    def keep(self, tell: Callable[[str], None]) -> int:
        """Put what reached something new with what is kept, without what adds nothing. How many there are now."""
        inputs = [path.read_bytes() for path in self._inputs.iterdir()]
        target = TARGETS[self.name]()
        tell(f"minimising {len(inputs)} inputs")
        kept = list(corpus.minimised(inputs, target.reach, KEPT_BYTES_MAX[self.name]))
        corpus.write(self._kept, kept)
        return len(kept)

    def close(self) -> None:
        """Remove what was only needed meanwhile."""
        self._folder.cleanup()


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
