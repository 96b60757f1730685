"""--config and the flags over it, the same for every command that needs the settings of a server."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from wirechat.cli.running import complain
from wirechat.settings.errors import BadSettings
from wirechat.settings.reading import Loaded, Sources
from wirechat.settings.schema import FIELDS, about

VERBOSE = "log.level"


def configured(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --config and the flags; it is called with `Sources`, and what else it has as keywords."""

    @functools.wraps(command)
    def wrapped(sources: Sources, verbose: bool, **others: Any) -> Any:
        if verbose:
            sources = attrs.evolve(sources, flags={**sources.flags, VERBOSE: "debug"})
        return command(sources, **others)

    wrapped = click.option("--verbose", is_flag=True, help="Log every broken connection.")(wrapped)
    return configured_by(*_flagged())(wrapped)


def configured_by(*paths: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command --config and the flags of these settings; it is called with `Sources` as above."""
    return functools.partial(_configured, paths)


def _configured(paths: Sequence[str], command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def wrapped(config: Path | None, **others: Any) -> Any:
        flags = {path: others.pop(_name(path)) for path in paths}
        said = {path: _plain(value) for path, value in flags.items() if value not in (None, (), False)}
        return command(Sources(config, os.environ, said), **others)

    for path in reversed(paths):
        wrapped = _option(path)(wrapped)
    return click.option(
        "--config",
        envvar="WIRECHAT_CONFIG",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Configuration in TOML; flags and WIRECHAT_SECTION__KEY go before it. See wirechat config.",
    )(wrapped)


def load(sources: Sources) -> Loaded:
    """The settings, or one line and exit status 2."""
    try:
        return sources.load()
    except BadSettings as error:
        complain(error)


def _flagged() -> list[str]:
    return [path for path in FIELDS if about(path).flag]


def _name(path: str) -> str:
    return path.replace(".", "_")


def _option(path: str) -> Callable[..., Any]:
    told, kind = about(path), FIELDS[path].type
    metavar = "FILE" if told.example.endswith('.pem"') else told.unit.upper().replace(" ", "_") or "PATH"
    names = (told.flag, _name(path))
    if kind is bool:
        return click.option(*names, is_flag=True, help=told.meaning)
    many = str(kind).startswith("tuple")
    help_text = told.meaning + (" May be repeated." if many else "")
    return click.option(*names, multiple=many, metavar=metavar, help=help_text)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
