"""Results as files: written whole or not at all, read again for merging and comparing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cattrs

from tools.loadgen import scenario
from tools.loadgen.machine import Sample
from tools.loadgen.measures import Measures
from tools.loadgen.report.figures import as_plain, figures
from tools.loadgen.run import Options, Result
from tools.loadgen.scrape import Counted

FORMAT = "wirechat-loadgen 1"
DAMAGES = (KeyError, TypeError, ValueError, AttributeError)


class BadFile(Exception):
    """A file that cannot be read or written, in one line."""


def write(path: Path, text: str) -> None:
    """Raises BadFile."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadFile(f"cannot write {path}: {error.strerror}") from None


def read(path: Path) -> dict[str, Any]:
    """What `--json` printed. Raises BadFile."""
    try:
        plain = json.loads(path.read_text())
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, UnicodeDecodeError):
        raise BadFile(f"{path} is not JSON") from None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise BadFile(f"{path} is no result of wirechat loadgen")
    return plain


def merge(files: Sequence[tuple[Path, Mapping[str, Any]]]) -> Result:
    """One result of the results of several hosts, as if one generator had had all their people. Raises BadFile."""
    first = files[0][1]  # the server is the same for all: what it did is taken from one of them
    measures, totals, violations, invalid, partial = Measures(), dict[str, float](), list[str](), list[str](), ""
    counted: dict[str, Counted] = {}
    for path, plain in files:
        try:
            if plain["scenario"]["name"] != first["scenario"]["name"]:
                raise BadFile(f"{path} is of scenario {plain['scenario']['name']}, not {first['scenario']['name']}")
            measures.add(Measures.from_plain(plain["measures"]))
            for name, value in plain["totals"].items():
                totals[name] = totals.get(name, 0) + value
            violations += [f"{path.name}: {line}" for line in plain["violations"]]
            invalid += [f"{path.name}: {line}" for line in plain["invalid"]]
            partial = partial or plain["partial"]
            counted = counted or {name: Counted.from_plain(each) for name, each in plain["counted"].items()}
        except DAMAGES:
            raise BadFile(f"{path} is damaged") from None
    try:
        named = {key: value for key, value in first["scenario"].items() if key != "name"}
        options = Options(
            first["scenario"]["name"], scenario.from_plain(named), first["url"], processes=first["processes"],
            seed=first["seed"], check=all(plain["checked"] for _, plain in files), target=first["target"],
        )  # fmt: skip
        result = Result(
            options, measures, first["phases"], violations, invalid, [Sample(**each) for each in first["samples"]],
            totals, {**first["machine"], "hosts": len(files)}, first["began"], partial, counted,
        )  # fmt: skip
        figures(result)
    except (*DAMAGES, cattrs.BaseValidationError):
        raise BadFile(f"{files[0][0]} is damaged") from None
    return result


def to_json(result: Result) -> str:
    """For a file or a pipe."""
    return json.dumps(as_plain(result)) + "\n"
