"""Section 8: accounts, logging in, device keys, resume tokens, finding people."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from .. import ed25519
from ..catalogue import Check, add, check
from ..connection import LOCKED_OUT
from ..lab import Lab, handle
from ..person import KEY_METHOD, PASSWORD, PASSWORD_METHOD, RESUME_METHOD, SECRET, Person
from ..verdict import Skipped, require, same

STRANGER = b"another key that nobody has used"


def _with_password(lab: Lab) -> Person:
    person = lab.greeted()
    lab.skip_unless(PASSWORD_METHOD in person.welcome["methods"], "the server takes no password on this connection")
    return person


def _keyed(lab: Lab, **options: Any) -> Person:
    person = lab.person(**options)
    lab.skip_unless(person.by_key, "the server offers no device keys")
    return person


@check("8.1", "8-1", level="L2")
def registering_does_not_log_in(lab: Lab) -> None:
    """After REGISTER_OK the connection is where it was: requests are answered 2000, and AUTH logs in."""
    person = lab.greeted()
    person.make_account(handle())
    person.refused("SYNC", 2000)
    person.log_in()
    person.sync()


@check("8.1", "8-2", level="L2")
def handles_of_every_kind(lab: Lab) -> None:
    """The shortest parts, every punctuation mark, 32 bytes."""
    person = lab.greeted()
    fresh = os.urandom(12).hex()
    for name in (f"{fresh}.a_b-9"[:32], f"0{fresh}", (fresh + "x" * 32)[:32]):
        person.make_account(name)


@check("8.1", "8-2", level="L2")
def what_is_no_handle(lab: Lab) -> None:
    """Empty, capital letters, spaces, other letters, a wrong first character, 33 bytes: ERROR 3000."""
    person = lab.greeted()
    for name in ("", ".a", "_a", "-a", "Abc", "a b", "ä", "a\n", "a/b", "a\0", "x" * 33):
        person.refused("REGISTER", 3000, handle=name, method=KEY_METHOD, secret=ed25519.public_key(SECRET))


@check("8.1", "8-2", level="L2")
def a_handle_is_taken_once(lab: Lab) -> None:
    """The same handle again: ERROR 4005."""
    person = lab.greeted()
    person.make_account(handle())
    secret = ed25519.public_key(SECRET)
    person.refused("REGISTER", 4005, handle=person.handle, method=KEY_METHOD, secret=secret)


@check("8.1", "8-3", level="L2")
def what_is_no_password(lab: Lab) -> None:
    """7 bytes, bytes that are no UTF-8: ERROR 3000. Bytes are counted, not characters."""
    person = _with_password(lab)
    for secret in (b"x" * 7, b"\xff" * 9, "äää".encode(), b"x" * 1025):
        person.refused("REGISTER", 3000, handle=handle(), method=PASSWORD_METHOD, secret=secret)


@check("8.1", "8-3", level="L2")
def every_byte_of_a_password_counts(lab: Lab) -> None:
    """A password of 1,024 bytes logs in; without its last byte it does not."""
    person = _with_password(lab)
    name, secret = handle(), ("ä" * 512).encode()
    person.ask("REGISTER", handle=name, method=PASSWORD_METHOD, secret=secret)
    person.refused("AUTH", 2001, method=PASSWORD_METHOD, handle=name, proof=secret[:-2])
    person.ask("AUTH", method=PASSWORD_METHOD, handle=name, proof=secret)


@check("8.1", "8-4", level="L2")
def an_account_with_a_key_has_no_password(lab: Lab) -> None:
    """Its device logs in by its key; a password is answered 2001."""
    alice = _keyed(lab, sync=False)
    require(alice.device, "the device in REGISTER_OK", alice.device)
    other = _with_password(lab)
    other.refused("AUTH", 2001, method=PASSWORD_METHOD, handle=alice.handle, proof=PASSWORD)


@check("8.1", "8-4", level="L2")
def a_key_has_32_bytes(lab: Lab) -> None:
    """REGISTER with method 3 and a shorter secret, or with a method that makes no account: ERROR 3000."""
    person = lab.greeted()
    person.refused("REGISTER", 3000, handle=handle(), method=KEY_METHOD, secret=b"x" * 31)
    person.refused("REGISTER", 3000, handle=handle(), method=RESUME_METHOD, secret=b"x" * 32)


@check("8.2", "8-5")
def methods_that_are_not_offered(lab: Lab) -> None:
    """AUTH with a method that WELCOME does not list: ERROR 3000."""
    person = lab.greeted()
    for method in {0, 2, 5, 200} - set(person.welcome["methods"]):
        person.refused("AUTH", 3000, method=method, handle="somebody", proof=PASSWORD)


@check("8.2", "8-6")
def a_device_that_is_presented_stays_the_same(lab: Lab) -> None:
    """A password login with the device id is that device; without it a new one is made."""
    first = lab.person(password=True, sync=False)
    same_device = lab.greeted("again")
    same_device.handle, same_device.device, same_device.by_key = first.handle, first.device, False
    same(same_device.log_in()["device"], first.device, "device")
    other = lab.other_device(first, sync=False)
    require(other.device != first.device, "another device", other.device)
    same(other.user, first.user, "user")


@check("8.2", "8-7")
def failures_never_say_what_was_wrong(lab: Lab) -> None:
    """Unknown handle, wrong password, the device of another account: the same ERROR 2001."""
    alice = lab.person(password=True, sync=False)
    bob = lab.person(sync=False)
    person = lab.greeted()
    told = []
    for name, proof, device in (
        (handle(), PASSWORD, None),
        (alice.handle, b"wrong password", None),
        (alice.handle, PASSWORD, bob.device),
    ):
        error = person.refused("AUTH", 2001, method=PASSWORD_METHOD, handle=name, proof=proof, device=device)
        told.append((error["code"], error["message"], error["detail"]))
    same(len(set(told)), 1, "number of different answers")


@check("8.2", "8-7", "8-11")
def wrong_signatures_are_all_alike(lab: Lab) -> None:
    """Of a stranger's key, for an unknown device: the same ERROR 2001."""
    alice = _keyed(lab, sync=False)
    person = lab.greeted()
    told = []
    for device in (alice.device, 2**52 + int.from_bytes(os.urandom(5), "big")):
        signed = ed25519.signed_bytes(person.welcome["nonce"], device, 0, b"")
        proof = ed25519.sign(STRANGER, signed)
        error = person.refused("AUTH", 2001, method=KEY_METHOD, proof=proof, device=device)
        told.append((error["code"], error["message"], error["detail"]))
    same(told[0], told[1], "answer for an unknown device")


