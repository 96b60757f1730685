"""Whether the time of a failed login tells who exists: samples of each kind in turns, and how alike they are.

The figure is the two-sample test of Kolmogorov and Smirnov between a wrong password and each other kind: D is the
largest distance of the two distributions, p how often chance alone would make it as large. A small p with few samples
may be the machine; one that stays small with more of them, in the same direction, is a leak.
"""

from __future__ import annotations

import json
import math
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from bench.benchmark import BenchError
from bench.process import Process
from bench.streams import PATIENCE
from wirechat import wire

ROOT = Path(__file__).resolve().parents[1]
RIGHT, WRONG = b"correct horse", b"battery staple"
KINDS = {"wrong password": "known", "unknown handle": "nobody", "account without password": "keyed"}
"""Kind -> the handle that is tried. The others are compared with the first."""
CONFIG = "[limits]\nfailures_per_account = 1000000\nfailures_per_address = 1000000\n"


@attrs.frozen
class Kind:
    """One kind of failed login."""

    kind: str
    samples: int
    median_ms: float
    distance: float | None
    """D to the first kind; None for itself."""
    p: float | None


class _Guesser:
    """Tries to log in; four times on a connection, since the server ends it after five."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._left = 0
        self._sock = socket.socket()

    def guess(self, handle: str) -> float:
        """Seconds from the request to its refusal. Raises BenchError when it is anything else."""
        if not self._left:
            self.connect()
        self._left -= 1
        asked = time.perf_counter()
        answer = self.ask(wire.Auth(1, 1, handle, proof=WRONG))
        taken = time.perf_counter() - asked
        if not isinstance(answer, wire.Error) or answer.code != wire.errors.BAD_CREDENTIALS:
            raise BenchError(f"a wrong login was answered {answer}")
        return taken

    def connect(self) -> None:
        """A new connection, greeted."""
        self._sock.close()
        self._sock = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        self._left = 4
        self.ask(wire.Hello("WC", 1, 1, (), "bench"))

    def ask(self, message: wire.Message) -> wire.Message:
        """Send a frame and return the next one."""
        self._sock.sendall(message.encode())
        size = int.from_bytes(self._exactly(4), "big")
        return wire.decode(self._exactly(size), side="server")

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._sock.recv(size - len(data))
            if not more:
                raise BenchError("the server closed the connection")
            data += more
        return data


def measure(samples: int, tell: Callable[[int], None]) -> list[Kind]:
    """Ask a real server. `tell` hears how many of each kind there are. Raises BenchError."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        config = scratch / "wirechat.toml"
        config.write_text(CONFIG)
        arguments = ("serve", "--config", str(config), "--data", str(scratch / "data"), "--tcp", "127.0.0.1:0")
        with Process("wirechat.cli.main", *arguments, root=ROOT, scratch=scratch) as process:
            taken = _take(_Guesser(process.port), samples, tell)
    first, *_ = taken.values()
    return [_kind(kind, first, times) for kind, times in taken.items()]


def _take(guesser: _Guesser, samples: int, tell: Callable[[int], None]) -> dict[str, list[float]]:
    guesser.connect()
    guesser.ask(wire.Register(1, "known", 1, RIGHT))
    guesser.ask(wire.Register(2, "keyed", 3, bytes(32)))
    for handle in KINDS.values():
        guesser.guess(handle)  # the first of all makes what the others are compared with
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(samples):
        for kind in list(KINDS)[:: 1 if number % 2 else -1]:
            taken[kind].append(guesser.guess(KINDS[kind]))
        tell(number + 1)
    return taken


def _kind(kind: str, first: Sequence[float], times: Sequence[float]) -> Kind:
    median_ms = statistics.median(times) * 1000
    if times is first:
        return Kind(kind, len(times), median_ms, None, None)
    distance = kolmogorov_smirnov(first, times)
    return Kind(kind, len(times), median_ms, distance, chance(distance, len(first), len(times)))


def kolmogorov_smirnov(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest distance between two empirical distributions."""
    ones, others = sorted(one), sorted(other)
    largest = 0.0
    i = j = 0
    while i < len(ones) and j < len(others):
        value = min(ones[i], others[j])
        while i < len(ones) and ones[i] == value:
            i += 1
        while j < len(others) and others[j] == value:
            j += 1
        largest = max(largest, abs(i / len(ones) - j / len(others)))
    return largest


def chance(distance: float, one: int, other: int) -> float:
    """How often samples of one distribution are as far apart (asymptotic, good from some dozens of samples on)."""
    root = math.sqrt(one * other / (one + other))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        return 1.0  # the series below does not converge there
    terms = [math.copysign(2.0, -0.5 + k % 2) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101)]
    return min(max(sum(terms), 0.0), 1.0)


def as_text(kinds: Sequence[Kind]) -> str:
    """A line for each kind."""
    lines = [f"{'failed login':<26}{'samples':>8}{'median ms':>11}{'D':>8}{'p':>8}"]
    for each in kinds:
        alike = "" if each.distance is None else f"{each.distance:>8.3f}{each.p:>8.3f}"
        lines.append(f"{each.kind:<26}{each.samples:>8}{each.median_ms:>11.2f}{alike}")
    return "\n".join(lines)


def as_json(kinds: Sequence[Kind]) -> str:
    """A list of objects."""
    return json.dumps([attrs.asdict(each) for each in kinds], indent=2)
