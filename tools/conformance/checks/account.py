"""Sections 8.6 to 8.8 and 12.10: profile, secrets, devices, and the account log that tells of them."""

from __future__ import annotations

import os
import time

from .. import ed25519
from ..catalogue import check
from ..lab import Lab, handle
from ..person import (
    KEY_METHOD,
    PASSWORD,
    PASSWORD_METHOD,
    RESUME_METHOD,
    SECRET,
    Person,
    cid,
    msg,
)
from ..verdict import require, same
from .conversations import unknown_user

ACCOUNT_LOG = 11
HIDE, BLOCK, UNBLOCK, PROFILE, DEVICE = 14, 15, 16, 17, 18
ACCOUNT_KIND = 6
NEW_PASSWORD = b"battery staple correct"


def owner(lab: Lab, who: str = "alice") -> Person:
    """Somebody with a password whose connection hears of his account log. Raises Skipped where there is none."""
    person = lab.person(who, password=True, caps=(ACCOUNT_LOG,))
    person.skip_unless_offered("ACCOUNT")
    return person


def news(person: Person, count: int) -> list[int]:
    """The kinds of the next entries of the account log."""
    kinds: list[int] = []
    while len(kinds) < count:
        event = person.expect("EVENT")
        kinds += [event["kind"]] if event["kind"] >= HIDE else []
    return kinds


# profile


@check("8.6", "8-18", "8-19", "8-20", level="L2")
def profile_set_changes_what_it_names(lab: Lab) -> None:
    """Name, then about, then neither: each alone, rev rises by one with each change, empty takes it away."""
    alice, bob = lab.people(2)
    before = alice.ask("ACCOUNT")["user"]
    one = alice.ask("PROFILE_SET", name="Alice")["user"]
    two = alice.ask("PROFILE_SET", about="here")["user"]
    same((two["name"], two["about"], two["handle"]), ("Alice", "here", alice.handle), "name, about and handle")
    same((one["rev"] - before["rev"], two["rev"] - one["rev"]), (1, 1), "steps of rev")
    same(alice.ask("PROFILE_SET", name="Alice")["user"]["rev"], two["rev"], "rev when nothing changed")
    same(alice.ask("PROFILE_SET", audience=2)["user"]["rev"], two["rev"], "rev after another audience")
    same(bob.ask("USER_GET", users=[alice.user])["users"], [two], "what others are told")
    three = alice.ask("PROFILE_SET", name="", about="")["user"]
    same((three["name"], three["about"]), (None, None), "name and about")


@check("8.6", "8-18", level="L2")
def what_profile_set_refuses(lab: Lab) -> None:
    """A handle of another: 4005; one that is none, a long name, an unknown audience: 3000; nothing is changed."""
    alice, bob = lab.people(2)
    before = alice.ask("ACCOUNT").fields
    alice.refused("PROFILE_SET", 4005, handle=bob.handle, name="Bob")
    for fields in (
        {"handle": "No Handle", "name": "x"},
        {"name": "x" * 129},
        {"about": "x" * 257},
        {"audience": 3, "name": "x"},
    ):
        alice.refused("PROFILE_SET", 3000, **fields)
    same(alice.ask("ACCOUNT").fields, before, "account")


@check("8.6", "8-18", level="L2")
def the_old_handle_is_free_at_once(lab: Lab) -> None:
    """After another handle was taken, the old one finds nobody and may be registered."""
    alice, bob = lab.people(2)
    old, new = alice.handle, handle()
    alice.ask("PROFILE_SET", handle=new)
    same(bob.ask("USER_FIND", handle=new)["user"]["user"], alice.user, "user")
    bob.refused("USER_FIND", 4000, handle=old)
    lab.greeted().make_account(old)


@check("8.6", "8-21", level="L1")
def account_tells_what_only_the_user_may_know(lab: Lab) -> None:
    """User, audience, blocked users and whether there is a password."""
    alice, bob = owner(lab), lab.person("bob")
    alice.ask("BLOCK", user=bob.user, on=True)
    told = alice.ask("ACCOUNT")
    same((told["user"]["user"], told["audience"]), (alice.user, 1), "user and audience")
    same((told["blocked"], told["password"]), ([bob.user], True), "blocked and password")
    if bob.by_key:
        same(bob.ask("ACCOUNT")["password"], False, "password of an account with a key")


# secrets


@check("8.7", "8-22", "8-24", level="L2")
def a_new_password(lab: Lab) -> None:
    """From its answer on only the new one lets in; the devices stay."""
    alice = owner(lab)
    laptop = lab.other_device(alice)
    alice.ask("SECRET_SET", old=PASSWORD, password=NEW_PASSWORD)
    fields = {"method": PASSWORD_METHOD, "handle": alice.handle}
    lab.greeted().refused("AUTH", 2001, proof=PASSWORD, **fields)
    lab.greeted().ask("AUTH", proof=NEW_PASSWORD, **fields)
    laptop.pong()
    lab.greeted().ask("AUTH", method=RESUME_METHOD, proof=laptop.resume)