@check("8.2", "8-8", "15-4")
def the_sixth_failure_ends_the_connection(lab: Lab) -> None:
    """Five failures are answered; the sixth AUTH gets ERROR 2006 without rid, with the time to wait, even if it is
    right."""
    alice = lab.person(sync=False)
    person = lab.greeted()
    for _ in range(5):
        error = person.answer(person.request("AUTH", method=RESUME_METHOD, proof=os.urandom(16)))
        if error.name == "ERROR" and error["code"] == 2006:
            raise Skipped(LOCKED_OUT)
        require(error.name == "ERROR" and error["code"] in (2001, 2002), "ERROR 2002", error.fields)
    person.request("AUTH", method=RESUME_METHOD, proof=alice.resume)
    last = person.closes(2006)
    assert last is not None
    require(last["retry_ms"], "retry_ms", last["retry_ms"])


@check("8.2", "8-9")
def required_fields_of_each_method(lab: Lab) -> None:
    """A password without a handle, a signature without a device: ERROR 3000."""
    person = lab.greeted()
    methods = person.welcome["methods"]
    if PASSWORD_METHOD in methods:
        person.refused("AUTH", 3000, method=PASSWORD_METHOD, proof=PASSWORD)
    if KEY_METHOD in methods:
        person.refused("AUTH", 3000, method=KEY_METHOD, proof=bytes(64))


