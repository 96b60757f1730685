"""The real transports over loopback: TCP, TLS and WebSocket carry the same frames (P6, P11)."""

import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing
import trio_websocket
import trustme

from tests.client.stage import Peer, Stage, entry, make_world, meet, row
from wirechat import wire
from wirechat.client import ConnectionFailed, open_client, register
from wirechat.client.transport import EndingStream, Network, bodies, parse_url

CONV = 5
SECONDS = 20


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def context(authority: trustme.CA, name: str = "localhost") -> tuple[ssl.SSLContext, bytes]:
    """A server's TLS, and the digest of its certificate."""
    certificate = authority.issue_cert(name)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["wirechat/1"])
    certificate.configure_cert(made)
    return made, sha256(ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())).digest()


async def relay(peer: Peer, stream: trio.abc.Stream) -> None:
    """Carries bytes between a stream and the scripted server."""
    gone = suppress(trio.BrokenResourceError, trio.ClosedResourceError)
    async with trio.open_nursery() as nursery:

        async def down() -> None:
            with gone:
                while data := await peer.recv():
                    await stream.send_all(data)
                await stream.aclose()

        nursery.start_soon(down)
        with gone:
            while data := await stream.receive_some():
                await peer.send(bytes(data))
        peer.abort()


async def relay_messages(peer: Peer, request: trio_websocket.WebSocketRequest) -> None:
    """The same for a WebSocket."""
    assert "wirechat.v1" in request.proposed_subprotocols
    socket = await request.accept(subprotocol="wirechat.v1")
    async with trio.open_nursery() as nursery:

        async def down() -> None:
            with suppress(trio_websocket.ConnectionClosed):
                while data := await peer.recv():
                    for body in bodies(data):
                        await socket.send_message(body)
                await socket.aclose()

        nursery.start_soon(down)
        with suppress(trio_websocket.ConnectionClosed, trio.BrokenResourceError):
            while True:
                body = await socket.get_message()
                assert isinstance(body, bytes)
                await peer.send(len(body).to_bytes(4, "big") + body)
        peer.abort()


@asynccontextmanager
async def serving(stage: Stage, scheme: str, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """The stage on a free port of this machine. Yields its URL."""
    async with trio.open_nursery() as nursery:
        if scheme in ("ws", "wss"):

            async def accepted(request: trio_websocket.WebSocketRequest) -> None:
                await relay_messages(await stage.connect(""), request)

            start = trio_websocket.serve_websocket
            server = await nursery.start(start, accepted, "127.0.0.1", 0, tls)
            port = server.port
        else:

            async def connected(stream: trio.abc.Stream) -> None:
                if tls is not None:
                    stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
                await relay(await stage.connect(""), stream)

            [listener] = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), connected, 0)
            port = listener.socket.getsockname()[1]
        yield f"{scheme}://localhost:{port}"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("scheme", ["wirechat", "wirechats", "ws", "wss"])
async def test_frames_travel_both_ways(authority: trustme.CA, ca: Path, scheme: str) -> None:
    """A page larger than any buffer, and many frames at once, arrive whole and in order."""
    stage = Stage()
    tls, digest = context(authority) if scheme.endswith("s") and scheme != "ws" else (None, None)
    long = "x" * 16000
    with trio.fail_after(SECONDS):
        async with serving(stage, scheme, tls) as url:
            opening = open_client(url, handle="ada", password="correct horse", ca=ca, world=make_world())
            async with meet(stage, opening, row(CONV, 0)) as (client, peer):
                peer.say(*(entry(CONV, seq, long) for seq in range(1, 41)))
                while (await peer.expect(wire.Ack)).n < 40:
                    pass
                assert [len(r.content.data) for r in client.log(CONV).records.values() if r.content] == [16000] * 40
                session = client._connector.session
                assert session is not None
                assert session._link.transport.certificate_digest == digest
                handle = await client.messages.send_soon(CONV, long)
                send = await peer.expect(wire.Send)
                peer.say(wire.SendOk(send.rid, 41, 1))
                assert (await handle.wait()).seq == 41


