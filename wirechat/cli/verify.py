"""`wirechat verify`: is everything stored consistent? Changes nothing; a server may be running on it."""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import click
import trio

from wirechat import wire
from wirechat.cli.running import run
from wirechat.cli.stored import Stored, needed, stored
from wirechat.settings.reading import Sources
from wirechat.store import backup as backups
from wirechat.store import snapshot, sqlite
from wirechat.store.errors import Damaged
from wirechat.store.migrations import migrations
from wirechat.store.tx import Feature
from wirechat.store.verify import Summary, Tell
from wirechat.store.verify import verify as check
from wirechat.wire.packing import MALFORMED

CHOICE = "give one of --data, --store, --config and --backup"


@click.command()
@stored("a server, which may be running")
@click.option(
    "--backup", type=click.Path(dir_okay=False, path_type=Path), help="Or a file that wirechat backup has written."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(sources: Sources, backup: Path | None, as_json: bool) -> None:
    """Check that everything stored is consistent: every log without a hole, and everything that is computed from the
    logs computed right. Exit status 1 when it is not.
    """
    if sources.flags and backup is not None:
        raise click.UsageError(CHOICE)
    found: list[str] = []
    place = needed(sources, CHOICE) if backup is None else None
    summary = run(_look, place, backup, found.append if as_json else click.echo)
    if as_json:
        looked = {"conversations": summary.conversations, "entries": summary.entries}
        click.echo(json.dumps({"consistent": not found, **looked, "problems": found}, indent=2))
    else:
        click.echo(closing_line(summary))
    sys.exit(1 if summary.problems else 0)


async def _look(place: Stored | None, backup: Path | None, tell: Tell) -> Summary:
    try:
        if backup is not None:
            return await _check_backup(backup, tell)
        assert place is not None
        return await place.look(checking(tell))
    except Damaged as error:
        tell(str(error))
        return Summary(problems=1)


async def _check_backup(path: Path, tell: Tell) -> Summary:
    """First its checksum. What an older version wrote is migrated before, in a copy that goes away."""
    manifest = await trio.to_thread.run_sync(snapshot.check, path)
    if manifest.schema == len(migrations("sqlite")):
        return await trio.to_thread.run_sync(backups.look, path, checking(tell))
    with tempfile.TemporaryDirectory(prefix="wirechat-") as folder:
        await trio.to_thread.run_sync(backups.restore, path, Path(folder))
        async with sqlite.open_sqlite(folder, copy=False) as store:
            return await store.read(checking(tell))


def checking(tell: Tell) -> Feature[[], Summary]:
    """`verify` as a feature of the store; it knows how this project packs what is hidden."""
    return partial(check, tell=tell, read_hidden=_hidden)


def _hidden(content: bytes) -> tuple[int, tuple[int, ...]]:
    try:
        packed = wire.Content.unpack(content).data
        hidden = wire.Hidden.unpack(packed if isinstance(packed, bytes) else b"")
    except MALFORMED as error:
        raise ValueError("no list of hidden messages") from error
    return hidden.conv, hidden.seqs


def closing_line(summary: Summary) -> str:
    """What it comes to."""
    looked = f"{count(summary.conversations, 'conversation')}, {count(summary.entries, 'entry', 'entries')}"
    if summary.problems:
        return f"{looked}: {count(summary.problems, 'problem')}"
    return f"{looked}: everything is consistent"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number of things."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
