"""SIGHUP: certificates and limits change under a running server, and no connection notices."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.cli.node import Node, port, serving, upgrade
from tests.server.rig import Client
from wirechat import open_client, wire
from wirechat.client.client import register
from wirechat.client.events import Disconnected
from wirechat.client.outbox import Sent
from wirechat.server.endpoint import certificate_digest


class Certificates:
    """An authority, and a place where the server finds what it issued last."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca, self.chain, self.key = (folder / name for name in ("ca.pem", "chain.pem", "key.pem"))
        self.authority.cert_pem.write_to_path(self.ca)
        self.issue()

    def issue(self) -> None:
        """Write another certificate and its key over the last."""
        issued = self.authority.issue_cert("localhost", "127.0.0.1")
        self.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())

    @property
    def flags(self) -> tuple[object, ...]:
        return "--cert", self.chain, "--key", self.key

    async def connect(self, node: Node, tls_port: int) -> tuple[Client, bytes]:
        """A connection that has been welcomed, and the leaf it was shown."""
        stream = await trio.open_tcp_stream("127.0.0.1", tls_port)
        trusted = ssl.create_default_context(cafile=self.ca)
        tls = trio.SSLStream(stream, trusted, server_hostname="localhost")
        client = await welcomed(Client(tls))
        leaf = tls.getpeercert(binary_form=True)
        assert leaf is not None
        return client, leaf


async def welcomed(client: Client) -> Client:
    await client.send(wire.Hello("WC", 1, 1, (), "test"))
    client.welcome = await client.expect(wire.Welcome)
    return client


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def bound(client: Client, leaf: bytes) -> wire.Message:
    """Log in with a proof bound to a certificate."""
    proof = client.key.sign(wire.auth.signed_bytes(client.welcome.nonce, client.device, 1, certificate_digest(leaf)))
    return await client.ask(wire.Auth(0, 3, proof=proof, device=client.device, binding=1), wire.Message)


async def test_new_handshakes_see_the_new_certificate_and_old_connections_live_on(
    tmp_path: Path, certificates: Certificates
) -> None:
    """Also the digest for channel binding is that of the certificate the connection was shown."""
    async with serving(tmp_path, "--tls", "127.0.0.1:0", *certificates.flags) as node:
        at = port(await node.url("wirechats"))
        alice, first = await certificates.connect(node, at)
        await with_device(alice)
        early, same = await certificates.connect(node, at)
        assert same == first
        certificates.issue()
        node.signal(signal.SIGHUP)
        assert (await node.told("reloaded"))["certificate"] is True
        later, second = await certificates.connect(node, at)
        assert second != first
        for client, leaf, other in ((early, first, second), (later, second, first)):
            client.key, client.device = alice.key, alice.device
            refusal = await bound(client, other)
            assert isinstance(refusal, wire.Error)
            assert refusal.code == 2001
            assert isinstance(await bound(client, leaf), wire.AuthOk)
        await alice.send(wire.Ping(1))
        await alice.expect(wire.Pong)
        assert await node.stop() == 0


async def with_device(client: Client) -> None:
    """A new account with this device key."""
    client.key = Ed25519PrivateKey.generate()
    public = client.key.public_key().public_bytes_raw()
    made = await client.ask(wire.Register(0, "alice", 3, public), wire.RegisterOk)
    client.device = made.device


async def test_limits_and_log_change_what_cannot_is_named_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    """Old connections keep what they were told; the server lives through every mistake."""
    file = tmp_path / "wirechat.toml"
    said = '[listen]\nws = ["127.0.0.1:0"]\ntcp = ["127.0.0.1:0"]\n'
    file.write_text(said)
    async with serving(tmp_path, "--config", file) as node:
        at, ws = port(await node.url("wirechat")), port(await node.url("ws"))

        async def reload(text: str, event: str) -> dict[str, object]:
            file.write_text(text)
            node.signal(signal.SIGHUP)
            return await node.told(event)

        async def connect() -> Client:
            return await welcomed(Client(await trio.open_tcp_stream("127.0.0.1", at)))

        old = await connect()
        line = await reload(said + "[limits]\npage = 7\n[accounts]\nopen_registration = true\n", "reloaded")
        assert line["changed"] == ["accounts.open_registration", "limits.page"]
        assert (await connect()).welcome.limits.page == 7
        bad = {
            said + "[limits]\npage = 700\n": "limits.page: 700 is not between 1 and 200 records",
            "[": "wirechat.toml: ",
            "": "say where to listen",
            said + '[listen]\ntls = ["127.0.0.1:0"]\n': "wirechat.toml: ",
        }
        for text, reason in bad.items():
            line = await reload(text, "the configuration stays as it was")
            assert reason in str(line["reason"])
            assert line["level"] == "error"
        assert (await connect()).welcome.limits.page == 7
        line = await reload(
            said.replace('tcp = ["127.0.0.1:0"]', 'tcp = ["127.0.0.1:1"]') + "[limits]\npage = 9\n",
            "restart the server for these to change",
        )
        assert line["settings"] == ["listen.tcp"]
        assert (await connect()).welcome.limits.page == 9
        await reload(said + '[log]\nlevel = "debug"\n', "reloaded")
        stranger = await trio.open_tcp_stream("127.0.0.1", ws)
        await stranger.send_all(upgrade("/"))
        await node.told("a connection broke")
        await old.send(wire.Ping(1))
        await old.expect(wire.Pong)
        assert old.welcome.limits.page == 200
        assert await node.stop() == 0


