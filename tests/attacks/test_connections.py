"""Attacks 7, 8, 21, 23 and 24, on connections: slow ones, silent ones, those of foreign pages, and those that were
talked into less than they can.
"""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
import trio
import trustme

from tests.attacks.victim import HELLO, NOWHERE, Attacker, Victim, attacked
from tests.attacks.websocket import BINARY, WebSocket, upgrade
from wirechat import wire
from wirechat.server import limits
from wirechat.server.config import Config
from wirechat.server.listeners import Tls, tls_context


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A server's context."""
    issued = trustme.CA().issue_cert("localhost")
    folder = tmp_path_factory.mktemp("certificate")
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return tls_context(chain, key)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[Victim]:
    """A server with all transports."""
    with attacked(tmp_path_factory.mktemp("data"), tls=tls) as server:
        yield server


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[Victim]:
    """One that looks after its connections twenty times a second, and waits a third of one for who takes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire.limits, "STALLED_MS", 300)
        patch.setattr(limits, "SWEEP_SECONDS", 0.05)
        with attacked(tmp_path_factory.mktemp("data"), Config(grease=0), tls) as server:
            yield server


def insecure(**changes: Any) -> ssl.SSLContext:
    """A client's context that believes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in changes.items():
        setattr(context, name, value)
    return context


# 7: slow


CLIENT_HELLO = bytes.fromhex("160301020001000001fc0303") + bytes(64)
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"


SLOW: dict[str, tuple[str, bytes, bytes, int | None]] = {
    "silence": ("tcp", b"", b"", 1004),
    "a byte of HELLO": ("tcp", HELLO.encode()[:1], b"", 1004),
    "half of HELLO": ("tcp", HELLO.encode()[:9], b"", 1004),
    "HELLO, a byte now and then": ("tcp", b"\0\0\x0f\xff\x96", b"\x01", 1004),
    "HELLO and no login": ("tcp", HELLO.encode(), b"", 1004),
    "HELLO and PING for ever": ("tcp", HELLO.encode(), wire.Ping(1).encode(), 1004),
    "HELLO and STATE for ever": ("tcp", HELLO.encode(), wire.State(True).encode(), 1004),
    "HELLO and half of AUTH": ("tcp", HELLO.encode() + b"\0\0\x0f\xff\x95", b"\x01", 1004),
    "HELLO and questions": ("tcp", HELLO.encode(), wire.Account(1).encode(), 1004),
    "TLS, silence": ("tls", b"", b"", None),
    "half a TLS hello": ("tls", CLIENT_HELLO, b"", None),
    "a TLS hello, a byte now and then": ("tls", CLIENT_HELLO, b"\0", None),
    "WebSocket, silence": ("ws", b"", b"", None),
    "half a request": ("ws", REQUEST, b"", None),
    "a request without end": ("ws", REQUEST, b"X: y\r\n", None),
    "TLS and WebSocket, silence": ("wss", b"", b"", None),
}


@pytest.mark.parametrize("what", SLOW)
def test_a07_who_takes_his_time_is_gone_in_time(hasty: Victim, what: str) -> None:
    """A07 [7-1]: whatever he does to look busy, his time does not become more; when it is over he is gone."""
    transport, first, again, code = SLOW[what]
    before = set(hasty.connections())
    attacker = hasty.attacker(transport)
    attacker.raw(first)
    while not (found := set(hasty.connections()) - before):
        time.sleep(0.001)
    (connection,) = found
    deadline = connection.endpoint.opened_at + wire.limits.HELLO_MS / 1000
    if HELLO.encode() in first:
        assert isinstance(attacker.recv(), wire.Welcome)
        deadline = connection.deadline
        assert deadline <= trio_now(hasty) + wire.limits.AUTH_MS / 1000
    for _ in range(5):
        attacker.raw(again)
        time.sleep(0.01)
    assert connection.deadline == deadline
    connection.deadline = 0.0
    assert _last(attacker) == code


def trio_now(victim: Victim) -> float:
    """The server's clock."""

    async def now() -> float:
        return trio.current_time()

    return victim.run(now)


def _last(attacker: Attacker) -> int | None:
    """The code of the ERROR without rid at the end, if what came is of this protocol at all."""
    data = attacker.rest()
    code = None
    while len(data) >= 4 and data[0] == 0:
        size = int.from_bytes(data[:4], "big")
        message = wire.decode(data[4 : 4 + size], side="server")
        if isinstance(message, wire.Error) and message.rid is None:
            code = message.code
        data = data[4 + size :]
    return code


