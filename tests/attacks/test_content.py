"""Attacks 19, 20, 22, 27 and 28, by what people write: links that are to be fetched, text that is to be obeyed by a
screen, a log, a parser or a database.
"""

from __future__ import annotations

import ast
import datetime
import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.attacks.victim import Attacker, Victim
from wirechat import wire
from wirechat.cli import logs
from wirechat.cli.chat.chats import Chat
from wirechat.cli.chat.paint import chat_lines, one_line, paint, tame
from wirechat.cli.chat.timeline import Message, Notice, Quote
from wirechat.cli.user import user
from wirechat.client.features.search import _words
from wirechat.settings.schema import Log

ROOT = Path(__file__).parents[2]
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)

STEERING = {
    "clear the screen": "\x1b[2J\x1b[H",
    "another title": "\x1b]0;owned\x07",
    "a link that is none": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "to the clipboard": "\x1b]52;c;cm0gLXJmIC8K\x07",
    "ask the terminal": '\x1b[6n\x1b[c\x1bP$q"p\x1b\\',
    "8-bit CSI": "\x9b31m\x9d0;owned\x9c",
    "a colour": "\x1b[31mred",
    "back over it": "good\x08\x08\x08\x08evil",
    "carriage return": "good\revil",
    "a bell": "\x07" * 20,
    "NUL": "a\0b",
    "shift out": "\x0elqqk\x0f",
    "form feed": "a\x0cb",
    "vertical tab": "a\x0bb",
    "DEL": "a\x7fb",
    "next line": "a\x85b",
    "from right to left": "a\u202egnp.exe",
    "isolated from right to left": "a\u2067evil\u2069",
    "embedded": "\u202aa\u202bb\u202c\u202d",
    "marks of direction": "a\u200e\u200f\u061cb",
    "line separator": "a\u2028b\u2029c",
    "an entry of a log": 'x\n{"event": "a login failed", "peer": "192.0.2.1"}',
    "an entry of a log, with CR": "x\r\n2026-01-01 [info     ] all is well",
    "markup": "[bold red]x[/] [link=http://evil.example]y[/link] [@click=app.quit]z[/]",
    "half of markup": "[/bold] [[ \\[ ]",
    "a page": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a format": "%s%s%s%n {0} {self.__class__} ${jndi:ldap://127.0.0.1/x}",
    "a surrogate of a path": "..\\..\\..\\..",
}
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


# 19: fetching


@pytest.fixture(scope="module")
def people(victim: Victim) -> tuple[Attacker, Attacker, int]:
    """Two, and their group."""
    ann, bob = victim.person("ann"), victim.person("bob")
    return ann, bob, ann.ask(wire.ConvNew(0, os.urandom(8), 2, (bob.user,), "group"), wire.ConvNewOk).conv


URLS = [
    *("http://{0}/", "https://{0}/", "http://user:password@{0}/", "ftp://{0}/", "gopher://{0}/_x", "ws://{0}/"),
    *("wirechat://{0}", "file://{0}/etc/passwd", "//{0}/x", "[text](http://{0}/x)", "<img src='http://{0}/x.png'>"),
    *("http://{0}/a.png", "http://{0}/webhook", "ldap://{0}/x", "dict://{0}/x", "smb://{0}/x", "jar:http://{0}!/"),
    *("http://[::ffff:127.0.0.1]:{1}/", "http://0x7f.1:{1}/", "http://2130706433:{1}/", "http://localhost:{1}/"),
]


@pytest.mark.parametrize("where", ["message", "title", "about", "name", "profile"])
def test_a19_nothing_that_anybody_writes_is_fetched(
    victim: Victim, people: tuple[Attacker, Attacker, int], where: str
) -> None:
    """A19: no previews, no webhooks, no proxies: a canary at the end of every link hears nothing."""
    ann, bob, conv = people
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(0)
        host, port = canary.getsockname()
        for url in [url.format(f"{host}:{port}", port) for url in URLS]:
            request: Any = {
                "message": wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, url)),
                "title": wire.ConvSet(0, conv, os.urandom(8), url),
                "about": wire.ConvSet(0, conv, os.urandom(8), None, url),
                "name": wire.ProfileSet(0, name=url),
                "profile": wire.ProfileSet(0, about=url),
            }[where]
            assert not isinstance(ann.answer(request), wire.Error)
        bob.pushes()
        with pytest.raises(BlockingIOError):
            canary.accept()


OUTWARD = {"urllib.request", "http.client", "httpx", "requests", "aiohttp", "ftplib", "smtplib", "socketserver"}
CONNECTING = {
    "open_tcp_stream",
    "open_ssl_over_tcp_stream",
    "create_connection",
    "connect_ex",
    "getaddrinfo",
    "connect",
}
KNOWN = {
    ("wirechat/server/listeners.py", "getaddrinfo"),  # of the address to listen on
    ("wirechat/store/pools.py", "connect"),  # to the database
}


