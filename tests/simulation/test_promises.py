"""The promises P1 to P7, P9, P10 and P12 hold in many small worlds, and the simulation would have noticed if they
did not."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tools.simulate import bugs as bank
from tools.simulate.campaign import outcomes

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "1000"))
JOBS = os.cpu_count() or 1

REACHED = (
    "acknowledged",
    "buffer overflows",
    "changes pages",
    "clients on another node",
    "connections",
    "commits out of order",
    "commits without room",
    "counts of devices",
    "counts of the server",
    "digest pages beyond the first",
    "error 4005",
    "error 5000",
    "error 6000",
    "event MessageAdded",
    "event PresenceChanged",
    "event RecordChanged",
    "event TypingChanged",
    "falls from live to behind",
    "fault bus_away",
    "fault bus_split",
    "fault client_crash",
    "fault clock_jump",
    "fault crash_at_step",
    "fault crash_in_commit",
    "fault cut",
    "fault full_disk",
    "fault half_open",
    "fault node_pause",
    "fault reinstall",
    "fault restored_backup",
    "fault server_crash",
    "fault server_restart",
    "fault slow_reader",
    "fault store_cut",
    "fault straggler",
    "hints brought",
    "history pages",
    "horizons",
    "inspections",
    "offers held back",
    "pushes of forwards",
    "resets",
    "retries",
    "rows pushes",
    "short sends",
    "single records",
)


def test_no_promise_is_broken_and_every_path_is_reached() -> None:
    """A path that no seed reaches is a promise that no seed checks."""
    counts: Counter[str] = Counter()
    for outcome in outcomes(range(1, SEEDS + 1), JOBS):
        assert not outcome.violations, f"python -m tools.simulate --seed {outcome.seed}: {outcome.violations[:3]}"
        counts.update(outcome.counts)
    assert [name for name in REACHED if not counts[name]] == []


@pytest.mark.parametrize("name", [bug.name for bug in bank.bugs()])
def test_a_planted_bug_fits_the_source(name: str) -> None:
    """A patch that does not apply any more finds nothing and proves nothing, nor does a vector that is gone."""
    (bug,) = bank.bugs([name])
    bank.fit(bug)
    if bug.vector:
        path, test = bug.vector.split("::")
        assert f"def {test}(" in (bank.ROOT / path).read_text()