@pytest.mark.parametrize("transport", ["tcp", "tls", "ws"])
def test_a07_three_hundred_of_them_keep_nobody_out(victim: Victim, transport: str) -> None:
    """A07: each with half of what begins a connection; somebody honest logs in and talks beside them."""
    begins = {"tcp": HELLO.encode()[:7], "tls": CLIENT_HELLO, "ws": REQUEST}
    attackers = [victim.attacker(transport) for _ in range(300)]
    for attacker in attackers:
        attacker.raw(begins[transport])
    honest = victim.person(f"honest-{transport}")
    conv = honest.ask(wire.ConvNew(0, bytes(8), 3, ()), wire.ConvNewOk).conv
    assert honest.say(conv, "here") == 2
    for attacker in attackers:
        attacker.close()


# 8: silent


@pytest.mark.parametrize("sends", [b"", b"\0\0\0\x02\x92"], ids=["nothing", "a part of a frame"])
def test_a08_a_peer_that_is_gone_without_a_word_is_forgotten(hasty: Victim, sends: bytes) -> None:
    """A08 [7-13]: 1007 after twice the heartbeat; bytes that are no frame are no sign of life."""
    ann = hasty.person(f"gone{len(sends)}")
    ann.raw(sends)
    assert hasty.greeted().alive()
    connection = hasty.connection(ann.user)
    long_ago = connection.heard_at - 3 * wire.limits.HEARTBEAT_MS / 1000
    connection.heard_at = connection.endpoint._sent_at = long_ago
    assert ann.closed() == 1007


def test_a08_a_peer_that_takes_nothing_is_forgotten(hasty: Victim) -> None:
    """A08 [7-14]: while bytes wait for him. What waited is bounded, and everybody else went on."""
    ann, bob = hasty.person("reads-nothing"), hasty.person("reads-on")
    conv = ann.ask(wire.ConvNew(0, bytes(8), 2, (bob.user,)), wire.ConvNewOk).conv
    ann.say(conv, "x" * 16_000)
    endpoint = hasty.connection(ann.user).endpoint
    for _ in range(1_000):
        if endpoint.blocked or endpoint._closed:
            break
        ann.raw(wire.History(1, conv).encode() * 60)
        time.sleep(0.01)
    assert bob.say(conv, "still here") == 3
    for _ in range(1_000):
        if endpoint._closed:
            break
        time.sleep(0.01)
    assert endpoint._closed


# 21: pages of others


FOREIGN = {
    "another site": ["Origin: https://evil.example"],
    "a name that begins like ours": ["Origin: http://localhost.evil.example"],
    "an address that begins like ours": ["Origin: http://127.0.0.1.evil.example"],
    "our name as a user": ["Origin: http://localhost@evil.example"],
    "our name behind a hash": ["Origin: http://evil.example#localhost"],
    "a name that was bound to us": ["Origin: http://rebound.example", "Host: rebound.example"],
    "a page without an origin": ["Origin: null"],
    "a file": ["Origin: file://"],
    "nothing": ["Origin: "],
    "rubbish": ["Origin: http://[::1"],
    "two, ours first": ["Origin: http://localhost", "Origin: http://evil.example"],
    "two, ours last": ["Origin: http://evil.example", "Origin: http://localhost"],
    "in capitals": ["ORIGIN: http://evil.example"],
    "in our network": ["Origin: http://192.168.1.1"],
}
OURS = {
    "no browser": [],
    "a page of this machine": ["Origin: http://localhost:8080"],
    "the same by address": ["Origin: http://127.0.0.1:7669"],
    "the same by the other address": ["Origin: http://[::1]:7669"],
}


def _welcome(socket: WebSocket) -> wire.Welcome:
    socket.send(HELLO.encode()[4:])
    frame = socket.recv()
    assert frame is not None
    assert frame[0] == BINARY
    welcome = wire.decode(frame[1], side="server")
    assert isinstance(welcome, wire.Welcome)
    return welcome


@pytest.mark.parametrize("what", FOREIGN)
def test_a21_a_foreign_page_is_not_of_this_machine(victim: Victim, what: str) -> None:
    """A21: the browser is, the page is not: it may neither make accounts nor send passwords in the clear."""
    page = upgrade(victim, *FOREIGN[what])
    if page.status != 101:
        return  # what is no request is no way in
    welcome = _welcome(page)
    assert not welcome.registration
    assert 1 not in welcome.methods
    page.send(wire.Register(3, "planted", 3, bytes(32)).encode()[4:])
    frame = page.recv()
    assert frame is not None
    answer = wire.decode(frame[1], side="server")
    assert isinstance(answer, wire.Error)
    assert answer.code == 2008
    page.sock.close()


@pytest.mark.parametrize("what", OURS)
def test_a21_who_is_of_this_machine_still_is(victim: Victim, what: str) -> None:
    """A21: programs, and pages that this machine serves."""
    page = upgrade(victim, *OURS[what])
    welcome = _welcome(page)
    assert welcome.registration
    assert 1 in welcome.methods
    page.sock.close()


@pytest.mark.parametrize("protocol", [None, "chat", "wirechat.v2", "wirechat", ""])
def test_a21_a_page_that_does_not_name_the_protocol_is_refused(victim: Victim, protocol: str | None) -> None:
    """A21 [2-8]: at the handshake."""
    assert upgrade(victim, protocol=protocol).status in (0, 400)


