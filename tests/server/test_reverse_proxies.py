"""Through nginx, HAProxy and Caddy, with the files in deploy/ as they are: people chat, the server knows who they are,
and neither a reload of the proxy nor a restart of the server loses or doubles a message (P1, P2, P3).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
import trustme

from tests.server.proxies import PROXIES, Proxy, require, running
from tests.server.rig import PATIENCE
from tests.server.rig import Client as Frames
from tools.cluster.engine import free_port
from wirechat import wire
from wirechat.client import Client, open_client, register
from wirechat.server import limits
from wirechat.server.app import Server
from wirechat.server.config import Config
from wirechat.server.endpoint import Peer
from wirechat.server.health import Health
from wirechat.server.http import application
from wirechat.server.listeners import Address, Listener, Tls, tls_context
from wirechat.server.metrics import Metrics
from wirechat.server.sidedoor import SideDoor
from wirechat.store.database import open_sqlite
from wirechat.world import REAL

PUBLIC = {"wirechat": 7667, "wirechats": 7668, "wss": 7669}
INSIDE = {"tcp": 17667, "tls": 17668, "ws": 17669}
PROXY, PERSON, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3"
PASSWORD = "correct horse"
MESSAGES = 30
SECONDS = 60.0


@attrs.frozen
class Papers:
    """The certificate of this machine, and where it lies."""

    authority: Path
    chain: Path
    key: Path
    both: Path
    tls: Tls


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    home = tmp_path_factory.mktemp("papers")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    paths = [home / name for name in ("authority.pem", "chain.pem", "key.pem", "both.pem")]
    authority.cert_pem.write_to_path(paths[0])
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    paths[1].write_bytes(chain)
    certificate.private_key_pem.write_to_path(paths[2])
    paths[3].write_bytes(chain + paths[2].read_bytes())
    return Papers(*paths, tls_context(paths[1], paths[2]))


@pytest.fixture(params=PROXIES, ids=[proxy.name for proxy in PROXIES])
def proxy(request: pytest.FixtureRequest) -> Proxy:
    chosen: Proxy = request.param
    require(chosen)
    return chosen


class Site:
    """A server behind a proxy, as docs/operations/proxies.md says, that can be stopped and started again."""

    server: Server

    def __init__(self, data: Path, papers: Papers, nursery: trio.Nursery) -> None:
        self.papers = papers
        self.inside = {kind: free_port() for kind in INSIDE}
        self.public = {scheme: free_port() for scheme in PUBLIC}
        self._data = data
        self._nursery = nursery
        self._stop = trio.Event()
        self._stopped = trio.Event()

    @property
    def places(self) -> dict[str, str]:
        """What the file of a proxy says, and what it is here."""
        ports = {f"127.0.0.1:{INSIDE[kind]}": f"127.0.0.1:{port}" for kind, port in self.inside.items()}
        ports |= {f"check port {INSIDE['ws']}": f"check port {self.inside['ws']}"}
        ports |= {f"0.0.0.0:{PUBLIC[scheme]}": f"127.0.0.1:{port}" for scheme, port in self.public.items()}
        ports |= {f"chat.example.org:{PUBLIC['wss']}": f"127.0.0.1:{self.public['wss']}"}
        return ports | {
            "localhost:2019": f"127.0.0.1:{free_port()}",
            "default_bind 0.0.0.0": "default_bind 127.0.0.1",
            "/etc/wirechat/chain.pem": str(self.papers.chain),
            "/etc/wirechat/key.pem": str(self.papers.key),
            "/etc/wirechat/haproxy.pem": str(self.papers.both),
        }

    def url(self, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.public[scheme]}"

    async def start(self) -> None:
        self._stop, self._stopped = trio.Event(), trio.Event()
        await self._nursery.start(self._run)

    async def stop(self) -> None:
        self._stop.set()
        await self._stopped.wait()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        async with open_sqlite(self._data) as store:
            listeners = {
                kind: Listener(
                    kind,
                    Address("127.0.0.1", port),
                    tls=self.papers.tls if kind == "tls" else None,
                    trusted_proxies=frozenset({PROXY}),
                )
                for kind, port in self.inside.items()
            }
            self.server = server = Server(Config(grease=0), REAL, store)
            health = Health(store, lambda: server.draining)
            door = SideDoor([listeners["ws"]], application(health, Metrics(server)))
            async with trio.open_nursery() as nursery:
                await nursery.start(door.run)
                task_status.started()
                await server.run([listeners["tcp"], listeners["tls"], door], self._stop)
                nursery.cancel_scope.cancel()
            for listener in listeners.values():
                listener.close()
        self._stopped.set()

    def peer(self, client: Client) -> Peer:
        """Whom the server sees."""
        (peer,) = [
            connection.endpoint.peer
            for connection in self.server.connections
            if connection.session is not None and connection.session.user == client.user
        ]
        return peer


@pytest.fixture
async def site(tmp_path: Path, papers: Papers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(limits, "GOAWAY_JITTER_MS", 200)
    async with trio.open_nursery() as nursery:
        site = Site(tmp_path / "data", papers, nursery)
        await site.start()
        yield site
        nursery.cancel_scope.cancel()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone connects from an address of his own, not from that of the proxy."""
    monkeypatch.setattr(trio, "open_tcp_stream", partial(trio.open_tcp_stream, local_address=PERSON))


@asynccontextmanager
async def people(site: Site, schemes: tuple[str, ...]) -> AsyncIterator[dict[str, Client]]:
    """One client for each way in."""
    async with AsyncExitStack() as stack:
        clients = {}
        for scheme in schemes:
            await register(site.url(scheme), scheme, password=PASSWORD, ca=str(site.papers.authority))
            opening = open_client(site.url(scheme), handle=scheme, password=PASSWORD, ca=str(site.papers.authority))
            clients[scheme] = await stack.enter_async_context(opening)
        yield clients


