"""P1, P2 and P3 hold through power cuts at any moment, and the run would have noticed if they did not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tools.powercuts.disk import Disk
from tools.powercuts.plan import Life
from tools.powercuts.run import SABOTAGE, run
from tools.powercuts.vfs import Machine, mounted
from tools.simulate import bugs as bank
from tools.simulate.campaign import outcomes
from tools.simulate.trace import Trace
from wirechat.store import sqlite

CUTS = int(os.environ.get("POWER_CUTS", "5000"))
JOBS = os.cpu_count() or 1

REACHED = (
    "acknowledged entries",
    "answer OutcomeUnknown",
    "answer StorageFull",
    "answer Unavailable",
    "checkpoints by a command",
    "cut at access",
    "cut at delete",
    "cut at extend",
    "cut at open",
    "cut at read",
    "cut at rest",
    "cut at size",
    "cut at sync",
    "cut at truncate",
    "cut at write",
    "cut during backup",
    "cut during checkpoint",
    "cut during close",
    "cut during commit",
    "cut during migration",
    "cut during open",
    "cut during read",
    "cut during recovery",
    "cut during rest",
    "cut during transaction",
    "cuts with something in doubt",
    "flaw in extend",
    "flaw in open",
    "flaw in read",
    "flaw in sync",
    "flaw in write",
    "lives ended by a flaw",
    "migrations of a store in use",
    "snapshots held",
    "unsynced change kept",
    "unsynced change lost",
    "unsynced change torn",
    "unsynced name kept",
    "unsynced name lost",
)


def test_no_cut_loses_what_was_acknowledged_and_every_moment_is_cut() -> None:
    """A moment that no seed cuts is a promise that no seed checks."""
    counts: Counter[str] = Counter()
    for outcome in outcomes(range(1, 1 + CUTS), JOBS, run):
        assert not outcome.violations, f"python -m tools.powercuts --seed {outcome.seed}: {outcome.violations[:3]}"
        counts.update(outcome.counts)
        if counts["cuts"] >= CUTS:
            break
    assert [name for name in REACHED if not counts[name]] == []


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_a_store_that_does_not_sync_loses_entries(sabotage: str) -> None:
    """With synchronous=NORMAL, and on a disk that only says that it has synced: the harness can fail."""
    found = [outcome for outcome in outcomes(range(13, 25), 1, partial(run, sabotage=sabotage)) if outcome.violations]
    assert sum(outcome.counts["lost entries"] for outcome in found) > 0
    assert len(found) > 6


def test_a_disk_that_does_not_sync_is_damaged_too() -> None:
    """With NORMAL only the newest is lost; without any sync the file breaks."""
    damaged = Counter(
        {
            sabotage: sum(run(seed, None, sabotage).counts["damaged files"] for seed in range(1, 13))
            for sabotage in SABOTAGE
        }
    )
    assert damaged["lies"] > 0
    assert damaged["normal"] == 0


@pytest.mark.parametrize("name", ["p1-acknowledge-before-the-commit", "p2-dedupe-in-memory"])
def test_a_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    """Those of the simulation that only a restart shows."""
    bank.plant(bank.bugs([name])[0], tmp_path)
    command = [sys.executable, "-m", "tools.powercuts", "--cuts", "100", "--jobs", "1", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["failures"]


def test_the_store_is_opened_as_the_server_opens_it(tmp_path: Path) -> None:
    """Write-ahead log, synced commits, two connections that share it; all its bytes are on the disk that forgets."""
    chance = Random(1)
    life = Life(opening_calls=None, work_calls=1, steps=0, flaw_rate=0.0)
    with mounted(chance.randbytes) as system:
        system.machine = Machine(Disk(), life, False, chance, Trace(), None)
        writer, reader = sqlite._open(str(tmp_path / sqlite.FILE), sqlite.connect, None)
        with closing(writer), closing(reader):
            pragmas = [writer.pragma(name) for name in ("journal_mode", "synchronous", "locking_mode")]
            assert pragmas == ["wal", 2, "normal"]
            writer.execute("UPDATE stamp SET value = 17")
            assert reader.execute("SELECT value FROM stamp").get == 17
            assert sorted(system.machine.disk.files) == [sqlite.FILE, f"{sqlite.FILE}-wal"]
    assert (tmp_path / sqlite.FILE).stat().st_size == 0


SEED = 5


def test_the_same_seed_twice_is_the_same_story() -> None:
    """After another one, and watched: a run that is looked at is the run that failed."""
    told = run(SEED).hash
    run(SEED + 1)
    story: list[str] = []
    assert run(SEED, story.append).hash == told
    assert any("power cut" in line for line in story)
    assert run(SEED + 1).hash != told


@pytest.mark.parametrize("hash_seed", ["0", "random"])
def test_the_same_seed_in_a_fresh_process(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from tools.powercuts.run import run; print(run({SEED}).hash)"],
        cwd=bank.ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == run(SEED).hash
