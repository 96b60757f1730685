"""Sections 8.6 to 8.8, 10.5 and 12.10: profile, secrets, devices, blocks, hidden messages, and the account log that
tells of them.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.server.rig import Client, Rig, serving
from wirechat import wire
from wirechat.server import limits, tending
from wirechat.server.config import Config, Limits
from wirechat.server.passwords import Passwords
from wirechat.store.features import devices, sync
from wirechat.store.tx import Tx
from wirechat.wire.registries import Capability, EntryKind

ABLE = (Capability.ACCOUNT_LOG,)
PASSWORD = b"correct horse"


async def member(rig: Rig, handle: str) -> Client:
    """An account with a password and one device, whose connection hears of its account log."""
    client = await rig.greeted(caps=ABLE)
    client.user = (await client.ask(wire.Register(0, handle, 1, PASSWORD), wire.RegisterOk)).user
    await by_password(client, handle)
    await client.sync()
    return client


async def by_password(client: Client, handle: str, password: bytes = PASSWORD) -> wire.AuthOk:
    entered = await client.ask(wire.Auth(0, 1, handle, proof=password, name="phone"), wire.AuthOk)
    client.user, client.device = entered.user, entered.device
    return entered  # type: ignore[no-any-return]


async def another(rig: Rig, handle: str, caps: Sequence[int] = ABLE) -> Client:
    """One more device of an account, live."""
    client = await rig.greeted(caps=tuple(caps))
    await by_password(client, handle)
    await client.sync()
    return client


async def kinds(client: Client, count: int) -> list[int]:
    """The kinds of the next account log entries."""
    return [(await client.expect(wire.Event)).kind for _ in range(count)]


# the account log


async def test_12_37_and_12_38_and_12_40_every_change_is_told_to_all_devices_of_the_user_alone(tmp_path: Path) -> None:
    """The asking connection among them, before its reply; whoever did not ask for the log is told nothing."""
    async with serving(tmp_path) as rig:
        phone, bob = await member(rig, "ada"), await member(rig, "bob")
        laptop, old = await another(rig, "ada"), await another(rig, "ada", ())
        assert await kinds(phone, 2) == [EntryKind.DEVICE] * 2
        assert await kinds(laptop, 1) == [EntryKind.DEVICE]
        conv = await rig.group(bob, phone)
        await laptop.expect(wire.Event)
        await old.expect(wire.Event)
        await phone.ask(wire.ProfileSet(0, None, "Ada"), wire.ProfileSetOk)
        await phone.ask(wire.Block(0, bob.user, True), wire.BlockOk)
        await phone.ask(wire.Block(0, bob.user, False), wire.BlockOk)
        sent = await bob.say(conv, "spam")
        await old.expect(wire.Event)
        await phone.ask(wire.Hide(0, conv, (sent.seq, sent.seq)), wire.HideOk)
        for client in (phone, laptop):
            told = [await client.expect(wire.Event, lambda event: event.kind > 13) for _ in range(4)]
            assert [event.kind for event in told] == [17, 15, 16, 14]
            assert [event.users for event in told] == [None, (bob.user,), (bob.user,), None]
            assert told[3].content == wire.Content(12, wire.Hidden(conv, (sent.seq,)).pack())
            assert {event.sender for event in told} == {phone.user}
            assert [event.seq for event in told] == [4, 5, 6, 7]
        await old.silence()
        await bob.silence()
        # what was told live is what the log says
        changes = await laptop.ask(wire.Changes(0, told[0].conv, 0), wire.ChangesOk)
        assert [record.kind for record in changes.records] == [18, 18, 18, 17, 15, 16, 14]
        (info,) = (await laptop.ask(wire.ConvGet(0, (told[0].conv,)), wire.ConvGetOk)).infos
        assert (info.kind, info.role, info.members) == (6, 1, 1)
        # and nobody writes into it
        assert await phone.refused(wire.Send(0, info.conv, os.urandom(8), 1, wire.Content(1, "x"))) == 4001
        assert await phone.refused(wire.Mark(0, info.conv, 1)) == 4001
        assert await phone.refused(wire.MemberAdd(0, info.conv, os.urandom(8), (bob.user,))) == 4001
        assert await phone.refused(wire.Hide(0, info.conv, (1,))) == 4002
        assert await bob.refused(wire.Changes(0, info.conv, 0)) == 4002


async def test_12_36_and_12_40_what_requests_that_name_it_answer(tmp_path: Path) -> None:
    """Line by line of the table; alike on a connection without the capability."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        await phone.ask(wire.ProfileSet(0, None, "Ada"), wire.ProfileSetOk)
        conv = (await phone.expect(wire.Event)).conv
        notes = (await phone.ask(wire.ConvNew(0, os.urandom(8), 3, ()), wire.ConvNewOk)).conv
        forward = wire.Send(0, notes, os.urandom(8), 1, forward=wire.Source(conv, 1))
        old = await rig.greeted()
        await by_password(old, "ada")
        for client in (phone, old):
            assert await client.refused(wire.MemberDel(0, conv, os.urandom(8), phone.user)) == 4001
            assert await client.refused(wire.MemberSet(0, conv, os.urandom(8), 4711, 2)) == 4001
            assert await client.refused(wire.ConvSet(0, conv, os.urandom(8), "mine")) == 4001
            assert await client.refused(forward) == 4000
            history = await client.ask(wire.History(0, conv), wire.HistoryOk)
            records = await client.ask(wire.Records(0, conv, (1,)), wire.RecordsOk)
            assert records.records[0] == history.records[0]
            assert (await client.ask(wire.Members(0, conv), wire.MembersOk)).members == (wire.Member(phone.user, 1, 1),)
            marks = await client.ask(wire.Marks(0, conv, 0), wire.MarksOk)
            assert (marks.upto, marks.marks, marks.more) == (0, (), False)
            assert (await client.ask(wire.WhoRead(0, conv, 1), wire.WhoReadOk)).marks == ()
            assert await client.refused(wire.WhoRead(0, conv, 99)) == 4000
            assert (await client.ask(wire.Pins(0, conv), wire.PinsOk)).pins == ()
            assert (await client.ask(wire.Mentions(0, conv), wire.MentionsOk)).seqs == ()
            counts = (await client.ask(wire.Unread(0, (conv, notes)), wire.UnreadOk)).counts
            assert [count.conv for count in counts] == [notes]


