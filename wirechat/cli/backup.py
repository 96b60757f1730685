"""`wirechat backup` and `wirechat restore`: everything of a server in one file, and back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from wirechat.cli.running import call
from wirechat.cli.verify import count
from wirechat.store import backup as store
from wirechat.store import snapshot

FILE = click.Path(dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command(epilog="Example: wirechat backup --data ./data /backups/$(date +%F).wirechat")
@click.option("--data", required=True, type=DIRECTORY, help="Data directory of a server, which may be running.")
@click.argument("dest", type=click.Path(path_type=Path))
@click.option(
    "--max-wal",
    default=store.WAL_GROWTH_MAX >> 20,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="MIB",
    help="Give up when the server writes more than this meanwhile: its log has to be kept for so long.",
)
@JSON
def backup(data: Path, dest: Path, max_wal: int, as_json: bool) -> None:
    """Write everything of a server, as of one moment, to the new file DEST.

    DEST appears when it is whole and on disk, or not at all. It holds texts, password hashes and keys: keep it as safe
    as the data. Check it with: wirechat verify --backup DEST
    """
    with _bar(not as_json) as tell:
        manifest = call(store.backup, data, dest, tell, max_wal << 20)
    if as_json:
        click.echo(json.dumps({"file": str(dest), **attrs.asdict(manifest)}, indent=2))
    else:
        click.echo(f"{dest}: {_said(manifest)}, {manifest.size:,} bytes")


@click.command(epilog="Example: wirechat restore /backups/2026-11-28.wirechat --data ./data")
@click.argument("backup", type=FILE)
@click.option("--data", required=True, type=DIRECTORY, help="Directory to restore into; empty or missing.")
@click.option("--forget-logins", is_flag=True, help="Every device has to log in again with its key or password.")
@JSON
def restore(backup: Path, data: Path, forget_logins: bool, as_json: bool) -> None:
    """Put the file BACKUP into an empty directory, to run a server on it.

    The clients notice by themselves and load everything anew. What was acknowledged after the backup is lost. Devices,
    passwords and memberships are again as they were then, also what was revoked since.
    """
    manifest = call(store.restore, backup, data, forget_logins=forget_logins)
    if as_json:
        click.echo(json.dumps({"data": str(data), **attrs.asdict(manifest)}, indent=2))
        return
    when = _time(manifest)
    click.echo(f"{data}: {_said(manifest)}, as of {when}; its new epoch is {manifest.epoch}")
    click.echo(
        f"Devices that were revoked, passwords that were changed and members who were removed after {when} are as"
        " before: revoke, change and remove them again."
    )


def _said(manifest: snapshot.Manifest) -> str:
    return ", ".join(
        (
            count(manifest.accounts, "account"),
            count(manifest.conversations, "conversation"),
            count(manifest.entries, "entry", "entries"),
        )
    )


def _time(manifest: snapshot.Manifest) -> str:
    return datetime.fromtimestamp(manifest.taken_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@contextmanager
def _bar(wanted: bool) -> Iterator[snapshot.Progress]:
    """A progress bar on a terminal."""
    if not wanted or not sys.stderr.isatty():
        yield snapshot.silently
        return
    columns = (TextColumn("copying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")

        def tell(done: int, pages: int) -> None:
            bar.update(task, completed=done, total=pages)

        yield tell
