"""`wirechat user`: the first accounts, and forgotten passwords."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from wirechat.cli.running import die, run
from wirechat.server.errors import RequestError
from wirechat.server.features.accounts import check_handle, check_password, create_account
from wirechat.server.passwords import Passwords
from wirechat.store.database import open_sqlite
from wirechat.store.features import accounts
from wirechat.world import REAL

DATA = click.option(
    "--data", required=True, type=click.Path(file_okay=False, path_type=Path), help="Data directory of the server."
)
PASSWORD = click.option("--password", help="The password; asked for, or read from standard input, when left out.")


@click.group()
def user() -> None:
    """Make accounts and reset passwords. The server must not be running on the same data directory."""


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
        async with open_sqlite(data) as store:
            phc = await Passwords(REAL).hash(password)
            if not await store.write(accounts.set_password, handle, phc):
                die(f"there is no account {handle}")
    except RequestError as error:
        die(f"{handle}: {error.text}")