def test_a19_the_server_has_nothing_to_fetch_with() -> None:
    """A19: no library for it is imported, and nothing connects but to the database. New code that does stands here."""
    found = set()
    for folder in ("server", "store", "wire"):
        for path in sorted((ROOT / "wirechat" / folder).rglob("*.py")):
            tree, name = ast.parse(path.read_text()), path.relative_to(ROOT).as_posix()
            imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert not imported & OUTWARD, name
            called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
            found |= {(name, f.attr) for f in called if isinstance(f, ast.Attribute) and f.attr in CONNECTING}
    assert found <= KNOWN, found - KNOWN


# 20: on a screen


def _message(text: str, name: str = "Eve") -> Message:
    quote = Quote(name=text, colour="", text=text)
    return Message(
        *(2, None, 9, name, "", True, NOON, text), quote=quote, origin=text, reactions=((text, 2, True),),
        names=((text, True),),
    )  # fmt: skip


SCREENS: dict[str, Callable[[str], list[str]]] = {
    "a message": lambda text: [line.plain for line in paint(_message(text, text), 60, NOON.date())],
    "a notice": lambda text: [line.plain for line in paint(Notice(*_notice(text)), 60, NOON.date())],
    "the list": lambda text: [
        line.plain for line in chat_lines(Chat(1, 2, text, None, 2, 1, False, 2, 1, text, 1, 0, text), 60, NOON)
    ],
    "one line": lambda text: [one_line(text, 60)],
    "any text": lambda text: [tame(text)],
}


def _notice(text: str) -> tuple[Any, ...]:
    import attrs

    values = {"text": text, "time": NOON}
    return tuple(values.get(field.name, 2) for field in attrs.fields(Notice) if field.default is attrs.NOTHING)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("what", STEERING)
def test_a20_nothing_that_anybody_writes_steers_a_terminal(what: str, screen: str) -> None:
    """A20: in a message, a name, a title, a quote or a reaction; and it is no markup either."""
    lines = SCREENS[screen](STEERING[what])
    assert not [line for line in lines if OBEYED.search(line)]
    if "markup" in what and screen == "any text":
        assert lines == [STEERING[what]]


@pytest.mark.parametrize("what", STEERING)
def test_a20_nor_the_operators(victim: Victim, what: str) -> None:
    """A20: `wirechat user list` and `devices` show what people call themselves and their devices."""
    text = STEERING[what]
    handle = f"h{os.urandom(4).hex()}"
    person = victim.person(handle)
    person.ask(wire.ProfileSet(0, name=text[:64]), wire.ProfileSetOk)
    person.ask(wire.DeviceSet(0, person.device, text[:30]), wire.DeviceSetOk)
    listed, devices = (
        CliRunner().invoke(user, [*command, "--data", str(victim.folder)], color=True, catch_exceptions=False).output
        for command in (["list"], ["devices", handle])
    )
    assert not [line for line in (listed + devices).split("\n") if OBEYED.search(line)]
    assert len([line for line in listed.split("\n") if handle in line]) == 1
    assert len(devices.split("\n")) == 3
    person.close()


# 22: in a log


@pytest.mark.parametrize("form", ["pretty", "json"])
@pytest.mark.parametrize("what", STEERING)
def test_a22_what_a_peer_sends_is_one_line_of_the_log(capsys: pytest.CaptureFixture[str], what: str, form: str) -> None:
    """A22: in any field, in either format; and as JSON it is one object with the value as it was."""
    import structlog

    before = structlog.get_config()
    logs.configure(Log(format=form, level="debug"))
    try:
        structlog.get_logger("attack").info("a login failed", peer=STEERING[what], handle=STEERING[what], code=2001)
    finally:
        structlog.configure(**before)
    written = capsys.readouterr().err
    assert written.endswith("\n")
    assert not OBEYED.search(written[:-1].replace("\n", "\x00"))
    if form == "json":
        assert json.loads(written)["peer"] == STEERING[what]


# 27: for a parser


WORST: dict[str, str] = {
    "many a": "a" * 16_000,
    "many a and a line": "a" * 15_999 + "!",
    "nearly a link": "http://" + "a." * 7_000,
    "links without end": "http://" * 2_000,
    "nearly a name": "@" + "a-" * 7_000,
    "names without end": "@a" * 7_000,
    "brackets": "[" * 16_000,
    "combining marks": "a" + "\u0301" * 7_000,
    "of wide characters": "\U0001f468\u200d" * 2_000,
    "spaces": " " * 16_000,
    "line breaks": "\n" * 2_000,
    "tabs": "\t" * 4_000,
    "a ligature that grows": "\ufdfa" * 5_000,
    "dotted capital I": "\u0130" * 8_000,
    "the last character": "\U0010ffff" * 4_000,
    "tags": "\U000e0041" * 4_000,
    "unassigned": "\u0378" * 8_000,
}


