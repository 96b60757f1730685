"""Logging in: every method, what is never told apart, and what a second login does."""

from __future__ import annotations

import os
import ssl
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from structlog.testing import capture_logs

from tests.server.rig import PATIENCE, Client, Rig, serving
from wirechat import wire
from wirechat.server.config import Config, Limits
from wirechat.server.endpoint import Peer, certificate_digest
from wirechat.server.listeners import Tls, tls_context


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Tls]:
    """A certificate authority and a server context with a certificate of it."""
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return ca, tls_context(chain, key)


async def register(rig: Rig, handle: str, password: bytes) -> Client:
    client = await rig.greeted()
    client.user = (await client.ask(wire.Register(0, handle, 1, password), wire.RegisterOk)).user
    return client


async def test_password_then_resume_token(tmp_path: Path) -> None:
    """A password makes a device; its token logs the same device in; a token stays valid until its successor is used."""
    async with serving(tmp_path) as rig:
        client = await register(rig, "alice", b"correct horse")
        first = await client.ask(wire.Auth(0, 1, "alice", proof=b"correct horse"), wire.AuthOk)
        assert first.user == client.user

        async def resume(token: bytes) -> wire.AuthOk:
            return await (await rig.greeted()).ask(wire.Auth(0, 4, proof=token), wire.AuthOk)

        second = await resume(first.resume)
        lost = await resume(first.resume)  # the answer with `second` might have been lost
        assert {second.device, lost.device} == {first.device}
        third = await resume(lost.resume)
        assert await (await rig.greeted()).refused(wire.Auth(0, 4, proof=first.resume)) == 2002
        assert (await resume(third.resume)).device == first.device


async def test_unknown_accounts_and_wrong_passwords_are_never_told_apart(tmp_path: Path) -> None:
    """Same code, same text; five failures end the connection with 2006."""
    async with serving(tmp_path) as rig:
        client = await register(rig, "alice", b"correct horse")
        wrong = await client.ask(wire.Auth(0, 1, "alice", proof=b"battery staple"), wire.Error)
        unknown = await client.ask(wire.Auth(0, 1, "nobody", proof=b"battery staple"), wire.Error)
        assert (wrong.code, wrong.message) == (unknown.code, unknown.message) == (2001, wrong.message)
        for _ in range(4):
            await client.send(wire.Auth(50, 1, "nobody", proof=b"battery staple"))
        assert await client.closed() == 2006


async def test_a_failed_login_leaves_one_line(tmp_path: Path) -> None:
    """Who bans addresses finds address, handle and code; the secret is not there, and no handle breaks the line."""
    async with serving(tmp_path) as rig:
        client = await register(rig, "alice", b"correct horse")
        with capture_logs() as lines:
            assert await client.refused(wire.Auth(0, 1, "alice", proof=b"battery staple")) == 2001
            assert await client.refused(wire.Auth(0, 1, "a\n\x1b" + 50 * "\u00e9", proof=b"battery staple")) in (
                2001,
                3000,
            )
            assert await client.refused(wire.Auth(0, 4, proof=b"resume" * 6)) in (2002, 3000)
            await client.ask(wire.Auth(0, 1, "alice", proof=b"correct horse"), wire.AuthOk)
    told = [line for line in lines if line["event"] == "a login failed"]
    first = {"event": "a login failed", "log_level": "info", "peer": "127.0.0.1"}
    assert told[0] == first | {"handle": "'alice'", "method": "password", "code": 2001}
    assert "battery" not in str(lines)
    assert all(str(line["handle"]).isascii() and str(line["handle"]).isprintable() for line in told)
    assert all(len(str(line["handle"])) < 400 for line in told)


async def test_unknown_accounts_cost_the_same_work(tmp_path: Path) -> None:
    """Argon2id runs once for either."""
    async with serving(tmp_path) as rig:
        client = await register(rig, "alice", b"correct horse")
        await client.ask(wire.Auth(0, 1, "nobody", proof=b"x"), wire.Error)
        done: list[str] = []
        original = rig.server.world.run_blocking

        async def counted(work: object, *args: object) -> object:
            done.append(getattr(work, "__name__", ""))
            return await original(work, *args)

        object.__setattr__(rig.server.world, "run_blocking", counted)
        try:
            await client.ask(wire.Auth(0, 1, "nobody", proof=b"x"), wire.Error)
            await client.ask(wire.Auth(0, 1, "alice", proof=b"x"), wire.Error)
        finally:
            object.__setattr__(rig.server.world, "run_blocking", original)
        assert done == ["verify_password", "verify_password"]