@check("8.2", "8-9")
def fields_of_other_methods_are_ignored(lab: Lab) -> None:
    """A resume token with the handle of somebody else, a device, a key, a binding: it names its account itself."""
    alice, bob = lab.people(2, sync=False)
    other = lab.greeted()
    noise = {"handle": bob.handle, "device": bob.device, "key": bytes(32), "name": "x", "binding": 9}
    same(other.ask("AUTH", method=RESUME_METHOD, proof=alice.resume, **noise)["user"], alice.user, "user")


@check("8.3", "8-10")
def a_device_key_logs_in(lab: Lab) -> None:
    """The signature over nonce, device and binding 0."""
    alice = _keyed(lab)
    back = lab.greeted("alice")
    back.device, back.by_key = alice.device, True
    same(back.log_in()["user"], alice.user, "user")


@check("8.3", "8-10", "8-12", needs="tls")
def a_signature_may_name_the_certificate(lab: Lab) -> None:
    """Binding 1, where it is offered: the SHA-256 of the leaf certificate is signed; another one is ERROR 2001."""
    alice = _keyed(lab, sync=False)
    back = lab.greeted("alice")
    lab.skip_unless(1 in back.welcome["bindings"], "the server does not offer binding 1")
    back.device = alice.device
    digest = back.bodies.certificate_digest or b""
    fields = {"method": KEY_METHOD, "device": alice.device, "binding": 1}
    back.refused("AUTH", 2001, proof=back.signature(1, bytes(32)), **fields)
    back.refused("AUTH", 2001, proof=back.signature(0), **fields)
    back.ask("AUTH", proof=back.signature(1, digest), **fields)


@check("8.3", "8-9", "8-10", level="L2")
def a_key_given_with_a_password_logs_in_later(lab: Lab) -> None:
    """AUTH with a password and `key` stores the key for the new device."""
    alice = lab.person(password=True, sync=False)
    other = lab.greeted("alice2")
    fields = {"method": PASSWORD_METHOD, "handle": alice.handle, "proof": PASSWORD, "name": "keyed"}
    made = other.ask("AUTH", key=ed25519.public_key(SECRET), **fields)
    back = lab.greeted("alice2")
    lab.skip_unless(KEY_METHOD in back.welcome["methods"], "the server offers no device keys")
    back.device, back.by_key = made["device"], True
    same(back.log_in()["device"], made["device"], "device")


@check("8.3", "8-11")
def a_nonce_serves_one_connection(lab: Lab) -> None:
    """Nonces differ; a signature over the nonce of another connection is ERROR 2001."""
    alice = _keyed(lab, sync=False)
    one, two = lab.greeted(), lab.greeted()
    require(one.welcome["nonce"] != two.welcome["nonce"], "two nonces", "the same")
    two.device = alice.device
    proof = two.signature(nonce=one.welcome["nonce"])
    two.refused("AUTH", 2001, method=KEY_METHOD, proof=proof, device=alice.device)


@check("8.3", "8-12")
def a_binding_that_is_not_offered(lab: Lab) -> None:
    """ERROR 2004, though the signature is right for it."""
    alice = _keyed(lab, sync=False)
    back = lab.greeted("alice")
    back.device = alice.device
    for binding in {1, 2, 200} - set(back.welcome["bindings"]):
        proof = back.signature(binding)
        back.refused("AUTH", 2004, method=KEY_METHOD, proof=proof, device=alice.device, binding=binding)


@check("8.4", "8-13", "8-16")
def a_resume_token_saves_the_login(lab: Lab) -> None:
    """Every AUTH_OK has one, of at most 64 bytes; it logs the same device in."""
    alice = lab.person()
    require(0 < len(alice.resume) <= 64, "a token of 1 to 64 bytes", len(alice.resume))
    back = lab.greeted("alice")
    entered = back.go_on(alice.resume)
    same((entered["user"], entered["device"]), (alice.user, alice.device), "user and device")
    require(entered["resume_seconds"] > 0, "resume_seconds above 0", entered["resume_seconds"])


