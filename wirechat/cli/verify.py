"""`wirechat verify`: is everything stored consistent? Changes nothing; a server may be running on it."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import click
import trio

from wirechat import wire
from wirechat.cli.running import run
from wirechat.store import sqlite
from wirechat.store.errors import Damaged
from wirechat.store.verify import Summary, Tell
from wirechat.store.verify import verify as check
from wirechat.wire.packing import MALFORMED


@click.command()
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Data directory of a server.")
@click.option("--store", "url", metavar="URL", help="Or the PostgreSQL database of a cluster.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(data: Path | None, url: str | None, as_json: bool) -> None:
    """Check that everything stored is consistent: every log without a hole, and everything that is computed from the
    logs computed right. Exit status 1 when it is not.
    """
    if (data is None) == (url is None):
        raise click.UsageError("give either --data or --store")
    found: list[str] = []
    summary = run(_look, data, url, found.append if as_json else click.echo)
    if as_json:
        looked = {"conversations": summary.conversations, "entries": summary.entries}
        click.echo(json.dumps({"consistent": not found, **looked, "problems": found}, indent=2))
    else:
        click.echo(closing_line(summary))
    sys.exit(1 if summary.problems else 0)


async def _look(data: Path | None, url: str | None, tell: Tell) -> Summary:
    try:
        return await _check(data, url, tell)
    except Damaged as error:
        tell(str(error))
        return Summary(problems=1)


async def _check(data: Path | None, url: str | None, tell: Tell) -> Summary:
    feature = partial(check, tell=tell, read_hidden=_hidden)
    if url is None:
        assert data is not None
        return await trio.to_thread.run_sync(sqlite.look, data, feature)
    from wirechat.store import postgres  # asyncpg takes a fifth of a second

    return await postgres.look(url, feature)


def _hidden(content: bytes) -> tuple[int, tuple[int, ...]]:
    try:
        packed = wire.Content.unpack(content).data
        hidden = wire.Hidden.unpack(packed if isinstance(packed, bytes) else b"")
    except MALFORMED as error:
        raise ValueError("no list of hidden messages") from error
    return hidden.conv, hidden.seqs


def closing_line(summary: Summary) -> str:
    """What it comes to."""
    looked = f"{_count(summary.conversations, 'conversation')}, {_count(summary.entries, 'entry', 'entries')}"
    if summary.problems:
        return f"{looked}: {_count(summary.problems, 'problem')}"
    return f"{looked}: everything is consistent"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