async def test_12_36_a_device_that_was_away_hears_of_the_account_log_if_it_wants_to(tmp_path: Path) -> None:
    """In the digest, marked as what it is; not without the capability."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        await phone.ask(wire.ProfileSet(0, None, "Ada"), wire.ProfileSetOk)
        laptop = await rig.greeted(caps=ABLE)
        await by_password(laptop, "ada")
        (page,) = await laptop.sync()
        assert [(row.head, row.account) for row in page.rows] == [(3, True)]
        old = await rig.greeted()
        await by_password(old, "ada")
        (page,) = await old.sync()
        assert page.rows == ()


async def test_12_39_requests_of_one_connection_are_done_in_their_order(tmp_path: Path) -> None:
    """Pipelined, without waiting for answers: the last one holds."""
    async with serving(tmp_path) as rig:
        ada, bob = await member(rig, "ada"), await member(rig, "bob")
        asked = [wire.Block(rid, bob.user, rid % 2 == 0) for rid in range(1000, 1020)]
        await ada.send(*asked)
        for request in asked:
            await ada.expect(wire.BlockOk, lambda reply, rid=request.rid: reply.rid == rid)  # type: ignore[misc]
        events = [await ada.expect(wire.Event, lambda event: event.kind != 18) for _ in range(20)]
        assert [event.kind for event in events] == [15, 16] * 10
        assert (await ada.ask(wire.Account(0), wire.AccountOk)).blocked == ()


# devices


async def test_8_26_and_8_27_devices_are_listed_and_renamed(tmp_path: Path) -> None:
    """Each with its name, key and whether it is here; renamed by their user alone."""
    async with serving(tmp_path) as rig:
        phone, bob = await member(rig, "ada"), await member(rig, "bob")
        keyed = await rig.greeted(caps=ABLE)
        key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        made = await keyed.ask(wire.Auth(0, 1, "ada", proof=PASSWORD, key=key, name="laptop"), wire.AuthOk)
        await keyed.stream.aclose()
        while rig.server.hub.device(made.device) is not None:  # noqa: ASYNC110  the server closes when it sees it
            await trio.sleep(0.01)
        await rig.server._devices.flush()
        found = {each.device: each for each in (await phone.ask(wire.Devices(0), wire.DevicesOk)).devices}
        assert sorted(found) == sorted((phone.device, made.device))
        mine, other = found[phone.device], found[made.device]
        assert (mine.name, mine.online, mine.key) == ("phone", True, False)
        assert (other.name, other.online, other.key) == ("laptop", False, True)
        assert other.seen is not None
        assert other.seen >= other.made
        await phone.ask(wire.DeviceSet(0, made.device, "old laptop"), wire.DeviceSetOk)
        assert await bob.refused(wire.DeviceSet(0, made.device, "mine")) == 4000
        assert await phone.refused(wire.DeviceSet(0, 4711, "mine")) == 4000
        listed = (await phone.ask(wire.Devices(0), wire.DevicesOk)).devices
        assert {each.device: each.name for each in listed} == {phone.device: "phone", made.device: "old laptop"}


async def test_8_28_a_revoked_device_is_cut_off_and_never_let_in_again(tmp_path: Path) -> None:
    """2003 at once, on every way in; others stay; its user hears of it; revoking it again changes nothing."""
    async with serving(tmp_path) as rig:
        phone, bob = await member(rig, "ada"), await member(rig, "bob")
        laptop = await rig.greeted(caps=ABLE)
        key = Ed25519PrivateKey.generate()
        entered = await laptop.ask(
            wire.Auth(0, 1, "ada", proof=PASSWORD, key=key.public_key().public_bytes_raw()), wire.AuthOk
        )
        laptop.key, laptop.device = key, entered.device
        await laptop.sync()
        assert await bob.refused(wire.DeviceRevoke(0, laptop.device)) == 4000
        await phone.ask(wire.DeviceRevoke(0, laptop.device), wire.DeviceRevokeOk)
        assert await laptop.closed() == 2003
        await phone.ask(wire.DeviceRevoke(0, laptop.device), wire.DeviceRevokeOk)
        assert await kinds(phone, 2) == [EntryKind.DEVICE] * 2
        assert [each.device for each in (await phone.ask(wire.Devices(0), wire.DevicesOk)).devices] == [phone.device]
        await phone.silence()
        back = await rig.greeted()
        assert await back.refused(wire.Auth(0, 4, proof=entered.resume)) == 2002
        assert await back.refused(wire.Auth(0, 1, "ada", proof=PASSWORD, device=laptop.device)) == 2003
        proof = key.sign(wire.auth.signed_bytes(back.welcome.nonce, laptop.device, 0, b""))
        assert await back.refused(wire.Auth(0, 3, proof=proof, device=laptop.device)) == 2003
        assert await back.refused(wire.Auth(0, 3, proof=b"x" * 64, device=laptop.device)) == 2001
        assert await phone.refused(wire.DeviceSet(0, laptop.device, "x")) == 4000


async def test_8_29_who_logs_out_is_answered_first(tmp_path: Path) -> None:
    """One's own device: OK, then 2003."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        await phone.ask(wire.DeviceRevoke(0, phone.device), wire.DeviceRevokeOk)
        assert await phone.closed() == 2003


