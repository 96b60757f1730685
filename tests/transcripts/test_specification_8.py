"""Section 8 of docs/protocol.md, where no transcript and no test of a wing shows it: accounts and authentication.

Tests are named by the rule they show.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.server.rig import Client, Rig, serving
from wirechat import wire
from wirechat.server.config import Config
from wirechat.server.endpoint import Peer
from wirechat.store.tx import Tx
from wirechat.world import REAL

PASSWORD = b"correct horse"


class Clock:
    """A wall clock that a test may move."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return REAL.now_ms() + self.ahead_ms


async def registered(rig: Rig, handle: str) -> int:
    client = await rig.greeted()
    made = await client.ask(wire.Register(0, handle, 1, PASSWORD), wire.RegisterOk)
    return int(made.user)


async def by_password(rig: Rig, handle: str, **fields: Any) -> wire.AuthOk:
    answer: wire.AuthOk = await (await rig.greeted()).ask(
        wire.Auth(0, 1, handle, proof=PASSWORD, **fields), wire.AuthOk
    )
    return answer


async def resume(rig: Rig, token: bytes) -> wire.AuthOk:
    answer: wire.AuthOk = await (await rig.greeted()).ask(wire.Auth(0, 4, proof=token), wire.AuthOk)
    return answer


def signature(client: Client, key: Ed25519PrivateKey, device: int, binding: int = 0) -> bytes:
    return key.sign(wire.auth.signed_bytes(client.welcome.nonce, device, binding, b""))


async def test_8_1_registering_does_not_log_in(tmp_path: Path) -> None:
    """The connection is where it was."""
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        assert client.welcome.registration
        await client.ask(wire.Register(0, "alice", 1, PASSWORD), wire.RegisterOk)
        assert await client.refused(wire.Sync(0)) == 2000
        assert (await client.ask(wire.Auth(0, 1, "alice", proof=PASSWORD), wire.AuthOk)).user


async def test_8_1_closed_registration_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WELCOME says so, and REGISTER is answered 2008."""
    monkeypatch.setattr(Config, "allows_registration", lambda self, peer: False)
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        assert not client.welcome.registration
        assert await client.refused(wire.Register(0, "alice", 1, PASSWORD)) == 2008


@pytest.mark.parametrize("handle", ["a", "0", "a.b_c-9", "x" * 32])
async def test_8_2_handles(tmp_path: Path, handle: str) -> None:
    """From one byte to 32."""
    async with serving(tmp_path) as rig:
        await registered(rig, handle)
        alice = await rig.person("someone")
        assert (await alice.ask(wire.UserFind(0, handle), wire.UserFindOk)).user.handle == handle


@pytest.mark.parametrize("handle", ["", ".a", "_a", "-a", "A", "a b", "ä", "a\n", "x" * 33, "a/b", "a\0"])
async def test_8_2_no_handles(tmp_path: Path, handle: str) -> None:
    """3000."""
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        assert await client.refused(wire.Register(0, handle, 3, bytes(32))) == 3000


@pytest.mark.parametrize("secret", [b"x" * 7, b"x" * 1025, b"\xff" * 8, "ä".encode() * 3])
async def test_8_3_no_passwords(tmp_path: Path, secret: bytes) -> None:
    """Bytes are counted, 8 to 1,024, and they are UTF-8."""
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        assert await client.refused(wire.Register(0, "alice", 1, secret)) == 3000


@pytest.mark.parametrize("secret", ["ä".encode() * 4, b"x" * 1024])
async def test_8_3_passwords(tmp_path: Path, secret: bytes) -> None:
    """The shortest and the longest log in; not one byte is left out."""
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        await client.ask(wire.Register(0, "alice", 1, secret), wire.RegisterOk)
        assert await client.refused(wire.Auth(0, 1, "alice", proof=secret[:-1])) == 2001
        await client.ask(wire.Auth(0, 1, "alice", proof=secret), wire.AuthOk)


async def test_8_4_an_account_made_with_a_key_has_no_password(tmp_path: Path) -> None:
    """Its device logs in by its key; no password does."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        for proof in (b"", PASSWORD):
            assert await (await rig.greeted()).refused(wire.Auth(0, 1, "alice", proof=proof)) == 2001
        assert await (await rig.greeted()).refused(wire.Register(0, "bob", 2, bytes(32))) == 3000
        assert alice.device


