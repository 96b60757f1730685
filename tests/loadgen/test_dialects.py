"""What each dialect says and how it reads what it is told, without a socket. Bytes may arrive in any pieces."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator

import pytest
import wsproto
from wsproto.events import AcceptConnection, Request, TextMessage

from tools.loadgen import scenario, targets
from tools.loadgen.place import BadPlace
from tools.loadgen.scenario import BadScenario
from tools.loadgen.targets.dialect import Dialect, Person, Refused
from tools.loadgen.targets.mqtt import IDS, Mqtt, packet
from tools.loadgen.targets.nats import Nats
from tools.loadgen.targets.socketio import SocketIo
from tools.loadgen.targets.xmpp import Xmpp

TEXT = b"t" * 200
ANNA = Person("anna", groups=("all",))


def whole(data: bytes) -> Iterable[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


PIECES = pytest.mark.parametrize("pieces", [whole, byte_by_byte])
Pieces = Callable[[bytes], Iterable[bytes]]


def hears(dialect: Dialect, data: bytes, pieces: Pieces = whole) -> bytes:
    """What it answers."""
    return b"".join([dialect.receive(piece) for piece in pieces(data)])


@PIECES
def test_mqtt(pieces: Pieces) -> None:
    anna = Mqtt(Person("anna", "me", "secret", ("all",)), "")
    assert anna.begin() == b"\x10\x1c\0\4MQTT\4\xc0\0\0\0\4anna\0\2me\0\6secret", (
        "a durable session: the flag 2 is not set"
    )
    assert hears(anna, b"\x20\2\0\0", pieces) == b"\x82\x13\0\1\0\5g/all\1\0\6u/anna\1"
    assert not anna.is_live
    hears(anna, b"\x90\4\0\1\1\1", pieces)
    assert anna.is_live
    to = anna.address("bert", False)
    assert anna.say(to, [TEXT, b"x"]) == b"\x32\xd2\1\0\6u/bert\0\1" + TEXT + b"\x32\x0b\0\6u/bert\0\2x"
    arrived = packet(3, 2, b"\0\6u/anna\0\7" + TEXT) + b"\x40\2\0\1\x40\2\0\2"
    assert hears(anna, arrived, pieces) == b"\x40\2\0\7", "what arrived is acknowledged"
    assert anna.texts == [TEXT]
    assert anna.acknowledged == [1, 2]


def test_mqtt_numbers_go_around() -> None:
    anna = Mqtt(ANNA, "")
    anna.said = IDS - 1
    anna.say(anna.address("bert", False), [b"x", b"y"])
    hears(anna, b"\x40\2\xff\xff\x40\2\0\1")
    assert anna.acknowledged == [IDS, IDS + 1]


@pytest.mark.parametrize(("answer", "why"), [(b"\x20\2\0\5", "not allowed"), (b"\x90\3\0\1\x80", "subscription")])
def test_mqtt_refuses(answer: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        Mqtt(ANNA, "").receive(answer)


@PIECES
def test_nats(pieces: Pieces) -> None:
    anna = Nats(ANNA, "")
    assert anna.begin() == b""
    lines = hears(anna, b'INFO {"jetstream":true}\r\n', pieces).split(b"\r\n")
    assert json.loads(lines[0].removeprefix(b"CONNECT "))["echo"] is False
    assert lines[1:] == [b"SUB answers.anna 1", b"SUB loadgen.g.all 2", b"SUB inbox.anna 2", b"PING", b""]
    assert hears(anna, b"PONG\r\n", pieces).startswith(b"PUB $JS.API.STREAM.CREATE.LOADGEN answers.anna ")
    made = b"MSG answers.anna 1 2\r\n{}\r\n"
    assert hears(anna, made, pieces).startswith(b"PUB $JS.API.CONSUMER.DURABLE.CREATE.LOADGEN.anna answers.anna ")
    assert not anna.is_live
    hears(anna, made, pieces)
    assert anna.is_live
    assert anna.say(anna.address("bert", False), [b"xy"]) == b"PUB loadgen.u.bert answers.anna 2\r\nxy\r\n"
    assert anna.say(anna.address("all", True), [b""]) == b"PUB loadgen.g.all answers.anna 0\r\n\r\n"
    pushed = b"MSG inbox.anna 2 $JS.ACK.1 4\r\n\r\n\r\n\r\nMSG loadgen.g.all 2 1\r\nz\r\nPING\r\n"
    assert hears(anna, pushed, pieces) == b"PUB $JS.ACK.1 0\r\n\r\nPONG\r\n"
    assert anna.texts == [b"\r\n\r\n", b"z"], "lengths count, not ends of lines"
    hears(anna, b'MSG answers.anna 1 12\r\n{"error":{}}\r\n' + made, pieces)
    assert (anna.acknowledged, anna.refusals) == ([2], 1)


@pytest.mark.parametrize(("answer", "why"), [(b"INFO {}\r\n", "not enabled"), (b"-ERR 'no'\r\n", "says 'no'")])
def test_nats_refuses(answer: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        Nats(ANNA, "").receive(answer)


@PIECES
def test_socketio(pieces: Pieces) -> None:
    server = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    anna = SocketIo(ANNA, "localhost")

    def heard(data: bytes) -> list[str]:
        server.receive_data(data)
        return [event.data for event in server.events() if isinstance(event, TextMessage)]

    def tell(*packets: str) -> list[str]:
        return heard(hears(anna, b"".join([server.send(TextMessage(packet)) for packet in packets]), pieces))

    server.receive_data(anna.begin())
    assert [event.target for event in server.events() if isinstance(event, Request)] == [
        "/socket.io/?EIO=4&transport=websocket"
    ]
    hears(anna, server.send(AcceptConnection()), pieces)
    assert tell('0{"sid":"1"}') == ['40{"user": "anna"}']
    assert tell('40{"sid":"2"}') == ['421["join", "all"]']
    assert not anna.is_live
    assert tell('431["ok"]', "2") == ["3"]
    assert anna.is_live
    said = heard(anna.say(anna.address("bert", False), [TEXT]) + anna.say(anna.address("all", True), [b"x"]))
    assert said == [
        f'422["message",{{"to": "bert","text":"{TEXT.decode()}"}}]',
        '423["message",{"group": "all","text":"x"}]',
    ]
    tell('433[{"seq":1}]', '42["message",{"text":"hello","seq":1}]', '42["other",{}]')
    assert anna.acknowledged == [2]
    assert anna.texts == [b"hello"]
    with pytest.raises(Refused, match=r"no WebSocket there: HTTP status 404"):
        SocketIoAfterHello().receive(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")


class SocketIoAfterHello(SocketIo):
    """It has asked for a WebSocket."""

    def __init__(self) -> None:
        super().__init__(ANNA, "localhost")
        self.begin()


HEADER = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
FEATURES = b"<stream:features/>"
SASL = b"xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
JOINED = (
    b"<presence from='all@conference.home/anna'><x xmlns='http://jabber.org/protocol/muc#user'>"
    b"<status code='110'/><status code='201'/></x></presence>"
)


@PIECES
def test_xmpp(pieces: Pieces) -> None:
    anna = Xmpp(ANNA, "home")
    assert b"to='home'" in anna.begin()
    assert b"<username>anna</username>" in hears(anna, HEADER + FEATURES, pieces)
    told = hears(anna, b"<iq type='result' id='register'/>", pieces)
    assert base64.b64decode(told[told.index(b">") + 1 : told.index(b"</auth>")]) == b"\0anna\0anna"
    assert hears(anna, b"<success " + SASL + b"/>", pieces).startswith(b"<?xml"), "a stream begins anew"
    assert b"id='bind'" in hears(anna, HEADER + FEATURES, pieces)
    assert hears(anna, b"<iq type='result' id='bind'/>", pieces) == b"<enable xmlns='urn:xmpp:sm:3'/>"
    assert b"all@conference.home/anna" in hears(anna, b"<enabled xmlns='urn:xmpp:sm:3'/>", pieces)
    assert b"id='open'" in hears(anna, JOINED, pieces), "whoever makes a room opens it"
    assert b"id='live'" in hears(anna, b"<iq type='result' id='open'/>", pieces)
    hears(anna, b"<iq type='error' id='live'/>", pieces)
    assert anna.is_live, "whether the server knows pings does not matter"
    said = anna.say(anna.address("bert", False), [b"x", b"y"])
    assert said == (
        b"<message to='bert@home' type='chat' id='1'><body>x</body></message>"
        b"<message to='bert@home' type='chat' id='2'><body>y</body></message><r xmlns='urn:xmpp:sm:3'/>"
    )
    assert b"to='all@conference.home' type='groupchat'" in anna.say(anna.address("all", True), [b"z"])
    hears(anna, b"<a xmlns='urn:xmpp:sm:3' h='6'/>", pieces)  # presence, join, open, ping, and two texts
    assert anna.acknowledged == [1, 2]
    pushed = b"<message><body>" + TEXT + b"</body><delay xmlns='urn:xmpp:delay'/></message><r xmlns='urn:xmpp:sm:3'/>"
    assert hears(anna, pushed, pieces) == b"<a xmlns='urn:xmpp:sm:3' h='4'/>", "join, open, ping, and the text"
    assert anna.texts == [TEXT]
    hears(anna, b"<message type='error'/>", pieces)
    assert anna.refusals == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<failure " + SASL + b"><not-authorized/></failure>", "the login was refused: not-authorized"),
        (b"<failed xmlns='urn:xmpp:sm:3'/>", "XEP-0198"),
        (b"</stream:stream>", "ended the stream"),
        (b"<<", "no XMPP"),
        (
            b"<iq type='error' id='register'><error>"
            b"<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
            "no account could be made: forbidden",
        ),
    ],
)
def test_xmpp_refuses(answer: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        Xmpp(ANNA, "home").receive(HEADER + answer)


def test_urls_say_where_and_as_whom() -> None:
    found = targets.find("mqtt", "mqtt://me:secret@127.0.0.1", None)
    assert (found.place.address, found.user, found.password) == (("127.0.0.1", 1883), "me", "secret")
    assert targets.find("xmpp", "xmpp://127.0.0.1:5000/home", None).host == "home", (
        "a server that calls itself otherwise"
    )
    assert targets.find("mqtt", "mqtts://127.0.0.1", None).place.tls is not None


@pytest.mark.parametrize("url", ["nats://127.0.0.1", "mqtt://", "mqtt://127.0.0.1:x", "127.0.0.1"])
def test_a_url_of_another_kind_is_one_line(url: str) -> None:
    with pytest.raises(BadPlace, match="bad URL"):
        targets.find("mqtt", url, None)


def test_what_others_are_not_asked_for_is_refused() -> None:
    targets.check("nats", scenario.load("pairs"))
    targets.check("wirechat", scenario.load("history"))
    with pytest.raises(BadScenario, match="'history' exist for wirechat only: --target nats has messages"):
        targets.check("nats", scenario.load("history"))
