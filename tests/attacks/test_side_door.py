"""Attacks 16 to 18 and 20 at the side door: there are no files, no uploads and no pages, and whoever asks for them gets
the same short answers, as text.
"""

from __future__ import annotations

import re
import socket
import urllib.parse
from collections.abc import Iterator

import pytest

from tests.attacks.victim import PATIENCE, Victim, attacked
from tests.server.test_side_door import opened

LIST = {"/": 200, "/livez": 200, "/readyz": 200, "/metrics": 200}

TRAVERSALS = [
    *("/../etc/passwd", "/..", "/../", "/./../livez/../../etc/passwd", "/livez/../../etc/passwd", "//etc/passwd"),
    *("/%2e%2e/etc/passwd", "/%2e%2e%2fetc%2fpasswd", "/..%2f..%2fetc%2fpasswd", "/%252e%252e/etc/passwd"),
    *("/..%5c..%5cwindows", "/..\\..\\windows", "/%c0%ae%c0%ae/etc/passwd", "/..;/etc/passwd", "/.%00./etc/passwd"),
    *("/livez%00.html", "/livez/", "/livez;a=b", "/LIVEZ", "/livez%2f", "/.git/config", "/.env", "/wirechat.db"),
    *("/data/wirechat.db", "/proc/self/environ", "/files/1", "/media/1", "/upload", "/static/app.js", "/index.html"),
    *("/admin", "/debug", "/docs", "/openapi.json", "/favicon.ico", "/robots.txt", "/ws", "/metrics/..", "/readyz/x"),
    *("http://evil.example/livez/x", "*", "/" + "a" * 8_000),
]
SCRIPTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "{{7*7}}",
    "${7*7}",
    "<!--#exec cmd='id'-->",
]
METHODS = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "COPY"]


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A server with a side door."""
    with attacked(tmp_path_factory.mktemp("data"), opened=opened) as server:
        yield server


def ask(victim: Victim, data: bytes, port: str = "http") -> tuple[int, str, bytes]:
    """(status, headers in small letters, body) of the answer to these bytes; status 0 when there was none."""
    with socket.create_connection(("127.0.0.1", victim.port(port)), PATIENCE) as sock:
        sock.sendall(data)
        answer = b""
        try:
            while chunk := sock.recv(65536):
                answer += chunk
        except ConnectionError:
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, head.decode("latin-1").lower(), body


def get(victim: Victim, target: str, method: str = "GET", *headers: str, body: bytes = b"") -> tuple[int, str, bytes]:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *headers, "", ""]
    return ask(victim, "\r\n".join(lines).encode("latin-1") + body)


@pytest.mark.parametrize("path", LIST)
def test_a18_what_there_is_is_text_and_nothing_else(victim: Victim, path: str) -> None:
    """A18 A20: with a type that no browser takes for a page, and a word that it must not guess another."""
    status, head, body = get(victim, path)
    assert status == LIST[path]
    assert re.search(r"content-type: (text/plain|application/json|application/openmetrics-text)", head)
    assert "x-content-type-options: nosniff" in head
    assert "content-security-policy: default-src 'none'" in head
    assert "set-cookie" not in head
    assert "access-control-allow-origin" not in head
    assert b"<html" not in body.lower()


@pytest.mark.parametrize("target", TRAVERSALS, ids=lambda target: target[:40])
@pytest.mark.parametrize("port", ["http", "ws"])
def test_a16_there_are_no_files_to_reach(victim: Victim, target: str, port: str) -> None:
    """A16: names of files, however they are written: not found, or no request at all."""
    lines = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"
    status, head, body = ask(victim, lines.encode("latin-1"), port)
    assert status in (400, 404, 0) or (status == 307 and "location" in head), (status, body[:100])
    assert b"root:" not in body
    assert b"SQLite" not in body


@pytest.mark.parametrize("payload", SCRIPTS)
@pytest.mark.parametrize("where", ["path", "query", "header", "host"])
def test_a20_no_answer_repeats_what_was_asked(victim: Victim, payload: str, where: str) -> None:
    """A20: reflected scripts: neither in the body nor in a header."""
    quoted = urllib.parse.quote(payload, safe="<>\"'=/():{}$%!-#*")
    if where == "header":
        _, head, body = get(victim, "/nothing", "GET", f"X-Forwarded-Host: {payload}", f"Referer: {payload}")
    elif where == "host":
        _, head, body = ask(victim, f"GET /nothing HTTP/1.1\r\nHost: {payload}\r\n\r\n".encode("latin-1"))
    else:
        target = f"/nothing/{quoted}" if where == "path" else f"/livez?q={quoted}"
        _, head, body = get(victim, target.replace(" ", "%20"))
    assert payload.lower().encode() not in head.encode() + body.lower()
    assert b"alert(1)" not in body
    assert b"49" not in body


@pytest.mark.parametrize("path", LIST)
@pytest.mark.parametrize("method", METHODS)
def test_a17_nothing_can_be_put_there(victim: Victim, method: str, path: str) -> None:
    """A17: no upload, so no bomb is unpacked: methods that bring something are refused, and their body is not read."""
    status, _, _ = get(victim, path, method, "Content-Length: 4000000000", "Content-Encoding: gzip", body=b"\x1f\x8b")
    assert status in (400, 404, 405, 0)


BROKEN: dict[str, bytes] = {
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez"
    ),
    "a negative length": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a chunk of 2^64": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "a line feed in a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\nY: b\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "headers of 20 kB": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "a thousand headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "rubbish": bytes(range(256)) + b"\r\n\r\n",
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("port", ["http", "ws"])
def test_a17_a_request_that_two_could_read_differently_is_refused(victim: Victim, what: str, port: str) -> None:
    """A17 (smuggling): one answer at the most, and then the connection ends."""
    status, head, body = ask(victim, BROKEN[what], port)
    assert b"HTTP/1.1" not in body
    assert status in (0, 400, 404, 405, 413, 431, 500) or "connection: close" in head
    assert get(victim, "/livez")[0] == 200


@pytest.mark.parametrize("port", ["http", "ws"])
def test_a17_no_second_request_hides_behind_the_first(victim: Victim, port: str) -> None:
    """A17: pipelined or not, a connection gets one answer."""
    twice = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    status, head, body = ask(victim, twice, port)
    assert (status, body) == (200, b"ok\n")
    assert "connection: close" in head


UPGRADES: dict[str, bytes] = {
    "h2c": (
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    ),
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
}


@pytest.mark.parametrize("what", UPGRADES)
@pytest.mark.parametrize("port", ["http", "ws"])
def test_a17_there_is_no_http_2_inside(victim: Victim, what: str, port: str) -> None:
    """A17: it would bring hundreds of requests over one connection, past every bound of a port and every proxy."""
    status, head, body = ask(victim, UPGRADES[what], port)
    assert (status, head.startswith("\0")) == (200 if what == "h2c" else 0, False)
    assert body in (b"ok\n", b"")
