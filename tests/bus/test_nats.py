"""The bus against a real NATS server: what arrives, what is lost and counted, and what an operator is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from tests.bus.issuer import Issuer
from tools.cluster.engine import EngineError, free_port
from tools.cluster.nats import Nats, running
from wirechat.bus import nats
from wirechat.bus.errors import BusError
from wirechat.bus.nats import NatsBus, open_nats

pytestmark = pytest.mark.nats

PATIENCE = 20.0
USER = 'authorization { user: "node", password: "p@ss, word" }'
SECRET = "p%40ss%2C%20word"


class Ear:
    """Keeps what a node hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def has(self, *wanted: bytes) -> None:
        """Exactly this was heard, in this order."""
        await until(lambda: len(self.heard) >= len(wanted))
        assert self.heard == list(wanted)


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.01)


@asynccontextmanager
async def node(url: str, **options: Path) -> AsyncIterator[tuple[NatsBus, Ear]]:
    """A node that listens."""
    ear = Ear()
    async with open_nats(url, **options) as bus, trio.open_nursery() as nursery:  # type: ignore[arg-type]
        nursery.start_soon(bus.run, ear.heard.append)
        yield bus, ear
        nursery.cancel_scope.cancel()


async def refused(url: str, **options: Path) -> str:
    """Why a node cannot begin."""
    with pytest.raises(BusError) as caught, trio.fail_after(PATIENCE):
        async with open_nats(url, **options):  # type: ignore[arg-type]
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_to_one_to_all_and_never_to_oneself(tmp_path: Path) -> None:
    """In the order in which they were sent."""
    with running(tmp_path) as server:
        async with node(server.url) as (one, first), node(server.url) as (two, second), node(server.url) as (_, third):
            assert one.trouble is None
            assert len({one.node, two.node, 0}) == 3
            one.send(None, b"all")
            one.send(two.node, b"\x00two")
            await second.has(b"all", b"\x00two")
            two.send(one.node, b"one")
            await first.has(b"one")
            await third.has(b"all")
            assert (one.traffic.sent, one.traffic.sent_bytes, one.traffic.received_bytes) == (2, 7, 3)
            assert (two.traffic.received, two.traffic.unsent, two.traffic.unreceived) == (2, 0, 0)


async def test_another_prefix_is_another_cluster(tmp_path: Path) -> None:
    """On one NATS."""
    with running(tmp_path) as server:
        async with node(server.url) as (here, _), node(server.url) as (_, ear):
            async with open_nats(server.url, prefix="elsewhere") as there:
                there.send(None, b"no")
            here.send(None, b"yes")
            await ear.has(b"yes")


async def test_what_is_sent_in_one_turn_goes_out_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One flush for all of it: a system call for each would cost more than the messages."""
    writes = []
    write = nats._Transport.writelines

    def counted(self: nats._Transport, payload: list[bytes]) -> None:
        writes.append(len(payload))
        write(self, payload)  # type: ignore[no-untyped-call]

    with running(tmp_path) as server:
        async with node(server.url) as (one, _), node(server.url) as (_, ear):
            monkeypatch.setattr(nats._Transport, "writelines", counted)
            for number in range(100):
                one.send(None, b"%d" % number)
            await ear.has(*(b"%d" % number for number in range(100)))
    assert max(writes) == 100


async def test_too_much_is_lost_and_counted_and_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded whatever is sent in one turn, and however slowly it is taken."""
    monkeypatch.setattr(nats, "WAITING_BYTES", 10 * (100 + nats.OVERHEAD))
    with running(tmp_path) as server:
        async with open_nats(server.url) as one, open_nats(server.url) as deaf:
            for _ in range(15):
                one.send(None, b"x" * 100)
            assert one.traffic.unsent == 5
            await until(lambda: deaf.traffic.received == 10)
            one.send(None, b"x" * 100)
            await until(lambda: deaf.traffic.unreceived == 1)
            heard: list[bytes] = []
            with trio.move_on_after(0.1):
                await deaf.run(heard.append)
            assert len(heard) == 10
            one.send(None, b"again")
            await until(lambda: deaf.traffic.received == 11)


