"""`wirechat support-bundle`: enough to find a fault, nothing that is nobody's business."""

from __future__ import annotations

import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trio

from tests.cli.command import refused, wirechat
from tests.server.rig import serving

TEXT, HANDLE, PASSWORD, SECRET = "the old mill at nine", "ophelia", "correct horse", "of-another-program"


class Metrics(BaseHTTPRequestHandler):
    """Answers as a server would."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(b"wirechat_connections 3\n")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def answering() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unpacked(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as tar:
        found = {}
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            found[member.name.removeprefix("wirechat-support/")] = file.read().decode()
    return found


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A data directory in which people have talked, with a certificate beside it."""

    async def talk() -> None:
        async with serving(tmp_path / "data") as rig:
            alice, bob = await rig.person(HANDLE), await rig.person("bob")
            await alice.say(await rig.group(alice, bob), TEXT)

    trio.run(talk)
    wirechat("user", "add", "--data", tmp_path / "data", "hamlet", stdin=PASSWORD.encode())
    wirechat("cert", tmp_path / "certs")
    return tmp_path


def test_it_holds_facts_and_no_secrets(used: Path) -> None:
    """The whole bundle is searched for whatever must not be in it."""
    bundle, certs = used / "bundle.tar.gz", used / "certs"
    flags = ("--data", used / "data", "--wss", "127.0.0.1:0", "--cert", certs / "chain.pem", "--key", certs / "key.pem")
    with answering() as url:
        environment = {"SOME_TOKEN": SECRET, "WIRECHAT_LIMITS__PAGE": "20"}
        ended = wirechat("support-bundle", "-o", bundle, "--url", url, *flags, env=environment)
    assert ended.status == 0, ended
    files = unpacked(bundle)
    assert json.loads(files["versions.json"])["wirechat"]
    assert json.loads(files["versions.json"])["trio"].startswith("0.")
    assert json.loads(files["platform.json"])["cores"] >= 1
    assert json.loads(files["settings.json"])["limits.page"]["value"] == 20
    assert json.loads(files["doctor.json"])["well"] is True
    store = json.loads(files["store.json"])
    assert (store["accounts"], store["entries"], store["conversations"]) == (3, 2, 1)
    assert files["metrics.txt"] == "wirechat_connections 3\n"
    everything = "".join(files.values())
    key = (certs / "key.pem").read_text().splitlines()[1]
    for secret in (TEXT, HANDLE, "hamlet", PASSWORD, SECRET, "SOME_TOKEN", key, "PRIVATE KEY", "$argon2"):
        assert secret not in everything, secret


@pytest.mark.parametrize("slash", ["", "/", "/metrics"])
def test_the_side_door_is_found(tmp_path: Path, slash: str) -> None:
    """By its setting, or by --url with or without a slash at its end."""
    with answering() as url:
        address = url.removeprefix("http://").replace("127.0.0.1", "0.0.0.0")
        where = ("--url", url + slash) if slash else ("--http", address)
        ended = wirechat("support-bundle", "-o", tmp_path / "bundle.tar.gz", *where)
    assert (ended.status, ended.err) == (0, ""), ended
    assert unpacked(tmp_path / "bundle.tar.gz")["metrics.txt"] == "wirechat_connections 3\n"


def test_missing_metrics_are_told(tmp_path: Path) -> None:
    """One would find out only after it was sent."""
    ended = wirechat("support-bundle", "-o", tmp_path / "bundle.tar.gz", "--http", "127.0.0.1:1")
    assert ended.status == 0
    assert "Without metrics: http://127.0.0.1:1/metrics gave nothing" in ended.err


def test_it_works_where_nothing_does(tmp_path: Path) -> None:
    """Trouble is when it is needed: no data, no server."""
    bundle = tmp_path / "bundle.tar.gz"
    ended = wirechat("support-bundle", "-o", bundle, "--data", tmp_path / "data", "--url", "http://127.0.0.1:1")
    assert ended.status == 0
    files = unpacked(bundle)
    assert json.loads(files["store.json"]) == {}
    assert "gave nothing" in files["metrics.txt"]
    assert not (tmp_path / "data").exists()


def test_bad_input(tmp_path: Path) -> None:
    """A file that is there is kept."""
    (tmp_path / "there").write_text("precious")
    assert "File exists" in refused("support-bundle", "-o", tmp_path / "there")
    assert "No such file" in refused("support-bundle", "-o", tmp_path / "no" / "where")
    assert "write http://host:port" in refused("support-bundle", "-o", tmp_path / "new", "--url", "file:///etc/passwd")
    assert "write http://host:port" in refused("support-bundle", "-o", tmp_path / "new", "--url", "here")
    assert (tmp_path / "there").read_text() == "precious"
    assert not (tmp_path / "new").exists()
