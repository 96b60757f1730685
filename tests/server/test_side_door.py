"""The side door: HTTP beside the protocol, what it tells, and that who is slow or rude there is alone (P10)."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
import trio_websocket
import trustme
from prometheus_client.parser import text_string_to_metric_families

from tests.server.rig import PATIENCE, Client, Rig
from wirechat import wire
from wirechat.server import limits, sidedoor
from wirechat.server.app import Server
from wirechat.server.config import Config
from wirechat.server.health import Health
from wirechat.server.http import application
from wirechat.server.listeners import Address, Listener, Tls, tls_context
from wirechat.server.metrics import Metrics
from wirechat.server.sidedoor import SideDoor
from wirechat.store.database import open_sqlite
from wirechat.store.errors import Unavailable
from wirechat.store.features import meta
from wirechat.store.migrations import migrations
from wirechat.world import REAL

ROOT = Path(__file__).parents[2]
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: wirechat.v1\r\n\r\n"
)


@attrs.frozen
class Answer:
    """An HTTP answer."""

    status: int
    headers: str
    body: str


class Store:
    """A store whose reads can be made to fail, or to hang."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.reads: Callable[..., Any] = store.read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, *args: Any) -> Any:
        return await self.reads(*args)

    async def fail(self, *args: Any) -> Any:
        raise Unavailable("the disk is away")

    async def hang(self, *args: Any) -> Any:
        await trio.sleep_forever()


