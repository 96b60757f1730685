"""`wirechat user`: what an operator does beside a stopped server, and what he is told when it cannot be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from tests.server.rig import serving
from wirechat import wire
from wirechat.cli.main import wirechat as main
from wirechat.store.database import open_sqlite
from wirechat.store.features import devices

PASSWORD = b"correct horse"


async def run(*args: str, data: Path) -> Result:
    """The command, in a thread of its own because it has a loop of its own."""
    command, *rest = args
    return await trio.to_thread.run_sync(CliRunner().invoke, main, ["user", command, "--data", str(data), *rest])


async def told(*args: str, data: Path) -> Any:
    """What it prints as JSON."""
    result = await run(*args, "--json", data=data)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A directory with two accounts; ada has a password."""
    assert (await run("add", "ada", "--password", PASSWORD.decode(), "--name", "Ada L", data=tmp_path)).exit_code == 0
    assert (await run("add", "bob", "--password", PASSWORD.decode(), data=tmp_path)).exit_code == 0
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        entered = await client.ask(wire.Auth(0, 1, "ada", proof=PASSWORD, name="phone"), wire.AuthOk)
        await client.stream.aclose()
        while rig.server.hub.device(entered.device) is not None:  # noqa: ASYNC110  the server closes when it sees it
            await trio.sleep(0.01)
        await rig.server._devices.flush()
    return tmp_path


async def test_accounts_are_listed(data: Path) -> None:
    """For people and for machines."""
    people = {each["handle"]: each for each in await told("list", data=data)}
    assert sorted(people) == ["ada", "bob"]
    ada = people["ada"]
    assert (ada["name"], ada["devices"], ada["password"]) == ("Ada L", 1, True)
    result = await run("list", data=data)
    lines = result.output.splitlines()
    assert lines[0].split() == ["handle", "name", "devices", "password", "made"]
    assert {line.split("  ")[0] for line in lines[1:]} == {"ada", "bob"}


async def test_a_lost_device_is_revoked(data: Path) -> None:
    """It cannot log in any more, and the account log says so; twice is once."""
    (phone,) = await told("devices", "ada", data=data)
    assert (phone["name"], phone["key"], phone["seen"] is None) == ("phone", False, False)
    assert "phone" in (await run("devices", "ada", data=data)).output
    assert (await run("devices", "bob", data=data)).output == "bob has no devices.\n"
    result = await run("revoke", "ada", str(phone["device"]), data=data)
    assert (result.exit_code, result.output) == (0, f"Device {phone['device']} of ada is revoked.\n")
    assert (await told("revoke", "ada", str(phone["device"]), data=data))["changed"] is False
    assert await told("devices", "ada", data=data) == []
    async with open_sqlite(data) as store:
        device = await store.read(devices.get, phone["device"])
    assert device is not None
    assert device.revoked
    async with serving(data) as rig:
        client = await rig.greeted(caps=(11,))
        assert await client.refused(wire.Auth(0, 1, "ada", proof=PASSWORD, device=phone["device"])) == 2003
        await client.ask(wire.Auth(0, 1, "ada", proof=PASSWORD), wire.AuthOk)
        (page,) = await client.sync()
        assert [row.head for row in page.rows] == [3]  # the phone, its end, this device


@pytest.mark.parametrize(
    "args",
    [
        ["devices", "eve"],
        ["revoke", "eve", "7"],
        ["revoke", "ada", "7"],
        ["revoke", "ada", "x"],
        ["reset", "eve", "--password", "correct horse"],
    ],
)
async def test_what_cannot_be_done_is_said_in_one_line(data: Path, args: list[str]) -> None:
    """Exit status 2, no traceback."""
    result = await run(*args, data=data)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.output.strip()


@pytest.mark.parametrize(
    "args", [["list"], ["devices", "ada"], ["revoke", "ada", "7"], ["reset", "ada", "--password", "correct horse"]]
)
async def test_a_wrong_directory_is_not_made(tmp_path: Path, args: list[str]) -> None:
    """A directory that is no server's is told, and stays as it is."""
    result = await run(*args, data=tmp_path / "nowhere")
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


async def test_not_beside_a_running_server(data: Path) -> None:
    """One process at a time has the directory."""
    async with serving(data) as rig:
        await rig.greeted()
        result = await run("list", data=data)
    assert (result.exit_code, "in use" in result.output) == (2, True)
