"""`wirechat config`: what may be set, what is set, and whether it can be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import click
from rich.console import Console
from rich.table import Table

from wirechat.cli.options import configured, load
from wirechat.settings import checks, reference
from wirechat.settings.errors import BadSettings
from wirechat.settings.reading import Loaded, Sources
from wirechat.settings.schema import FIELDS, Settings

LINE = 10_000
"""Nothing is cut off: a path is to be copied."""

EPILOG = """\b
wirechat config default > wirechat.toml
wirechat config check wirechat.toml
WIRECHAT_LOG__LEVEL=debug wirechat config show --config wirechat.toml"""


@click.group(epilog=EPILOG)
def config() -> None:
    """Write, check and show the configuration of a server."""


@config.command()
def default() -> None:
    """Print a commented configuration to begin with."""
    click.echo(reference.default_toml(), nl=False)


@config.command(name="reference")
def reference_page() -> None:
    """Print a page about every setting, in Markdown."""
    click.echo(reference.markdown(), nl=False)


@config.command()
@configured
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(sources: Sources, file: Path | None, as_json: bool) -> None:
    """Check a configuration and what it names, as a server would read it. Exit status 2 when it cannot be used."""
    problems = list(_problems(attrs.evolve(sources, file=file or sources.file)))
    if as_json:
        click.echo(json.dumps({"usable": not problems, "problems": problems}, indent=2))
    else:
        for problem in problems:
            click.echo(f"wirechat: {problem}", err=True)
    if problems:
        raise SystemExit(2)
    if not as_json:
        click.echo("The configuration can be used.")


def _problems(sources: Sources) -> list[str]:
    try:
        settings = sources.load().settings
    except BadSettings as error:
        return list(error.problems)
    found = settings.lacks()
    if settings.data.directory is not None:
        reason = checks.unwritable(settings.data.directory)
        found += [f"data.directory cannot be written: {reason}"] if reason else []
    try:
        checks.named_tls(settings)
    except BadSettings as error:
        found += error.problems
    return found


@config.command()
@configured
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(sources: Sources, as_json: bool) -> None:
    """Show every setting as a server would have it, and where it was said."""
    loaded = load(sources)
    if as_json:
        click.echo(json.dumps(effective(loaded), indent=2))
    else:
        _print(loaded)


def effective(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """ "section.key" -> its value and where it was said, for JSON."""
    return {path: {"value": _plain(loaded.settings, path), **attrs.asdict(loaded.origin(path))} for path in FIELDS}


def _plain(settings: Settings, path: str) -> Any:
    value = settings.value(path)
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value if value is None or isinstance(value, bool | int) else str(value)


def _print(loaded: Loaded) -> None:
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for path in FIELDS:
        value, origin = loaded.settings.value(path), loaded.origin(path)
        shown = "" if value is None else reference.toml(value)
        table.add_row(path, shown, f"{origin.kind} {origin.name}".strip(), style=None if origin.name else "dim")
    Console(highlight=False, markup=False, width=LINE).print(table)
