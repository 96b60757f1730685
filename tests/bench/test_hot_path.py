"""The benchmark measures a real server and notices when a message is lost. No figure is judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import hot_path
from bench.benchmark import ROOT, BenchError, Run
from bench.client import Client
from bench.load import Load, Work
from bench.people import connector, relayed
from bench.process import Process, can_trace


@pytest.mark.skipif(not can_trace(), reason="strace is not here, or may not trace")
def test_p1_no_entry_is_acknowledged_without_a_wait_for_the_disk() -> None:
    """With one entry at a time nothing shares a commit: the kernel must have seen a wait for the disk for each."""
    run = Run(root=ROOT, rows=("group_100",), seconds=0.1, quick=True, trace=True)
    _, traced = hot_path.measure(run)
    assert 0 < traced.figures["entries_per_fsync"] <= 1


def test_a_lost_delivery_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark that does not notice a lost message would praise the server that loses fastest."""
    with Process("bench.relay", root=ROOT, scratch=tmp_path) as process:
        scene = relayed(connector(process.port), 2)
        load = Load(scene.clients)
        pair = scene.pairs[0]
        work = Work([(pair.members[0], pair)], window=1)
        load.run(work, 0.1, 0.1, process.cpu_ns)
        deaf = pair.members[1]
        receive = Client.receive

        def lossy(client: Client) -> tuple[int, int]:
            before = client.codes[16]
            result = receive(client)
            if client is deaf and client.codes[16] > before:
                client.codes[16] = before
                monkeypatch.setattr(Client, "receive", receive)
            return result

        monkeypatch.setattr(Client, "receive", lossy)
        monkeypatch.setattr("bench.load.DRAIN_SECONDS", 0.5)
        with pytest.raises(BenchError, match="were delivered"):
            load.run(work, 0.1, 0.1, process.cpu_ns)
