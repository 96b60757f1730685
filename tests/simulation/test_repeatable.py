"""A seed is worth nothing unless it replays: the same story in the same process, in a fresh one, and under another
hash seed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tools.simulate.bugs import ROOT
from tools.simulate.run import run
from wirechat.server.directory import Node

SEED = 7
OF_THREE_NODES = 15


@pytest.fixture(scope="module")
def told() -> str:
    return run(SEED).hash


def test_the_same_seed_twice_in_one_process(told: str) -> None:
    """After another seed, so that nothing is carried over from run to run."""
    run(SEED + 1)
    assert run(SEED).hash == told


def test_watching_a_run_does_not_change_it(told: str) -> None:
    story: list[str] = []
    assert run(SEED, story.append).hash == told
    assert len(story) > 100


def test_it_does_not_hang_on_where_objects_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default an object is hashed by its address, which another process, or another folder, changes."""
    hashes = set()
    for sign in (1, -1):
        monkeypatch.setattr(Node, "__hash__", lambda node, sign=sign: sign * node.number)
        hashes.add(run(OF_THREE_NODES).hash)
    assert len(hashes) == 1


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_the_same_seed_in_a_fresh_process(told: str, hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from tools.simulate.run import run; print(run({SEED}).hash)"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == told


def test_another_seed_is_another_story(told: str) -> None:
    assert run(SEED + 1).hash != told