@pytest.mark.usefixtures("elsewhere")
async def test_nothing_is_lost_or_doubled(proxy: Proxy, site: Site, tmp_path: Path) -> None:
    """Everyone writes while the proxy reads its file again and the server stops and comes back; then all hold the same
    log, each text in it once, where its sender was told.
    """
    ports = [site.public[scheme] for scheme in proxy.schemes]
    sent: dict[int, str] = {}
    with trio.fail_after(SECONDS):
        async with running(proxy, tmp_path, site.places, ports) as reload, people(site, proxy.schemes) as clients:
            first = next(iter(clients.values()))
            conv = await first.conversations.create_group("all", [client.user for client in clients.values()])
            async with trio.open_nursery() as nursery:
                for scheme, client in clients.items():
                    nursery.start_soon(write, client, conv, scheme, sent)
                await until(lambda: len(sent) > 5)
                await trio.to_thread.run_sync(reload)
                await until(lambda: len(sent) > 5 * len(clients) + 5)
                await site.stop()
                await site.start()
            for client in clients.values():
                await until(lambda client=client: client.log(conv).pos == len(sent) + 1)
                assert texts(client, conv) == sent
            assert sorted(sent.values()) == sorted(f"{scheme} {n}" for scheme in clients for n in range(MESSAGES))
            for scheme in clients:
                assert [text for _, text in sorted(sent.items()) if text.startswith(f"{scheme} ")] == [
                    f"{scheme} {n}" for n in range(MESSAGES)
                ]


async def write(client: Client, conv: int, scheme: str, sent: dict[int, str]) -> None:
    """Text after text, each when the one before is on disk."""
    for number in range(MESSAGES):
        text = f"{scheme} {number}"
        done = await client.messages.send(conv, text)
        assert done.seq not in sent
        sent[done.seq] = text
        await trio.sleep(0.03)


async def until(what: Callable[[], bool]) -> None:
    while not what():  # noqa: ASYNC110  clients tell nobody
        await trio.sleep(0.02)


def texts(client: Client, conv: int) -> dict[int, str]:
    """What one holds, by number."""
    records = client.log(conv).records
    return {seq: str(record.content.data) for seq, record in records.items() if record.kind == 1 and record.content}


@pytest.mark.usefixtures("elsewhere")
async def test_the_server_knows_who_is_there(proxy: Proxy, site: Site, tmp_path: Path) -> None:
    """The address of the person and how far he is safe; what he says of himself counts for nothing."""
    ports = [site.public[scheme] for scheme in proxy.schemes]
    with trio.fail_after(SECONDS):
        async with running(proxy, tmp_path, site.places, ports) as _, people(site, proxy.schemes) as clients:
            for scheme, client in clients.items():
                peer = site.peer(client)
                assert peer.address == PERSON
                assert (peer.certificate_digest is not None) is (scheme == "wirechats")
                assert peer.encrypted_before is (scheme == "wss")
            if "wirechat" in clients:
                await claim_by_header(site)
            await claim_by_forwarding(site)
            assert await get(site, "/readyz", {}) == 200
            for spelling in ("/metrics", "/%6detrics", "//metrics", "/./metrics", "/metrics?x"):
                assert await get(site, spelling, {}) == 404


async def claim_by_header(site: Site) -> None:
    """A PROXY header of one's own comes after that of the proxy, and is no frame."""
    client = Frames(await trio.open_tcp_stream("127.0.0.1", site.public["wirechat"]))
    await client.stream.send_all(b"PROXY TCP4 203.0.113.9 127.0.0.1 4000 7667\r\n")
    assert await client.closed() == wire.errors.PROTOCOL


async def claim_by_forwarding(site: Site) -> None:
    """Headers of one's own come before that of the proxy, or not at all."""
    before = set(site.server.connections)
    claims = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "Forwarded": "for=203.0.113.9"}
    assert await get(site, "/", UPGRADE | claims) == 101
    (connection,) = set(site.server.connections) - before
    assert connection.endpoint.peer.address == PERSON
    assert connection.endpoint.peer.encrypted_before


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "wirechat.v1",
}


async def get(site: Site, path: str, headers: dict[str, str]) -> int:
    """The status of the answer to one request through the proxy."""
    context = ssl.create_default_context(cafile=str(site.papers.authority))
    plain = await trio.open_tcp_stream("127.0.0.1", site.public["wss"])
    stream = trio.SSLStream(plain, context, server_hostname="127.0.0.1", https_compatible=True)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode())
    return int((await stream.receive_some()).split()[1])


async def test_nobody_else_may_speak_for_others(site: Site) -> None:
    """Past the proxy, from an address that is not declared: a PROXY header is no frame, and forwarding headers only
    prove that one is not from here.
    """
    connect = partial(trio.open_tcp_stream, "127.0.0.1", local_address=STRANGER)
    client = Frames(await connect(site.inside["tcp"]))
    await client.stream.send_all(b"PROXY TCP4 203.0.113.9 127.0.0.1 4000 7667\r\n")
    assert await client.closed() == wire.errors.PROTOCOL
    stream = await connect(site.inside["ws"])
    claims = UPGRADE | {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in claims.items())
    await stream.send_all(f"GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    with trio.fail_after(PATIENCE):
        assert b" 101 " in await stream.receive_some()
    (connection,) = site.server.connections
    assert connection.endpoint.peer.address == STRANGER
    assert not connection.endpoint.peer.secure
