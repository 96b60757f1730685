"""The run beside rivals: real servers, nothing lost, ratios within a round. No figure is judged here."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import peers, results
from bench.__main__ import main
from bench.rivals import figures, loop, page
from bench.rivals.rival import Rival
from bench.spread import Spread

WHEELS = ("nats", "socketio")
"""Rivals that come with the environment of the suite; the others are tried where they are installed."""


@pytest.mark.parametrize("rival", peers.RIVALS, ids=lambda rival: rival.name)
def test_everybody_is_loaded_and_nothing_is_lost(rival: Rival, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs and a group at each real server: everything acknowledged, everything delivered, once."""
    monkeypatch.setattr(loop, "FEW", 10)
    monkeypatch.setattr(loop, "LONGER", 100)  # a slow server on a busy machine: ten seconds at most
    if rival.version() is None:
        assert rival.name not in WHEELS, rival.install
        pytest.skip(f"{rival.name} is not installed: {rival.install}")
    with rival.serve(tmp_path) as server:
        for flows in (rival.pairs(server, 3), rival.group(server, 4)):
            load = loop.Loop(flows)
            seen = load.run(window=2, per_second=0, warm_up=0.05, seconds=0.1, server=server.processes)
            load.close()
            for flow in flows:
                assert flow.said == flow.acknowledged > 0
                assert flow.delivered == flow.said * len(flow.receivers)
                for seat in (flow.sender, *flow.receivers):
                    seat.close()
            assert (seen.missing, seen.wrong) == (0, 0)
            assert seen.us > 0
        pids = server.processes.pids()
    assert pids
    for _ in range(100):  # those that ejabberd started notice its end by themselves
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return
        time.sleep(0.05)
    pytest.fail("a process is left")


def test_a_round_goes_through_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own server and the floor, really."""
    monkeypatch.setitem(peers.CELLS, "tiny", peers.Cell("", "pairs", window=2, size=3))
    runs = peers.measure(peers.Plan((), ("tiny",), 1, 0.1, lambda text: None))["tiny"]
    assert set(runs) == {"wirechat", "floor"}
    assert all(run["us"] > 0 and (run["missing"], run["wrong"]) == (0, 0) for (run,) in runs.values())


def test_the_servers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwards and backwards, and who has no groups is left out of those cells."""
    monkeypatch.setattr(peers, "_try", lambda table, cell, seconds: {"us": 1.0})
    told: list[str] = []
    runs = peers.measure(peers.Plan(peers.RIVALS[:1], ("pairs_w1", "group_100"), 2, 0.1, told.append))
    assert [line.partition(": ")[2] for line in told] == [
        *("pairs_w1, wirechat", "pairs_w1, floor", "pairs_w1, mosquitto"),
        *("group_100, wirechat", "group_100, mosquitto"),
        *("pairs_w1, mosquitto", "pairs_w1, floor", "pairs_w1, wirechat"),
        *("group_100, mosquitto", "group_100, wirechat"),
    ]
    assert {name: len(of) for name, of in runs["group_100"].items()} == {"wirechat": 2, "mosquitto": 2}


def result(**runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One with a cell."""
    return {"cells": {"w": {"unit": "us", "per_second": 0, "about": "", "runs": runs}}}


def test_ratios_are_taken_within_a_round() -> None:
    own, other = [{"us": 1.0}, {"us": 10.0}, {"us": 3.0}], [{"us": 2.0}, {"us": 20.0}, {"us": 3.0}]
    first, second = figures.lines(result(wirechat=own, other=other))
    assert first.ratio is None
    assert first.price == Spread([1, 10, 3])
    assert second.ratio == Spread([0.5, 0.5, 1])


def test_what_is_no_figure_is_told() -> None:
    """A server that cannot keep up, fails or loses has no figure, or one with a note."""
    slow = {"us": 9.0, "saturated": True, "per_second": 3.0}
    own, other = [{"us": 1.0}] * 3, [slow, {"failed": "it is gone"}, {"us": 2.0, "missing": 4}]
    _, line = figures.lines(result(wirechat=own, other=other))
    assert line.price == Spread([2])
    assert line.ratio == Spread([0.5])
    assert [note.partition(" in ")[0] for note in line.notes] == [
        "could not keep up",
        "4 acknowledgements and deliveries did not come",
        "no figure",
    ]


def test_the_kept_result_is_shown_on_the_page() -> None:
    """The spreads that are stated are those of the files."""
    found = figures.kept()
    text = page.markdown()
    ratios = figures.stated(figures.newest(found))
    assert ratios
    assert all(str(ratio) in text for ratio in ratios.values())
    assert page.page(found[-1]).count("<svg") >= 1


def test_a_newer_result_replaces_its_cells_only() -> None:
    old, new = ({**result(wirechat=[{"us": us}]), "servers": {}} for us in (1.0, 2.0))
    old["cells"]["other"] = old["cells"]["w"]
    first, second = figures.lines(figures.newest([old, new]))
    assert (first.cell, first.price) == ("w", Spread([2]))
    assert (second.cell, second.price) == ("other", Spread([1]))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--rivals", "nats,whatsapp"], "'whatsapp' is no rival; there are mosquitto, nats"),
        (["--cells", "pears"], "'pears' is no cell; there are pairs_w10"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words: list[str], line: str) -> None:
    done = CliRunner().invoke(main, ["peers", *words])
    assert done.exit_code == 2
    assert line in done.output


def test_a_result_is_printed_shown_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As JSON that can be read again, as a page that needs nothing else, and in docs/."""
    run = {"us": 1.0, "p50_ms": 1.0, "per_second": 9.0, "client_us": 2.0}
    monkeypatch.setattr(peers, "measure", lambda plan: {"pairs_w1": {"wirechat": [run], "floor": [{**run, "us": 0.5}]}})
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    done = CliRunner().invoke(main, ["peers", "--rivals", "nats", "--json", "--save", str(tmp_path)])
    assert done.exit_code == 0, done.output
    (kept,) = tmp_path.glob("peers-*.json")
    assert [json.loads(done.stdout)] == figures.kept()
    ratios = figures.stated(figures.newest(figures.kept()))
    assert ratios == {("pairs_w1", "floor"): Spread([2])}
    assert "<td class=n>2</td>" in kept.with_suffix(".html").read_text()
    assert "| `pairs_w1` | 2 |" in page.markdown()


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "measure", lambda plan: {})
    for rival in peers.RIVALS:
        monkeypatch.setattr(type(rival), "version", lambda self: None)
    done = CliRunner().invoke(main, ["peers", "--rivals", "mosquitto"])
    assert done.exit_code == 0, done.output
    assert "absent: mosquitto; apt-get install mosquitto" in done.output
    assert "one round: no spread known" not in done.output, "there were five"


def test_one_round_has_no_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "measure", lambda plan: {})
    done = CliRunner().invoke(main, ["peers", "--rivals", "nats", "--rounds", "1"])
    assert "one round: no spread known" in done.output
