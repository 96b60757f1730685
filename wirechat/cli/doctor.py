"""`wirechat doctor`: what could go wrong on this machine, and what to do about it."""

from __future__ import annotations

import json
import sys

import attrs
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wirechat.cli.options import configured, load
from wirechat.doctor.examination import examine
from wirechat.doctor.finding import OK, PROBLEM, WARNING, Finding
from wirechat.settings.reading import Sources

STYLES = {OK: "green", WARNING: "yellow", PROBLEM: "bold red"}

EPILOG = """\b
wirechat doctor --config wirechat.toml
wirechat doctor --data ./data --tls 0.0.0.0:7668 --cert chain.pem --key key.pem --json"""


@click.command(epilog=EPILOG)
@configured
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(sources: Sources, as_json: bool) -> None:
    """Check machine, data and certificate for a server with these settings. Changes nothing; the server may be running.

    Exit status 1 when there is a problem.
    """
    findings = list(examine(load(sources).settings))
    if as_json:
        click.echo(json.dumps(report(findings), indent=2))
    else:
        _print(findings)
    sys.exit(0 if well(findings) else 1)


def well(findings: list[Finding]) -> bool:
    """No problem among them."""
    return all(finding.state != PROBLEM for finding in findings)


def report(findings: list[Finding]) -> dict[str, object]:
    """For JSON."""
    return {"well": well(findings), "findings": [attrs.asdict(finding) for finding in findings]}


def _print(findings: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in findings:
        told = Text(each.text)
        if each.todo:
            told.append(f"\n{each.todo}", "italic")
        table.add_row(each.check, Text(each.state, STYLES[each.state]), told)
    Console(highlight=False).print(table)
