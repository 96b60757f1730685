"""`python -m tools.audit`. Exit status: 0 nothing is known, or nothing could be learnt; 1 a vulnerability, or
REQUIRE_AUDIT=1 and not all was audited; 2 wrong use.
"""

from __future__ import annotations

import configparser
import json
import os
from pathlib import Path

import attrs
import click

from tools.arguments import run as run_command
from tools.audit.ask import SERVICES, ask, installed
from tools.audit.report import Report

SETTINGS = Path(__file__).resolve().parents[2] / "setup.cfg"


def accepted(path: Path) -> dict[str, str]:
    """Advisory -> why it does not concern us, from section [audit]. Raises click.UsageError where a reason lacks."""
    parser = configparser.ConfigParser()
    parser.read(path)
    found = {}
    for line in parser.get("audit", "accepted", fallback="").strip().splitlines():
        advisory, colon, reason = line.partition(":")
        if not colon or not reason.strip():
            raise click.UsageError(f'"{line}" in [audit] of {path.name} has no reason; write "ADVISORY: why"')
        found[advisory.strip()] = reason.strip()
    return found


@click.command()
@click.option("--settings", type=click.Path(dir_okay=False, exists=True, path_type=Path), default=SETTINGS, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def main(context: click.Context, settings: Path, as_json: bool) -> None:
    """Known vulnerabilities of the installed packages. What is accepted stands in setup.cfg, [audit]."""
    excused = accepted(settings)
    packages = installed()
    reasons: list[str] = []
    best: Report | None = None
    for service in SERVICES:
        answer = ask(service, packages)
        if isinstance(answer, str):
            reasons.append(answer)
            continue
        if answer.unknown:
            reasons.append(f"{service} knows nothing of {len(answer.unknown)}")
        if best is None or len(answer.audited) > len(best.audited):
            best = answer
        if best is not None and not best.unknown:
            break
    findings = () if best is None else best.without(excused)
    audited = 0 if best is None else len(best.audited)
    complete = audited == len(packages)
    if as_json:
        found = [attrs.asdict(finding) for finding in findings]
        click.echo(json.dumps({"packages": len(packages), "audited": audited, "findings": found, "reasons": reasons}))
    else:
        for finding in findings:
            click.echo(f"Vulnerable: {finding}")
        for advisory in () if best is None else best.needless(excused):
            click.echo(f"{advisory} is accepted in setup.cfg, [audit], and not there any more; remove it.")
        click.echo(_summary(audited, len(packages), reasons))
    required = os.environ.get("REQUIRE_AUDIT") == "1"
    context.exit(1 if findings or (required and not complete) else 0)


def _summary(audited: int, packages: int, reasons: list[str]) -> str:
    if audited == packages:
        return f"{audited} packages audited for known vulnerabilities."
    lacking = f"{packages - audited} of {packages} packages ({'; '.join(reasons)})"
    return f"NOT AUDITED: {lacking}. Set REQUIRE_AUDIT=1 to make that an error."


if __name__ == "__main__":
    run_command(main, "python -m tools.audit")
