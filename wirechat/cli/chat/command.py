"""`wirechat chat`: who, where, and from which cache; then the program takes the terminal."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import attrs
import click
import trio

from wirechat.cli.chat.paint import tame
from wirechat.cli.chat.place import InUse, cache_path, claimed, handles
from wirechat.cli.running import Stop, complain, die
from wirechat.client import (
    CacheError,
    Client,
    ClientError,
    ConnectionFailed,
    LoginFailed,
    UnknownOutcome,
    cache_owner,
    open_client,
    register,
)
from wirechat.client.transport import Network
from wirechat.wire import errors

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NAME = f"wirechat chat on {platform.node()[:40] or 'some machine'}"  # of the device, until it is given another
KEY_BYTES = 32
REACH_SECONDS = 10.0  # what takes longer is told by logging in
LOGGED_OUT = frozenset({errors.BAD_CREDENTIALS, errors.EXPIRED, errors.DEVICE_REVOKED})
TO_DO: dict[type[ClientError], str] = {LoginFailed: "Start again, here or where you want to go on."}
EXAMPLE = "Beside a running `wirechat demo`: wirechat chat wirechat://127.0.0.1:7667 --handle alice"


@click.command(epilog=EXAMPLE)
@click.argument("url")
@click.option("--handle", help="Who you are; not needed when only one account has logged in from here.")
@click.option(
    "--cache",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for all this device knows. Default: one for each server and handle, where the system keeps state.",
)
@click.option("--ca", type=FILE, help="Certificates to trust, in PEM, instead of those of this machine.")
@click.option("--password-file", type=FILE, help="Read the password from the first line of this file.")
@click.option("--register", "new", is_flag=True, help="Make the account first, with a password of your choice.")
def chat(
    url: str, handle: str | None, cache: Path | None, ca: Path | None, password_file: Path | None, new: bool
) -> None:
    """Chat on the terminal.

    The first start logs in as a new device and asks for the password. Later starts need none, and no server either:
    what is cached can be read and searched, and what you write goes out once the server is there again.
    """
    try:
        _chat(url, handle, cache, ca, password_file, new)
    except Stop as error:
        complain(Stop(tame(str(error))))  # a server may have said it


def _chat(
    url: str, handle: str | None, cache: Path | None, ca: Path | None, password_file: Path | None, new: bool
) -> None:
    try:
        handle = handle or _known_handle(url, cache)
        path = cache or cache_path(url, handle)
        with claimed(path):
            owner = cache_owner(path)
            if cache is None and owner is not None:
                handle = owner  # it may have been changed since this file got its name
            ended = _talk(Account(url, handle, path, ca), owner is not None, password_file, new)
    except CacheError as error:
        die(f"the cache of this device cannot be used: {error.message}")
    except ConnectionFailed as error:
        die(f"{url}: {error.message}")
    except (ClientError, InUse, ValueError, OSError) as error:
        die(getattr(error, "message", str(error)))
    if ended is not None:
        die(f"stopped: {ended.message}. {TO_DO.get(type(ended), ended.to_do)}")


def _known_handle(url: str, cache: Path | None) -> str:
    known = handles(url) if cache is None else [owner] if (owner := cache_owner(cache)) is not None else []
    if len(known) != 1:
        die(f"say who you are with --handle{': ' if known else ''}{', '.join(known)}")
    return known[0]


@attrs.frozen
class Account:
    """Who talks to which server, and where this device remembers it."""

    url: str
    handle: str
    cache: Path
    ca: Path | None

    def opening(self, **more: Any) -> AbstractAsyncContextManager[Client]:
        """The client, not yet open."""
        options = {"handle": self.handle, "cache": self.cache, "ca": self.ca, "name": NAME, "wait": False, **more}
        return open_client(self.url, **options)

    async def reach(self) -> None:
        """Knocks: nobody should type a password for a server that is not there. Raises ConnectionFailed."""
        failure = None
        async with trio.open_nursery() as nursery:
            try:
                with trio.move_on_after(REACH_SECONDS):
                    transport = await Network(nursery, None if self.ca is None else str(self.ca)).connect(self.url)
                    transport.abort()
            except ConnectionFailed as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def register(self, password: str) -> None:
        """Makes the account. Raises Stop, ClientError."""
        try:
            await register(self.url, self.handle, password=password, ca=None if self.ca is None else str(self.ca))
        except LoginFailed as error:
            if error.code != errors.REGISTRATION_CLOSED:
                raise
            die(f"this server makes no accounts: ask its operator for {self.handle}, then leave out --register")
        except UnknownOutcome as error:
            die(f"{error.message}; start again without --register, and with it when there is no {self.handle}")

    async def log_in(self, password: str) -> None:
        """Makes this a device that needs no password, or raises why not; once."""
        key = os.urandom(KEY_BYTES)
        async with self.opening(password=password, device_key=key, reconnect=False, wait=True):
            pass


def _talk(account: Account, known: bool, password_file: Path | None, new: bool) -> ClientError | None:
    if not sys.stderr.isatty():
        die("this program needs a terminal")
    if new and known:
        die(f"{account.handle} has logged in from here already: leave out --register")
    if not known:
        trio.run(account.reach)
        password = _password(account.handle, password_file, new=new)
        if new:
            trio.run(account.register, password)
        trio.run(account.log_in, password)
    _take_keyboard()
    from wirechat.cli.chat.app import chat as run  # Textual takes a quarter of a second

    ended = asyncio.run(run(account.opening))
    if isinstance(ended, LoginFailed) and ended.code in LOGGED_OUT:
        click.echo(f"This device has to log in again: {ended.message}", err=True)
        trio.run(account.log_in, _password(account.handle, password_file))
        ended = asyncio.run(run(account.opening))
    return ended


def _password(handle: str, file: Path | None, *, new: bool = False) -> str:
    if file is not None:
        return file.read_text().split("\n")[0]
    if sys.stdin.isatty():
        asked = f"New password for {handle}" if new else f"Password of {handle}"
        return str(click.prompt(asked, hide_input=True, err=True, confirmation_prompt=new))
    return sys.stdin.readline().rstrip("\n")


def _take_keyboard() -> None:
    """The keyboard is that of the terminal, even when the password came through a pipe."""
    if sys.stdin.isatty():
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        die("this program needs a terminal")
    os.dup2(terminal, sys.stdin.fileno())
    os.close(terminal)
