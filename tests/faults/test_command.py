"""`python -m tools.faults`: what it skips it says, and what it is told wrongly is one line and status 2."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from tests.cli.test_cluster_commands import family
from tests.cli.test_workers import runs
from tools.faults.__main__ import INTERRUPTED, main
from tools.faults.kinds import ALL
from tools.faults.kinds.disk import Disk

Call = Callable[..., Result]
PATIENCE = 30.0


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


def talking(place: Path) -> bool:
    """Whether the people of a fault have begun."""
    return any(notes.stat().st_size for notes in place.glob("wirechat-faults-*/ws.notes"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_everything_that_was_started(number: signal.Signals, tmp_path: Path) -> None:
    """While people talk: the server, the people and their directory are gone when the command is."""
    words = [sys.executable, "-m", "tools.faults", "--only", "kill", "--seconds", "60"]
    process = await trio.lowlevel.open_process(words, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        with trio.fail_after(PATIENCE):
            while not talking(tmp_path):  # noqa: ASYNC110
                await trio.sleep(0.05)
            found = family(process.pid)
            process.send_signal(number)
            assert await process.wait() == INTERRUPTED
    finally:
        process.kill()
        await process.wait()
    assert len(found) >= len(("the harness", "its guard", "the server", "one crowd", "another"))
    assert not [pid for pid in found if runs(pid)]
    assert not os.listdir(tmp_path)
