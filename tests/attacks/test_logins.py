"""Attacks 9 to 12: guessing, finding out who exists, replaying, and keeping what was stolen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from tests.attacks.victim import HELLO, NOWHERE, Attacker, Victim, attacked
from wirechat import wire
from wirechat.server.config import Config, Limits
from wirechat.server.errors import RequestError
from wirechat.server.throttle import Throttle

PASSWORD, WRONG = b"correct horse", b"battery staple"


def registered(victim: Victim, handle: str, password: bytes = PASSWORD) -> int:
    """An account with a password."""
    stranger = victim.greeted()
    user = stranger.ask(wire.Register(0, handle, 1, password), wire.RegisterOk).user
    stranger.close()
    return user


def by_password(handle: str, password: bytes = PASSWORD, device: int | None = None) -> wire.Auth:
    return wire.Auth(0, 1, handle, proof=password, device=device)


def entered(victim: Victim, handle: str, password: bytes = PASSWORD) -> tuple[Attacker, wire.AuthOk]:
    """A new device of an account, live; and its AUTH_OK."""
    client = victim.greeted()
    ok = client.ask(by_password(handle, password), wire.AuthOk)
    client.ask(wire.Sync(0), wire.SyncOk)
    client.user, client.device = ok.user, ok.device
    return client, ok


@contextmanager
def checked(victim: Victim) -> Iterator[list[str]]:
    """Counts what is hashed meanwhile."""
    work: list[str] = []
    world = victim.rig.server.world
    original = world.run_blocking

    async def counted(call: Any, *args: Any) -> Any:
        work.append(call.__name__)
        return await original(call, *args)

    object.__setattr__(world, "run_blocking", counted)
    try:
        yield work
    finally:
        object.__setattr__(world, "run_blocking", original)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A server with the limits that an operator gets who says nothing, behind a proxy that says who comes."""
    config = Config(grease=0, clear_passwords=True, open_registration=True)
    with attacked(tmp_path_factory.mktemp("data"), config, trusted=frozenset({"127.0.0.1"})) as victim:
        yield victim


def coming_from(victim: Victim, address: str) -> Attacker:
    """A connection from elsewhere, greeted."""
    attacker = victim.attacker()
    family = "TCP6" if ":" in address else "TCP4"
    attacker.raw(f"PROXY {family} {address} 192.0.2.254 50000 7667\r\n".encode())
    attacker.send(HELLO)
    attacker.expect(wire.Welcome)
    return attacker


@attrs.frozen
class Target:
    """An account that somebody wants to get into."""

    victim: Victim
    handle: str

    def guess(self, address: str, password: bytes = WRONG) -> Any:
        """One attempt on a connection of its own."""
        attacker = coming_from(self.victim, address)
        answer = attacker.answer(by_password(self.handle, password))
        attacker.close()
        return answer


@pytest.fixture
def target(strict: Victim) -> Target:
    """A new account."""
    handle = f"t{os.urandom(4).hex()}"
    stranger = coming_from(strict, "192.0.2.200")
    stranger.ask(wire.Register(0, handle, 1, PASSWORD), wire.RegisterOk)
    stranger.close()
    return Target(strict, handle)


# 9: guessing


def test_a09_ten_guesses_and_no_more(target: Target) -> None:
    """A09: the eleventh is not looked at, not even the right one; from another address the right one gets in."""
    for _ in range(10):
        assert target.guess("192.0.2.1").code == 2001
    with checked(target.victim) as work:
        locked = target.guess("192.0.2.1", PASSWORD)
    assert (locked.code, work) == (2006, [])
    assert 0 < locked.retry_ms <= 900_000
    assert isinstance(target.guess("192.0.2.2", PASSWORD), wire.AuthOk)


