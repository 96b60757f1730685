"""The real reverse proxies with the configuration files that we ship, on free ports of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

DEPLOY = Path(__file__).parents[2] / "deploy"
SECONDS = 15.0
"""For starting and for stopping."""


@attrs.frozen
class Proxy:
    """A program, the file we ship for it, and how it is run and told to read the file again."""

    name: str
    file: str
    schemes: tuple[str, ...]
    """What a client may use through it."""
    command: Callable[[Path, Path], list[str]]
    """(its configuration, a directory of its own)"""
    reload: Callable[[trio.Process, Path], None]
    root: bool = False
    """Debian's build writes where only root may."""


def _reload_caddy(process: trio.Process, config: Path) -> None:
    address = next(line.split()[1] for line in config.read_text().splitlines() if line.strip().startswith("admin "))
    command = ["caddy", "reload", "--force", "--adapter", "caddyfile", "--config", str(config), "--address", address]
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)


PROXIES = [
    Proxy(
        "nginx",
        "nginx/nginx.conf",
        ("wirechat", "wirechats", "wss"),
        lambda config, home: ["nginx", "-c", str(config), "-e", "stderr", "-g", f"daemon off; pid {home}/pid;"],
        lambda process, config: process.send_signal(signal.SIGHUP),
        root=True,
    ),
    Proxy(
        "haproxy",
        "haproxy/haproxy.cfg",
        ("wirechat", "wirechats", "wss"),
        lambda config, home: ["haproxy", "-W", "-db", "-f", str(config)],
        lambda process, config: process.send_signal(signal.SIGUSR2),
    ),
    Proxy(
        "caddy",
        "caddy/Caddyfile",
        ("wss",),
        lambda config, home: ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)],
        _reload_caddy,
    ),
]


def require(proxy: Proxy) -> None:
    """Skip, with the reason, where it cannot run; with REQUIRE_PROXIES=1 that is an error."""
    reason = None
    if shutil.which(proxy.name) is None:
        reason = f"{proxy.name} is not installed"
    elif proxy.root and os.geteuid() != 0:
        reason = f"{proxy.name} needs root"
    if reason is not None:
        assert not os.environ.get("REQUIRE_PROXIES"), reason
        pytest.skip(reason)


@asynccontextmanager
async def running(
    proxy: Proxy, home: Path, places: Mapping[str, str], ports: Iterable[int]
) -> AsyncIterator[Callable[[], None]]:
    """Run it with our file, in which each of `places` is put in place of what stands there, until it listens on
    `ports`. Yields its reload.
    """
    text = (DEPLOY / proxy.file).read_text()
    for ours, theirs in places.items():
        text = text.replace(ours, theirs)
    config = home / Path(proxy.file).name
    config.write_text(text)
    environment = os.environ | {"XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home), "HOME": str(home)}
    with (home / "log").open("wb") as log:
        command = proxy.command(config, home)
        process = await trio.lowlevel.open_process(command, stdout=log, stderr=log, env=environment)
    try:
        with trio.fail_after(SECONDS):
            for port in ports:
                await _listening(process, port, home / "log")
        yield lambda: proxy.reload(process, config)
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(SECONDS):
                await process.wait()
            process.kill()
            await process.wait()


async def _listening(process: trio.Process, port: int, log: Path) -> None:
    while True:
        assert process.poll() is None, await trio.Path(log).read_text()
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.05)
        else:
            await stream.aclose()
            return