@check("8.7", "8-25", level="L2")
def secret_set_may_be_repeated(lab: Lab) -> None:
    """The same request again is answered OK, although `old` is not the present password any more."""
    alice = owner(lab)
    for _ in range(2):
        alice.ask("SECRET_SET", old=PASSWORD, password=NEW_PASSWORD)


@check("8.7", "8-22", "8-23", level="L2")
def what_secret_set_refuses(lab: Lab) -> None:
    """Neither a password nor a key, no `old`, a short password: 3000; a wrong `old`: 2001."""
    alice = owner(lab)
    for fields in ({"old": PASSWORD}, {"password": NEW_PASSWORD}, {"old": PASSWORD, "password": b"short"}):
        alice.refused("SECRET_SET", 3000, **fields)
    alice.refused("SECRET_SET", 2001, 2006, old=b"something else", password=NEW_PASSWORD)


@check("8.7", "8-22", "8-24", level="L2")
def a_new_key(lab: Lab) -> None:
    """For the device that asks: the old key lets nobody in any more."""
    alice = lab.person()
    lab.skip_unless(alice.by_key, "the server offers no device keys")
    other = b"another key of the same device !"
    alice.ask("SECRET_SET", key=ed25519.public_key(other))
    back = lab.greeted("alice")
    back.device = alice.device
    back.refused("AUTH", 2001, method=KEY_METHOD, proof=back.signature(), device=alice.device)
    proof = ed25519.sign(other, ed25519.signed_bytes(back.welcome["nonce"], alice.device, 0, b""))
    back.ask("AUTH", method=KEY_METHOD, proof=proof, device=alice.device)


@check("8.7", "8-24", "8-28", level="L2")
def a_new_password_may_end_the_other_devices(lab: Lab) -> None:
    """With `revoke` all but the asking one: 2003 to who is connected, 2002 to their tokens."""
    alice = owner(lab)
    laptop = lab.other_device(alice)
    alice.ask("SECRET_SET", old=PASSWORD, password=NEW_PASSWORD, revoke=True)
    laptop.closes(2003)
    lab.greeted().refused("AUTH", 2002, method=RESUME_METHOD, proof=laptop.resume)
    same([each["device"] for each in alice.ask("DEVICES")["devices"]], [alice.device], "devices")


# devices


@check("8.8", "8-26", "8-27", level="L2")
def devices_are_listed_and_renamed(lab: Lab) -> None:
    """By id, with name, key and whether they are here; another account's is ERROR 4000."""
    alice, bob = owner(lab), lab.person("bob")
    laptop = lab.other_device(alice)
    alice.ask("DEVICE_SET", device=laptop.device, name="old laptop")
    found = alice.ask("DEVICES")["devices"]
    same([each["device"] for each in found], sorted((alice.device, laptop.device)), "devices")
    named = {each["device"]: each for each in found}[laptop.device]
    same((named["name"], named["online"], named["key"]), ("old laptop", True, False), "name, online and key")
    for device in (laptop.device, unknown_user()):
        bob.refused("DEVICE_SET", 4000, device=device, name="mine")
        bob.refused("DEVICE_REVOKE", 4000, device=device)
    alice.refused("DEVICE_SET", 3000, device=laptop.device, name="x" * 65)


@check("8.8", "8-28", level="L2")
def a_revoked_device_is_cut_off(lab: Lab) -> None:
    """Within 5 seconds, by ERROR 2003; it is not in the list any more; revoking it again is OK."""
    alice = owner(lab)
    laptop = lab.other_device(alice)
    for _ in range(2):
        alice.ask("DEVICE_REVOKE", device=laptop.device)
    laptop.closes(2003, seconds=6)
    same([each["device"] for each in alice.ask("DEVICES")["devices"]], [alice.device], "devices")
    alice.refused("DEVICE_SET", 4000, device=laptop.device, name="x")


@check("8.8", "8-28", level="L2")
def a_revoked_device_is_never_let_in_again(lab: Lab) -> None:
    """Its token: 2002; its id with the right password, or with its key: 2003."""
    alice = owner(lab)
    entering = lab.greeted("keyed")
    fields = {"method": PASSWORD_METHOD, "handle": alice.handle, "proof": PASSWORD}
    made = entering.ask("AUTH", key=ed25519.public_key(SECRET), **fields)
    alice.ask("DEVICE_REVOKE", device=made["device"])
    back = lab.greeted("keyed")
    back.device = made["device"]
    back.refused("AUTH", 2002, method=RESUME_METHOD, proof=made["resume"])
    back.refused("AUTH", 2003, device=made["device"], **fields)
    if KEY_METHOD in back.welcome["methods"]:
        back.refused("AUTH", 2003, method=KEY_METHOD, proof=back.signature(), device=made["device"])