@pytest.mark.parametrize(("name", "host"), [("elsewhere.example.org", "localhost"), ("localhost", "127.0.0.1")])
async def test_a_certificate_of_another_host_is_refused(authority: trustme.CA, ca: Path, name: str, host: str) -> None:
    stage = Stage()
    tls, _ = context(authority, name)
    with trio.fail_after(SECONDS):
        async with serving(stage, "wirechats", tls) as url:
            url = url.replace("localhost", host)
            with pytest.raises(ConnectionFailed, match=rf"of {host} is for other names: .* wirechat cert DIR {host}$"):
                async with open_client(url, handle="ada", password="correct horse", ca=ca, reconnect=False):
                    raise AssertionError


async def test_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    stage = Stage()
    tls, _ = context(authority)
    with trio.fail_after(SECONDS):
        async with serving(stage, "wss", tls) as url:
            with pytest.raises(ConnectionFailed, match=r"the certificate of localhost is not trusted .*--ca"):
                async with open_client(url, handle="ada", password="correct horse", reconnect=False):
                    raise AssertionError


@pytest.mark.parametrize("name", ["README.md", "key.pem", "none.pem"])
async def test_a_file_without_certificates_is_named(authority: trustme.CA, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name != "none.pem":
        file.write_bytes(authority.private_key_pem.bytes() if name == "key.pem" else b"# Title\n")
    tls, _ = context(authority)
    with trio.fail_after(SECONDS):
        async with serving(Stage(), "wirechats", tls) as url:
            with pytest.raises(ConnectionFailed, match=f"^{re.escape(str(file))} has no certificates to trust"):
                await register(url, "ada", password="correct horse", ca=str(file))


async def test_nobody_at_home_is_said_at_once() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with trio.fail_after(SECONDS), pytest.raises(ConnectionFailed, match=rf"127.0.0.1:{port}: is the server running\?"):
        async with open_client(f"wirechat://127.0.0.1:{port}", handle="a", password="p" * 8, reconnect=False):
            raise AssertionError


async def test_tls_at_a_plain_port_names_the_scheme() -> None:
    async def answering(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"\0\0\0\x07hello, ")

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), answering, 0)
            url = f"wirechats://127.0.0.1:{listener.socket.getsockname()[1]}"
            with pytest.raises(ConnectionFailed, match="perhaps it speaks wirechat:// or ws://"):
                async with open_client(url, handle="a", password="p" * 8, reconnect=False):
                    raise AssertionError
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("wirechat", b"HTTP/1.1 400 \r\n\r\n", "the server broke the protocol: .* ws:// or wirechats://$"),
        ("wirechat", b"", "the connection broke: .*: perhaps it speaks ws:// or wirechats://$"),
        ("ws", b"\0\0\0\x07hello, ", "no WebSocket at 127.0.0.1:[0-9]+: perhaps it speaks wirechat:// or wss://$"),
    ],
)
@pytest.mark.parametrize("registering", [False, True])
async def test_a_port_for_another_protocol_is_named(scheme: str, answer: bytes, said: str, registering: bool) -> None:
    async def answering(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(answer)
        if not answer:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), answering, 0)
            url = f"{scheme}://127.0.0.1:{listener.socket.getsockname()[1]}"
            opening = open_client(url, handle="a", password="p" * 8, reconnect=False)
            with pytest.raises(ConnectionFailed, match=said):
                await (register(url, "ada", password="correct horse") if registering else opening.__aenter__())
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("answer", [b"\0\0\0\x07hello, ", b"HTTP/1.1 101 Maybe\r\n\r\n"])
async def test_p12_what_is_no_websocket_is_a_failed_connection(answer: bytes) -> None:
    """A wrong port answers with anything; that is no reason to crash."""

    async def answering(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(answer)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), answering, 0)
            url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
            with pytest.raises(ConnectionFailed):
                async with open_client(url, handle="a", password="p" * 8, reconnect=False):
                    raise AssertionError
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Swit"])
async def test_a_handshake_that_is_cut_is_a_failed_connection(answer: bytes) -> None:
    """It ends at once, not when the login takes too long: the server may be back in a moment."""

    async def cutting(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), cutting, 0)
        port = listener.socket.getsockname()[1]
        with trio.move_on_after(SECONDS) as patience:
            with pytest.raises(ConnectionFailed, match=rf"no WebSocket at 127.0.0.1:{port}: the .* wss://"):
                await Network(nursery).connect(f"ws://127.0.0.1:{port}")
        assert not patience.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_a_handshake_that_cannot_even_be_sent_is_a_failed_connection() -> None:
    """The same when the connection is reset before the request is out."""
    left, right = trio.testing.memory_stream_pair()
    await right.aclose()
    ended: list[bool] = []
    stream = EndingStream(cast(Any, left), lambda: ended.append(True))
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"GET / HTTP/1.1")
    assert ended


