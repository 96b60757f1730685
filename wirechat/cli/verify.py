"""`wirechat verify`: is everything stored consistent?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from wirechat.cli.running import complain, run
from wirechat.store import sqlite
from wirechat.store.errors import StoreError
from wirechat.store.verify import Report
from wirechat.store.verify import verify as check


@click.command()
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Directory of an embedded store.")
@click.option("--store", "url", metavar="URL", help="A PostgreSQL store: postgresql://user@host/database.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(data: Path | None, url: str | None, as_json: bool) -> None:
    """Check that logs have no gaps, projections equal their logs, and receipts are sane.

    Reads one snapshot; a server may be running on it. Exit status 1 when something is wrong.
    """
    if (data is None) == (url is None):
        raise click.UsageError("say what to check, with either --data or --store")
    try:
        report = sqlite.look(data, check) if data is not None else _check_postgres(url or "")
    except StoreError as error:
        complain(error)
    if as_json:
        summary = {"conversations": report.conversations, "entries": report.entries, "problems": report.problems}
        click.echo(json.dumps(summary))
    else:
        _print(report)
    sys.exit(1 if report.problems else 0)


def _check_postgres(url: str) -> Report:
    from wirechat.store import postgres  # it takes a second to load

    report: Report = run(postgres.look, url, check)
    return report


def _print(report: Report) -> None:
    for problem in report.problems:
        click.echo(problem)
    what = f"{report.conversations:,} conversations, {report.entries:,} entries"
    click.echo(f"{what}: {len(report.problems)} problems" if report.problems else f"{what}: everything is consistent")
