"""What is secret in a URL goes to the server and nowhere else: into no line, no result, no report."""

from __future__ import annotations

import base64
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli import command
from tests.loadgen.test_scrape import TOLD
from tools.loadgen.command import _typed
from tools.loadgen.place import find_place
from tools.loadgen.scrape import BadMetrics, open_metrics
from wirechat.settings.urls import shown

PASSWORD = "p@ss/w0rd"
PAIRS = ("loadgen", "run", "pairs", "--url")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("no load on ws://me:p@ss/w0rd@host:1/x: it is gone", "no load on ws://me:***@host:1/x: it is gone"),
        ("postgresql://me@host/db?password=p@ss&a=b", "postgresql://me@host/db?password=***&a=b"),
        ("wirechat://host:7667", "wirechat://host:7667"),
        ("mqtt://me@host", "mqtt://me@host"),
    ],
)
def test_a_line_has_no_password(text: str, safe: str) -> None:
    assert shown(text) == safe


@pytest.mark.parametrize(
    "words",
    [
        (*PAIRS, f"http://me:{PASSWORD}@127.0.0.1:1"),
        (*PAIRS, f"wirechat://me:{PASSWORD}@127.0.0.1:x"),
        (*PAIRS, "wirechat://me:p_w0rd@127.0.0.1:1"),
        (*PAIRS, "nats://me:p_w0rd@127.0.0.1:1", "--target", "mqtt"),
        (*PAIRS, "nats://me:p_w0rd@127.0.0.1:1", "--target", "nats"),
        (*PAIRS, "wirechat://127.0.0.1:1", "--metrics", "ftp://me:p_w0rd@127.0.0.1:1/metrics"),
        (*PAIRS, "wirechat://127.0.0.1:1", "--metrics", "http://me:p_w0rd@127.0.0.1:1/metrics"),
        ("replay", "setup.cfg", "--url", f"http://me:{PASSWORD}@127.0.0.1:1"),
    ],
)
def test_no_line_of_a_command_has_it(words: tuple[str, ...]) -> None:
    done = command.wirechat(*words)
    assert done.status == 2
    assert "w0rd" not in done.out + done.err, done.err


def test_neither_result_nor_report_has_it(result: Path) -> None:
    plain = json.loads(result.read_text())
    result.write_text(json.dumps({**plain, "url": "ws://me:p_w0rd@host"}))
    report = result.with_name("report.html")
    done = command.wirechat("loadgen", "merge", result, "--json", "--report", report)
    assert json.loads(done.out)["url"] == "ws://me:***@host"
    assert "w0rd" not in done.out + report.read_text()


class Guarded(BaseHTTPRequestHandler):
    """Metrics for those who know the password."""

    def do_GET(self) -> None:
        proof = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        self.send_response(200 if self.headers["Authorization"] == f"Basic {proof}" else 401)
        self.end_headers()
        self.wfile.write(TOLD.encode())

    def log_message(self, *words: object) -> None:
        pass


def test_metrics_are_asked_for_with_the_password() -> None:
    with HTTPServer(("127.0.0.1", 0), Guarded) as server:
        Thread(target=server.serve_forever, args=(0.05,)).start()
        place = f"127.0.0.1:{server.server_port}/metrics"
        try:
            assert open_metrics(f"http://me:p%40ss%2Fw0rd@{place}", "", None)
            with pytest.raises(BadMetrics, match=f"no metrics at http://{place}: HTTP status 401"):
                open_metrics(f"http://me:wrong@{place}", "", None)
        finally:
            server.shutdown()


def test_the_command_in_a_report_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["wirechat", "loadgen", "run", "--url=ws://me:p_w0rd@host", "--token", "w0rd", "--token=w0rd", "--json"]
    monkeypatch.setattr("sys.argv", words)
    assert _typed() == "wirechat loadgen run '--url=ws://me:***@host' --token *** --token=*** --json"


def test_a_web_socket_is_asked_for_without_it() -> None:
    place = find_place("ws://me:p_w0rd@127.0.0.1:80/chat", None)
    assert place.websocket == ("/chat", "127.0.0.1:80")