async def test_8_28_a_revoked_device_changes_nothing_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a node that does not know it yet: it lets itself in by no new password, and puts out no other device."""
    monkeypatch.setattr(limits, "PASS_SECONDS", 3600)
    async with serving(tmp_path) as rig:
        thief = await rig.person("ada")
        other = await rig.person("bob")

        async def revoke(tx: Tx) -> None:
            await devices.revoke(tx, thief.user, thief.device, await sync.stamp(tx))

        await rig.server.store.write(revoke)
        for request in (
            wire.SecretSet(0, None, PASSWORD),
            wire.DeviceRevoke(0, thief.device),
            wire.DeviceSet(0, thief.device, "mine"),
            wire.ProfileSet(0, "eve"),
            wire.Block(0, other.user, True),
        ):
            assert await thief.refused(request) == 2003
        assert await (await rig.greeted()).refused(wire.Auth(0, 1, "ada", proof=PASSWORD)) == 2001


async def test_8_28_what_another_node_revokes_is_found_by_the_pass(tmp_path: Path) -> None:
    """Within 5 seconds; also a device that was just logging in when the first pass went by."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")

        async def revoke(tx: Tx) -> None:
            await devices.revoke(tx, phone.user, phone.device, await sync.stamp(tx))

        await rig.server.store.write(revoke)
        with trio.fail_after(10):
            assert await phone.closed() == 2003

        late = await member(rig, "bob")
        session = rig.server.hub.device(late.device)
        assert session is not None
        rig.server.hub.leave(session)

        async def revoke_late(tx: Tx) -> None:
            await devices.revoke(tx, late.user, late.device, await sync.stamp(tx))

        await rig.server.store.write(revoke_late)
        await tending.one_pass(rig.server.store, rig.server.hub)
        rig.server.hub.join(session)
        await tending.one_pass(rig.server.store, rig.server.hub)
        assert await late.closed() == 2003


