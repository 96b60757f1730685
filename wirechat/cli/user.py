"""`wirechat user`: the first accounts, forgotten passwords, and lost devices."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from wirechat.cli.running import die, run
from wirechat.cli.stored import Stored, needed, stored
from wirechat.cli.terminal import visible
from wirechat.client.errors import ClientError
from wirechat.client.features.accounts import register
from wirechat.server.account_log import AccountLog
from wirechat.server.errors import RequestError
from wirechat.server.features.accounts import check_handle, check_password, create_account
from wirechat.server.hub import Hub
from wirechat.server.journal import Journal
from wirechat.server.passwords import Passwords
from wirechat.settings.reading import Sources
from wirechat.store.database import Store
from wirechat.store.features import accounts, devices
from wirechat.store.records import Refusal
from wirechat.store.tx import Tx
from wirechat.wire import errors
from wirechat.wire.registries import EntryKind
from wirechat.world import REAL

ACCOUNTS_AT_ONCE = 1000
NO_DEVICE = 0
"""No device has this id."""

THROUGH_IT = "or let the running server make the account: wirechat user add --url URL HANDLE"
BY_HERSELF = "or, who knows the old password sets a new one in wirechat chat beside the running server"
CLOSED = (
    "the server makes accounts only when asked from its own machine; run this there, or set accounts.open_registration"
)
WHICH = "give either --url of a running server, or --data of a stopped one, or --store of a cluster, or --config"
BY_STOPPING = "for only then can nobody be inside"
BY_ANOTHER = "or let another device of the account revoke it beside the running server"

STOPPED = stored("a server, which is stopped")
LOOKED_AT = stored("a server, which may be running")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
PASSWORD = click.option("--password", help="The password; asked for, or read from standard input, when left out.")


EPILOG = """\b
wirechat user add --url wirechat://127.0.0.1:7667 bob
wirechat user devices --data ./data alice
wirechat user revoke --data ./data alice 4711
wirechat user revoke --data ./data alice --all
wirechat user disable --data ./data alice
wirechat user add --store postgresql://… carol"""


@click.group(epilog=EPILOG)
def user() -> None:
    """Accounts, passwords and devices. Lists are there beside a running server, too, and accounts are made through it
    with --url; for the rest it has to be stopped. The servers of a cluster (--store) may run all the time: a revoked
    device is off within two seconds.
    """


@user.command()
@STOPPED
@click.option("--url", metavar="URL", help="Or the address of the running server.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Certificates to trust with --url, in PEM.")
@click.argument("handle")
@PASSWORD
@click.option("--name", help="Display name.")
def add(sources: Sources, url: str | None, ca: str | None, handle: str, password: str | None, name: str | None) -> None:
    """Make an account with a password.

    A running server makes it when it is asked from its own machine, or when its registration is open.
    """
    if sources.flags and url is not None:
        raise click.UsageError(WHICH)
    if url is not None:
        run(_register, url, ca, handle, _password(password), name)
    else:
        run(_add, needed(sources, WHICH), handle, _password(password), name)
    click.echo(f"{handle} may log in now.")


@user.command()
@STOPPED
@click.argument("handle")
@PASSWORD
def reset(sources: Sources, handle: str, password: str | None) -> None:
    """Give an account a new password."""
    run(_reset, needed(sources), handle, password)
    click.echo(
        f"{handle} has a new password. Devices that are logged in stay so: wirechat user devices shows them,"
        " wirechat user revoke ends one, or all."
    )


@user.command()
@STOPPED
@click.argument("handle")
@JSON
def disable(sources: Sources, handle: str, as_json: bool) -> None:
    """Let nobody into an account any more: no password, no device. What it wrote stays.

    `wirechat user reset` gives it a password again.
    """
    ended = run(_disable, needed(sources), handle)
    text = f"Nobody can log in as {handle} any more; {len(ended)} devices are revoked."
    click.echo(json.dumps({"devices": ended}) if as_json else text)


@user.command(name="list")
@LOOKED_AT
@JSON
def list_(sources: Sources, as_json: bool) -> None:
    """List all accounts."""
    found = run(_list, needed(sources))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _table(found, ("handle", "name", "devices", "password", "made"))


@user.command(name="devices")
@LOOKED_AT
@click.argument("handle")
@JSON
def devices_(sources: Sources, handle: str, as_json: bool) -> None:
    """List the devices of an account that may log in."""
    found = run(_devices, needed(sources), handle)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        _table(found, ("device", "name", "key", "made", "seen"))
    else:
        click.echo(f"{handle} has no devices.")


