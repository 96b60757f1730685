"""`wirechat user`: the first accounts, forgotten passwords, and lost devices."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from wirechat.cli.running import die, run
from wirechat.server.account_log import AccountLog
from wirechat.server.errors import RequestError
from wirechat.server.features.accounts import check_handle, check_password, create_account
from wirechat.server.hub import Hub
from wirechat.server.journal import Journal
from wirechat.server.passwords import Passwords
from wirechat.store.database import Store, open_sqlite
from wirechat.store.features import accounts, devices
from wirechat.store.records import Refusal
from wirechat.store.sqlite import FILE
from wirechat.store.tx import Tx
from wirechat.wire.registries import EntryKind
from wirechat.world import REAL

ACCOUNTS_AT_ONCE = 1000

DATA = click.option(
    "--data", required=True, type=click.Path(file_okay=False, path_type=Path), help="Data directory of the server."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
PASSWORD = click.option("--password", help="The password; asked for, or read from standard input, when left out.")


@click.group(
    epilog="A lost phone: wirechat user devices --data ./data alice; wirechat user revoke --data ./data alice 4711"
)
def user() -> None:
    """Accounts, passwords and devices. The server must not be running on the same data directory."""


@user.command()
@DATA
@click.argument("handle")
@PASSWORD
@click.option("--name", help="Display name.")
def add(data: Path, handle: str, password: str | None, name: str | None) -> None:
    """Make an account with a password."""
    run(_add, data, handle, _password(password), name)
    click.echo(f"{handle} may log in now.")


@user.command()
@DATA
@click.argument("handle")
@PASSWORD
def reset(data: Path, handle: str, password: str | None) -> None:
    """Give an account a new password."""
    run(_reset, data, handle, _password(password))
    click.echo(f"{handle} has a new password.")


@user.command(name="list")
@DATA
@JSON
def list_(data: Path, as_json: bool) -> None:
    """List all accounts."""
    found = run(_list, data)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _table(found, ("handle", "name", "devices", "password", "made"))


@user.command(name="devices")
@DATA
@click.argument("handle")
@JSON
def devices_(data: Path, handle: str, as_json: bool) -> None:
    """List the devices of an account that may log in."""
    found = run(_devices, data, handle)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        _table(found, ("device", "name", "key", "made", "seen"))
    else:
        click.echo(f"{handle} has no devices.")


@user.command()
@DATA
@click.argument("handle")
@click.argument("device", type=click.IntRange(min=1))
@JSON
def revoke(data: Path, handle: str, device: int, as_json: bool) -> None:
    """End a device of an account for ever: it cannot log in any more."""
    changed = run(_revoke, data, handle, device)
    if as_json:
        click.echo(json.dumps({"device": device, "changed": changed}))
    else:
        click.echo(f"Device {device} of {handle} {'is' if changed else 'was'} revoked.")


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    lines = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value).replace("\n", " ")


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


@asynccontextmanager
async def _opened(data: Path) -> AsyncIterator[Store]:
    """The store of a server that has run; only `add` makes what is not there."""
    if not (data / FILE).exists():
        die(f"there is no server's data in {data}; give the directory of `wirechat serve --data`")
    async with open_sqlite(data) as store:
        yield store


async def _list(data: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with _opened(data) as store:
        while rows := await store.read(accounts.everyone, found[-1]["user"] if found else 0, ACCOUNTS_AT_ONCE):
            for (number, handle, name, about, _), made, has_password in rows:
                count = await store.read(devices.count, number)
                found.append(
                    {"user": number, "handle": handle, "name": name, "about": about, "devices": count,
                     "password": has_password, "made": _time(made)}
                )  # fmt: skip
    return found


async def _account(store: Store, handle: str) -> int:
    found = await store.read(accounts.find, handle)
    if found is None:
        die(f"there is no account {handle}; `wirechat user list` shows all")
    return found[0]


async def _devices(data: Path, handle: str) -> list[dict[str, Any]]:
    async with _opened(data) as store:
        rows = await store.read(devices.of, await _account(store, handle))
    return [
        {"device": device, "name": name, "key": has_key, "made": _time(made), "seen": _time(seen)}
        for device, name, made, seen, has_key in rows
    ]


async def _revoke(data: Path, handle: str, device: int) -> bool:
    """As DEVICE_REVOKE: the other devices of the account will be told."""
    async with _opened(data) as store:
        number = await _account(store, handle)

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await devices.revoke(tx, number, device, stamp)

        account_log = AccountLog(REAL, Journal(store, Hub(), REAL.now_ms))
        try:
            return await account_log.enter(number, EntryKind.DEVICE, project)
        except RequestError:
            die(f"{handle} has no device {device}; `wirechat user devices` shows them")


def _password(given: str | None) -> bytes:
    if given is None:
        if sys.stdin.isatty():
            given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        else:
            return sys.stdin.buffer.readline().rstrip(b"\r\n")
    assert given is not None
    return os.fsencode(given)


async def _add(data: Path, handle: str, password: bytes, name: str | None) -> None:
    try:
        check_handle(handle)
        check_password(password)
        async with open_sqlite(data) as store:
            phc = await Passwords(REAL).hash(password)
            await create_account(store, REAL, handle, name, phc)
    except RequestError as error:
        die(f"{handle}: {error.text}")


async def _reset(data: Path, handle: str, password: bytes) -> None:
    try:
        check_password(password)
        async with _opened(data) as store:
            phc = await Passwords(REAL).hash(password)
            if not await store.write(accounts.set_password, handle, phc):
                die(f"there is no account {handle}")
    except RequestError as error:
        die(f"{handle}: {error.text}")