async def test_8_6_an_account_has_so_many_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4007, until one is revoked. A device that is there logs in again whatever their number."""
    monkeypatch.setattr(wire.limits, "DEVICES", 2)
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        laptop = await another(rig, "ada")
        third = await rig.greeted()
        assert await third.refused(wire.Auth(0, 1, "ada", proof=PASSWORD)) == 4007
        assert (await third.ask(wire.Auth(0, 1, "ada", proof=PASSWORD, device=laptop.device), wire.AuthOk)).user
        await phone.ask(wire.DeviceRevoke(0, laptop.device), wire.DeviceRevokeOk)
        await by_password(await rig.greeted(), "ada")


async def test_8_6_logging_in_again_is_no_news(tmp_path: Path) -> None:
    """Not resuming, nor the password of a device that is known."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        entered = await by_password(await rig.greeted(), "ada")
        assert await kinds(phone, 1) == [EntryKind.DEVICE]
        again = await rig.greeted()
        await again.ask(wire.Auth(0, 4, proof=entered.resume), wire.AuthOk)
        again = await rig.greeted()
        await again.ask(wire.Auth(0, 1, "ada", proof=PASSWORD, device=entered.device), wire.AuthOk)
        await phone.silence()


async def test_8_6_and_12_37_another_key_of_a_known_device_is_told(tmp_path: Path) -> None:
    """Whoever knows the password could give a device of somebody a key of his own: the others hear of it, once."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        entered = await by_password(await rig.greeted(), "ada")
        assert await kinds(phone, 1) == [EntryKind.DEVICE]
        for key, told in ((b"a" * 32, 1), (b"a" * 32, 0), (b"b" * 32, 1)):
            again = await rig.greeted()
            request = wire.Auth(0, 1, "ada", proof=PASSWORD, device=entered.device, key=key)
            assert (await again.ask(request, wire.AuthOk)).device == entered.device
            assert await kinds(phone, told) == [EntryKind.DEVICE] * told
        await phone.silence()
        await phone.ask(wire.DeviceRevoke(0, entered.device), wire.DeviceRevokeOk)
        assert await kinds(phone, 1) == [EntryKind.DEVICE]
        request = wire.Auth(0, 1, "ada", proof=PASSWORD, device=entered.device, key=b"c" * 32)
        assert await (await rig.greeted()).refused(request) == 2003
        await phone.silence()


# secrets


async def test_8_24_and_8_25_a_new_password(tmp_path: Path) -> None:
    """From its answer on only the new one lets in; sessions and devices stay."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        laptop = await another(rig, "ada")
        change = wire.SecretSet(0, PASSWORD, b"battery staple")
        await phone.ask(change, wire.SecretSetOk)
        assert await (await rig.greeted()).refused(wire.Auth(0, 1, "ada", proof=PASSWORD)) == 2001
        await by_password(await rig.greeted(), "ada", b"battery staple")
        await laptop.ask(wire.Account(0), wire.AccountOk)
        await phone.ask(change, wire.SecretSetOk)  # its answer might have been lost
        assert await phone.refused(wire.SecretSet(0, PASSWORD, b"something else")) == 2001