def test_a09_guesses_at_once_are_counted_like_guesses_in_turn(target: Target) -> None:
    """A09: forty connections that guess in the same moment get ten guesses too; the others were told nothing."""
    attackers = [coming_from(target.victim, "192.0.2.3") for _ in range(40)]
    with checked(target.victim) as work:
        for attacker in attackers:
            attacker.send(attrs.evolve(by_password(target.handle, WRONG), rid=1))
        codes = [attacker.expect(wire.Error).code for attacker in attackers]
    assert work.count("verify_password") == 10
    assert sorted(codes) == [2001] * 10 + [2006] * 30


def test_a09_five_guesses_on_one_connection(target: Target) -> None:
    """A09 [8-8]: then it ends."""
    attacker = coming_from(target.victim, "192.0.2.4")
    for _ in range(5):
        assert attacker.refused(by_password(target.handle, WRONG)) == 2001
    attacker.send(attrs.evolve(by_password(target.handle), rid=9))
    assert attacker.closed() == 2006


def test_a09_all_accounts_from_one_address_together(target: Target) -> None:
    """A09: one guess at each of a hundred accounts is a hundred failures of the address."""
    throttle = target.victim.rig.server.logins._throttle

    async def fail() -> None:
        for number in range(100):
            throttle.failed("192.0.2.5", f"handle{number}")

    target.victim.run(fail)
    assert target.guess("192.0.2.5", PASSWORD).code == 2006


def test_a09_a_household_is_one_address(target: Target) -> None:
    """A09: whoever has an IPv6 network of 2^64 addresses has no more guesses for that; the next network has its own."""
    for number in range(10):
        assert target.guess(f"2001:db8:1:1::{number + 1:x}").code == 2001
    assert target.guess("2001:db8:1:1:ffff::1", PASSWORD).code == 2006
    assert isinstance(target.guess("2001:db8:1:2::1", PASSWORD), wire.AuthOk)


@pytest.mark.parametrize("written", ["::ffff:192.0.2.6", "192.0.2.6", "::ffff:c000:206"])
async def test_a09_an_address_counts_however_it_is_written(written: str) -> None:
    """A09: IPv4 in IPv6 is the IPv4 address."""
    throttle = Throttle(Config(limits=Limits(failures_per_account=1)))
    throttle.failed("192.0.2.6", "ann")
    with pytest.raises(RequestError) as refused:
        throttle.check(written, "ann")
    assert refused.value.code == 2006


METHODS: dict[str, Callable[[Target], wire.Auth]] = {
    "tokens": lambda t: wire.Auth(0, 4, proof=os.urandom(32)),
    "tokens with a handle": lambda t: wire.Auth(0, 4, t.handle, proof=os.urandom(32)),
    "signatures": lambda t: wire.Auth(0, 3, proof=os.urandom(64), device=NOWHERE),
    "signatures of no length": lambda t: wire.Auth(0, 3, proof=b"", device=NOWHERE),
}


@pytest.mark.parametrize("what", METHODS)
def test_a09_guessed_tokens_and_signatures_count_too(target: Target, what: str) -> None:
    """A09 [8-8]: for the address; and they lock no account, so that nobody can lock out somebody else."""
    address = f"198.51.100.{list(METHODS).index(what) + 1}"
    throttle = target.victim.rig.server.logins._throttle
    attacker = coming_from(target.victim, address)
    assert attacker.refused(METHODS[what](target)) in (2001, 2002)
    assert throttle._failures[address, ""][1] == 1
    assert isinstance(target.guess(address, PASSWORD), wire.AuthOk)


@pytest.mark.parametrize("also", [None, b"another guess"], ids=["one guess", "two guesses"])
def test_a09_the_change_of_a_secret_is_no_way_to_guess(target: Target, also: bytes | None) -> None:
    """A09 [8-23]: who holds a device but not the password may try ten in all, whether he names one at a time or two."""
    address = "192.0.2.7" if also else "192.0.2.8"
    client = coming_from(target.victim, address)
    client.ask(by_password(target.handle), wire.AuthOk)
    with checked(target.victim) as work:
        codes = [client.refused(wire.SecretSet(0, WRONG, also or WRONG)) for _ in range(12)]
    assert work.count("verify_password") == 10
    assert set(codes) == {2001, 2006}
    assert codes[-1] == 2006
    assert target.guess(address, PASSWORD).code == 2006
    assert isinstance(target.guess("192.0.2.9", PASSWORD), wire.AuthOk)


