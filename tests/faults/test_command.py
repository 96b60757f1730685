"""`python -m tools.faults`: what it skips it says, and what it is told wrongly is one line and status 2."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from tools.faults.__main__ import main
from tools.faults.kinds import ALL
from tools.faults.kinds.disk import Disk

Call = Callable[..., Result]


@pytest.fixture
def rootless(monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command, where no disk can be mounted, and nobody has asked for everything (as a pipeline may)."""
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    monkeypatch.setattr(Disk, "lacks", lambda self: "no root here")
    return lambda *arguments, **environment: CliRunner().invoke(main, arguments, env=environment)


def test_what_cannot_be_done_is_skipped_with_the_reason(rootless: Call) -> None:
    result = rootless("--only", "disk")
    assert result.exit_code == 0
    assert "disk: skipped: no root here" in result.stdout


@pytest.mark.parametrize(("arguments", "environment"), [(["--require-all"], {}), ([], {"REQUIRE_ALL": "1"})])
def test_a_skip_is_an_error_when_all_is_required(
    rootless: Call, arguments: list[str], environment: dict[str, str]
) -> None:
    result = rootless("--only", "disk", "--json", *arguments, **environment)
    told = json.loads(result.stdout)
    assert (result.exit_code, told["skipped"], told["failed"]) == (1, 1, 0)
    assert told["faults"][0]["why"] == "no root here"


def test_the_list_says_all(rootless: Call) -> None:
    lines = rootless("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [kind.name for kind in ALL]
    assert any("(not here: no root here)" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "flood"], "Error: no fault is called flood; there are kill, "),
        (["--bug", "nothing"], "Error: no planted bug is called nothing; see tests/simulation/bugs"),
        (["--seconds", "0"], "Error: Invalid value for '--seconds': 0.0 is not in the range"),
    ],
)
def test_bad_input_is_said(rootless: Call, arguments: list[str], message: str) -> None:
    result = rootless(*arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(message)