async def test_8_24_a_new_password_may_end_the_other_devices(tmp_path: Path) -> None:
    """With `revoke`: all but the one that asks."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        laptop = await another(rig, "ada")
        away = await by_password(gone := await rig.greeted(), "ada")
        await gone.stream.aclose()
        await phone.ask(wire.SecretSet(0, PASSWORD, b"battery staple", None, True), wire.SecretSetOk)
        assert await laptop.closed() == 2003
        assert await (await rig.greeted()).refused(wire.Auth(0, 4, proof=away.resume)) == 2002
        assert [each.device for each in (await phone.ask(wire.Devices(0), wire.DevicesOk)).devices] == [phone.device]


async def test_8_22_and_8_24_a_new_key(tmp_path: Path) -> None:
    """Of the asking device; the account without a password needs none to be asked for, and may get one."""
    async with serving(tmp_path) as rig:
        ada = await rig.person("ada")
        old, ada.key = ada.key, Ed25519PrivateKey.generate()
        await ada.ask(wire.SecretSet(0, None, None, ada.key.public_key().public_bytes_raw()), wire.SecretSetOk)
        await rig.again(ada)
        late = await rig.greeted()
        proof = old.sign(wire.auth.signed_bytes(late.welcome.nonce, ada.device, 0, b""))
        assert await late.refused(wire.Auth(0, 3, proof=proof, device=ada.device)) == 2001
        again = await rig.again(ada)
        assert (await again.ask(wire.Account(0), wire.AccountOk)).password is False
        await again.ask(wire.SecretSet(0, None, PASSWORD), wire.SecretSetOk)
        assert (await again.ask(wire.Account(0), wire.AccountOk)).password is True
        await by_password(await rig.greeted(), "ada")


async def test_8_22_and_8_23_what_is_wrong_with_secrets(tmp_path: Path) -> None:
    """3000 for what cannot be, 2001 for a wrong password; each that was tried counts like a failed login: then 2006."""
    async with serving(tmp_path, Config(grease=0, limits=Limits(failures_per_account=5))) as rig:
        ada = await member(rig, "ada")
        for request in (
            wire.SecretSet(0, PASSWORD),
            wire.SecretSet(0, None, b"battery staple"),
            wire.SecretSet(0, None, None, bytes(32)),
            wire.SecretSet(0, PASSWORD, b"short"),
            wire.SecretSet(0, PASSWORD, b"\xff" * 9),
        ):
            assert await ada.refused(request) == 3000
        assert await (await rig.greeted()).refused(wire.Auth(0, 1, "ada", proof=b"wrong")) == 2001
        for _ in range(2):
            assert await ada.refused(wire.SecretSet(0, b"wrong", b"battery staple")) == 2001
        assert await ada.refused(wire.SecretSet(0, PASSWORD, b"battery staple")) == 2006
        assert await (await rig.greeted()).refused(wire.Auth(0, 1, "ada", proof=PASSWORD)) == 2006
        assert (await ada.ask(wire.Account(0), wire.AccountOk)).password is True


async def test_8_23_no_password_travels_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2005, for the old one as for the new one."""
    async with serving(tmp_path) as rig:
        ada = await rig.person("ada")
        monkeypatch.setattr(Config, "allows_password", lambda self, peer: False)
        assert await ada.refused(wire.SecretSet(0, None, PASSWORD)) == 2005
        assert await ada.refused(wire.SecretSet(0, PASSWORD, None, bytes(32))) == 2005
        await ada.ask(wire.SecretSet(0, None, None, bytes(32)), wire.SecretSetOk)