def test_a09_a_locked_account_still_serves_its_devices(strict: Victim, target: Target) -> None:
    """A09 [8-8]: by token; guessing is no way to keep somebody out."""
    client = coming_from(strict, "192.0.2.10")
    token = client.ask(by_password(target.handle), wire.AuthOk).resume
    for _ in range(10):
        target.guess("192.0.2.10")
    assert target.guess("192.0.2.10", PASSWORD).code == 2006
    assert isinstance(coming_from(strict, "192.0.2.10").answer(wire.Auth(0, 4, proof=token)), wire.AuthOk)


# 10: who exists


def _cases(victim: Victim) -> dict[str, wire.Auth]:
    registered(victim, "ann")
    keyed = victim.person("keyed")
    other = victim.person("other")
    return {
        "wrong password": by_password("ann", WRONG),
        "unknown handle": by_password("nobody", WRONG),
        "no handle at all": by_password("No Handle!", WRONG),
        "an account without a password": by_password("keyed", WRONG),
        "a device of another, right password": by_password("ann", PASSWORD, other.device),
        "no device, right password": by_password("ann", PASSWORD, NOWHERE),
        "a device of another, wrong password": by_password("ann", WRONG, keyed.device),
    }


KINDS = {
    *("wrong password", "unknown handle", "no handle at all", "an account without a password"),
    *("a device of another, right password", "no device, right password", "a device of another, wrong password"),
}


@pytest.fixture(scope="module")
def cases(victim: Victim) -> dict[str, wire.Auth]:
    """Logins that must not be told apart, but for what is right in them."""
    found = _cases(victim)
    assert set(found) == KINDS
    victim.greeted().answer(by_password("nobody", WRONG))  # the first check of all hashes a password of nobody
    return found


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a10_no_answer_tells_what_was_wrong(victim: Victim, cases: dict[str, wire.Auth], kind: str) -> None:
    """A10 [8-7]: the same bytes, and the same work: one password checked by Argon2id."""
    attacker = victim.greeted()
    with checked(victim) as work:
        answer = attacker.answer(attrs.evolve(cases[kind]), rid=3)
    assert answer == wire.Error(3, code=2001, message="unknown account or wrong password")
    assert work == ["verify_password"]
    attacker.close()


def test_a10_unknown_accounts_are_locked_like_known_ones(strict: Victim, target: Target) -> None:
    """A10: nor does 2006 tell who exists."""
    answers = []
    for handle in (target.handle, "nobody-at-all"):
        guesses = Target(strict, handle)
        codes = [guesses.guess(f"192.0.2.{20 + len(answers)}").code for _ in range(11)]
        answers.append(codes)
    assert answers[0] == answers[1] == [2001] * 10 + [2006]


