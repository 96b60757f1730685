"""Shares of one run make one result; what is no set of them is refused in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli import command


def share(result: Path, number: int, of: int, **changed: Any) -> Path:
    """A file like the one of a run in which nothing happened, with other fields."""
    path = result.with_name(f"{len(list(result.parent.iterdir()))}.json")
    path.write_text(json.dumps(json.loads(result.read_text()) | {"share": {"number": number, "of": of}} | changed))
    return path


def server(result: Path, name: str, begin: float, end: float, seconds: float) -> dict[str, Any]:
    """Fields of a share that counted the CPU of a server."""
    totals = json.loads(result.read_text())["totals"]
    return {
        "watched": {"name": name, "begin": begin, "end": end},
        "totals": totals | {"people": 10, "server_cpu_seconds": seconds},
    }


def test_the_file_of_a_whole_run_is_a_result(result: Path) -> None:
    whole = share(result, 1, 1, **server(result, "a, process 7", 0, 10, 2.0))
    done = command.wirechat("loadgen", "merge", whole, "--json")
    assert json.loads(done.out)["totals"]["server_cpu_seconds"] == 2.0


def test_a_merged_result_is_whole(result: Path) -> None:
    parts = [share(result, number, 2) for number in (2, 1)]
    merged = result.with_name("merged.json")
    merged.write_text(command.wirechat("loadgen", "merge", *parts, "--json").out)
    assert json.loads(merged.read_text())["share"] == {"number": 1, "of": 1}


def test_wrong_shares_are_refused(result: Path) -> None:
    first, second, third = share(result, 1, 2), share(result, 2, 2), share(result, 2, 3)
    reseeded, other = share(result, 2, 2, seed=2), share(result, 2, 2, scenario={"name": "talk", "people": 7})
    damaged = share(result, 2, 2, share={"number": "x", "of": 2})
    for files, line in (
        ([first], "share 2/2 is missing: give the files of all 2 shares"),
        ([first, first, second], f"{first} and {first} are both share 1/2: give each share once"),
        ([first, third], f"{third} is a share of 3, {first} one of 2"),
        ([first, result], f"{result} is a share of 1, {first} one of 2"),
        ([first, reseeded], f"{reseeded} is of another run than {first}: they differ in seed"),
        ([first, other], f"{other} is of another run than {first}: they differ in scenario"),
        ([first, damaged], f"{damaged} is damaged"),
    ):
        assert command.refused("loadgen", "merge", *files) == f"wirechat: {line}"


@pytest.mark.parametrize(
    ("servers", "seconds"),
    [
        ([("a, process 7", 0, 10, 2.0), ("a, process 7", 1, 11, 3.0)], 3.0),
        ([("a, process 7", 0, 10, 3.0), ("a, process 7", 1, 11, 2.0)], 3.0),
        ([("a, process 7", 20, 30, 2.0), ("a, process 7", 0, 10, 3.0)], 5.0),
        ([("a, process 7", 0, 10, 2.0), ("a, process 8", 1, 11, 3.0)], 5.0),
        ([("a, process 7", 0, 10, 2.0), ("a, process 7", 1, 5, 1.0), ("a, process 7", 6, 9, 2.5)], 2.5),
        ([("a, process 7", 0, 10, 2.0), None], 2.0),
    ],
)
def test_one_server_at_one_time_is_counted_once(
    servers: list[tuple[str, float, float, float] | None], seconds: float, result: Path
) -> None:
    """Whatever other shares have is of elsewhere."""
    parts = [
        share(result, number, len(servers), **({} if each is None else server(result, *each)))
        for number, each in enumerate(servers, 1)
    ]
    merged = json.loads(command.wirechat("loadgen", "merge", *parts, "--json").out)
    assert merged["totals"]["server_cpu_seconds"] == seconds