async def test_8_24_nobody_gets_in_by_a_password_that_was_changed_while_it_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once SECRET_SET is answered the old password is worth nothing, however slow the check of a login is."""
    async with serving(tmp_path) as rig:
        phone = await member(rig, "ada")
        known = await by_password(await rig.greeted(), "ada")
        other = b"battery staple"
        for device, old, new in ((None, PASSWORD, other), (known.device, other, PASSWORD)):
            late, started, release = await rig.greeted(), trio.Event(), trio.Event()
            with monkeypatch.context() as patch:
                patch.setattr(Passwords, "check", slow(Passwords.check, started, release))
                await late.send(wire.Auth(1, 1, "ada", proof=old, device=device))
                await started.wait()
            await phone.ask(wire.SecretSet(0, old, new), wire.SecretSetOk)
            release.set()
            assert (await late.expect(wire.Error)).code == 2001


def slow(check: Callable[..., Awaitable[bool]], started: trio.Event, release: trio.Event) -> Callable[..., Any]:
    """A check that is right and takes its time to say so."""

    async def checked(self: Passwords, *args: Any) -> bool:
        right = await check(self, *args)
        started.set()
        await release.wait()
        return right

    return checked


# profile


async def test_8_18_and_8_19_and_8_20_and_8_21_the_profile(tmp_path: Path) -> None:
    """What others may know changes for all at once; the old handle becomes free; the audience is one's own business."""
    async with serving(tmp_path) as rig:
        ada, bob = await member(rig, "ada"), await member(rig, "bob")
        done = await ada.ask(wire.ProfileSet(0, "ada.l", "Ada", "counting", 2), wire.ProfileSetOk)
        assert done.user == wire.User(ada.user, "ada.l", "Ada", "counting", 1)
        assert (await bob.ask(wire.UserGet(0, (ada.user,)), wire.UserGetOk)).users == (done.user,)
        assert (await bob.ask(wire.UserFind(0, "ada.l"), wire.UserFindOk)).user == done.user
        assert await bob.refused(wire.UserFind(0, "ada")) == 4000
        own = await ada.ask(wire.Account(0), wire.AccountOk)
        assert (own.user, own.audience, own.blocked, own.password) == (done.user, 2, (), True)
        await bob.ask(wire.ProfileSet(0, "ada"), wire.ProfileSetOk)
        assert await bob.refused(wire.ProfileSet(0, "ada.l")) == 4005
        for bad in (wire.ProfileSet(0, "Ada"), wire.ProfileSet(0, ""), wire.ProfileSet(0, audience=3)):
            assert await ada.refused(bad) == 3000
        assert (await ada.ask(wire.ProfileSet(0, None, "", ""), wire.ProfileSetOk)).user == wire.User(
            ada.user, "ada.l", None, None, 2
        )
        assert (await ada.ask(wire.ProfileSet(0), wire.ProfileSetOk)).user.rev == 2
        assert await kinds(ada, 2) == [EntryKind.PROFILE, EntryKind.PROFILE]
        await ada.silence()


# blocks


