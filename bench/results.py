"""Results as files: KIND-DATE-TIME-COMMIT.json, and beside it a page to look at. What is worth keeping is committed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bench.benchmark import ROOT
from tools.loadgen.report.file import BadFile, write

FOLDER = ROOT / "bench" / "results"

option = click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write KIND-DATE-TIME-COMMIT.json and .html there.",
)


def save(folder: Path, kind: str, plain: Mapping[str, Any], commit: str, text: str, page: str) -> Path:
    """Returns the path of the JSON. `text` is what `plain` is as JSON. Raises click.ClickException."""
    began = plain["began"].removesuffix(" UTC").replace(" ", "-").replace(":", "")
    path = folder / f"{kind}-{began}-{commit}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(path, text)
        write(path.with_suffix(".html"), page)
    except OSError as error:
        raise click.ClickException(f"cannot make {folder}: {error.strerror}") from None
    except BadFile as error:
        raise click.ClickException(str(error)) from None
    return path


def kept(of: str) -> list[tuple[Path, Mapping[str, Any]]]:
    """Those of this format that are kept with the code, oldest first; the first ones have other names."""
    results = [(path, json.loads(path.read_text("utf-8"))) for path in FOLDER.glob("*.json")]
    return sorted((pair for pair in results if pair[1]["format"] == of), key=lambda pair: str(pair[1]["began"]))
