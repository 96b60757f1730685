"""Inputs that are kept: one file for each target, a line in base64 for each input, the shortest first. Lines that begin
with # say what the next ones are.

An input is kept when it takes the product along an arc of its code, from one line to another, that no shorter one of
them takes. Python's own tracing tells, so that what is kept does not hang on the fuzzing library.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tools.simulate.bugs import ROOT

FOLDER = ROOT / "tests" / "fuzz" / "corpus"
REGRESSIONS = ROOT / "tests" / "fuzz" / "regressions"
VECTORS = ROOT / "protocol" / "vectors"
WATCHED = str(ROOT / "wirechat")

Arc = tuple[str, int, int]


def read(path: Path) -> list[bytes]:
    """The inputs in a file; none when there is no such file. Raises ValueError for one that is no corpus."""
    if not path.exists():
        return []
    try:
        lines = [line for line in path.read_text().splitlines() if line[:1] != "#"]
        return [base64.b64decode(line, validate=True) for line in lines if line]
    except (UnicodeDecodeError, binascii.Error) as error:
        raise ValueError(f"{path} is no corpus: {error}") from None


def write(path: Path, inputs: Iterable[bytes]) -> None:
    """Keep these, the shortest first."""
    lines = [base64.b64encode(data).decode() for data in sorted(set(inputs), key=lambda data: (len(data), data))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def minimised(inputs: Iterable[bytes], run: Callable[[bytes], object], bytes_max: int) -> Iterator[bytes]:
    """Those of the inputs that each add something to the shorter ones; longer than `bytes_max` none."""
    seen: set[Arc] = set()
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        if len(data) > bytes_max:
            return
        arcs = arcs_of(run, data)
        if not arcs <= seen:
            seen |= arcs
            yield data


def arcs_of(run: Callable[[bytes], object], data: bytes) -> set[Arc]:
    """The arcs of the product that one input takes."""
    arcs: set[Arc] = set()

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(WATCHED):
            return None
        before = 0

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before
            if event == "line":
                arcs.add((path, before, frame.f_lineno))
                before = frame.f_lineno
            return line

        return line

    old = sys.gettrace()
    sys.settrace(entered)
    try:
        run(data)
    finally:
        sys.settrace(old)
    return arcs


def vectors() -> list[bytes]:
    """The bodies of protocol/vectors: valid, lenient and invalid ones."""
    found = []
    for path in sorted(VECTORS.glob("*/*.json")):
        for vector in json.loads(path.read_text()):
            if "hex" in vector:
                found.append(octets(vector["hex"]))
    return found


def octets(hexes: Any) -> bytes:
    """Bytes as the vectors have them: hex, or pairs of hex and how often it repeats."""
    if isinstance(hexes, str):
        return bytes.fromhex(hexes)
    return b"".join(bytes.fromhex(part) * times for part, times in hexes)
