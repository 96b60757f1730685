"""Real processes, hurt: a short version of `make faults`, and the proof that it can fail."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio

from tools.faults.cluster import ClusterFault, ClusterStage
from tools.faults.fault import Fault, unaware
from tools.faults.kinds.chaos import Chaos
from tools.faults.kinds.engines import PostgresKill, kill
from tools.faults.kinds.kill import Kill
from tools.faults.kinds.nodes import NodeKill
from tools.faults.kinds.quota import Quota
from tools.faults.notebook import What
from tools.faults.proxy import Weather
from tools.faults.run import Outcome, run
from tools.faults.stage import Options
from tools.history.checker import Violation
from tools.simulate import bugs

SHORT = Options(seconds=1.0, people=4, pause=0.1, patience=5.0)


async def all_at_once(*jobs: tuple[Fault, Options]) -> list[Outcome]:
    """Most of the time is spent waiting."""
    outcomes: dict[int, Outcome] = {}

    async def one(number: int, fault: Fault, options: Options) -> None:
        outcomes[number] = await run(fault, options)

    async with trio.open_nursery() as nursery:
        for number, (fault, options) in enumerate(jobs):
            nursery.start_soon(one, number, fault, options)
    return [outcomes[number] for number in sorted(outcomes)]


class Hurricane(Chaos):
    """In a second of it many answers are lost."""

    weather = Weather(delay_seconds=0.02, cut=0.15, truncate=0.05)


def broken(bug: str, tree: Path) -> Options:
    """The same with a server that has a bug."""
    bugs.plant(bugs.bugs([bug])[0], tree)
    return attrs.evolve(SHORT, tree=tree)


def wrong(outcome: Outcome) -> list[str]:
    """How fast and how large is for the bench: others use this machine too."""
    return [line for line in outcome.violations if "slow recovery" not in line and "P6 memory" not in line]


async def test_p1_p2_p5_killed_and_cut_and_what_is_broken_is_found(tmp_path: Path) -> None:
    """The server as it is loses nothing; one that acknowledges before the commit, and one that knows no cid, do."""
    hasty, forgetful = (
        broken("p1-acknowledge-before-the-commit", tmp_path / "1"),
        broken("p2-no-dedupe", tmp_path / "2"),
    )
    patient, storm = attrs.evolve(SHORT, patience=15.0), attrs.evolve(forgetful, pause=0.05, seconds=2.0)
    killed, lost, doubled = await all_at_once((Kill(), patient), (Quota(), hasty), (Hurricane(), storm))
    assert not wrong(killed)
    assert killed.acknowledged > 10
    assert lost.promises.get("P1"), lost
    if not doubled.promises.get("P2"):  # no answer was lost between its commit and its sender: that is luck
        (doubled,) = await all_at_once((Hurricane(), storm))
    assert doubled.promises.get("P2"), doubled


class NodesThenPostgres(ClusterFault):
    """One cluster for both."""

    name = "nodes-then-postgres"

    async def hurt(self, stage: ClusterStage) -> None:
        for fault in (NodeKill(), PostgresKill()):
            await fault.hurt(stage)

    def bitten(self, stage: ClusterStage) -> list[Violation]:
        return unaware(stage, What.LOST, self.began)


class Hasty(PostgresKill):
    """It says that it has committed before it is on disk, and nodes that look when they start do not notice."""

    async def hurt(self, stage: ClusterStage) -> None:
        for setting in ("SET synchronous_commit = off", "SET wal_writer_delay = '10s'"):
            stage.site.postgres.sql(f"ALTER SYSTEM {setting}")
        stage.site.postgres.sql("SELECT pg_reload_conf()")
        await trio.sleep(1)
        await kill(stage.site.postgres)


@pytest.mark.postgres
@pytest.mark.nats
async def test_a_cluster_whose_nodes_and_database_are_killed_loses_nothing_but_by_a_hasty_database() -> None:
    """Three nodes; who loses his connection comes back to another."""
    patient = attrs.evolve(SHORT, patience=15.0)  # more processes than cores
    good, lost = await all_at_once((NodesThenPostgres(), patient), (Hasty(), patient))
    assert not wrong(good)
    assert good.acknowledged > 10
    assert lost.promises.get("P1"), lost