async def test_failures_lock_one_address_and_account_only(tmp_path: Path) -> None:
    """2006 with a time to wait; another account from the same address still gets in."""
    async with serving(tmp_path, Config(grease=0, limits=Limits(failures_per_account=2))) as rig:
        await register(rig, "bob", b"correct horse")
        client = await register(rig, "alice", b"correct horse")
        for _ in range(2):
            assert await client.refused(wire.Auth(0, 1, "alice", proof=b"wrong wrong")) == 2001
        locked = await client.ask(wire.Auth(0, 1, "alice", proof=b"correct horse"), wire.Error)
        assert locked.code == 2006
        assert locked.retry_ms
        assert locked.message == "too many failed logins; try again in 15 minutes"
        await (await rig.greeted()).ask(wire.Auth(0, 1, "bob", proof=b"correct horse"), wire.AuthOk)


async def test_a_signature_is_good_for_one_connection(tmp_path: Path) -> None:
    """The nonce is fresh, so a recorded proof is worth nothing."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        proof = alice.key.sign(wire.auth.signed_bytes(alice.welcome.nonce, alice.device, 0, b""))
        other = await rig.greeted()
        assert await other.refused(wire.Auth(0, 3, proof=proof, device=alice.device)) == 2001


async def test_second_login_replaces_the_first(tmp_path: Path) -> None:
    """2007 to the old connection; the new one gets the pushes."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        newer = await rig.again(bob)
        assert await bob.closed() == 2007
        await newer.sync()
        await alice.say(conv, "for the new one")
        assert (await newer.expect(wire.Event)).seq == 2


async def test_everything_in_one_flight(tmp_path: Path) -> None:
    """HELLO, AUTH and SYNC without waiting: what follows AUTH is judged after it."""
    async with serving(tmp_path) as rig:
        client = await register(rig, "alice", b"correct horse")
        token = (await client.ask(wire.Auth(0, 1, "alice", proof=b"correct horse"), wire.AuthOk)).resume
        eager = Client(await rig.stream())
        await eager.send(wire.Hello("WC", 1, 1, (), "eager"), wire.Auth(1, 4, proof=token), wire.Sync(2))
        await eager.expect(wire.Welcome)
        await eager.expect(wire.AuthOk)
        assert (await eager.expect(wire.SyncOk)).mode == 2


async def test_a_failed_login_answers_the_rest_with_2000(tmp_path: Path) -> None:
    """In one flight too."""
    async with serving(tmp_path) as rig:
        eager = Client(await rig.stream())
        await eager.send(wire.Hello("WC", 1, 1, (), "eager"), wire.Auth(1, 4, proof=b"no token"), wire.Sync(2))
        codes = [(await eager.expect(wire.Error)).code for _ in range(2)]
        assert codes == [2002, 2000]


async def test_registration_rules(tmp_path: Path) -> None:
    """Handles, short passwords, taken names."""
    async with serving(tmp_path) as rig:
        client = await register(rig, "alice", b"correct horse")
        assert await client.refused(wire.Register(0, "alice", 1, b"correct horse")) == 4005
        assert await client.refused(wire.Register(0, "Alice", 1, b"correct horse")) == 3000
        assert await client.refused(wire.Register(0, "al ice", 1, b"correct horse")) == 3000
        assert await client.refused(wire.Register(0, "carol", 1, b"short")) == 3000
        assert await client.refused(wire.Register(0, "carol", 3, b"no key")) == 3000


async def test_a_stranger_makes_so_many_accounts(tmp_path: Path) -> None:
    """Then 5001, whether the handle is free or not; who comes from elsewhere, or from this machine, makes his."""
    config = Config(grease=0, open_registration=True, limits=Limits(accounts_per_address=2))
    async with serving(tmp_path, config, trusted=frozenset({"127.0.0.1"})) as rig:

        async def asked(address: str, handle: str) -> wire.Message:
            client = Client(await rig.stream())
            await client.stream.send_all(f"PROXY TCP4 {address} 127.0.0.1 4000 7667\r\n".encode())
            await client.send(wire.Hello("WC", 1, 1, (), "test"))
            await client.expect(wire.Welcome)
            return await client.ask(wire.Register(0, handle, 3, bytes(range(32))), wire.Message)

        assert isinstance(await asked("192.0.2.1", "one"), wire.RegisterOk)
        taken = await asked("192.0.2.1", "one")
        assert isinstance(taken, wire.Error)
        assert taken.code == 4005
        for handle in ("one", "three"):
            refused = await asked("192.0.2.1", handle)
            assert isinstance(refused, wire.Error)
            assert (refused.code, 0 < (refused.retry_ms or 0) <= 3_600_000) == (5001, True)
        assert isinstance(await asked("192.0.2.2", "three"), wire.RegisterOk)
        for handle in ("four", "five", "six"):
            assert isinstance(await asked("127.0.0.1", handle), wire.RegisterOk)


def test_passwords_and_strangers_only_where_the_peer_really_is_there() -> None:
    """Loopback or TLS for passwords, loopback for registration; the operator may allow more."""
    local = Peer("127.0.0.1", "tcp", True)
    remote = Peer("192.0.2.1", "tcp", False)
    secure = Peer("192.0.2.1", "tls", False, b"d" * 32)
    strict, lax = Config(), Config(clear_passwords=True, open_registration=True)
    assert [strict.allows_password(peer) for peer in (local, remote, secure)] == [True, False, True]
    assert [strict.allows_registration(peer) for peer in (local, remote, secure)] == [True, False, False]
    assert lax.allows_password(remote)
    assert lax.allows_registration(remote)