@check("8.4", "8-14")
def the_last_used_and_the_last_issued_token_are_valid(lab: Lab) -> None:
    """An AUTH_OK may be lost, several times; once its successor was used a token is ERROR 2002."""
    alice = lab.person(sync=False)
    used = alice.resume
    for _ in range(3):
        lost = lab.greeted().go_on(used)["resume"]
    last = lab.greeted().go_on(lost)["resume"]
    lab.greeted().refused("AUTH", 2002, method=RESUME_METHOD, proof=used)
    lab.greeted().go_on(last)


@check("8.4", "8-14")
def a_token_belongs_to_its_device(lab: Lab) -> None:
    """What one device does leaves the token of another alone."""
    phone = lab.person(password=True, sync=False)
    laptop = lab.other_device(phone, sync=False)
    for _ in range(2):
        laptop = lab.again(laptop)
    same(lab.greeted().go_on(phone.resume)["device"], phone.device, "device")


@check("8.4", "8-15")
def an_unknown_token(lab: Lab) -> None:
    """ERROR 2002: log in by another method."""
    lab.greeted().refused("AUTH", 2002, method=RESUME_METHOD, proof=os.urandom(32))


@check("8.5", "8-17", level="L1")
def people_are_found_by_exact_handle(lab: Lab) -> None:
    """USER_FIND knows no prefix, no case and no pattern: ERROR 4000."""
    alice, bob = lab.people(2, sync=False)
    same(alice.ask("USER_FIND", handle=bob.handle)["user"]["user"], bob.user, "user")
    for name in (bob.handle[:-1], bob.handle.upper(), bob.handle + " ", "%", ""):
        alice.refused("USER_FIND", 4000, handle=name)


@check("8.5", "8-17", level="L1")
def people_are_found_by_id(lab: Lab) -> None:
    """USER_GET describes those that exist and leaves the others out."""
    alice, bob = lab.people(2, sync=False)
    found = alice.ask("USER_GET", users=[bob.user, 1, alice.user])["users"]
    told = {user["user"]: user["handle"] for user in found}
    same(told, {alice.user: alice.handle, bob.user: bob.handle}, "handles by user id")


@check("8.5", "8-17", level="L2")
def a_display_name_comes_back(lab: Lab) -> None:
    """The name given at REGISTER is told to others; without one it is nil."""
    alice = lab.person(sync=False)
    other = lab.greeted()
    name = handle()
    other.ask("REGISTER", handle=name, method=KEY_METHOD, secret=ed25519.public_key(SECRET), name="Bob ✓")
    same(alice.ask("USER_FIND", handle=name)["user"]["name"], "Bob ✓", "name")
    same(alice.ask("USER_FIND", handle=alice.handle)["user"]["name"], None, "name of alice")


def _needs_login(name: str, fields: dict[str, Any], lab: Lab) -> None:
    lab.greeted().refused(name, 2000, 3001, **fields)


NEED_LOGIN: dict[str, dict[str, Any]] = {
    "USER_GET": {"users": []},
    "CONV_NEW": {"cid": bytes(8), "kind": 2, "members": []},
    "MEMBER_ADD": {"conv": 1, "cid": bytes(8), "users": [1]},
    "HISTORY": {"conv": 1},
    "MARK": {"conv": 1, "seq": 1},
    "WHO_READ": {"conv": 1, "seq": 1},
}

for _name, _fields in NEED_LOGIN.items():
    add(
        Check(
            f"14.1/{_name.lower().replace('_', '-')}-before-login",
            "14.1",
            ("14-3",),
            f"{_name} before login: ERROR 2000.",
            partial(_needs_login, _name, _fields),
            level="L2",
        )
    )
