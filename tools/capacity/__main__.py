"""`python -m tools.capacity`. Exit status: 0 fine, 2 wrong use."""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs
import click

from tools.arguments import Finite
from tools.arguments import run as run_command
from tools.capacity import prices, report
from tools.capacity.needs import needs
from tools.capacity.sizes import SIZES, Size, pairs, simulate


@click.command()
@click.option("--connections", type=click.IntRange(100, 2_000_000), help="Of one deployment instead of the usual four.")
@click.option("--nodes", type=click.IntRange(1, 1_000), help="That share them.")
@click.option("--rate", type=Finite(1, 200_000), help="Texts a second.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same figures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def main(connections: int | None, nodes: int | None, rate: float | None, seed: int, as_json: bool) -> None:
    """Simulate deployments up to a million connections, and put the prices of docs/capacity.md on what is counted.

    First the work of `bench cluster`, beside what was measured. Takes some seconds.
    """
    sizes: Sequence[Size] = SIZES
    if connections is not None and nodes is not None and rate is not None:
        sizes = (Size(connections, nodes, rate),)
    elif (connections, nodes, rate) != (None, None, None):
        raise click.UsageError("--connections, --nodes and --rate describe one deployment: give all three.")
    checks = {work: pairs(*work, seed) for work in prices.MEASURED}
    found = [simulate(size, seed) for size in sizes]
    if not as_json:
        click.echo(f"{report.checks(checks)}\n\n{report.deployments(found)}")
        return
    known = [
        {"nodes": nodes, "window": window, "rate": rate, "us_of_nodes": report.node_us(counts), **attrs.asdict(counts)}
        for (nodes, window, rate), counts in checks.items()
    ]
    listed = [attrs.asdict(each) for each in vars(prices).values() if isinstance(each, prices.Price)]
    deployments = [{**attrs.asdict(counts), "needs": attrs.asdict(needs(counts))} for counts in found]
    click.echo(json.dumps({"seed": seed, "prices": listed, "checks": known, "deployments": deployments}))


if __name__ == "__main__":
    run_command(main, "python -m tools.capacity")
