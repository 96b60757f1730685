"""`wirechat store`: what an operator does to the data by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click
import trio
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from wirechat.cli.running import call, run
from wirechat.cli.verify import count as count_of
from wirechat.settings.urls import StoreUrl
from wirechat.store import directory, maintenance
from wirechat.store.database import open_sqlite
from wirechat.store.errors import DataError, StoreError
from wirechat.store.records import ACCOUNT, DIRECT, GROUP, SELF
from wirechat.store.sqlite import COPIES, refuse_missing
from wirechat.store.stats import Stats, of_directory
from wirechat.store.stats import stats as count

if TYPE_CHECKING:
    from wirechat.store.move import Moved

DIRECTORY = click.Path(file_okay=False, path_type=Path)
DATA = click.option("--data", required=True, type=DIRECTORY, help="Data directory of a server.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
KINDS = {DIRECT: "direct", GROUP: "group", SELF: "self", ACCOUNT: "account log"}


@click.group()
def store() -> None:
    """Look at the data and tend it."""


@store.command(short_help="Say what is in the data, in numbers.")
@click.option("--data", type=DIRECTORY, help="Data directory of a server, which may be running.")
@click.option("--store", "url", metavar="URL", help="Or the PostgreSQL database of a cluster.")
@JSON
def stats(data: Path | None, url: str | None, as_json: bool) -> None:
    """Say what is in the data, in numbers: no texts and no names. Reads the whole file once."""
    if (data is None) == (url is None):
        raise click.UsageError("give either --data or --store")
    found = run(_stats, data, url)
    if as_json:
        click.echo(json.dumps(attrs.asdict(found), indent=2))
    else:
        _show(found)


async def _stats(data: Path | None, url: str | None) -> Stats:
    if url is None:
        assert data is not None
        return await trio.to_thread.run_sync(of_directory, data)
    from wirechat.store import postgres  # asyncpg takes a fifth of a second

    return await postgres.look(url, count)


def _show(found: Stats) -> None:
    share = f"{100 * found.deleted / found.messages:.1f} %" if found.messages else "none"
    facts = Table(box=None, show_header=False)
    for name, value in (
        ("engine", f"{found.engine}, schema {found.schema}"),
        ("accounts, devices", f"{found.accounts:,}, {found.devices:,}"),
        ("conversations", f"{found.conversations:,}; direct {found.direct:,}, groups {found.groups:,}"),
        ("account logs", f"{found.account_logs:,}"),
        ("entries", f"{found.entries:,}"),
        ("messages", f"{found.messages:,}; deleted: {share}"),
        ("edits, reactions", f"{found.edits:,}, {found.reactions:,}"),
        ("database", f"{_bytes(found.bytes)}, of this free {_bytes(found.free_bytes)}"),
        ("log, disk free", f"{_bytes(found.wal_bytes)}, {_bytes(found.disk_free)}"),
    ):
        facts.add_row(name, value)
    tables = Table("table", "bytes", box=box.SIMPLE)
    for table in found.tables:
        tables.add_row(table.name, _bytes(table.bytes))
    largest = Table("conversation", "kind", "entries", "members", box=box.SIMPLE)
    for each in found.largest:
        kind = KINDS.get(each.kind, f"kind {each.kind}")
        largest.add_row(str(each.conv), kind, f"{each.entries:,}", f"{each.members:,}")
    Console(highlight=False).print(facts, tables, largest)


def _bytes(number: int) -> str:
    if number < 10_000:
        return f"{number:,} B"
    return f"{number / 1024:,.0f} KiB" if number < 10_000_000 else f"{number / 1024 / 1024:,.0f} MiB"


@store.command(short_help="Write the file anew and smaller.", epilog="Example: wirechat store vacuum --data ./data")
@DATA
def vacuum(data: Path) -> None:
    """Write the file anew, without free pages and without a trace of what was deleted. The server has to be stopped;
    twice the size of the data has to be free.
    """
    before, after = call(maintenance.vacuum, data)
    click.echo(f"{data}: {_bytes(before)} before, {_bytes(after)} now")
    for kept in sorted(data.glob(COPIES)):
        click.echo(f"{kept} still holds what was deleted since; remove it when you will not go back")


@store.command(short_help="Empty SQLite's log into the file.")
@DATA
def checkpoint(data: Path) -> None:
    """Bring SQLite's log into the file and empty it, also beside a running server. The server does so by itself as it
    writes; this is for one that is quiet, or after a long backup.
    """
    before, after = call(maintenance.checkpoint, data)
    click.echo(f"{data}: a log of {_bytes(before)} before, {_bytes(after)} now")


@store.command("renew-epoch", short_help="Make all clients load everything anew.")
@click.option("--data", type=DIRECTORY, help="Data directory of a server.")
@click.option("--store", "url", metavar="URL", help="Or the PostgreSQL database of a cluster.")
def renew_epoch(data: Path | None, url: str | None) -> None:
    """Make all clients load everything anew. For data that was put back by a plain copy of files or a snapshot of
    disks, which no client could tell from the newest; wirechat restore does it by itself. Also for data that was moved
    away and is to be served again as it was then. All servers have to be stopped.
    """
    if (data is None) == (url is None):
        raise click.UsageError("give either --data or --store")
    if data is not None:
        click.echo(f"{data}: its new epoch is {call(maintenance.renew_epoch, data)}")
    else:
        click.echo(f"the new epoch of the database is {run(_renew_epoch, url)}")


async def _renew_epoch(url: str) -> str:
    from wirechat.store import postgres  # asyncpg takes a fifth of a second

    return (await postgres.renew_epoch(url)).hex()


@store.command(short_help="Bring the data of an older wirechat up to date.")
@DATA
@click.option("--no-copy", is_flag=True, help="Keep no copy of the data as it is now: you have a backup elsewhere.")
def migrate(data: Path, no_copy: bool) -> None:
    """Bring the data of an older wirechat up to date, as serve does when it starts. The only way back is a backup, or
    the copy that is kept: wirechat restore it with the older version.
    """
    run(_migrate, data, not no_copy)
    click.echo(f"{data} is up to date")


async def _migrate(data: Path, copy: bool) -> None:
    refuse_missing(data)
    async with open_sqlite(data, copy=copy, tell=click.echo):
        pass


@store.command(
    short_help="Move everything of a server to PostgreSQL, while it runs.",
    epilog="Example: wirechat store move sqlite:./data postgresql://wirechat@db.example.org/wirechat",
)
@click.argument("source", metavar="sqlite:DIR")
@click.argument("target", metavar="postgresql://…")
@click.option("--no-wait", is_flag=True, help="End when everything is copied, even if the server still runs.")
@JSON
def move(source: str, target: str, no_wait: bool, as_json: bool) -> None:
    """Move everything of a server into an empty PostgreSQL database. The server may run while the bulk is copied; then
    stop it, and what is left takes a moment. Every conversation is compared. Devices stay logged in and go on where
    they were.

    Interrupted or ended by --no-wait it goes on when it is run again. The data in DIR is not changed; in the end it is
    marked as moved, so that no server is started on it by mistake.
    """
    kind, _, folder = source.partition(":")
    if kind != "sqlite" or not folder:
        raise click.UsageError(f"{source} is no source: give sqlite:DIR, the data directory of a server")
    try:
        StoreUrl.parse(target)
    except ValueError as error:
        raise click.UsageError(f"the target {error}") from None
    with _told(Path(folder)) as tell:
        moved = run(_move, Path(folder), target, tell, not no_wait)
    if as_json:
        click.echo(json.dumps(attrs.asdict(moved), indent=2))
        return
    counted = f"{count_of(moved.conversations, 'conversation')}, {count_of(moved.entries, 'entry', 'entries')}"
    if moved.complete:
        click.echo(f"moved {counted}, all of it compared; start the servers on the database, and keep {folder} a while")
    else:
        click.echo(f"copied {counted}; stop the server, then run this again to finish")


async def _move(folder: Path, url: str, tell: Callable[[str, int, int], None], wait: bool) -> Moved:
    from wirechat.store import move as moves  # asyncpg takes a fifth of a second

    try:
        return await moves.move(folder, url, tell, wait=wait)
    except DataError:
        raise
    except StoreError as error:
        goes_on = "" if isinstance(error, moves.Differs) else "; run it again, it goes on where it was"
        click.echo(f"wirechat: the move failed: {error}{goes_on}", err=True)
        sys.exit(1)


@contextmanager
def _told(folder: Path) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal, and one line when it is time to stop the server."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("")
    waiting = False

    def tell(what: str, done: int, of: int) -> None:
        nonlocal waiting
        bar.update(task, description=what, completed=done, total=of or None)
        if what == "waiting" and not waiting:
            waiting = True
            process = directory.holder(folder)
            holder = "another process" if process is None else f"process {process}"
            console.print(
                f"everything is copied; stop the server now ({holder} has {folder})", soft_wrap=True, markup=False
            )

    with bar if console.is_terminal else nullcontext():
        yield tell