async def test_a_message_that_is_too_large_hurts_no_other(tmp_path: Path) -> None:
    """The server says how much it takes."""
    with running(tmp_path, options="max_payload: 1000") as server:
        async with node(server.url) as (one, _), node(server.url) as (_, ear):
            one.send(None, b"x" * 1001)
            one.send(None, b"small")
            await ear.has(b"small")
            assert (one.traffic.unsent, one.traffic.sent) == (1, 1)


async def test_a_server_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    """What is sent before is lost and counted; trouble says whom we wait for."""
    port = free_port()
    async with node(f"nats://127.0.0.1:{port}") as (bus, _):
        assert bus.trouble == f"127.0.0.1:{port}: Connection refused; look whether nats-server runs there"
        bus.send(None, b"lost")
        assert bus.traffic.unsent == 1
        with running(tmp_path, port=port) as server:
            await until(lambda: bus.trouble is None)
            async with node(server.url) as (_, ear):
                bus.send(None, b"heard")
                await ear.has(b"heard")


async def test_a_server_that_was_killed_is_found_again(tmp_path: Path) -> None:
    """By every node, and both hear each other as before."""
    with running(tmp_path) as server:
        async with node(server.url) as (one, _), node(server.url) as (two, ear):
            server.kill()
            await until(lambda: None not in (one.trouble, two.trouble))
            one.send(None, b"lost")
            server.start()
            await until(lambda: one.trouble is None and two.trouble is None)
            one.send(None, b"heard")
            await ear.has(b"heard")
            assert (one.traffic.unsent, one.traffic.reconnects) == (1, 1)


async def test_a_server_that_stands_still_is_noticed_and_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sockets stay open and take nothing: sending goes on, closing too."""
    monkeypatch.setattr(nats, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(nats, "PROBE_TIMEOUT", 0.5)
    with running(tmp_path) as server:
        async with node(server.url) as (bus, _):
            server.pause()
            for _ in range(40):
                bus.send(None, b"x" * 100_000)
            await until(lambda: bus.trouble is not None)
            assert "does not answer" in str(bus.trouble)
            server.resume()
            await until(lambda: bus.trouble is None)
            server.pause()
            bus.send(None, b"x" * 1_000_000)
            began = trio.current_time()
        assert trio.current_time() - began < 15
        server.resume()


async def test_another_server_takes_over(tmp_path: Path) -> None:
    """Of several the first that answers."""
    (tmp_path / "two").mkdir()
    with running(tmp_path) as one, running(tmp_path / "two") as two:
        async with node(f"{one.url},{two.url}") as (bus, _):
            one.kill()
            async with node(two.url) as (_, ear):

                def heard() -> bool:
                    bus.send(None, b"x")
                    return bool(ear.heard)

                await until(heard)
                assert bus.trouble is None


async def test_users_and_passwords(tmp_path: Path) -> None:
    """A wrong one ends the start with a line that shows none of it."""
    with running(tmp_path, options=USER) as server:
        at = f"127.0.0.1:{server.port}"
        async with node(f"nats://node:{SECRET}@{at}") as (bus, _):
            assert bus.trouble is None
        for url in (server.url, f"nats://node:secret@{at}", f"nats://secret@{at}"):
            text = await refused(url)
            assert text == f"{at}: Authorization Violation; correct the user in bus.url, or bus.credentials"


async def test_a_user_who_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions belong to the start, too; those to publish come to light with the first message."""
    monkeypatch.setattr(nats, "PROBE_SECONDS", 0.1)
    some = 'users = [{user: a, password: a, permissions: {subscribe: "other.>"}},'
    more = '{user: b, password: b, permissions: {publish: "other.>"}}]'
    with running(tmp_path, options=f"authorization {{ {some} {more} }}") as server:
        at = f"127.0.0.1:{server.port}"
        assert "let our user publish and subscribe on PREFIX.>" in await refused(f"nats://a:a@{at}")
        async with node(f"nats://b:b@{at}") as (bus, _):
            assert bus.trouble is None
            bus.send(None, b"x")
            await until(lambda: bus.trouble is not None)
            assert "permissions violation for publish" in str(bus.trouble)


async def test_a_token(tmp_path: Path) -> None:
    """The name in the URL alone."""
    with running(tmp_path, options="authorization { token: s3cret }") as server:
        async with node(f"nats://s3cret@127.0.0.1:{server.port}") as (bus, _):
            assert bus.trouble is None


