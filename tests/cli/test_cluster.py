"""`wirechat serve --store --bus`: nodes that are one server, what an operator sees of them, and what is not shown."""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.cli.command import refused, wirechat
from tests.cli.node import PATIENCE, Node, port, started
from tests.store.cluster import Cluster
from tests.store.cluster import running as databases
from tools.cluster.engine import free_port
from tools.cluster.nats import running
from wirechat.client import open_client
from wirechat.client.client import Client
from wirechat.server import health

pytestmark = [pytest.mark.postgres, pytest.mark.nats]

LISTEN = ("--tcp", "127.0.0.1:0", "--http", "127.0.0.1:0")
USER = 'authorization { user: "node", password: "hush-hush" }'
PASSWORD = "looking-glass"


async def get(node: Node, path: str, url: str) -> tuple[int, str]:
    """Status and body of what a node answers."""
    stream = await trio.open_tcp_stream("127.0.0.1", port(url))
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = b"".join([chunk async for chunk in stream])
    head, _, body = data.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


async def until(node: Node, url: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What /readyz says of the bus, once this holds; the node is ready all the time."""
    with trio.fail_after(PATIENCE):
        while True:
            status, body = await get(node, "/readyz", url)
            assert status == 200, body
            bus: dict[str, Any] = json.loads(body)["bus"]
            if holds(bus):
                return bus
            await trio.sleep(0.1)


async def command(*arguments: object) -> str:
    """What a command prints that ends well."""
    ended = await trio.to_thread.run_sync(partial(wirechat, *arguments))
    assert ended.status == 0, ended
    return ended.out


async def bus_findings(store: str, *bus: str) -> list[tuple[str, str]]:
    """(state, text) of what the doctor says of the bus, if there is one, and of the nodes on it."""
    doctor = partial(wirechat, "doctor", "--json", "--store", store, *bus, "--tcp", "127.0.0.1:0")
    found = json.loads((await trio.to_thread.run_sync(doctor)).out)["findings"]
    return [(each["state"], each["text"]) for each in found if each["check"] in ("bus", "nodes")]


async def attention(store: str, *bus: str) -> list[str]:
    """What `cluster status` says that needs it; its exit status is 1 then."""
    asked = partial(wirechat, "cluster", "status", "--store", store, *bus, "--json")
    ended = await trio.to_thread.run_sync(asked)
    found: list[str] = json.loads(ended.out)["attention"]
    assert ended.status == (1 if found else 0)
    return found


async def hears(client: Client, conv: int, text: str) -> None:
    """This message arrives."""
    with trio.fail_after(PATIENCE):
        while text not in [each.content and each.content.data for each in client.log(conv).records.values()]:  # noqa: ASYNC110
            await trio.sleep(0.02)


async def test_two_nodes_are_one_server(tmp_path: Path, url: str) -> None:
    """Accounts are made beside them, what is said on one is heard on the other, and without NATS, too. A password in
    an address is in nothing that is written.
    """
    with running(tmp_path, options=USER) as nats:
        bus = f"nats://node:hush-hush@127.0.0.1:{nats.port}"
        both = ("--store", url, "--bus", bus, *LISTEN)
        async with started(*both) as one, started(*both) as two:
            here, there = await one.url("wirechat"), await two.url("wirechat")
            http = await two.url("http")
            for handle in ("alice", "bob"):
                await command("user", "add", "--store", url, handle, "--password", PASSWORD)
            listed = json.loads(await command("user", "list", "--store", url, "--json"))
            assert [each["handle"] for each in listed] == ["alice", "bob"]
            await until(two, http, lambda bus: bus["text"] == "other nodes heard: 1")
            async with (
                open_client(here, handle="alice", password=PASSWORD) as alice,
                open_client(there, handle="bob", password=PASSWORD) as bob,
            ):
                assert bob.user is not None
                conv = await alice.conversations.direct(bob.user)
                await alice.messages.send(conv, "over the bus")
                await hears(bob, conv, "over the bus")
                nats.kill()
                told = await until(two, http, lambda bus: bus.get("warning", False))
                assert "nats-server" in told["text"]
                assert told["text"].endswith("Until then others' messages take up to a second")
                await alice.messages.send(conv, "by the pass")
                await hears(bob, conv, "by the pass")
                assert "wirechat_bus_up 0.0" in (await get(two, "/metrics", http))[1]
                nats.start()
                await until(two, http, lambda bus: bus["text"] == "other nodes heard: 1")
                metrics = (await get(two, "/metrics", http))[1]
                assert "wirechat_bus_up 1.0" in metrics
                assert "wirechat_cluster_nodes 1.0" in metrics
            assert await one.stop() == 0
            assert await two.stop() == 0
            assert "hush-hush" not in one.log + two.log


async def test_a_device_is_revoked_beside_the_nodes(url: str) -> None:
    """Its connection ends, although nobody tells the node."""
    async with started("--store", url, *LISTEN) as node:
        where = await node.url("wirechat")
        await command("user", "add", "--store", url, "alice", "--password", PASSWORD)
        async with open_client(where, handle="alice", password=PASSWORD) as alice:
            await command("user", "revoke", "--store", url, "alice", "--all")
            with trio.fail_after(PATIENCE):
                while alice.failure is None:  # noqa: ASYNC110
                    await trio.sleep(0.05)
        assert json.loads(await command("user", "devices", "--store", url, "alice", "--json")) == []


async def test_a_node_starts_without_nats_and_finds_it_later(tmp_path: Path, url: str) -> None:
    """It says so, and serves."""
    at = free_port()
    async with started("--store", url, "--bus", f"nats://127.0.0.1:{at}", *LISTEN) as node:
        line = await node.told("the bus is away: nodes hear of each other by the store, within a second")
        assert line["reason"] == f"127.0.0.1:{at}: Connection refused; look whether nats-server runs there"
        http = await node.url("http")
        await until(node, http, lambda bus: bus.get("warning", False))
        with running(tmp_path, port=at):
            await node.told("the bus is back")
            await until(node, http, lambda bus: "warning" not in bus)
            assert await node.stop() == 0


def test_what_a_node_cannot_begin_with_is_one_line(tmp_path: Path, url: str) -> None:
    """Wrong users and addresses, of the database and of the bus."""
    serve = ("serve", "--tcp", "127.0.0.1:0", "--store")
    assert "cannot use the database" in refused(*serve, url.replace("postgres@", "nobody:hush-hush@"))
    assert "cannot use the database" in refused(*serve, "postgresql://u:hush-hush@127.0.0.1:1/x")
    with running(tmp_path, options=USER) as nats:
        at = f"127.0.0.1:{nats.port}"
        line = refused(*serve, url, "--bus", f"nats://node:wrong@{at}")
        assert line == f"wirechat: {at}: Authorization Violation; correct the user in bus.url, or bus.credentials"


SECRETS = (
    "--store",
    "postgresql://u:hush-hush@h/x?sslpassword=hush-hush",
    "--bus",
    "nats://u:hush-hush@h,tls://hush@h",
)


def test_passwords_in_addresses_are_not_shown() -> None:
    """Neither by config show, for people or for machines, ..."""
    for also in ((), ("--json",)):
        shown = wirechat("config", "show", *SECRETS, *also)
        assert shown.status == 0
        assert "postgresql://u:***@h/x?sslpassword=***" in shown.out
        assert "nats://u:***@h,tls://***@h" in shown.out
        assert "hush" not in shown.out + shown.err


def test_nor_in_a_support_bundle(tmp_path: Path, url: str) -> None:
    """... nor in what is given away; which has the counts of the database."""
    file = tmp_path / "bundle.tar.gz"
    secret = url.replace("postgres@", "postgres:hush-hush@")
    bus = f"nats://u:hush-hush@127.0.0.1:{free_port()}"
    wirechat("user", "add", "--store", url, "alice", "--password", PASSWORD)
    assert wirechat("support-bundle", "--store", secret, "--bus", bus, "-o", file).status == 0
    with tarfile.open(file) as bundle:
        texts = {member.name: bundle.extractfile(member).read().decode() for member in bundle}  # type: ignore[union-attr]
    assert "hush" not in "".join(texts.values())
    assert json.loads(texts["wirechat-support/store.json"])["accounts"] == 1
    findings = {each["check"]: each for each in json.loads(texts["wirechat-support/doctor.json"])["findings"]}
    assert findings["database"]["state"] == "ok"
    assert findings["bus"]["state"] == "warning"


def test_the_doctor_looks_at_database_and_bus(tmp_path: Path, url: str) -> None:
    """Each can be fine, and can be found wanting."""
    wirechat("user", "add", "--store", url, "alice", "--password", PASSWORD)

    def findings(store: str, bus: str) -> dict[str, str]:
        report = wirechat("doctor", "--json", "--store", store, "--bus", bus, "--tcp", "127.0.0.1:0")
        return {each["check"]: each["state"] for each in json.loads(report.out)["findings"]}

    with running(tmp_path, options=USER) as nats:
        at = f"127.0.0.1:{nats.port}"
        found = findings(url, f"nats://node:hush-hush@{at}")
        assert (found["database"], found["bus"]) == ("ok", "ok")
        found = findings(url.replace("postgres@", "nobody@"), f"nats://node:wrong@{at}")
        assert (found["database"], found["bus"]) == ("problem", "problem")


def test_which_data_a_command_works_on(tmp_path: Path, url: str) -> None:
    """One place, which the settings of a server name, unless a flag does; nothing of a wrong address is shown."""
    data, file = tmp_path / "data", tmp_path / "wirechat.toml"
    assert "give either --data, or --store" in refused("user", "list")
    line = refused("user", "list", "--store", "mysql://u:hush@h")
    assert line.startswith("wirechat: --store: is not an address of PostgreSQL")
    assert "hush" not in line
    variable = {"WIRECHAT_STORE__URL": url}
    added = wirechat("user", "add", "alice", "--password", PASSWORD, env=variable)
    assert (added.status, added.out) == (0, "alice may log in now.\n")
    assert "cannot find a server's data" in refused("user", "list", "--data", data, env=variable)
    file.write_text(f'[store]\nurl = "{url}"\n')
    for words in (("verify",), ("user", "devices", "alice")):
        assert wirechat(*words, "--config", file).status == 0
        assert wirechat(*words, env=variable).status == 0
        assert "cannot find a server's data" in refused(*words, "--config", file, "--data", data)
        twice = {"WIRECHAT_DATA__DIRECTORY": str(data)}
        told = refused("serve", "--config", file, "--tcp", "127.0.0.1:0", env=twice)
        assert refused(*words, "--config", file, env=twice) == told
        assert refused(*words, "--data", data, "--store", url) == told
    file.write_text("[data]\ndirectory = 'data'\n")
    assert str(data) in refused("verify", "--config", file)
    file.write_text("[store]\nurl = 5\n")
    told = refused("serve", "--config", file)
    assert refused("verify", "--config", file) == refused("user", "list", "--config", file) == told


def test_a_bus_needs_its_package(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A server alone does not, so it is not installed with it."""
    monkeypatch.setitem(sys.modules, "nats", None)
    monkeypatch.delitem(sys.modules, "wirechat.bus.nats", raising=False)
    line = refused("serve", "--store", url, "--bus", "nats://h", "--tcp", "127.0.0.1:0")
    assert line == "wirechat: the bus needs the package nats: pip install 'wirechat[cluster]'"


async def answers(node: Node, url: str, status: int) -> None:
    """/readyz comes to this."""
    with trio.fail_after(PATIENCE):
        while (await get(node, "/readyz", url))[0] != status:  # noqa: ASYNC110
            await trio.sleep(0.1)


async def test_a_node_survives_its_database() -> None:
    """It stays, is not ready meanwhile, says so without tracebacks, and goes on by itself."""
    with databases() as database:
        async with started("--store", database.place(), *LISTEN) as node:
            http = await node.url("http")
            await answers(node, http, 200)
            database.crash()
            await answers(node, http, 503)
            database.start_again()
            await answers(node, http, 200)
            assert await node.stop() == 0
        assert "Traceback" not in node.log


async def test_servers_of_one_database_without_a_bus_are_told(url: str) -> None:
    """At the start of the second one, in /readyz of both, and by the doctor."""
    async with started("--store", url, *LISTEN) as one:
        http = await one.url("http")
        await until(one, http, lambda bus: bus["text"] == "none, and no other server uses the database")
        async with started("--store", url, *LISTEN) as two:
            assert (await two.told(health.NO_BUS))["others"] == 1
            told = await until(one, http, lambda bus: bus.get("warning", False))
            assert "give all of them the same --bus" in told["text"]
            assert await bus_findings(url) == [("warning", "none, and 2 servers use the database")]
        assert await bus_findings(url) == []


async def test_a_status_compares_the_bus_with_the_store(cluster: Cluster, tmp_path: Path, url: str) -> None:
    """The nodes that answer are of another store; a server of the store does not answer. The doctor hears of that
    from the nodes.
    """
    with running(tmp_path) as nats:
        bus = ("--bus", f"nats://127.0.0.1:{nats.port}")
        async with started("--store", url, *bus, *LISTEN) as node:
            line = await node.told("this node")
            assert (line["store"], line["bus"]) == (url, bus[1])
            http = await node.url("http")
            await until(node, http, lambda bus: bus["text"] == "other nodes heard: 0")
            elsewhere = cluster.place()
            await command("user", "add", "--store", elsewhere, "alice", "--password", PASSWORD)
            assert "these nodes work on another store than this one: " in (await attention(elsewhere, *bus))[0]
            assert await attention(url, *bus) == []
            assert await bus_findings(url, *bus) == [("ok", bus[1])]
            async with started("--store", elsewhere, *bus, *LISTEN):
                await until(node, http, lambda bus: bus.get("warning", False))
                found = await bus_findings(url, *bus)
                assert ("warning", f"{line['node']}: another cluster uses this bus with the same prefix") in found
            async with started("--store", url, *LISTEN) as apart:
                await apart.url("http")
                apart_from_us = "servers connected to the database: 2, but answering on this bus: 1;"
                assert any(line.startswith(apart_from_us) for line in await attention(url, *bus))
