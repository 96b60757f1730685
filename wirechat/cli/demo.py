"""`wirechat demo`: the first five minutes. A server on this machine, two accounts, a short replay, and what to
type next.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import trio
from rich.console import Console

from wirechat.cli import logs
from wirechat.cli.options import load
from wirechat.cli.running import run
from wirechat.cli.serve import run_server
from wirechat.server.features.accounts import create_account
from wirechat.server.listeners import Listener
from wirechat.server.passwords import Passwords
from wirechat.settings.reading import Sources
from wirechat.settings.schema import Log
from wirechat.store.database import Store
from wirechat.store.features import accounts
from wirechat.world import REAL

PEOPLE = {"alice": "looking-glass", "bob": "can-we-fix-it"}
SAMPLE = Path("examples/logs")


@click.command()
@click.option(
    "--data",
    default=".run/demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to keep it.",
)
@click.option("--tcp", default="127.0.0.1:7667", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option(
    "--ws", default="127.0.0.1:7669", show_default=True, metavar="HOST:PORT", help="Where to listen for WebSocket."
)
def demo(data: Path, tcp: str, ws: str) -> None:
    """Run a server on this machine with two accounts, play a short log through it, and say what to type next."""
    logs.configure(Log(level="warning"))  # who comes and goes would push what there is to try off the screen
    said = {"data.directory": str(data), "listen.tcp": [tcp], "listen.ws": [ws], "listen.http": [ws]}
    run(run_server, load(Sources(None, {}, said)).settings, None, partial(_greet, data))


def sample() -> list[str]:
    """Short logs to replay; none where there is no checkout."""
    return sorted(str(path) for path in SAMPLE.glob("*.raw.txt"))


def accounts_line() -> str:
    """Who can log in, and how."""
    return "   ".join(f"{handle} / {password}" for handle, password in PEOPLE.items())


async def _greet(data: Path, store: Store, listeners: list[Listener]) -> None:
    console = Console(highlight=False)
    for handle, password in PEOPLE.items():
        if await store.read(accounts.find, handle) is None:
            phc = await Passwords(REAL).hash(password.encode())
            await create_account(store, REAL, handle, handle.title(), phc)
    url = listeners[0].url
    metrics = listeners[-1].url.replace("ws", "http", 1) + "/metrics"
    if files := sample():
        console.print("\nA short replay, as fast as it goes:")
        command = [sys.executable, "-m", "wirechat.cli.main", "replay", *files, "--url", url]
        await trio.run_process(command, check=False, stdin=subprocess.DEVNULL)
    console.print(
        f"""
[bold]wirechat is running.[/bold]

  accounts   {accounts_line()}
  addresses  {"   ".join(listener.url for listener in listeners)}

Talk to it from two other terminals (F1 shows the keys):

  .venv/bin/wirechat chat {url} --handle alice
  .venv/bin/wirechat chat {url} --handle bob

Put a load on it, and open the report:

  .venv/bin/wirechat loadgen run pairs --url {url} --metrics {metrics} --report report.html

Then stop it with Ctrl-C and check that everything stored is consistent:

  .venv/bin/wirechat verify --data {shlex.quote(str(data))}
""",
        soft_wrap=True,
    )
