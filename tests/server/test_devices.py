"""When a device was last connected."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio

from tests.server.rig import PATIENCE, Client, Rig, serving
from wirechat import open_client, wire
from wirechat.client import Connected, ConnectionFailed, Disconnected
from wirechat.client.transport import StreamTransport, Transport
from wirechat.server import limits
from wirechat.server.connection import Connection
from wirechat.server.features.session import Sessions
from wirechat.store.features import devices, sync
from wirechat.store.features.devices import Login
from wirechat.store.tx import Tx


async def logging_in(rig: Rig, phone: Client) -> Client:
    """Another connection of the same device, whose login is under way."""
    client = await rig.greeted()
    proof = phone.key.sign(wire.auth.signed_bytes(client.welcome.nonce, phone.device, 0, b""))
    await client.send(wire.Auth(1, 3, proof=proof, device=phone.device))
    return client


async def test_a_device_that_stays_is_noted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that crashes sees nobody leave: who is connected is written down now and then."""
    monkeypatch.setattr(limits, "SEEN_SECONDS", 0.01)
    monkeypatch.setattr(limits, "SEEN_AGAIN_SECONDS", 0.02)
    async with serving(tmp_path) as rig:
        phone = await rig.person("ada")
        seen = None
        with trio.fail_after(10):
            while seen is None:
                await trio.sleep(0.01)
                ((device, _, _, seen, _),) = await rig.server.store.read(devices.of, phone.user)
        assert device == phone.device
        assert rig.server.hub.device(device) is not None


async def test_a_device_that_came_again_is_known_after_its_old_connection_has_ended(tmp_path: Path) -> None:
    """7-23: else its horizon stood still, and nobody could cut it off."""
    async with serving(tmp_path) as rig:
        phone = await rig.person("ada")
        again = await rig.again(phone)
        assert await phone.closed() == wire.errors.REPLACED
        with trio.fail_after(PATIENCE):
            while len(list(rig.server.connections)) > 1:  # noqa: ASYNC110  the server tells nobody
                await trio.sleep(0.01)
        rig.server.hub.revoked([again.device])
        assert await again.closed() == wire.errors.DEVICE_REVOKED


async def test_4_7_an_older_login_that_is_told_later_ends_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logins that share a commit go on in any order. Who came back would be told that somebody else has his device.

    Other nodes hear of the newer one alone.
    """
    prove, entered = Sessions._prove, trio.Event()
    older = True

    async def late(self: Sessions, connection: Connection, auth: wire.Auth, next_token: bytes) -> Login:
        nonlocal older
        waits, older = older, False
        login = await prove(self, connection, auth, next_token)
        if waits:
            await entered.wait()
        return login

    async with serving(tmp_path) as rig:
        phone = await rig.person("ada")
        told: list[int] = []
        monkeypatch.setattr(rig.server.hub.others, "logged_in", lambda user, device, number: told.append(number))
        monkeypatch.setattr(Sessions, "_prove", late)
        before = await logging_in(rig, phone)
        with trio.fail_after(PATIENCE):
            while older:  # noqa: ASYNC110  the server tells nobody
                await trio.sleep(0.01)
        again = await rig.again(phone)
        entered.set()
        assert await before.closed() == wire.errors.REPLACED
        await again.sync()
        await again.silence()
        assert told == [await rig.server.store.read(_logins, phone.device)]


async def test_4_7_a_login_whose_connection_has_ended_puts_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the newer one, but its device has come again meanwhile."""
    prove, held = Sessions._prove, trio.Event()
    async with serving(tmp_path) as rig:
        phone = await rig.person("ada")

        async def late(self: Sessions, connection: Connection, auth: wire.Auth, next_token: bytes) -> Login:
            await held.wait()
            return await prove(self, connection, auth, next_token)

        monkeypatch.setattr(Sessions, "_prove", late)
        lost = await logging_in(rig, phone)
        await lost.stream.aclose()
        with trio.fail_after(PATIENCE):
            while not any(each.endpoint.gone() for each in rig.server.connections):  # noqa: ASYNC110
                await trio.sleep(0.01)
        held.set()
        with trio.fail_after(PATIENCE):
            while len(list(rig.server.connections)) > 1:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert (await rig.server.store.read(_logins, phone.device)) == 2
        await phone.ask(wire.Devices(0), wire.DevicesOk)