def test_a10_a_bad_signature_costs_the_same_for_no_device(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """A10: one signature is verified for a known device, an unknown one, and one without a key."""
    from wirechat.server.features import session

    ann = victim.person("signer")
    registered(victim, "keyless")
    keyless, _ = entered(victim, "keyless")
    work: list[bytes] = []
    original = session.Ed25519PublicKey.from_public_bytes

    class Counted:
        @staticmethod
        def from_public_bytes(key: bytes) -> Any:
            work.append(key)
            return original(key)

    monkeypatch.setattr(session, "Ed25519PublicKey", Counted)
    answers = []
    for device in (ann.device, NOWHERE, keyless.device):
        attacker = victim.greeted()
        answers.append(attacker.answer(wire.Auth(0, 3, proof=bytes(64), device=device), rid=4).encode())
        attacker.close()
    assert len(work) == 3
    assert len(set(answers)) == 1


# 11: replaying


def test_a11_a_recorded_login_is_worth_nothing(victim: Victim) -> None:
    """A11 [8-11]: every byte that a client sent to log in, sent again: 2001."""
    person = victim.person("recorded")
    honest = victim.greeted()
    signed = wire.auth.signed_bytes(honest.welcome.nonce, person.device, 0, b"")
    flight = HELLO.encode() + wire.Auth(1, 3, proof=person.key.sign(signed), device=person.device).encode()
    for _ in range(2):
        thief = victim.attacker()
        thief.raw(flight)
        thief.expect(wire.Welcome)
        assert thief.expect(wire.Error).code == 2001
        thief.close()
    assert person.alive()


def test_a11_a_recorded_resumption_ends_with_its_successor(victim: Victim) -> None:
    """A11 [8-14]: the token of a recorded login works until a later one has been used, then never."""
    registered(victim, "resumer")
    _, first = entered(victim, "resumer")
    second = victim.greeted().ask(wire.Auth(0, 4, proof=first.resume), wire.AuthOk)
    victim.greeted().ask(wire.Auth(0, 4, proof=second.resume), wire.AuthOk)
    for token in (first.resume, first.resume[:-1], first.resume + b"\0", b"", bytes(32)):
        thief = victim.greeted()
        assert thief.refused(wire.Auth(0, 4, proof=token)) == 2002
        thief.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda nonce, device: wire.auth.signed_bytes(nonce, device, 1, bytes(32)),
        lambda nonce, device: wire.auth.signed_bytes(nonce[::-1], device, 0, b""),
        lambda nonce, device: wire.auth.signed_bytes(nonce, device + 1, 0, b""),
        lambda nonce, device: wire.auth.signed_bytes(nonce, device, 0, b"")[1:],
        lambda nonce, device: nonce,
        lambda nonce, device: b"",
    ],
    ids=["bound", "another nonce", "another device", "another text", "the nonce alone", "nothing"],
)
def test_a11_a_signature_over_anything_else_is_refused(victim: Victim, spoil: Callable[[bytes, int], bytes]) -> None:
    """A11 [8-10]: what is signed names the purpose, the connection, the device and the binding."""
    person = victim.person(f"p{os.urandom(4).hex()}")
    attacker = victim.greeted()
    proof = person.key.sign(spoil(attacker.welcome.nonce, person.device))
    assert attacker.refused(wire.Auth(0, 3, proof=proof, device=person.device)) == 2001


def test_a11_replayed_requests_do_nothing_twice(victim: Victim) -> None:
    """A11: every request with a cid, replayed on the same and on another connection: the first answer, nothing new."""
    ann, bob, carol = (victim.person(f"{name}{os.urandom(3).hex()}") for name in ("ann", "bob", "carol"))
    conv = ann.ask(wire.ConvNew(0, os.urandom(8), 2, (bob.user,)), wire.ConvNewOk).conv
    requests: list[Any] = [
        wire.ConvNew(0, os.urandom(8), 2, (bob.user,), "twice"),
        wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, "twice")),
        wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)),
        wire.MemberSet(0, conv, os.urandom(8), carol.user, 2),
        wire.ConvSet(0, conv, os.urandom(8), "twice"),
        wire.MemberDel(0, conv, os.urandom(8), carol.user),
    ]
    first = [ann.answer(request, rid=6) for request in requests]
    before = victim.stored()
    other = victim.again(ann)
    for request, answer in zip(requests, first, strict=True):
        assert other.answer(request, rid=6) == attrs.evolve(answer, dup=True)
    after = victim.stored()
    assert {name for name in after if after[name] != before[name]} <= {"device", "resume"}  # they logged in once more


# 12: keeping what was stolen


@attrs.frozen
class Stolen:
    """What a thief has of a device."""

    handle: str
    device: int
    token: bytes
    live: Attacker

    def ways(self, victim: Victim) -> dict[str, int]:
        """What he is answered, by way in."""
        tries = {
            "token": wire.Auth(0, 4, proof=self.token),
            "device and old password": by_password(self.handle, PASSWORD, self.device),
            "old password": by_password(self.handle, PASSWORD),
        }
        return {way: victim.greeted().answer(auth).code for way, auth in tries.items()}