async def test_tls_with_channel_binding(tmp_path: Path, authority: tuple[trustme.CA, Tls]) -> None:
    """A proof bound to the certificate is accepted on TLS, refused with another certificate and without TLS."""
    ca, tls = authority
    context = ssl.create_default_context()
    ca.configure_trust(context)
    async with serving(tmp_path / "data", tls=tls) as rig:
        alice = await rig.person("alice")
        stream = trio.SSLStream(await rig.stream("tls"), context, server_hostname="localhost")
        client = Client(stream)
        await client.send(wire.Hello("WC", 1, 1, (), "tls"))
        welcome = await client.expect(wire.Welcome)
        assert tuple(welcome.bindings) == (0, 1)
        leaf = stream.getpeercert(binary_form=True)
        for bound, good in ((certificate_digest(b"other"), False), (certificate_digest(leaf), True)):
            proof = alice.key.sign(wire.auth.signed_bytes(welcome.nonce, alice.device, 1, bound))
            request = wire.Auth(0, 3, proof=proof, device=alice.device, binding=1)
            if good:
                assert (await client.ask(request, wire.AuthOk)).user == alice.user
            else:
                assert await client.refused(request) == 2001


@pytest.mark.parametrize(
    ("version", "ciphers", "works"),
    [
        (ssl.TLSVersion.TLSv1_3, None, True),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM", True),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AES:!AESGCM:!AESCCM", False),
        (ssl.TLSVersion.TLSv1_2, "AESGCM:!ECDHE:!DHE", False),
        (ssl.TLSVersion.TLSv1_1, "DEFAULT:@SECLEVEL=0", False),
    ],
)
async def test_only_strong_tls(
    tmp_path: Path, authority: tuple[trustme.CA, Tls], version: ssl.TLSVersion, ciphers: str | None, works: bool
) -> None:
    """1.2 and 1.3, and of 1.2 what is forward secret and authenticated; a client of anything else gets no handshake."""
    ca, tls = authority
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with pytest.warns(DeprecationWarning, match="TLSv1_1") if version is ssl.TLSVersion.TLSv1_1 else nullcontext():
        context.minimum_version = context.maximum_version = version
    if ciphers is not None:
        context.set_ciphers(ciphers)
    async with serving(tmp_path / "data", tls=tls) as rig:
        stream = trio.SSLStream(await rig.stream("tls"), context, server_hostname="localhost")
        with nullcontext() if works else pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()


async def test_a_logged_in_connection_may_not_log_in_again(tmp_path: Path) -> None:
    """1003, and only that connection ends."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        await alice.send(wire.Auth(9, 4, proof=os.urandom(32)))
        assert await alice.closed() == 1003


class Slow:
    """A store on which every write waits for `go`; counts them."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.go = trio.Event()
        self.go.set()
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, feature: Any, *args: Any, **kwargs: Any) -> Any:
        self.writes += 1
        await self.go.wait()
        return await self._store.write(feature, *args, **kwargs)


async def test_p10_logins_that_come_together_share_commits(tmp_path: Path) -> None:
    """A thousand clients that come back after a restart must not make messages wait for a thousand commits."""
    async with serving(tmp_path, store=Slow) as rig:
        people = [await rig.person(f"person{number}", sync=False) for number in range(20)]
        store = rig.server.store
        store.go, store.writes = trio.Event(), 0
        async with trio.open_nursery() as nursery:
            for person in people:
                nursery.start_soon(rig.again, person)
            with trio.fail_after(PATIENCE):
                while len(rig.server.connections) < 40:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            await trio.sleep(0.3)
            store.go.set()
        assert store.writes <= 4


async def test_a_login_that_is_refused_costs_the_others_nothing(tmp_path: Path) -> None:
    """Together in one transaction: a token that is not known, and one that is."""
    async with serving(tmp_path, store=Slow) as rig:
        client = await register(rig, "alice", b"correct horse")
        token = (await client.ask(wire.Auth(0, 1, "alice", proof=b"correct horse"), wire.AuthOk)).resume
        rig.server.store.go = trio.Event()
        answers: dict[bytes, wire.Message] = {}

        async def resume(proof: bytes) -> None:
            answers[proof] = await (await rig.greeted()).ask(wire.Auth(0, 4, proof=proof), wire.Reply | wire.Error)

        async with trio.open_nursery() as nursery:
            for proof in (bytes(32), token, bytes(31) + b"1"):
                nursery.start_soon(resume, proof)
            await trio.sleep(0.3)
            rig.server.store.go.set()
        assert [getattr(answer, "code", None) for _, answer in sorted(answers.items())][:2] == [2002, 2002]
        assert isinstance(answers[token], wire.AuthOk)