class Renewal:
    """Certificates as certbot keeps them: numbered files in archive/, links to the newest in live/."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self._authority = authority
        self._archive, self.live = folder / "archive/chat", folder / "live/chat"
        self._number = 0
        for each in (self._archive, self.live):
            each.mkdir(parents=True)
        self.issue()
        self.link("fullchain")
        self.link("privkey")

    def issue(self) -> None:
        """The next certificate, beside those before."""
        self._number += 1
        issued = self._authority.issue_cert("localhost", "127.0.0.1")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        (self._archive / f"fullchain{self._number}.pem").write_bytes(chain)
        (self._archive / f"privkey{self._number}.pem").write_bytes(issued.private_key_pem.bytes())

    def link(self, name: str) -> None:
        """Let the link in live/ show the newest, in one step."""
        aside = self.live / f".{name}"
        aside.symlink_to(f"../../archive/chat/{name}{self._number}.pem")
        os.replace(aside, self.live / f"{name}.pem")


async def test_certificates_are_renewed_as_acme_clients_do_and_a_client_loses_nothing(
    tmp_path: Path, certificates: Certificates
) -> None:
    """A signal between the two links finds a key of another certificate: the old ones stay until both are there. Who
    is connected notices nothing.
    """
    renewal = Renewal(tmp_path / "letsencrypt", certificates.authority)
    flags = ("--cert", renewal.live / "fullchain.pem", "--key", renewal.live / "privkey.pem")
    async with serving(tmp_path, "--tls", "127.0.0.1:0", *flags) as node:
        at = port(await node.url("wirechats"))
        url, ca = f"wirechats://localhost:{at}", str(certificates.ca)
        for handle in ("alice", "bob"):
            await register(url, handle, password="correct horse", ca=ca)
        _, leaf = await certificates.connect(node, at)
        leaves, broken = {leaf}, []
        async with open_client(url, handle="alice", password="correct horse", ca=ca) as alice:
            conv = await alice.conversations.direct((await alice.accounts.find("bob")).user)

            async def renew() -> None:
                for _ in range(3):
                    renewal.issue()
                    renewal.link("fullchain")
                    node.signal(signal.SIGHUP)
                    assert "do not belong together" in (await node.told("the configuration stays as it was"))["reason"]
                    renewal.link("privkey")
                    node.signal(signal.SIGHUP)
                    await node.told("reloaded")
                    leaves.add((await certificates.connect(node, at))[1])

            async def watch() -> None:
                async for event in alice.events():
                    if isinstance(event, Disconnected):
                        broken.append(event)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                seqs = await talking(renew, lambda number: alice.messages.send(conv, f"message {number}"))
                nursery.cancel_scope.cancel()
            page = await alice.history.page(conv, limit=200)
        assert len(leaves) == 4
        assert broken == []
        assert seqs == list(range(2, len(seqs) + 2)), "acknowledged in order, without a hole"
        assert {record.seq for record in page.records} >= set(seqs[-100:])
        assert await node.stop() == 0


async def talking(work: Callable[[], Awaitable[None]], say: Callable[[int], Awaitable[Sent]]) -> list[int]:
    """Say one thing after the other until the work is done; the seqs."""
    seqs: list[int] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def talk() -> None:
                while True:
                    seqs.append((await say(len(seqs))).seq)

            nursery.start_soon(talk)
            await work()
            nursery.cancel_scope.cancel()
    return seqs