def _stolen(victim: Victim) -> tuple[Attacker, Stolen]:
    handle = f"s{os.urandom(4).hex()}"
    registered(victim, handle)
    owner, _ = entered(victim, handle)
    thief, ok = entered(victim, handle)
    return owner, Stolen(handle, ok.device, ok.resume, thief)


def test_a12_a_new_password_with_revocation_throws_everybody_out(victim: Victim) -> None:
    """A12 [8-24]: live connections at once, tokens, the old password, the device with the old password."""
    owner, stolen = _stolen(victim)
    owner.ask(wire.SecretSet(0, PASSWORD, b"a new password", revoke=True), wire.SecretSetOk)
    assert stolen.live.closed() == 2003
    assert stolen.ways(victim) == {"token": 2002, "device and old password": 2001, "old password": 2001}
    assert victim.greeted().refused(by_password(stolen.handle, b"a new password", stolen.device)) == 2003
    assert owner.alive()


def test_a12_a_revoked_device_stays_out(victim: Victim) -> None:
    """A12 [8-28]: its connection ends at once; its token and its id are worth nothing, with the right password too."""
    owner, stolen = _stolen(victim)
    owner.ask(wire.DeviceRevoke(0, stolen.device), wire.DeviceRevokeOk)
    assert stolen.live.closed() == 2003
    assert victim.greeted().refused(wire.Auth(0, 4, proof=stolen.token)) == 2002
    assert victim.greeted().refused(by_password(stolen.handle, PASSWORD, stolen.device)) == 2003


def test_a12_logging_out_ends_what_one_held(victim: Victim) -> None:
    """A12 [8-29]: the token of a device that logged out is void, also one that was issued a moment before."""
    _, stolen = _stolen(victim)
    stolen.live.ask(wire.DeviceRevoke(0, stolen.device), wire.DeviceRevokeOk)
    assert stolen.live.closed() == 2003
    assert victim.greeted().refused(wire.Auth(0, 4, proof=stolen.token)) == 2002


def test_a12_a_login_under_way_does_not_survive_the_change(victim: Victim) -> None:
    """A12 [8-24]: the old password is checked while it is changed: whichever comes first, it opens nothing after."""
    owner, stolen = _stolen(victim)
    late = victim.greeted()
    late.send(attrs.evolve(by_password(stolen.handle), rid=8))
    owner.ask(wire.SecretSet(0, PASSWORD, b"a new password", revoke=True), wire.SecretSetOk)
    answer = late.recv()
    if isinstance(answer, wire.AuthOk):
        assert late.closed() == 2003
    else:
        assert answer == wire.Error(8, code=2001, message="unknown account or wrong password")


def test_a12_nobody_chooses_the_id_of_a_session(victim: Victim) -> None:
    """A12: fixation. Device ids and tokens are the server's; one that a client brings along is not taken up."""
    registered(victim, "chooser")
    assert victim.greeted().refused(by_password("chooser", PASSWORD, 70_000)) == 2001
    tokens = {victim.greeted().ask(by_password("chooser"), wire.AuthOk).resume for _ in range(5)}
    assert len(tokens) == 5
    assert all(len(token) == 32 for token in tokens)
    kept = repr(victim.stored())
    assert not any(repr(token)[2:-1] in kept for token in tokens)


def test_a12_tokens_and_passwords_are_stored_as_digests(victim: Victim) -> None:
    """A12: who reads the database can neither resume nor log in."""
    registered(victim, "stored", b"a password to look for")
    _, ok = entered(victim, "stored", b"a password to look for")
    kept = repr(victim.stored())
    assert "a password to look for" not in kept
    assert repr(ok.resume)[2:-1] not in kept
    assert kept.count("$argon2id$") >= 1
