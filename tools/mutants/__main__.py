"""`python -m tools.mutants`: hunts every mutant, or those that are named. Exit status 1 when one was not caught."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import attrs
import click

from tools.arguments import run as run_command
from tools.conformance import checks as _checks  # noqa: F401  every module enters its checks
from tools.conformance.clients import checks as _client_checks  # noqa: F401
from tools.mutants.hunt import CLIENT, SERVER, Side, Unusable, hunt, mutants, whole
from tools.simulate.bugs import Bug, StalePatch

TOLD_MAX = 3
SIDES = {side.name: side for side in (SERVER, CLIENT)}


@click.command()
@click.argument("names", nargs=-1)
@click.option("--side", type=click.Choice(list(SIDES)), help="Mutants of the server or of the client alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def main(names: tuple[str, ...], side: str | None, as_json: bool) -> None:
    """Plant each mutant in a copy of the server or client and let the conformance runner loose on it. NAMES: those."""
    sides = [SIDES[side]] if side is not None else list(SIDES.values())
    chosen = {each.name: _chosen(each, names) for each in sides}
    if unknown := set(names) - {mutant.name for found in chosen.values() for mutant in found}:
        raise click.UsageError(f"no mutant is called {min(unknown)}")
    hunts = [_hunted(each, chosen[each.name], as_json) for each in sides if chosen[each.name]]
    if as_json:
        click.echo(json.dumps({each.side.name: each.as_json() for each in hunts}, indent=1))
    sys.exit(1 if any(each.missed or each.spoiled for each in hunts) else 0)


def _chosen(side: Side, names: Iterable[str]) -> list[Bug]:
    return [mutant for mutant in mutants(side=side) if not names or mutant.name in names]


@attrs.frozen
class Verdict:
    """What became of one mutant. `failed`: checks that fail with it and not without; `why`: when there is none."""

    mutant: str
    failed: list[str]
    why: str = ""

    def __str__(self) -> str:
        more = f" and {len(self.failed) - TOLD_MAX} more" if len(self.failed) > TOLD_MAX else ""
        return ", ".join(self.failed[:TOLD_MAX]) + more if self.failed else f"NOT CAUGHT: {self.why}"


@attrs.frozen
class Hunt:
    """All of one side. `spoiled`: the checks that fail without any mutant."""

    side: Side
    spoiled: list[str]
    found: list[Verdict]

    @property
    def missed(self) -> dict[str, str]:
        return {each.mutant: each.why for each in self.found if not each.failed}

    @property
    def idle(self) -> list[str]:
        """The checks that no mutant failed."""
        return [name for name in self.side.runnable if all(name not in each.failed for each in self.found)]

    def as_json(self) -> dict[str, object]:
        return {
            "caught": {each.mutant: each.failed for each in self.found if each.failed},
            "missed": self.missed,
            "failing without a mutant": self.spoiled,
            "never failing": self.idle,
        }

    def as_text(self) -> str:
        lines = [f"\n{len(self.found)} mutants of the {self.side.name}, {len(self.missed)} not caught"]
        if self.spoiled:
            lines.append(f"The {self.side.name} as it is fails {', '.join(self.spoiled)}: these caught nothing.")
        lines.append(f"{len(self.idle)} checks that no mutant failed:")
        return "\n".join([*lines, *(f"  {name}" for name in self.idle), ""])


def _hunted(side: Side, chosen: list[Bug], as_json: bool) -> Hunt:
    spoiled = set(whole(side=side))
    done = Hunt(side, sorted(spoiled), [_verdict(side, mutant, spoiled, as_json) for mutant in chosen])
    if not as_json:
        click.echo(done.as_text())
    return done


def _verdict(side: Side, mutant: Bug, spoiled: set[str], as_json: bool) -> Verdict:
    try:
        failed = [name for name in hunt(mutant, side=side) if name not in spoiled]
        verdict = Verdict(mutant.name, failed, "" if failed else "no check failed")
    except (StalePatch, Unusable) as error:
        verdict = Verdict(mutant.name, [], str(error))
    if not as_json:
        click.echo(f"{mutant.name:44} {verdict}")
    return verdict


if __name__ == "__main__":
    run_command(main, "python -m tools.mutants")