@user.command()
@STOPPED
@click.argument("handle")
@click.argument("device", type=click.IntRange(min=1), required=False)
@click.option("--all", "every", is_flag=True, help="All devices of the account.")
@JSON
def revoke(sources: Sources, handle: str, device: int | None, every: bool, as_json: bool) -> None:
    """End a device of an account for ever, or all of them: they cannot log in any more.

    With --all and a new password (wirechat user reset) nobody gets in who could before.
    """
    if every == (device is not None):
        raise click.UsageError("say which DEVICE, or --all")
    shown: dict[str, Any]
    if device is not None:
        changed = run(_revoke, needed(sources), handle, device)
        shown, text = {"device": device, "changed": changed}, f"Device {device} of {handle} {_verb(changed)} revoked."
    else:
        ended = run(_revoke_all, needed(sources), handle)
        shown, text = {"devices": ended}, f"{len(ended)} devices of {handle} are revoked."
    click.echo(json.dumps(shown) if as_json else text)


def _verb(changed: bool) -> str:
    return "is" if changed else "was"


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    lines = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else visible(str(value))


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


async def _list(place: Stored) -> list[dict[str, Any]]:
    return sorted(await place.look(_everyone), key=lambda each: str(each["handle"]))


async def _everyone(tx: Tx) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while rows := await accounts.everyone(tx, found[-1]["user"] if found else 0, ACCOUNTS_AT_ONCE):
        for (number, handle, name, about, _), made, has_password in rows:
            found.append(
                {"user": number, "handle": handle, "name": name, "about": about,
                 "devices": await devices.count(tx, number), "password": has_password, "made": _time(made)}
            )  # fmt: skip
    return found


def _number(found: accounts.Account | None, handle: str) -> int:
    if found is None:
        die(f"there is no account {handle}; wirechat user list with the same flags shows all")
    return found[0]


async def _devices(place: Stored, handle: str) -> list[dict[str, Any]]:
    async def look(tx: Tx) -> list[Any]:
        return list(await devices.of(tx, _number(await accounts.find(tx, handle), handle)))

    return [
        {"device": device, "name": name, "key": has_key, "made": _time(made), "seen": _time(seen)}
        for device, name, made, seen, has_key in await place.look(look)
    ]


async def _revoke(place: Stored, handle: str, device: int) -> bool:
    """As DEVICE_REVOKE: the other devices of the account will be told."""
    place.must_be()
    async with place.opened(BY_ANOTHER) as store:
        number = _number(await store.read(accounts.find, handle), handle)

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await devices.revoke(tx, number, device, stamp)

        try:
            return await _account_log(store).enter(number, EntryKind.DEVICE, project)
        except RequestError:
            die(f"{handle} has no device {device}; wirechat user devices with the same flags shows them")


async def _revoke_all(place: Stored, handle: str) -> list[int]:
    """As SECRET_SET with `revoke`, but of all."""
    place.must_be()
    async with place.opened(BY_ANOTHER) as store:
        return await _end(store, _number(await store.read(accounts.find, handle), handle))


async def _disable(place: Stored, handle: str) -> list[int]:
    """First the password, so that no login comes between, then the devices."""
    place.must_be()
    async with place.opened(BY_STOPPING) as store:
        number = _number(await store.read(accounts.find, handle), handle)
        await store.write(accounts.set_password, handle, None)
        return await _end(store, number)


async def _end(store: Store, user: int) -> list[int]:
    """Revoke all devices; which ones."""
    ended: list[int] = []

    async def project(tx: Tx, stamp: int) -> bool | Refusal:
        ended[:] = await devices.revoke_others(tx, user, NO_DEVICE, stamp)
        return bool(ended)

    await _account_log(store).enter(user, EntryKind.DEVICE, project)
    return ended


def _account_log(store: Store) -> AccountLog:
    return AccountLog(REAL, Journal(store, Hub(), REAL.now_ms))


def _password(given: str | None) -> bytes:
    if given is None:
        if sys.stdin.isatty():
            given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        else:
            return sys.stdin.buffer.readline().rstrip(b"\r\n")
    assert given is not None
    return os.fsencode(given)


async def _add(place: Stored, handle: str, password: bytes, name: str | None) -> None:
    try:
        check_handle(handle)
        check_password(password, handle)
        async with place.opened(THROUGH_IT) as store:
            phc = await Passwords(REAL).hash(password)
            await create_account(store, REAL, handle, name, phc)
    except RequestError as error:
        die(f"{handle}: {error.text}")


async def _register(url: str, ca: str | None, handle: str, password: bytes, name: str | None) -> None:
    try:
        await register(url, handle, password=password.decode(), name=name, ca=ca)
    except UnicodeDecodeError:
        die("the password is not UTF-8 text")
    except ValueError as error:
        die(str(error))
    except ClientError as error:
        die(CLOSED if error.code == errors.REGISTRATION_CLOSED else f"{handle}: {error}")


async def _reset(place: Stored, handle: str, given: str | None) -> None:
    place.must_be()
    async with place.opened(BY_HERSELF) as store:
        _number(await store.read(accounts.find, handle), handle)
        password = _password(given)
        try:
            check_password(password, handle)
        except RequestError as error:
            die(f"{handle}: {error.text}")
        await store.write(accounts.set_password, handle, await Passwords(REAL).hash(password))
