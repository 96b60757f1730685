"""`python -m tools.mutants`: hunts every mutant, or those that are named. Exit status 1 when one was not caught."""

from __future__ import annotations

import json
import sys

import attrs
import click

from tools.conformance import checks as _checks  # noqa: F401  every module enters its checks
from tools.conformance.catalogue import CHECKS, TRANSPORTS
from tools.mutants.hunt import Unusable, hunt, mutants, whole
from tools.simulate.bugs import Bug, StalePatch

TOLD_MAX = 3


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def main(names: tuple[str, ...], as_json: bool) -> None:
    """Plant each mutant in a copy of the server and let the conformance runner loose on it. NAMES: those alone."""
    try:
        chosen = mutants(names)
    except KeyError as error:
        raise click.UsageError(f"no mutant is called {error.args[0]}") from None
    spoiled = set(whole().failed)
    found = [_hunted(mutant, spoiled, as_json) for mutant in chosen]
    missed = {each.mutant: each.why for each in found if not each.failed}
    idle = [name for name in _runnable() if all(name not in each.failed for each in found)]
    _sum_up(found, missed, sorted(spoiled), idle, as_json)
    sys.exit(1 if missed or spoiled else 0)


@attrs.frozen
class Verdict:
    """What became of one mutant. `failed`: checks that fail with it and not without; `why`: when there is none."""

    mutant: str
    failed: list[str]
    why: str = ""

    def __str__(self) -> str:
        more = f" and {len(self.failed) - TOLD_MAX} more" if len(self.failed) > TOLD_MAX else ""
        return ", ".join(self.failed[:TOLD_MAX]) + more if self.failed else f"NOT CAUGHT: {self.why}"


def _hunted(mutant: Bug, spoiled: set[str], as_json: bool) -> Verdict:
    try:
        failed = [name for name in hunt(mutant).failed if name not in spoiled]
        verdict = Verdict(mutant.name, failed, "" if failed else "no check failed")
    except (StalePatch, Unusable) as error:
        verdict = Verdict(mutant.name, [], str(error))
    if not as_json:
        click.echo(f"{mutant.name:44} {verdict}")
    return verdict


def _runnable() -> list[str]:
    """The checks that a quick run over TCP has."""
    return [
        check.id
        for check in CHECKS.values()
        if not check.slow and (check.needs is None or "wirechat" in TRANSPORTS[check.needs])
    ]


def _sum_up(found: list[Verdict], missed: dict[str, str], spoiled: list[str], idle: list[str], as_json: bool) -> None:
    if as_json:
        caught = {each.mutant: each.failed for each in found if each.failed}
        told = {"caught": caught, "missed": missed, "failing without a mutant": spoiled, "never failing": idle}
        click.echo(json.dumps(told, indent=1))
        return
    click.echo(f"\n{len(found)} mutants, {len(missed)} not caught")
    if spoiled:
        click.echo(f"The server as it is fails {', '.join(spoiled)}: these caught nothing.")
    click.echo(f"{len(idle)} checks that no mutant failed:")
    for name in idle:
        click.echo(f"  {name}")


if __name__ == "__main__":
    main()