class Doors(Rig):
    """The rig with a side door: "http" has HTTP alone, "ws" (or "wss") is shared."""

    store: Store
    door: SideDoor

    async def get(
        self, path: str, port: str = "http", stream: trio.abc.Stream | None = None, method: str = "GET"
    ) -> Answer:
        """One request."""
        stream = stream or await self.stream(port)
        with trio.fail_after(PATIENCE):
            await stream.send_all(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return await answer(stream)


async def answer(stream: trio.abc.Stream) -> Answer:
    """Everything until the server closes."""
    data = b""
    with trio.fail_after(PATIENCE):
        while chunk := await stream.receive_some():
            data += chunk
    head, _, body = data.decode().partition("\r\n\r\n")
    return Answer(int(head.split()[1]), head.lower(), body)


@asynccontextmanager
async def opened(tmp_path: Path, tls: Tls | None = None, free_bytes: int = 0) -> AsyncIterator[Doors]:
    """A server with a side door."""
    shared = "wss" if tls else "ws"
    async with open_sqlite(tmp_path) as real, trio.open_nursery() as nursery:
        store = Store(real)
        listen = partial(Listener, address=Address("127.0.0.1", 0))
        listeners = {"tcp": listen("tcp"), "http": listen("http"), shared: listen(shared, tls=tls)}
        server = Server(Config(grease=0), REAL, store)
        health = Health(store, lambda: server.draining, tmp_path, free_bytes)
        door = SideDoor([listeners["http"], listeners[shared]], application(health, Metrics(server)))
        await nursery.start(door.run)
        doors = Doors(server, listeners, nursery, trio.Event())
        doors.store, doors.door = store, door
        nursery.start_soon(server.run, [listeners["tcp"], door], doors.stop)
        try:
            yield doors
        finally:
            nursery.cancel_scope.cancel()
            for listener in listeners.values():
                listener.close()


async def chat(rig: Doors) -> tuple[Client, Client, int]:
    """Two people and their group."""
    alice, bob = await rig.person("alice"), await rig.person("bob")
    return alice, bob, await rig.group(alice, bob)


# what it tells


async def test_it_says_that_it_lives_is_ready_and_what_it_is(tmp_path: Path) -> None:
    """On both ports; one request a connection, so that no upgrade hides behind another request."""
    async with opened(tmp_path) as rig:
        for port in ("http", "ws"):
            lives = await rig.get("/livez", port)
            assert (lives.status, lives.body) == (200, "ok\n")
            assert "connection: close" in lives.headers
            assert "/readyz" in (await rig.get("/", port)).body
            assert (await rig.get("/nothing", port)).status == 404
        ready = await rig.get("/readyz")
        assert ready.status == 200
        checks = json.loads(ready.body)
        assert set(checks) == {"serving", "store", "migrations", "disk"}
        assert all(check["ok"] for check in checks.values())
        assert len(ready.body.splitlines()) == len(checks) + 2


@pytest.mark.parametrize(
    "asked",
    ["GET /", "GET /livez", "GET /readyz", "GET /metrics", "GET /nothing", "GET /livez/", "TRACE /", "POST /livez"],
)
async def test_a_browser_is_told_to_keep_and_run_nothing(tmp_path: Path, asked: str) -> None:
    """With every answer, refusals too; TRACE and what changes something are no methods here."""
    async with opened(tmp_path) as rig:
        method, path = asked.split()
        answered = await rig.get(path, method=method)
        assert answered.status == {"GET": 404 if path in ("/nothing", "/livez/") else 200}.get(method, 405)
        for line in (
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "frame-ancestors 'none'",
        ):
            assert line in answered.headers
        assert "access-control-allow-origin" not in answered.headers
        assert "server:" not in answered.headers


async def test_it_is_not_ready_without_a_store_or_room(tmp_path: Path) -> None:
    """503, and the line of what fails says what to do (P12)."""
    async with opened(tmp_path, free_bytes=1 << 62) as rig:
        await rig.greeted()
        rig.store.reads = rig.store.fail
        ready = await rig.get("/readyz")
        checks = json.loads(ready.body)
        assert ready.status == 503
        assert [name for name, check in checks.items() if not check["ok"]] == ["store", "migrations", "disk"]
        assert "the disk is away; look at" in checks["store"]["text"]
        assert "make room" in checks["disk"]["text"]
        assert "wirechat_store_up 0.0" in (await rig.get("/metrics")).body
        assert (await rig.get("/livez")).status == 200


async def test_a_store_that_hangs_or_is_older_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe is bounded in time; migrations of another version are named. Those of a newer one do no harm: a server of
    a cluster goes on until its turn comes to be restarted.
    """
    monkeypatch.setattr(limits, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(limits, "PROBE_REUSE_SECONDS", 0)
    async with opened(tmp_path) as rig:
        await rig.greeted()
        rig.store.reads = rig.store.hang
        checks = json.loads((await rig.get("/readyz")).body)
        assert "no answer in 0.1 s" in checks["store"]["text"]

        async def none(*args: Any) -> list[Any]:
            return []

        rig.store.reads = none
        checks = json.loads((await rig.get("/readyz")).body)
        assert "restart the server" in checks["migrations"]["text"]
        applied = [(each.number, each.checksum) for each in migrations("sqlite")]

        async def more(*args: Any) -> list[Any]:
            return [*applied, (len(applied) + 1, "later")]

        rig.store.reads = more
        checks = json.loads((await rig.get("/readyz")).body)
        assert checks["migrations"]["ok"]
        assert "restart it with that version" in checks["migrations"]["text"]


async def test_many_probes_look_once(tmp_path: Path) -> None:
    """Probes do not pile up on a store that is slow."""
    async with opened(tmp_path) as rig:
        await rig.greeted()
        real, asked = rig.store.reads, 0

        async def read(*args: Any) -> Any:
            nonlocal asked
            asked += args[0] is meta.identity
            return await real(*args)

        rig.store.reads = read
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(rig.get, "/readyz")
        assert asked == 1


async def test_it_is_not_ready_from_the_beginning_of_the_drain(tmp_path: Path) -> None:
    """HTTP is answered until the end, newcomers of the protocol are not served."""
    async with opened(tmp_path) as rig:
        alice = await rig.person("alice")
        rig.stop.set()
        await alice.expect(wire.Goaway)
        ready = await rig.get("/readyz", "ws")
        assert ready.status == 503
        assert not json.loads(ready.body)["serving"]["ok"]
        late = await rig.stream("ws")
        await late.send_all(UPGRADE)
        with trio.fail_after(PATIENCE):
            assert not await late.receive_some()


# metrics


async def test_metrics_say_what_happened(tmp_path: Path) -> None:
    """Counters of everything on the way of a message, without a label that names a person."""
    async with opened(tmp_path) as rig:
        alice, bob, conv = await chat(rig)
        cid = os.urandom(8)
        for _ in range(2):
            await alice.say(conv, "hello", cid)
        await bob.expect(wire.Event)
        assert (
            await alice.refused(wire.Send(0, 404, os.urandom(8), 1, wire.Content(1, "x")))
            == wire.errors.NO_CONVERSATION
        )
        assert await alice.refused(wire.UserFind(0, "nobody")) == wire.errors.NOT_FOUND
        assert await alice.refused(wire.DeviceRevoke(0, 4242)) == wire.errors.NOT_FOUND
        stranger = await rig.greeted()
        assert await stranger.refused(wire.Auth(0, 3, proof=bytes(64), device=7)) == wire.errors.BAD_CREDENTIALS
        await bob.stream.aclose()
        with trio.fail_after(PATIENCE):
            while rig.server.hub.online == 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
        text = (await rig.get("/metrics")).body
        seen = {
            (sample.name.removeprefix("wirechat_"), *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        expected = {
            ("connections", "tcp"): 2,
            ("connections_accepted_total", "tcp"): 3,
            ("sessions", "live"): 1,
            ("frames_received_total", "send"): 3,
            ("entries_total",): 2,
            ("entries_repeated_total",): 1,
            ("deliveries_total",): 2,
            ("errors_total", str(wire.errors.NO_CONVERSATION), "no_conversation"): 1,
            ("errors_total", str(wire.errors.NOT_FOUND), "not_found"): 2,
            ("errors_total", str(wire.errors.BAD_CREDENTIALS), "bad_credentials"): 1,
            ("logins_total", "device_key", "ok"): 2,
            ("logins_total", "device_key", "bad_credentials"): 1,
            ("sync_rounds_total", "first"): 2,
            ("batch_entries_sum",): 5,
            ("batch_entries_count",): 5,
            ("commit_seconds_count",): 5,
            ("store_up",): 1,
        }
        assert {key: seen.get(key) for key in expected} == expected
        assert seen["store_bytes",] > 0
        assert seen["process_resident_memory_bytes",] > 0


async def test_falls_and_watermarks_are_counted(tmp_path: Path) -> None:
    """A slow reader shows, and so does what is not yet written."""
    async with opened(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob", window=1)
        conv = await rig.group(alice, bob)
        await alice.say(conv, "does not fit")
        text = (await rig.get("/metrics")).body
        assert 'wirechat_sessions{mode="behind"} 1.0' in text
        assert "wirechat_falls_behind_total 1.0" in text
        await bob.send(wire.Ack(1))
        await bob.expect(wire.Rows)
        assert 'wirechat_sync_rounds_total{kind="behind"} 1.0' in (await rig.get("/metrics")).body


def rows(text: str) -> set[tuple[str, str, str]]:
    """(name, type, help) of every metric of ours."""
    return {
        (family.name, family.type, family.documentation)
        for family in text_string_to_metric_families(text)
        if family.name.startswith("wirechat_")
    }


async def test_every_metric_is_documented(tmp_path: Path) -> None:
    """docs/operations/metrics.md has the names, types and meanings of the code, all of them and no other."""
    document = (ROOT / "docs/operations/metrics.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| [^|]* \| (.*) \|$", document, re.MULTILINE)
    async with opened(tmp_path) as rig:
        told = rows((await rig.get("/metrics")).body)
    documented = {(name.removesuffix("_total"), kind, about) for name, kind, about in listed}
    assert documented == told


# one port for WebSocket and HTTP


async def test_websocket_and_http_share_a_port(tmp_path: Path) -> None:
    """Who upgrades, chats; in whatever pieces the request comes."""
    async with opened(tmp_path) as rig:
        url = f"ws://127.0.0.1:{rig.listeners['ws'].port}"
        async with trio_websocket.open_websocket_url(url, subprotocols=["wirechat.v1"]) as socket:
            await socket.send_message(wire.Hello("WC", 1, 1, (), "test").encode()[4:])
            with trio.fail_after(PATIENCE):
                welcome = wire.decode(await socket.get_message(), side="server")
            assert isinstance(welcome, wire.Welcome)
            assert (await rig.get("/livez", "ws")).status == 200
        stream = await rig.stream("ws")
        for part in (UPGRADE[:1], UPGRADE[1:50], UPGRADE[50:-1], UPGRADE[-1:]):
            await stream.send_all(part)
            await trio.sleep(0.01)
        with trio.fail_after(PATIENCE):
            assert b" 101 " in await stream.receive_some()


async def test_the_port_of_http_alone_has_no_websocket(tmp_path: Path) -> None:
    """It is often one that firewalls treat otherwise."""
    async with opened(tmp_path) as rig:
        stream = await rig.stream("http")
        await stream.send_all(UPGRADE)
        assert (await answer(stream)).status == 403
        assert not rig.server.connections


async def test_wss_and_https_share_a_port(tmp_path: Path) -> None:
    """The same behind TLS."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(tmp_path / "chain.pem", append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with opened(tmp_path / "data", tls_context(tmp_path / "chain.pem", tmp_path / "key.pem")) as rig:
        url = f"wss://127.0.0.1:{rig.listeners['wss'].port}"
        async with trio_websocket.open_websocket_url(url, context, subprotocols=["wirechat.v1"]):
            secure = trio.SSLStream(
                await rig.stream("wss"), context, server_hostname="127.0.0.1", https_compatible=True
            )
            assert (await rig.get("/livez", stream=secure)).status == 200
            (connection,) = rig.server.connections
            assert connection.endpoint.peer.transport == "wss"
            assert connection.endpoint.peer.secure


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/1.1\r\nx: " + b"a" * 20_000])
async def test_what_is_no_request_is_told_so(tmp_path: Path, data: bytes) -> None:
    """400 or 431, and the connection ends."""
    async with opened(tmp_path) as rig:
        stream = await rig.stream("ws")
        await stream.send_all(data + b"\r\n\r\n")
        assert (await answer(stream)).status in (400, 431)


async def test_who_is_slow_is_slow_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that never end, a body that never comes: each ends in its time, and whoever else comes to that port is
    served meanwhile (P10).
    """
    monkeypatch.setattr(sidedoor, "HELLO_MS", 400)
    monkeypatch.setattr(limits, "HTTP_SECONDS", 0.4)
    async with opened(tmp_path) as rig:
        alice, bob, conv = await chat(rig)
        slow = [await rig.stream("ws") for _ in range(50)]
        for index, stream in enumerate(slow):
            await stream.send_all(
                (b"GET /livez HT", b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")[index % 2]
            )
        assert (await rig.get("/livez", "ws")).status == 200
        upgrading = await rig.stream("ws")
        await upgrading.send_all(UPGRADE)
        with trio.fail_after(PATIENCE):
            assert b" 101 " in await upgrading.receive_some()
        await alice.say(conv, "still here")
        assert (await bob.expect(wire.Event)).seq == 2
        for stream in slow:
            with trio.fail_after(PATIENCE):
                while await stream.receive_some():
                    pass


async def test_what_fails_inside_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug behind a request is a 500, one in the door ends one connection, and the chat goes on (P10)."""
    async with opened(tmp_path) as rig:
        alice, bob, conv = await chat(rig)

        async def broken(*args: Any) -> Any:
            raise RuntimeError("a bug")

        monkeypatch.setattr(Health, "checks", broken)
        assert (await rig.get("/readyz")).status == 500
        monkeypatch.setattr(sidedoor, "_read_head", broken)
        stream = await rig.stream("ws")
        with trio.fail_after(PATIENCE):
            assert not await stream.receive_some()
        monkeypatch.undo()
        assert (await rig.get("/livez", "ws")).status == 200
        await alice.say(conv, "still here")
        assert (await bob.expect(wire.Event)).seq == 2


async def test_the_http_server_may_fail_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That ends one connection, and the next one is answered."""

    def broken(*args: Any) -> Any:
        raise RuntimeError("a bug")

    async with opened(tmp_path) as rig:
        with monkeypatch.context() as patched:
            patched.setattr(sidedoor, "TCPServer", broken)
            stream = await rig.stream("http")
            await stream.send_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(PATIENCE):
                assert not await stream.receive_some()
        assert (await rig.get("/livez")).status == 200


async def test_who_does_not_read_holds_nothing_when_his_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that fits nowhere, whose sending hypercorn shields, ends with its connection."""
    monkeypatch.setattr(limits, "HTTP_SECONDS", 0.4)

    async def endless(*args: Any) -> str:
        return "x" * 50_000_000

    monkeypatch.setattr(Metrics, "text", endless)
    async with opened(tmp_path) as rig:
        stream = await rig.stream("http")
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(PATIENCE):
            assert await stream.receive_some(1)
            while any(port.requests for port in rig.door._ports):  # noqa: ASYNC110
                await trio.sleep(0.02)


async def test_a_server_that_is_killed_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door has no place in the file system, so nobody has to tidy up after it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    async with opened(tmp_path / "data") as rig:
        assert (await rig.get("/livez")).status == 200
        assert not list(temporary.iterdir())


async def test_a_full_port_turns_newcomers_away_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is bounded is bounded for each port."""
    monkeypatch.setattr(limits, "HTTP_NEWCOMERS_MAX", 2)
    async with opened(tmp_path) as rig:
        waiting = [await rig.stream("ws") for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked(0.05)
        late = await rig.stream("ws")
        with trio.fail_after(PATIENCE):
            assert not await late.receive_some()
        assert (await rig.get("/livez")).status == 200
        await waiting[0].send_all(UPGRADE)
        with trio.fail_after(PATIENCE):
            assert b" 101 " in await waiting[0].receive_some()


# the command


def test_serve_shares_the_port_when_the_address_is_the_same(tmp_path: Path) -> None:
    """`--ws A --http A` is one socket; the process ends with its signal."""
    command = [sys.executable, "-m", "wirechat.cli.main", "serve", "--data", str(tmp_path / "data")]
    listen = ["--ws", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with subprocess.Popen([*command, *listen], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first, second = process.stderr.readline(), process.stderr.readline()
        (port,) = re.findall(r"ws://127.0.0.1:(\d+)", first)
        assert f"http://127.0.0.1:{port}" in second
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=PATIENCE) as answered:
            assert answered.read() == b"ok\n"
        process.terminate()
        process.wait(PATIENCE * 2)
    assert process.returncode == 0
