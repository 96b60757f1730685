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
from wirechat.server.config import Config
from wirechat.server.endpoint import Peer
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


async def test_all_devices_are_revoked(data: Path) -> None:
    """Tokens, keys and ids; with the new password a new device gets in. Twice is once, and bob's are left alone."""
    async with serving(data) as rig:
        bob = await rig.person("bob-with-a-key")
        phone = await (await rig.greeted()).ask(wire.Auth(0, 1, "ada", proof=PASSWORD, key=b"k" * 32), wire.AuthOk)
    before = [each["device"] for each in await told("devices", "ada", data=data)]
    assert len(before) == 2
    result = await run("revoke", "ada", "--all", data=data)
    assert (result.exit_code, result.output) == (0, "2 devices of ada are revoked.\n")
    assert (await told("revoke", "ada", "--all", data=data)) == {"devices": []}
    assert await told("devices", "ada", data=data) == []
    assert (await run("reset", "ada", "--password", "battery staple", data=data)).exit_code == 0
    async with serving(data) as rig:
        client = await rig.greeted()
        assert await client.refused(wire.Auth(0, 4, proof=phone.resume)) == 2002
        assert await client.refused(wire.Auth(0, 1, "ada", proof=PASSWORD)) == 2001
        await client.ask(wire.Auth(0, 1, "ada", proof=b"battery staple"), wire.AuthOk)
        await rig.again(bob)


async def test_a_disabled_account_lets_nobody_in(data: Path) -> None:
    """By no method; what it wrote stays, and a new password opens it again."""
    async with serving(data) as rig:
        bob = await rig.person("bob-with-a-key")
        ada = await rig.greeted()
        phone = await ada.ask(wire.Auth(0, 1, "ada", proof=PASSWORD), wire.AuthOk)
        await ada.sync()
        conv = (await ada.ask(wire.ConvNew(0, b"c" * 8, 1, (bob.user,)), wire.ConvNewOk)).conv
        await ada.say(conv, "what she wrote")
    result = await run("disable", "ada", data=data)
    assert (result.exit_code, result.output) == (0, "Nobody can log in as ada any more; 2 devices are revoked.\n")
    assert await told("disable", "ada", data=data) == {"devices": []}
    async with serving(data) as rig:
        client = await rig.greeted()
        assert await client.refused(wire.Auth(0, 1, "ada", proof=PASSWORD)) == 2001
        assert await client.refused(wire.Auth(0, 1, "ada", proof=PASSWORD, device=phone.device)) == 2001
        assert await client.refused(wire.Auth(0, 4, proof=phone.resume)) == 2002
        bob = await rig.again(bob)
        await bob.sync()
        page = await bob.ask(wire.Changes(0, conv, 0), wire.ChangesOk)
        assert [record.content.data for record in page.records if record.content] == ["what she wrote"]
    assert (await run("reset", "ada", "--password", "battery staple", data=data)).exit_code == 0
    async with serving(data) as rig:
        await (await rig.greeted()).ask(wire.Auth(0, 1, "ada", proof=b"battery staple"), wire.AuthOk)


@pytest.mark.parametrize("args", [["revoke", "ada"], ["revoke", "ada", "7", "--all"]])
async def test_one_device_or_all(data: Path, args: list[str]) -> None:
    """Not neither, not both."""
    result = await run(*args, data=data)
    assert result.exit_code == 2
    assert "say which DEVICE, or --all" in result.output


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


async def user(*args: str) -> Result:
    """`wirechat user` in a thread of its own."""
    return await trio.to_thread.run_sync(CliRunner().invoke, main, ["user", *args])


@pytest.mark.parametrize(
    ("command", "advice"),
    [("add carol", "--url URL"), ("reset ada", "in wirechat chat"), ("revoke ada 7", "another device")],
)
async def test_not_beside_a_running_server(data: Path, command: str, advice: str) -> None:
    """One process at a time may write, and the refusal says what can be done instead."""
    password = () if command.startswith("revoke") else ("--password", "correct horse")
    async with serving(data) as rig:
        await rig.greeted()
        result = await run(*command.split(), *password, data=data)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "in use by process" in result.output
    assert advice in result.output


async def test_lists_are_there_beside_a_running_server(data: Path) -> None:
    """Accounts are listed by handle, devices too."""
    async with serving(data) as rig:
        await rig.greeted()
        people = await told("list", data=data)
        assert [(each["handle"], each["devices"]) for each in people] == [("ada", 1), ("bob", 0)]
        (phone,) = await told("devices", "ada", data=data)
        assert phone["name"] == "phone"


async def test_a_running_server_makes_an_account(data: Path) -> None:
    """A friend is invited without a stop; a handle that is taken is told, and so is a place without a server."""
    async with serving(data) as rig:
        url = rig.listeners["tcp"].url
        result = await user("add", "--url", url, "carol", "--password", PASSWORD.decode(), "--name", "Carol")
        assert (result.exit_code, result.output.splitlines()[-1]) == (0, "carol may log in now.")  # after the log
        client = await rig.greeted()
        await client.ask(wire.Auth(0, 1, "carol", proof=PASSWORD), wire.AuthOk)
        for arguments, said in (
            (("--url", url, "carol"), "4005"),
            (("--url", "http://x", "carol"), "must begin with one of"),
            (("--url", url, "--data", str(data), "carol"), "either --url"),
            (("carol",), "either --url"),
        ):
            result = await user("add", *arguments, "--password", PASSWORD.decode())
            assert (result.exit_code, said in result.output) == (2, True), result.output
    result = await user("add", "--url", url, "dave", "--password", PASSWORD.decode())
    assert (result.exit_code, "connection refused at" in result.output) == (2, True), result.output


class Closed(Config):
    """As strangers from other machines find a server."""

    def allows_registration(self, peer: Peer) -> bool:
        """Not you."""
        return False


async def test_a_server_with_closed_registration_makes_no_account(tmp_path: Path) -> None:
    """2008 is one line that says where it would be made."""
    async with serving(tmp_path, Closed(grease=0)) as rig:
        result = await user("add", "--url", rig.listeners["tcp"].url, "carol", "--password", PASSWORD.decode())
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "from its own machine" in result.output
