"""The machine as a run sees it: a server that is gone, and others who take the CPUs."""

from __future__ import annotations

import os
import socket
import subprocess

import psutil
import pytest

from tools.loadgen import run, scenario
from tools.loadgen.machine import BadProcess, Server, Watch, find_server
from tools.loadgen.measures import Measures
from tools.loadgen.run import Options, Result


def test_a_server_that_is_gone_has_no_figures() -> None:
    """Rather than less CPU than before."""
    with subprocess.Popen(["sleep", "60"]) as process:
        server = Server(psutil.Process(process.pid))
        assert server.cpu_seconds() is not None
        assert server.mib()
        process.kill()
        process.wait()
    assert server.is_gone
    assert server.cpu_seconds() is None
    assert server.mib() is None


def test_who_listens_nowhere_is_no_server() -> None:
    """Wherever a server listens it is taken for one: the port in the URL may be that of a proxy."""
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(BadProcess, match=f"--pid {process.pid}: it is no server, for it listens nowhere"):
            find_server(("127.0.0.1", 1), process.pid)
        process.kill()
    with socket.create_server(("127.0.0.1", 0)):
        server = find_server(("127.0.0.1", 1), os.getpid())
    assert server is not None
    assert server.pid == os.getpid()


@pytest.mark.parametrize(
    ("cores", "told"),
    [
        (None, ""),
        (0.6, ""),
        (2.0, "; processes other than the generator took 1.5 of 2 cores"),
    ],
)
def test_a_late_run_names_the_others(cores: float | None, told: str) -> None:
    watch = Watch(None, None, Measures())
    watch.others_cores = cores
    measures = Measures()
    measures.measure(0.0, 10.0)
    measures.latency("lag", 1.0, 1.1)
    plan = scenario.load("idle")
    phases = [{"begin": 0.0, "end": 10.0, "measured": True}]
    totals = {"generator_cpu_seconds": 5.0}
    result = Result(Options("idle", plan, ""), measures, phases, [], [], [], totals, {"cores": 2}, 0.0)
    [why] = run._invalid(result, 0.0, run._others(result, watch))
    assert why.startswith("the generator was late: lag p99 is 100")
    assert why.endswith(f"more than 25{told}")