async def test_10_24_and_10_25_and_10_26_and_10_27_blocking(tmp_path: Path) -> None:
    """4003 for both of the two, with what 10.5 names, and for nothing else."""
    async with serving(tmp_path) as rig:
        ada, bob, cat = [await rig.person(handle) for handle in ("ada", "bob", "cat")]
        direct = (await ada.ask(wire.ConvNew(0, os.urandom(8), 1, (bob.user,)), wire.ConvNewOk)).conv
        sent = await ada.say(direct, "hello")
        assert await ada.refused(wire.Block(0, ada.user, True)) == 3000
        assert await ada.refused(wire.Block(0, 4711, True)) == 4000
        await ada.ask(wire.Block(0, bob.user, True), wire.BlockOk)
        await ada.ask(wire.Block(0, bob.user, True), wire.BlockOk)
        for client in (ada, bob):
            for kind, content, ref in ((1, "x", None), (1, "x", sent.seq), (4, None, sent.seq)):
                packed = None if content is None else wire.Content(1, content)
                assert await client.refused(wire.Send(0, direct, os.urandom(8), kind, packed, ref)) == 4003
            await client.ask(wire.Mark(0, direct, sent.seq), wire.MarkOk)
            await client.ask(wire.History(0, direct), wire.HistoryOk)
        assert await ada.refused(wire.ConvNew(0, os.urandom(8), 2, (bob.user, cat.user))) == 4003
        assert await bob.refused(wire.ConvNew(0, os.urandom(8), 2, (ada.user,))) == 4003
        again = await bob.ask(wire.ConvNew(0, os.urandom(8), 1, (ada.user,)), wire.ConvNewOk)
        assert (again.conv, again.dup) == (direct, True)
        await ada.ask(wire.Send(0, direct, os.urandom(8), 3, None, sent.seq), wire.SendOk)
        group = (await cat.ask(wire.ConvNew(0, os.urandom(8), 2, (ada.user, bob.user)), wire.ConvNewOk)).conv
        said = await bob.say(group, "all see this")
        await ada.expect(wire.Event, lambda event: (event.conv, event.seq) == (group, said.seq))
        await ada.ask(wire.Block(0, bob.user, False), wire.BlockOk)
        await bob.say(direct, "hello")


async def test_10_24_so_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4007, until one is taken back."""
    monkeypatch.setattr(wire.limits, "BLOCKED", 1)
    async with serving(tmp_path) as rig:
        ada, bob, cat = [await rig.person(handle) for handle in ("ada", "bob", "cat")]
        await ada.ask(wire.Block(0, bob.user, True), wire.BlockOk)
        assert await ada.refused(wire.Block(0, cat.user, True)) == 4007
        await ada.ask(wire.Block(0, bob.user, False), wire.BlockOk)
        await ada.ask(wire.Block(0, cat.user, True), wire.BlockOk)


# hidden messages


async def test_10_28_and_10_29_and_10_30_hiding(tmp_path: Path) -> None:
    """Left out of every page of who hid them; 3000, 4000, 4002 for what cannot be hidden (P9)."""
    async with serving(tmp_path) as rig:
        ada, bob = await rig.person("ada"), await rig.person("bob")
        conv, other = await rig.group(ada, bob), await rig.group(bob)
        sent = await bob.say(conv, "hello")
        kept = await bob.say(conv, "world")
        assert await ada.refused(wire.Hide(0, conv, ())) == 3000
        assert await ada.refused(wire.Hide(0, conv, (sent.seq, 1))) == 4000
        assert await ada.refused(wire.Hide(0, conv, (99,))) == 4000
        assert await ada.refused(wire.Hide(0, other, (1,))) == 4002
        assert await ada.refused(wire.Hide(0, 4711, (1,))) == 4002
        await ada.ask(wire.Hide(0, conv, (sent.seq,)), wire.HideOk)
        page = await ada.ask(wire.History(0, conv), wire.HistoryOk)
        assert [record.seq for record in page.records] == [1, kept.seq]
        changes = await ada.ask(wire.Changes(0, conv, 0), wire.ChangesOk)
        assert ([record.seq for record in changes.records], changes.upto) == ([1, kept.seq], kept.seq)
        assert len((await bob.ask(wire.History(0, conv), wire.HistoryOk)).records) == 3