async def test_8_5_methods_that_are_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3000, but 2005 for a password where it could be read on the way."""
    monkeypatch.setattr(Peer, "secure", property(lambda self: False))
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        assert 1 not in client.welcome.methods
        assert await client.refused(wire.Auth(0, 1, "alice", proof=PASSWORD)) == 2005
        assert await client.refused(wire.Register(0, "alice", 1, PASSWORD)) == 2005
        for method in (0, 2, 5, 200):
            assert await client.refused(wire.Auth(0, method, "alice", proof=PASSWORD)) == 3000


async def test_8_6_a_device_stays_the_same_when_it_is_presented(tmp_path: Path) -> None:
    """Without it a password makes another device."""
    async with serving(tmp_path) as rig:
        user = await registered(rig, "alice")
        first = await by_password(rig, "alice")
        same = await by_password(rig, "alice", device=first.device)
        other = await by_password(rig, "alice")
        assert (first.user, same.device) == (user, first.device)
        assert other.device != first.device


async def test_8_7_failures_never_say_what_was_wrong(tmp_path: Path) -> None:
    """One code and one text for each method, whatever was wrong."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        await registered(rig, "bob")
        client = await rig.greeted()
        stranger = Ed25519PrivateKey.generate()
        told = set()
        for device in (alice.device, alice.device ^ 1):
            proof = signature(client, stranger, device)
            error = await client.ask(wire.Auth(0, 3, "alice", proof=proof, device=device), wire.Error)
            told.add((error.code, error.message, error.detail))
        assert len(told) == 1
        for wrong in (
            wire.Auth(0, 1, "carol", proof=PASSWORD),
            wire.Auth(0, 1, "bob", proof=b"x"),
            wire.Auth(0, 1, "bob", proof=PASSWORD, device=alice.device),
        ):
            error = await client.ask(wrong, wire.Error)
            told.add((error.code, error.message, error.detail))
        assert len(told) == 2
        assert {code for code, *_ in told} == {2001}


async def test_8_8_after_five_failures_the_next_is_the_last(tmp_path: Path) -> None:
    """Five are answered; the sixth gets ERROR 2006 without rid, with the time to wait, even if it is right."""
    async with serving(tmp_path) as rig:
        await registered(rig, "alice")
        client = await rig.greeted()
        for _ in range(5):
            assert await client.refused(wire.Auth(0, 1, "alice", proof=b"wrong")) == 2001
        await client.send(wire.Auth(9, 1, "alice", proof=PASSWORD))
        error = await client.expect(wire.Error)
        assert (error.rid, error.code) == (None, 2006)
        assert error.retry_ms
        assert await client.recv() is None
        assert (await by_password(rig, "alice")).user


async def test_8_8_tokens_that_ended_lock_nobody_out(tmp_path: Path) -> None:
    """A house full of phones that were in the drawer for too long, behind one address."""
    async with serving(tmp_path) as rig:
        await registered(rig, "alice")
        token = (await by_password(rig, "alice")).resume
        for _ in range(12):
            assert await (await rig.greeted()).refused(wire.Auth(0, 4, proof=os.urandom(32))) == 2002
        await resume(rig, token)


async def test_8_9_required_and_ignored_fields(tmp_path: Path) -> None:
    """What a method does not need is ignored, whatever it says; what it needs and lacks is 3000."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        bob = await registered(rig, "bob")
        client = await rig.greeted()
        assert await client.refused(wire.Auth(0, 1, proof=PASSWORD)) == 3000
        assert await client.refused(wire.Auth(0, 3, proof=bytes(64))) == 3000
        made = await client.ask(wire.Auth(0, 1, "bob", proof=PASSWORD, binding=7), wire.AuthOk)
        assert made.user == bob
        client = await rig.greeted()
        noise = wire.Auth(0, 4, "alice", proof=made.resume, device=alice.device, key=bytes(32), name="x", binding=9)
        assert (await client.ask(noise, wire.AuthOk)).device == made.device
        client = await rig.greeted()
        proof = signature(client, alice.key, alice.device)
        noise = wire.Auth(0, 3, "bob", proof=proof, device=alice.device, key=bytes(32), name="x")
        assert (await client.ask(noise, wire.AuthOk)).user == alice.user


async def test_8_9_a_key_given_with_a_password_logs_in_later(tmp_path: Path) -> None:
    """For a new device, and for one that is known."""
    async with serving(tmp_path) as rig:
        await registered(rig, "alice")
        device = None
        for _ in range(2):
            key = Ed25519PrivateKey.generate()
            given = key.public_key().public_bytes_raw()
            made = await by_password(rig, "alice", key=given, device=device, name="phone")
            device = device or made.device
            client = await rig.greeted()
            request = wire.Auth(0, 3, "alice", proof=signature(client, key, made.device), device=made.device)
            assert (await client.ask(request, wire.AuthOk)).device == device


async def test_8_11_nonces_differ(tmp_path: Path) -> None:
    """One for each connection, 32 bytes."""
    async with serving(tmp_path) as rig:
        nonces = {(await rig.greeted()).welcome.nonce for _ in range(5)}
        assert len(nonces) == 5
        assert {len(nonce) for nonce in nonces} == {32}


@pytest.mark.parametrize("binding", [1, 2, 200])
async def test_8_12_a_binding_that_is_not_offered(tmp_path: Path, binding: int) -> None:
    """2004, also with a signature that would be right."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        client = await rig.greeted()
        assert client.welcome.bindings == (0,)
        proof = signature(client, alice.key, alice.device, binding)
        assert await client.refused(wire.Auth(0, 3, "alice", proof=proof, device=alice.device, binding=binding)) == 2004


