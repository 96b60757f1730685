"""Results as files: written whole or not at all, read again for merging and comparing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cattrs

from tools.loadgen import scenario
from tools.loadgen.machine import Sample, Watched
from tools.loadgen.measures import Measures
from tools.loadgen.report.figures import as_plain, figures
from tools.loadgen.run import Options, Result
from tools.loadgen.scrape import Counted

FORMAT = "wirechat-loadgen 1"
SAME = ("scenario", "target", "seed")
"""What all shares of one run have in common."""
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
    """One result of the shares of one run, as if one generator had had all their people. Raises BadFile."""
    _check_shares(files)
    first = files[0][1]  # the server is the same for all: what it did is taken from one of them
    measures, totals, violations, invalid, partial = Measures(), dict[str, float](), list[str](), list[str](), ""
    counted: dict[str, Counted] = {}
    spent = list[tuple[Watched, float]]()
    for path, plain in files:
        try:
            measures.add(Measures.from_plain(plain["measures"]))
            for name, value in plain["totals"].items():
                totals[name] = totals.get(name, 0) + value
            violations += [f"{path.name}: {line}" for line in plain["violations"]]
            invalid += [f"{path.name}: {line}" for line in plain["invalid"]]
            partial = partial or plain["partial"]
            counted = counted or {name: Counted.from_plain(each) for name, each in plain["counted"].items()}
            if plain["watched"] is not None:
                spent.append((Watched(**plain["watched"]), plain["totals"]["server_cpu_seconds"]))
        except DAMAGES:
            raise BadFile(f"{path} is damaged") from None
    try:
        if len(files) > 1:
            totals["server_cpu_seconds"] = _server_cpu_seconds(spent)
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


def _check_shares(files: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """Raises BadFile unless they are all the shares of one run, each of them once."""
    first_path, first = files[0]
    found: dict[int, Path] = {}
    for path, plain in files:
        try:
            number, of = int(plain["share"]["number"]), int(plain["share"]["of"])
            for name in SAME:
                if plain[name] != first[name]:
                    raise BadFile(f"{path} is of another run than {first_path}: they differ in {name}")
            if of != first["share"]["of"]:
                raise BadFile(f"{path} is a share of {of}, {first_path} one of {first['share']['of']}")
        except DAMAGES:
            raise BadFile(f"{path} is damaged") from None
        if number in found:
            raise BadFile(f"{found[number]} and {path} are both share {number}/{of}: give each share once")
        found[number] = path
    for number in range(1, of + 1):
        if number not in found:
            raise BadFile(f"share {number}/{of} is missing: give the files of all {of} shares")


def _server_cpu_seconds(spent: Sequence[tuple[Watched, float]]) -> float:
    """Of each server once for a time, however many generators beside it counted it then; the most that one saw."""
    total, seen = 0.0, dict[str, tuple[float, float]]()
    for watched, seconds in sorted(spent, key=lambda each: each[0].begin):
        end, before = seen.get(watched.name, (0.0, 0.0))
        at_once = watched.begin < end
        total += max(0.0, seconds - before) if at_once else seconds
        seen[watched.name] = (max(end, watched.end), max(before, seconds)) if at_once else (watched.end, seconds)
    return total


def to_json(result: Result) -> str:
    """For a file or a pipe."""
    return json.dumps(as_plain(result)) + "\n"