async def test_the_server_closing_is_noticed(authority: trustme.CA, ca: Path) -> None:
    """On every transport the end is an end, not an error of this program."""
    for scheme in ("wirechat", "wirechats", "ws", "wss"):
        stage = Stage()
        tls = context(authority)[0] if scheme in ("wirechats", "wss") else None
        with trio.fail_after(SECONDS):
            async with serving(stage, scheme, tls) as url:
                opening = open_client(url, handle="ada", password="correct horse", ca=ca, world=make_world())
                async with meet(stage, opening, row(CONV, 0)) as (_, peer):
                    peer.abort()
                    again = await stage.connection()
                    await again.synced(row(CONV, 1))
                    asked = await again.expect(wire.Changes)
                    assert asked.since == 0


@pytest.mark.parametrize(
    "url", ["http://host", "wirechat://", "host:1", "wirechats://host:0", "wirechat://host:x", "wirechat://host:65536"]
)
async def test_bad_urls_are_named(url: str) -> None:
    with pytest.raises(ValueError):
        parse_url(url)
    with pytest.raises(ValueError):
        async with open_client(url, handle="ada", password="correct horse"):
            raise AssertionError
    with pytest.raises(ValueError):
        await register(url, "ada", password="correct horse")


@pytest.mark.parametrize(("scheme", "port"), [("wirechat", 7667), ("wirechats", 7668), ("ws", 80), ("wss", 443)])
def test_a_url_without_a_port_means_the_usual_one(scheme: str, port: int) -> None:
    """docs/protocol.md, section 2; WebSocket is HTTP, whose ports are the usual ones."""
    assert parse_url(f"{scheme}://example.org")[1:] == ("example.org", port)
    assert parse_url(f"{scheme}://[::1]:5/chat")[1:] == ("::1", 5)


@pytest.mark.parametrize("secret", [{"password": "correct horse"}, {"device_key": bytes(range(32))}])
async def test_register_uses_a_connection_of_its_own(secret: dict[str, Any]) -> None:
    stage = Stage()
    answer: Callable[[wire.Register], wire.RegisterOk] = lambda request: wire.RegisterOk(  # noqa: E731
        request.rid, 7, 70 if request.method == 3 else None
    )
    with trio.fail_after(SECONDS):
        async with serving(stage, "wirechat", None) as url, trio.open_nursery() as nursery:

            async def server() -> None:
                peer = await stage.connection()
                await peer.greet(registration=True)
                peer.say(answer(await peer.expect(wire.Register)))

            nursery.start_soon(server)
            made = await register(url, "ada", name="Ada", **secret)
            assert (made.user, made.device) == (7, 70 if "device_key" in secret else None)


@pytest.mark.parametrize("body", [b"", b"try again later\n"])
async def test_a_proxy_without_its_server_is_asked_again(body: bytes) -> None:
    """Instead of a WebSocket a reverse proxy answers 502 while the server restarts; the client goes on trying."""
    stage, refusals = Stage(), 2

    async def accepted(request: trio_websocket.WebSocketRequest) -> None:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            await request.reject(502, body=body or None)
        else:
            await relay_messages(await stage.connect(""), request)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(trio_websocket.serve_websocket, accepted, "127.0.0.1", 0, None)
            opening = open_client(
                f"ws://127.0.0.1:{server.port}", handle="ada", password="correct horse", world=make_world()
            )
            async with meet(stage, opening, row(CONV, 0)) as (client, _):
                assert client.connected
            nursery.cancel_scope.cancel()
    assert refusals == -1