async def test_credentials(tmp_path: Path) -> None:
    """A file of nsc: the server knows only who may say who we are."""
    issuer = Issuer()
    good, bad = tmp_path / "good.creds", tmp_path / "bad.creds"
    good.write_text(issuer.credentials())
    bad.write_text(Issuer().credentials())
    with running(tmp_path, options=issuer.configuration()) as server:
        async with node(server.url, credentials=good) as (one, _), node(server.url, credentials=good) as (_, ear):
            one.send(None, b"x")
            await ear.has(b"x")
        assert "Authorization Violation" in await refused(server.url, credentials=bad)
        bad.write_text("no such thing")
        assert "is no credentials file" in await refused(server.url, credentials=bad)
        bad.write_text(good.read_text().replace("\nSU", "\n!!"))
        assert "the seed in it is damaged" in await refused(server.url, credentials=bad)
        assert "No such file" in await refused(server.url, credentials=tmp_path / "none")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, server.pem, node.pem, and other.pem, a CA that signed none of them."""
    folder, ca = tmp_path_factory.mktemp("certificates"), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    for name, of in (("server", "127.0.0.1"), ("node", "node.example")):
        ca.issue_cert(of).private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    return folder


def tls(certificates: Path, verify: bool = False) -> str:
    files = f'cert_file: "{certificates}/server.pem", key_file: "{certificates}/server.pem"'
    return f'tls {{ {files}, ca_file: "{certificates}/ca.pem", verify: {str(verify).lower()} }}'


async def test_tls(tmp_path: Path, certificates: Path) -> None:
    """Only with whom the CA knows, with either scheme."""
    with running(tmp_path, options=tls(certificates)) as server:
        url, ca = f"tls://127.0.0.1:{server.port}", certificates / "ca.pem"
        async with node(url, ca=ca) as (one, _), node(server.url, ca=ca) as (_, ear):
            one.send(None, b"x")
            await ear.has(b"x")
        for options in ({}, {"ca": certificates / "other.pem"}):
            text = await refused(url, **options)
            assert "its certificate is not trusted" in text
            assert text.endswith("; set bus.ca")
        assert "cannot read" in await refused(url, ca=tmp_path / "none.pem")
        (tmp_path / "junk.pem").write_text("junk")
        assert "in PEM" in await refused(url, ca=tmp_path / "junk.pem")


async def test_a_certificate_of_our_own(tmp_path: Path, certificates: Path) -> None:
    """Where the server wants one."""
    with running(tmp_path, options=tls(certificates, verify=True)) as server:
        ca, own = certificates / "ca.pem", certificates / "node.pem"
        async with node(server.url, ca=ca, cert=own, key=own) as (bus, _):
            assert bus.trouble is None
        todo = "look at bus.ca, bus.cert and bus.key"
        try:
            async with open_nats(server.url, ca=ca) as bus:  # the reset that follows an alert of TLS may outrun it
                await until(lambda: todo in (bus.trouble or ""))
        except BusError as error:
            assert todo in str(error)  # noqa: PT017  either way is right


async def test_where_tls_is_asked_for_nothing_is_said_without(tmp_path: Path, certificates: Path) -> None:
    """Someone in between who takes TLS away learns no password."""
    with running(tmp_path, options=USER) as server:
        for url, options in (
            (f"tls://node:{SECRET}@127.0.0.1:{server.port}", {}),
            (f"nats://node:{SECRET}@127.0.0.1:{server.port}", {"ca": certificates / "ca.pem"}),
        ):
            assert "offers no TLS" in await refused(url, **options)


@pytest.mark.parametrize(
    "url", ["", "nats://", "http://x", "nats://x:port", "nats://u:secret@h/path", "nats://h,", "nats://h:99999", "h"]
)
async def test_an_address_that_is_none(url: str) -> None:
    """One line that shows nothing of it: there may be a password in it."""
    text = await refused(url)
    assert text.startswith("the bus: is not an address of NATS")
    assert "secret" not in text


async def test_a_host_that_does_not_exist_may_come_to_be() -> None:
    """Names come late where everything is started at once."""
    async with node("nats://nowhere.invalid") as (bus, _):
        assert "no such host" in str(bus.trouble)


def test_a_server_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    """Never a skip."""
    server = Nats(tmp_path, options="nonsense {")
    with pytest.raises(EngineError, match="did not start"):
        server.start()
