"""Many seeds, on one core or several; told in their order."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import attrs

from tools.simulate.run import Outcome, run


@attrs.define
class Report:
    """The sum of many outcomes."""

    seeds: int = 0
    seconds: float = 0.0
    """Simulated."""
    cpu_seconds: float = 0.0
    counts: Counter[str] = attrs.Factory(Counter)
    failures: list[Outcome] = attrs.Factory(list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.seconds += outcome.seconds
        self.cpu_seconds += outcome.cpu_seconds
        self.counts.update(outcome.counts)
        if outcome.violations:
            self.failures.append(outcome)

    def figures(self) -> dict[str, object]:
        """What a ledger keeps."""
        faults = {
            name.removeprefix("fault "): n for name, n in sorted(self.counts.items()) if name.startswith("fault ")
        }
        return {
            "simulated_hours": round(self.seconds / 3600, 2),
            "acknowledged": self.counts["acknowledged"],
            "faults": faults,
            "violations": len(self.failures),
            "cpu_seconds": round(self.cpu_seconds, 1),
        }

    def as_json(self) -> dict[str, object]:
        return {
            "seeds": self.seeds,
            "counts": dict(sorted(self.counts.items())),
            "failures": [attrs.asdict(outcome) for outcome in self.failures],
        }


def outcomes(seeds: range, jobs: int = 1, one: Callable[[int], Outcome] | None = None) -> Iterator[Outcome]:
    """Run every seed; `one` runs another kind of world than ours. With several jobs each is a process of its own."""
    one = one or run
    if jobs == 1:
        yield from map(one, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, _prepare) as pool:
        yield from pool.imap(one, seeds, chunksize=4)


def _prepare() -> None:
    """Ctrl-C is for the parent, which ends its workers. And a world is garbage as a whole, a moment after it ended:
    collecting within it costs a fifth of the time and finds next to nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