async def test_8_14_the_last_used_and_the_last_issued_token_are_valid(tmp_path: Path) -> None:
    """So an AUTH_OK may be lost, any number of times."""
    async with serving(tmp_path) as rig:
        await registered(rig, "alice")
        used = (await by_password(rig, "alice")).resume
        for _ in range(3):
            lost = (await resume(rig, used)).resume
        last = (await resume(rig, lost)).resume
        assert await (await rig.greeted()).refused(wire.Auth(0, 4, proof=used)) == 2002
        await resume(rig, last)


async def test_8_14_a_login_by_password_ends_no_token(tmp_path: Path) -> None:
    """Only the use of a token ends those that were issued before it."""
    async with serving(tmp_path) as rig:
        await registered(rig, "alice")
        first = await by_password(rig, "alice")
        second = await by_password(rig, "alice", device=first.device)
        await resume(rig, first.resume)
        third = await by_password(rig, "alice", device=first.device)
        await resume(rig, second.resume)
        assert await (await rig.greeted()).refused(wire.Auth(0, 4, proof=first.resume)) == 2002
        assert (await resume(rig, third.resume)).device == first.device


async def test_8_14_a_token_belongs_to_its_device(tmp_path: Path) -> None:
    """What one device does leaves the token of another alone."""
    async with serving(tmp_path) as rig:
        await registered(rig, "alice")
        phone, laptop = await by_password(rig, "alice"), await by_password(rig, "alice")
        again = await resume(rig, laptop.resume)
        await resume(rig, again.resume)
        assert (await resume(rig, phone.resume)).device == phone.device


async def test_8_15_tokens_end(tmp_path: Path) -> None:
    """After `resume_seconds`."""
    clock = Clock()
    world = type(REAL)(clock.now_ms, REAL.random_bytes, REAL.uniform, REAL.run_blocking)
    async with serving(tmp_path, world=world) as rig:
        await registered(rig, "alice")
        made = await by_password(rig, "alice")
        clock.ahead_ms = 1000 * made.resume_seconds - 60_000
        latest = await resume(rig, made.resume)
        clock.ahead_ms *= 2
        latest = await resume(rig, latest.resume)
        clock.ahead_ms += 1000 * latest.resume_seconds + 1
        assert await (await rig.greeted()).refused(wire.Auth(0, 4, proof=latest.resume)) == 2002


async def _revoke(tx: Tx, device: int) -> None:
    await tx.execute("UPDATE device SET revoked = TRUE WHERE device = $1", device)


async def test_8_15_a_revoked_device_stays_out(tmp_path: Path) -> None:
    """Its token is no longer valid, and password and key are told 2003; another device still logs in."""
    async with serving(tmp_path) as rig:
        await registered(rig, "alice")
        key = Ed25519PrivateKey.generate()
        made = await by_password(rig, "alice", key=key.public_key().public_bytes_raw())
        await rig.server.store.write(_revoke, made.device)
        client = await rig.greeted()
        assert await client.refused(wire.Auth(0, 4, proof=made.resume)) == 2002
        assert await client.refused(wire.Auth(0, 1, "alice", proof=PASSWORD, device=made.device)) == 2003
        proof = signature(client, key, made.device)
        assert await client.refused(wire.Auth(0, 3, "alice", proof=proof, device=made.device)) == 2003
        assert (await by_password(rig, "alice")).device != made.device


async def test_8_17_people_are_found_by_exact_handle_and_by_id(tmp_path: Path) -> None:
    """Names are what was registered; there is no prefix and no case."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        client = await rig.greeted()
        bob = (await client.ask(wire.Register(0, "bob", 3, bytes(32), "Bob the Builder"), wire.RegisterOk)).user
        found = (await alice.ask(wire.UserFind(0, "bob"), wire.UserFindOk)).user
        assert found == wire.User(bob, "bob", "Bob the Builder")
        for handle in ("bo", "Bob", "bob ", "%", ""):
            assert await alice.refused(wire.UserFind(0, handle)) == 4000
        people = (await alice.ask(wire.UserGet(0, (bob, alice.user, 1, bob)), wire.UserGetOk)).users
        assert {user.user for user in people} == {bob, alice.user}
        assert next(user for user in people if user.user == alice.user).name is None