def test_a21_a_form_or_an_image_is_no_way_in(victim: Victim) -> None:
    """A21: what any page may send without asking, a POST of anything, is no frame on any port."""
    body = HELLO.encode()
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for transport in ("tcp", "ws"):
        attacker = victim.attacker(transport)
        attacker.raw(post)
        data = attacker.rest()
        assert b"wirechat/" not in data
        assert not data.startswith(b"HTTP/1.1 2")


# 23: less than TLS


VERSIONS = {"TLSv1": False, "TLSv1_1": False, "TLSv1_2": True, "TLSv1_3": True}


@pytest.mark.parametrize("transport", ["tls", "wss"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a23_nothing_below_tls_1_2(victim: Victim, version: str, transport: str) -> None:
    """A23 [2-6]: also for a client that would take less."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = insecure()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    raw = victim.attacker(transport).sock
    if not VERSIONS[version]:
        with pytest.raises(OSError):
            context.wrap_socket(raw)
    else:
        with context.wrap_socket(raw) as secured:
            assert secured.version() == version.replace("_", ".")
            assert secured.compression() is None


@pytest.mark.parametrize("ciphers", ["NULL", "aNULL", "eNULL", "EXPORT", "LOW", "RC4", "3DES", "MD5", "PSK", "SRP"])
def test_a23_no_weak_ciphers(victim: Victim, ciphers: str) -> None:
    """A23: with TLS 1.2, where they still exist; most are not even built in here."""
    context = insecure()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    except ssl.SSLError:
        return  # this OpenSSL has none of them, and so has the server
    with pytest.raises(OSError):
        context.wrap_socket(victim.attacker("tls").sock)


@pytest.mark.parametrize("transport", ["tls", "wss"])
def test_a23_a_port_of_tls_speaks_nothing_else(victim: Victim, transport: str) -> None:
    """A23: who begins in the clear is answered with nothing of the protocol, in the clear."""
    attacker = victim.attacker(transport)
    attacker.raw(HELLO.encode() + wire.Ping(1).encode())
    data = attacker.rest()
    assert b"wirechat" not in data
    assert not data.startswith(b"\0")


def test_a23_a_resumed_tls_session_carries_no_login(victim: Victim) -> None:
    """A23, A11: no tickets are given, and a new connection begins before HELLO whatever TLS did."""
    context = insecure(maximum_version=ssl.TLSVersion.TLSv1_2)
    first = context.wrap_socket(victim.attacker("tls").sock)
    session = first.session
    assert session is None or not session.has_ticket
    first.close()
    second = Attacker(context.wrap_socket(victim.attacker("tls").sock, session=session))
    second.send(wire.Account(1))
    assert second.closed() == 1003


# 24: an older version


HELLOS = {
    "only older ones": (0, 0, 1005),
    "only newer ones": (2, 255, 1005),
    "the lowest and the highest": (0, 255, None),
    "from the wrong end": (2, 1, 1000),
    "this one": (1, 1, None),
}


@pytest.mark.parametrize("what", HELLOS)
def test_a24_there_is_one_version_and_nobody_is_talked_into_another(victim: Victim, what: str) -> None:
    """A24 [6-1] [6-2]: whatever range somebody in the middle makes of it, it is version 1 or none."""
    vmin, vmax, code = HELLOS[what]
    attacker = victim.attacker()
    attacker.send(attrs.evolve(HELLO, vmin=vmin, vmax=vmax))
    answer = attacker.recv()
    if code is None:
        assert isinstance(answer, wire.Welcome)
        assert answer.version == 1
    else:
        assert isinstance(answer, wire.Error)
        assert answer.code == code
        assert answer.detail == (bytes((1, 1)) if code == 1005 else None)


LESS: dict[str, Callable[[wire.Welcome], wire.Auth]] = {
    "a reserved method": lambda welcome: wire.Auth(1, 5, proof=bytes(32)),
    "a bearer": lambda welcome: wire.Auth(1, 2, proof=bytes(32)),
    "no method": lambda welcome: wire.Auth(1, 0, proof=b""),
    "a binding that is not offered": lambda welcome: wire.Auth(1, 3, proof=bytes(64), device=NOWHERE, binding=1),
    "a reserved binding": lambda welcome: wire.Auth(1, 3, proof=bytes(64), device=NOWHERE, binding=2),
}


@pytest.mark.parametrize("what", LESS)
def test_a24_what_is_not_offered_is_not_taken(victim: Victim, what: str) -> None:
    """A24 [8-5] [8-12]: 3000 and 2004."""
    attacker = victim.greeted()
    attacker.send(LESS[what](attacker.welcome))
    answer = attacker.expect(wire.Error)
    assert answer.code == (2004 if "binding" in what else 3000)