@pytest.mark.parametrize("what", WORST)
def test_a27_the_worst_texts_are_sent_stored_and_shown(people: tuple[Attacker, Attacker, int], what: str) -> None:
    """A27: what is stored is what was sent, byte for byte: the server normalises nothing, so nothing grows; and what is
    shown is not longer than the text allows.
    """
    ann, bob, conv = people
    text = WORST[what]
    seq = ann.say(conv, text)
    page = bob.ask(wire.History(0, conv, seq, 1), wire.HistoryOk)
    assert page.records[0].content == wire.Content(1, text)
    assert len(tame(text)) <= 4 * len(text)
    assert len(one_line(text, 80)) <= 80 * 8_000
    lines = paint(_message(text), 80, NOON.date())
    assert sum(len(line.plain) for line in lines) <= 120 * len(text) + 10_000
    bob.pushes()


ALIKE = [
    "аnn",
    "ann\u200b",
    "ａnn",
    "ann\u0301",
    "ANN",
    "ann ",
    " ann",
    "ann\0",
    "a\u00adnn",
    "ann\u202e",
    "ın",
    "ann/",
    "",
]


@pytest.mark.parametrize("handle", ALIKE, ids=ascii)
def test_a27_no_handle_looks_like_another(victim: Victim, handle: str) -> None:
    """A27 [8-2]: handles are of a few ASCII characters; what only looks like one is refused, and found nowhere."""
    person = victim.person(f"l{os.urandom(4).hex()}")
    assert person.refused(wire.ProfileSet(0, handle=handle)) == 3000
    assert victim.greeted().refused(wire.Register(0, handle, 3, bytes(32))) == 3000
    assert person.refused(wire.UserFind(0, handle)) == 4000


# 28: for a database


INJECTIONS = [
    *("'", "''", '"', "`", ";", "--", "/*", "*/", "\\", "\\'", "%", "_", "?", "$1", ":name", "@name", "#", "\0"),
    *("' OR '1'='1", "' OR 1=1 --", "'; DROP TABLE entry; --", '" OR ""="', "1; ATTACH 'x' AS y", "') OR ('1'='1"),
    *("' UNION SELECT password FROM account --", "x' AND 1=CAST((SELECT 1) AS INT) --", "'||(SELECT 1)||'"),
    *(
        'NEAR("a" "b", 5)',
        '"unbalanced',
        "a AND",
        "OR",
        "NOT",
        "a*",
        "^a",
        "col:a",
        "{a b}:c",
        "a + b",
        "-a",
        "(((",
        "* *",
    ),
    *("'; SELECT pg_sleep(5); --", "\\copy x", "E'\\\\''", "U&'\\0041'", "$$x$$", "\ufeff'", "＇", "%27", "&#39;"),
]


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
def test_a28_text_is_never_part_of_a_statement(
    victim: Victim, people: tuple[Attacker, Attacker, int], text: str
) -> None:
    """A28: as a message, a title, names of oneself and of a device, a handle that is looked for: all of it comes back
    as it went in, and nothing else has changed.
    """
    ann, bob, conv = people
    tables = {name: len(rows) for name, rows in victim.stored().items()}
    seq = ann.say(conv, text)
    assert ann.ask(wire.ProfileSet(0, name=text, about=text), wire.ProfileSetOk).user.name == text
    ann.ask(wire.ConvSet(0, conv, os.urandom(8), text), wire.ConvSetOk)
    ann.ask(wire.DeviceSet(0, ann.device, text), wire.DeviceSetOk)
    assert ann.refused(wire.UserFind(0, text[:32])) == 4000
    assert bob.ask(wire.History(0, conv, seq, 1), wire.HistoryOk).records[0].content == wire.Content(1, text)
    assert bob.ask(wire.ConvGet(0, (conv,)), wire.ConvGetOk).infos[0].title == text
    assert ann.ask(wire.Devices(0), wire.DevicesOk).devices[0].name == text
    after = {name: len(rows) for name, rows in victim.stored().items()}
    grown = {name: count - tables[name] for name, count in after.items() if count != tables[name]}
    assert grown.pop("entry") in (3, 4)
    assert set(grown) <= {"conv", "conv_rc", "member"}
    bob.pushes()


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
def test_a28_a_search_has_no_syntax(text: str) -> None:
    """A28: words, and nothing between them means anything."""
    assert [word.lower for word in _words(text)] == text.lower().split()