@check("8.8", "8-29", level="L2")
def who_logs_out_is_answered_first(lab: Lab) -> None:
    """DEVICE_REVOKE of one's own device: OK, then ERROR 2003."""
    alice = owner(lab)
    alice.ask("DEVICE_REVOKE", device=alice.device)
    alice.closes(2003)


# the account log


@check("12.10", "12-36", level="L1")
def the_account_log_needs_its_capability(lab: Lab) -> None:
    """With ACCOUNT_LOG a row with `account`; without it neither row nor entry; a newer token does not cover it."""
    alice = owner(lab)
    alice.ask("PROFILE_SET", name="Alice")
    back = lab.live_again(alice)
    same(back.mode, 2, "mode")
    plain = lab.again(back)
    same([row for row in plain.sync() if row["account"]], [], "account rows without the capability")
    plain.ask("PROFILE_SET", name="Alice A.")
    plain.quiet()
    token = plain.pong()["token"]
    able = lab.again(plain, caps=(ACCOUNT_LOG,))
    rows = [row for row in able.sync(token) if row["account"]]
    same(len(rows), 1, "account rows with it, though the token is new")


@check("12.10", "12-37", "12-38", level="L1")
def every_change_of_the_account_is_an_entry(lab: Lab) -> None:
    """For all devices with the capability, the asking one before its reply: PROFILE, BLOCK, UNBLOCK, DEVICE."""
    alice, bob = owner(lab), lab.person("bob")
    tablet = lab.other_device(alice, caps=(ACCOUNT_LOG,))
    same(news(alice, 1), [DEVICE], "entries of a new device")
    alice.ask("PROFILE_SET", name="Alice")
    told = [frame["kind"] for frame in alice.seen if frame.name == "EVENT"]
    same(told, [PROFILE], "entries that came before the reply")
    alice.ask("BLOCK", user=bob.user, on=True)
    alice.ask("BLOCK", user=bob.user, on=False)
    alice.ask("DEVICE_SET", device=tablet.device, name="tablet")
    events = [tablet.expect("EVENT", kind=kind) for kind in (PROFILE, BLOCK, UNBLOCK, DEVICE)]
    same([each["users"] for each in events], [None, [bob.user], [bob.user], None], "users")
    same({each["sender"] for each in events}, {alice.user}, "sender")
    conv = events[0]["conv"]
    seqs = [each["seq"] for each in events]
    records = tablet.records(conv)
    require(seqs == sorted(seqs) and set(seqs) <= set(records), "these seqs in CHANGES", seqs)


@check("12.10", "12-40", level="L1")
def nobody_writes_into_the_account_log(lab: Lab) -> None:
    """SEND, MARK, MEMBER_ADD, MEMBER_DEL: 4001; HIDE 4002; CONV_GET says kind 6; for others it does not exist."""
    alice, bob = owner(lab), lab.person("bob")
    alice.ask("PROFILE_SET", name="Alice")
    conv = alice.expect("EVENT", kind=PROFILE)["conv"]
    alice.refused("SEND", 4001, **msg(conv))
    alice.refused("MARK", 4001, conv=conv, seq=1)
    alice.refused("MEMBER_ADD", 4001, conv=conv, cid=cid(), users=[bob.user])
    alice.refused("MEMBER_DEL", 4001, conv=conv, cid=cid(), user=alice.user)
    alice.refused("HIDE", 4002, conv=conv, seqs=[1])
    same(alice.info(conv)["kind"], ACCOUNT_KIND, "kind")
    bob.refused("CHANGES", 4002, conv=conv, since=0)
    same(bob.ask("CONV_GET", convs=[conv])["infos"], [], "descriptions")


@check("12.10", "12-39", level="L1")
def changes_of_the_account_keep_their_order(lab: Lab) -> None:
    """Twenty of them in one flight: the entries come in that order, and the last one holds."""
    alice, bob = owner(lab), lab.person("bob")
    for rid in alice.flight(*[("BLOCK", {"user": bob.user, "on": n % 2 == 0}) for n in range(20)]):
        same(alice.answer(rid).name, "BLOCK_OK", "answer")
    same(news(alice, 20), [BLOCK, UNBLOCK] * 10, "kinds")
    same(alice.ask("ACCOUNT")["blocked"], [], "blocked")


@check("12.10", "12-36", "12-37", level="L1")
def a_device_that_was_away_hears_of_it(lab: Lab) -> None:
    """The digest has the row of the account log, and CHANGES the entries."""
    alice = owner(lab)
    time.sleep(1.2)
    token = alice.pong()["token"]
    alice.drop()
    other = lab.other_device(alice)
    other.ask("PROFILE_SET", about=os.urandom(4).hex())
    back = lab.again(alice, caps=(ACCOUNT_LOG,))
    rows = [row for row in back.sync(token) if row["account"]]
    same(len(rows), 1, "account rows")
    kinds = [record["kind"] for _, record in sorted(back.records(rows[0]["conv"]).items())]
    same(kinds[-1], PROFILE, "kind of the last record")