@attrs.define
class _Lossy:
    """Breaks for the client alone once its login is under way: no word of it comes to the server."""

    stream: trio.SocketStream
    certificate_digest: None = None
    heard: bool = False

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def recv(self) -> bytes:
        if self.heard:
            raise ConnectionFailed("nothing comes any more")
        self.heard = True
        return await self.stream.receive_some(65536)

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        pass


async def test_7_28_a_client_replaced_by_a_late_login_of_its_own_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is there: the server could not see that the first connection was gone."""
    prove, held = Sessions._prove, trio.Event()
    async with serving(tmp_path) as rig:
        phone = await rig.person("ada")
        streams: list[trio.SocketStream] = []
        waiting = True

        async def connect(url: str) -> Transport:
            streams.append(await rig.stream())
            return _Lossy(streams[0]) if len(streams) == 1 else StreamTransport(streams[-1], None)

        async def late(self: Sessions, connection: Connection, auth: wire.Auth, next_token: bytes) -> Login:
            nonlocal waiting
            waits, waiting = waiting, False
            if waits:
                await held.wait()
            return await prove(self, connection, auth, next_token)

        monkeypatch.setattr(Sessions, "_prove", late)
        seed = phone.key.private_bytes_raw()
        with trio.fail_after(PATIENCE):
            async with open_client("wirechat://rig:1", device_key=seed, device=phone.device, connect=connect) as client:
                await client.synced()
                feed = client.events()
                held.set()
                async for event in feed:
                    if isinstance(event, Disconnected):
                        assert event.error.code == wire.errors.REPLACED
                        break
                async for event in feed:
                    if isinstance(event, Connected):
                        break
                await client.synced()
        assert len(streams) == 3
        await streams[0].aclose()


async def test_4_7_a_login_whose_connection_is_being_ended_puts_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took too long: its client was told so, and has come again while the last words were under way."""
    prove = Sessions._prove
    async with serving(tmp_path) as rig:
        phone = await rig.person("ada")

        async def late(self: Sessions, connection: Connection, auth: wire.Auth, next_token: bytes) -> Login:
            login = await prove(self, connection, auth, next_token)
            connection.close(wire.errors.TIMEOUT)
            return login

        monkeypatch.setattr(Sessions, "_prove", late)
        slow = await logging_in(rig, phone)
        assert await slow.closed() == wire.errors.TIMEOUT
        await phone.ask(wire.Devices(0), wire.DevicesOk)


async def test_8_28_a_device_that_is_revoked_while_it_logs_in_is_not_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its signature was checked before, its login is a transaction of its own."""
    issue = devices.issue_resume

    async def later(tx: Tx, device: int, token: bytes, until_ms: int) -> Login | None:
        assert await devices.revoke(tx, phone.user, device, await sync.stamp(tx))
        return await issue(tx, device, token, until_ms)

    async with serving(tmp_path) as rig:
        phone = await rig.person("ada")
        monkeypatch.setattr(devices, "issue_resume", later)
        stolen = await rig.greeted()
        proof = phone.key.sign(wire.auth.signed_bytes(stolen.welcome.nonce, phone.device, 0, b""))
        assert await stolen.refused(wire.Auth(0, 3, proof=proof, device=phone.device)) == wire.errors.DEVICE_REVOKED


async def _logins(tx: Tx, device: int) -> int:
    row = await tx.fetchrow("SELECT login FROM device WHERE device = $1", device)
    assert row is not None
    return int(row[0])
