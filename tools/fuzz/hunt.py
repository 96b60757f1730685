"""The process that fuzzes: `python -m tools.fuzz.hunt TARGET …`, started by the campaign, never by hand.

atheris (libFuzzer) chooses inputs by what they reach in the product, whose bytecode it watches. Watching makes the
product several times slower, so the codec is judged, and timed, on a second copy of `wirechat.wire` that nobody
watches.

On standard output it tells how far it is, one object of JSON a line. An input that shows a fault, a crash of the
process or a hang is written by libFuzzer into the folder for finds.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

import atheris

if TYPE_CHECKING:
    from tools.fuzz.targets import Target

TELL_SECONDS = 1.0
HANG_SECONDS = 300
"""An input that takes longer is written down. Much, because the machine may be busy with something else."""

WARM_UP = 0.2
"""Share of a run after which memory must not grow any more."""

BLOCKS_MAX = 20_000
"""So many more objects than after the warm-up are a fault. Caches may still fill a little."""


class Fault(Exception):
    """The product is wrong; libFuzzer writes down the input."""


class Hunt:
    """One run of libFuzzer: counts, measures and tells."""

    def __init__(self, target: Target, amount: int, seconds: float, out: TextIO) -> None:
        self._out = out
        self._target = target
        self._amount = amount
        self._began = self._told = time.monotonic()
        self._end = self._began + seconds
        self._warm: tuple[int, int] | None = None
        """Objects and KiB after the warm-up."""

    def one(self, data: bytes) -> None:
        """Judge an input; leave when it is the last."""
        faults = self._target.judge(data)
        if faults:
            self._tell(fault=faults[0])
            raise Fault("; ".join(faults))
        now = time.monotonic()
        if now - self._told > TELL_SECONDS:
            self._told = now
            self._tell()
        if self._warm is None and self._share(now) > WARM_UP:
            self._warm = _memory()
        if self._share(now) >= 1:
            self._leave()

    def _share(self, now: float) -> float:
        return max(self._target.done / self._amount, (now - self._began) / (self._end - self._began))

    def _leave(self) -> None:
        blocks, kib = _memory()
        was_blocks, was_kib = self._warm or (blocks, kib)
        told: dict[str, Any] = {"grown_objects": blocks - was_blocks, "grown_kib": kib - was_kib}
        if blocks - was_blocks > BLOCKS_MAX:
            told["fault"] = f"memory grows: {blocks - was_blocks} objects more than after the warm-up"
        self._tell(over=True, **told)
        os._exit(0)  # libFuzzer has no other way out that leaves the figures to us

    def _tell(self, **more: Any) -> None:
        seconds = time.process_time()
        told = {"done": self._target.done, "cpu_seconds": round(seconds, 1), **self._target.figures(), **more}
        print(json.dumps(told), file=self._out, flush=True)


def _memory() -> tuple[int, int]:
    gc.collect()
    return sys.getallocatedblocks(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _standard_output() -> TextIO:
    """The way to the campaign alone: what libFuzzer and atheris print goes where errors go."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def _target(name: str) -> Target:
    """The target, with the product watched."""
    if name == "codec":
        from tools.fuzz.targets import CodecTarget

        return CodecTarget(_watched_copy())
    with atheris.instrument_imports(include=["wirechat.wire", "wirechat.server", "wirechat.store"]):
        from tools.fuzz.targets import SessionsTarget
    return SessionsTarget()


def _watched_copy() -> ModuleType:
    """Another wirechat.wire; the one that everybody has stays as it is."""
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "wirechat"}
    for name in ours:
        del sys.modules[name]
    with atheris.instrument_imports(include=["wirechat.wire"]):
        copy = importlib.import_module("wirechat.wire")
    sys.modules.update(ours)
    return copy


def main(arguments: Sequence[str]) -> None:
    """Fuzz until the amount or the time is reached."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz.hunt")
    parser.add_argument("target", choices=["codec", "sessions"])
    for name, kind in (("amount", int), ("seed", int), ("seconds", float), ("corpus", Path), ("finds", Path)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = parser.parse_args(arguments)
    target = _target(given.target)
    hunt = Hunt(target, given.amount, given.seconds, _standard_output())

    def mutate(data: bytes, size_max: int, seed: int) -> bytes:
        changed = target.mutate(data, seed, lambda data: bytes(atheris.Mutate(data, size_max)))
        return changed if len(changed) <= size_max else data[:size_max]

    options = {
        "seed": given.seed, "max_len": target.input_bytes_max, "len_control": 0,
        "timeout": HANG_SECONDS, "report_slow_units": HANG_SECONDS,
        "artifact_prefix": f"{given.finds}/", "print_final_stats": 0, "verbosity": 0, "cross_over": 0,
    }  # fmt: skip
    flags = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(given.corpus)], hunt.one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
