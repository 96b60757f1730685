"""The simulation of deployments: it counts right, agrees with what was measured, and the page quotes it."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result

from tools.capacity import prices, report
from tools.capacity.__main__ import main
from tools.capacity.cluster import Cluster
from tools.capacity.needs import hints, needs, store_us
from tools.capacity.population import Population, conversation, group_size
from tools.capacity.sizes import Size, pairs, simulate
from wirechat.server import limits
from wirechat.wire.limits import MEMBERS

PAGE = (Path(__file__).parents[2] / "docs" / "capacity.md").read_text("utf-8")
SMALL = "--connections", "2000", "--nodes", "3", "--rate", "2000"
WITHIN = 1.5
"""What the page says of the model."""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def talk(nodes: int, texts: int) -> Cluster:
    """A population that says so many texts, and has all of them."""
    chance = Random(1)
    population, cluster = Population(5_000, nodes, chance), Cluster(nodes)
    for number in range(texts):
        conv = population.drawn()
        cluster.at(number / 5_000, lambda now, conv=conv: cluster.say(chance.choice(conv.seats), conv, now))
    cluster.run(inf)
    return cluster


def test_everybody_gets_each_text_once() -> None:
    """All connections of a conversation but the one that says it; a node of them reads it once, if another sent it."""
    cluster = talk(7, 3_000)
    works = [node.work for node in cluster.nodes]
    said = cluster.said.items()
    assert sum(texts for _, texts in said) == sum(work.entries for work in works) == 3_000
    assert sum(work.deliveries for work in works) == sum(texts * (len(conv.seats) - 1) for conv, texts in said)
    assert sum(work.entries_read for work in works) == sum(texts * (len(conv.nodes) - 1) for conv, texts in said)
    assert sum(work.hints_sent for work in works) == sum(work.hints_heard for work in works)
    assert all(work.writes <= work.deliveries for work in works)


@pytest.mark.parametrize(("nodes", "seats"), [(2, 2), (10, 5), (40, 11), (40, 300)])
def test_nodes_that_are_hinted_at(nodes: int, seats: int) -> None:
    """N (1 - (1 - 1/N)^k) serve somebody, one of them is the sender's."""
    chance, cluster, times = Random(1), Cluster(nodes), 2_000
    for _ in range(times):
        conv = conversation([chance.randrange(nodes) for _ in range(seats)])
        cluster.say(conv.seats[0], conv, 0.0)
    cluster.run(inf)
    assert sum(node.work.hints_sent for node in cluster.nodes) / times == pytest.approx(hints(nodes, seats), rel=0.05)


def test_unlike_sizes_need_fewer_hints() -> None:
    """Than conversations of one size with as many deliveries: in a large group many share a node."""
    counts = simulate(Size(20_000, 40, 5_000), 1)
    assert counts.total.hints_sent / counts.texts < 0.8 * hints(40, 1 + counts.deliveries)


def test_what_comes_meanwhile_shares_the_next_commit() -> None:
    """A conversation that is in flight waits; another does not wait for it."""
    cluster, one, other = Cluster(1), conversation([0, 0]), conversation([0, 0])
    for _ in range(10):
        cluster.say(0, one, 0.0)
    cluster.say(0, other, 0.0)
    cluster.run(inf)
    assert cluster.said == {one: 10, other: 1}
    assert cluster.commits_of == {one: 2, other: 1}
    assert cluster.nodes[0].work.commits == 3


def test_a_batch_ends_where_a_turn_does() -> None:
    """No more than can be handed out in one turn."""
    cluster, members = Cluster(1), MEMBERS
    for _ in range(50):
        cluster.say(0, conversation([0] * members), 0.0)
    cluster.run(inf)
    most = limits.TURN_DELIVERIES_MAX // members + 1
    assert 50 / most < cluster.nodes[0].work.commits < 50


def test_nodes_take_turns_in_a_conversation() -> None:
    """Its row is locked by one commit at a time, whichever node makes it."""
    cluster, conv = Cluster(10), conversation(range(10))
    for number in range(5_000):
        cluster.at(number / 5_000, lambda now, number=number: cluster.say(number % 10, conv, now))
    cluster.run(1.0)
    assert 0.9 / prices.TAKES.value < cluster.commits_of[conv] <= 1 / prices.TAKES.value


def test_sizes_of_groups() -> None:
    """Of a tenth, ten times the least; never more than a group may have."""
    chance = Random(1)
    sizes = [group_size(chance) for _ in range(20_000)]
    assert min(sizes) == 3
    assert MEMBERS * 0.9 < max(sizes) <= MEMBERS
    assert sum(size >= 30 for size in sizes) / len(sizes) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("work", prices.MEASURED)
def test_it_agrees_with_what_was_measured(work: tuple[int, int, int]) -> None:
    """Within a half; but with one unanswered, where all answered come back at once here, it is too cheap."""
    counts, (of_nodes, of_store, _) = pairs(*work, seed=1), prices.MEASURED[work]
    ratios = report.node_us(counts) / of_nodes, store_us(counts) / of_store
    if work[1] == 1:
        assert all(0.3 < ratio < 1 / WITHIN for ratio in ratios)
    else:
        assert all(1 / WITHIN < ratio < WITHIN for ratio in ratios)


def test_it_agrees_with_the_formula_where_that_holds() -> None:
    """One size of conversation, nothing that shares a write."""
    need = needs(pairs(2, 0, 500, seed=1))
    assert need.node_cores == pytest.approx(need.node_cores_formula, rel=0.02)


def test_the_page_says_what_the_command_says() -> None:
    """Both tables. Where they differ: put the output of python -m tools.capacity into docs/capacity.md."""
    for table in run().output.strip().split("\n\n"):
        assert table in PAGE


def test_the_prices_are_those_of_the_page() -> None:
    """The eight rows of the table, in its order."""
    rows = [line.split(" | ") for line in PAGE.partition("## The model")[0].splitlines() if line.count(" | ") == 4]
    shown = [
        tuple(float(cell.split()[0].replace(",", "")) for cell in row[1:4]) for row in rows if row[1][:1].isdigit()
    ]
    assert shown == list(prices.MEASURED.values())


def test_the_same_seed_gives_the_same() -> None:
    """And another another."""
    first, again, other = (run(*SMALL, "--json", "--seed", seed).output for seed in ("1", "1", "2"))
    assert first == again
    assert json.loads(first)["deployments"] != json.loads(other)["deployments"]
    assert all(price["source"] for price in json.loads(first)["prices"])


def test_half_a_deployment_is_none() -> None:
    """It is said what lacks."""
    done = run("--nodes", "3")
    assert done.exit_code == 2
    assert "--connections, --nodes and --rate describe one deployment: give all three." in done.output
