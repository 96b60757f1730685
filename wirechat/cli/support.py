"""`wirechat support-bundle`: what helps others to find a fault, and nothing that is nobody's business.

Only facts about the program, the machine and sizes go in: no keys, no message text, no handles, no other variables of
the environment, no log.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import click
import trio

from wirechat.cli import doctor
from wirechat.cli.config import effective
from wirechat.cli.options import configured, load
from wirechat.cli.running import Stop, complain
from wirechat.doctor.examination import examine
from wirechat.settings.reading import Loaded, Sources
from wirechat.settings.schema import Settings
from wirechat.store import sqlite
from wirechat.store.errors import DataError
from wirechat.store.stats import of_directory, stats

FETCH_SECONDS = 5.0
METRICS_BYTES_MAX = 10_000_000
NOTHING = "no metrics: "
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}

EPILOG = """\b
wirechat support-bundle --config wirechat.toml --url http://127.0.0.1:7670"""


@click.command(name="support-bundle", epilog=EPILOG)
@configured
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write, tar.gz.")
@click.option(
    "--url", metavar="URL", help="HTTP address of the running server, for its metrics; otherwise that of --http."
)
def support_bundle(sources: Sources, output: Path | None, url: str | None) -> None:
    """Collect versions, settings, checks, counts and metrics in one file. No secrets, no texts, no names of people."""
    loaded = load(sources)
    target = output or Path(time.strftime("wirechat-support-%Y%m%d-%H%M%S.tar.gz"))
    try:
        files = _collect(loaded, url)
        with open(target, "xb") as file:
            _write(file, files)
    except Stop as error:
        complain(error)
    except OSError as error:
        complain(Stop(f"cannot write {target}: {error.strerror}"))
    if files.get("metrics.txt", "").startswith(NOTHING):
        click.echo(f"Without metrics: {files['metrics.txt'].removeprefix(NOTHING).strip()}", err=True)
    click.echo(f"{target}: {', '.join(files)}. Look through it before you send it.")


def _collect(loaded: Loaded, url: str | None) -> dict[str, str]:
    parts: dict[str, Callable[[], Any]] = {
        "versions.json": _versions,
        "platform.json": _platform,
        "settings.json": lambda: effective(loaded),
        "doctor.json": lambda: doctor.report(list(examine(loaded.settings))),
        "store.json": lambda: _counts(loaded),
    }
    files = {name: json.dumps(part(), indent=2) + "\n" for name, part in parts.items()}
    url = url or _side_door(loaded.settings)
    if url is not None:
        files["metrics.txt"] = _metrics(url)
    return files


def _write(file: Any, files: dict[str, str]) -> None:
    with tarfile.open(fileobj=file, mode="w:gz") as bundle:
        for name, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(f"wirechat-support/{name}")
            info.size, info.mtime = len(data), int(time.time())
            bundle.addfile(info, io.BytesIO(data))


def _versions() -> dict[str, str]:
    """Of this program and what it stands on."""
    required = [line for line in metadata.requires("wirechat") or [] if "extra ==" not in line]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required]
    own = {"wirechat": metadata.version("wirechat"), "python": sys.version, "sqlite": sqlite.library()[0]}
    return own | {name: metadata.version(name) for name in names}


def _platform() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": os.getloadavg(),
    }


def _counts(loaded: Loaded) -> dict[str, Any]:
    """What is in the data, in numbers; reads all of it once."""
    directory, url = loaded.settings.data.directory, loaded.settings.store.url
    try:
        if url is not None:
            from wirechat.store import postgres  # asyncpg takes a fifth of a second

            return attrs.asdict(trio.run(postgres.look, url.text, stats))
        if directory is None or not sqlite.exists(directory):
            return {}
        return attrs.asdict(of_directory(directory))
    except DataError as error:
        return {"problem": str(error)}


def _side_door(settings: Settings) -> str | None:
    """The address of HTTP beside the protocol, as this machine reaches it."""
    for address in settings.listen.http:
        if address.port:
            host = ANYWHERE.get(address.host, address.host)
            scheme = "https" if address in settings.listen.wss else "http"
            return f"{scheme}://{attrs.evolve(address, host=host)}"
    return None


def _metrics(url: str) -> str:
    """What the server measures of itself; one that does not answer is a fact, too."""
    if not url.startswith(("http://", "https://")):
        raise Stop(f'"{url}" is no address of a server: write http://host:port')
    whole = url if "/" in url.rstrip("/").partition("://")[2] else url.rstrip("/") + "/metrics"
    try:
        with urllib.request.urlopen(whole, timeout=FETCH_SECONDS) as answer:
            return str(answer.read(METRICS_BYTES_MAX).decode("utf-8", "replace"))
    except (OSError, ValueError, urllib.error.URLError) as error:
        return f"{NOTHING}{whole} gave nothing: {error}\n"
