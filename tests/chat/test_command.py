"""The command line: bad input is one line and status 2; a real terminal, a password once, and none the second time."""

import os
import pty
import select
import signal
import stat
import subprocess
import sys
import termios
import time
from pathlib import Path

import apsw
import pytest
import trio
from click.testing import CliRunner, Result

from tests.replay.server import ServerProcess
from wirechat.cli.chat import command
from wirechat.cli.chat.place import cache_path, claimed, handles
from wirechat.cli.running import Stop
from wirechat.client import LoginFailed, open_client, register
from wirechat.wire import errors

URL = "wirechat://127.0.0.1:1"
SECONDS = 30


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def called(*arguments: str) -> Result:
    return CliRunner().invoke(command.chat, arguments)


def refused(result: Result) -> str:
    """The one line."""
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    [line] = result.stderr.splitlines()
    return line


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    """What is wrong, and what to do."""
    assert "must begin with one of wirechat://" in refused(called("http://example.org", "--handle", "ann"))
    assert "no number from 1 to 65535" in refused(called("wirechat://example.org:0", "--handle", "ann"))
    assert "say who you are with --handle" in refused(called(URL))
    (tmp_path / "foreign").write_bytes(b"a diary, not a cache")
    assert "not a database" in refused(called(URL, "--handle", "ann", "--cache", str(tmp_path / "foreign")))
    assert "this program needs a terminal" in refused(called(URL, "--handle", "ann"))


def test_a_cache_of_somebody_else_or_of_a_later_version(tmp_path: Path) -> None:
    newer = apsw.Connection(str(tmp_path / "newer"))
    newer.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value)")
    newer.pragma("application_id", 0x57434C31)
    newer.pragma("user_version", 99)
    newer.close()
    assert "version 99" in refused(called(URL, "--handle", "ann", "--cache", str(tmp_path / "newer")))
    other = apsw.Connection(str(tmp_path / "other"))
    other.execute("CREATE TABLE anything (x)")
    other.close()
    assert "not a client's cache" in refused(called(URL, "--handle", "ann", "--cache", str(tmp_path / "other")))


def test_one_copy_uses_a_cache(state: Path) -> None:
    """The second one is told, and the first is not disturbed."""
    path = cache_path(URL, "ann")
    assert path == state / "wirechat" / "127.0.0.1_1" / "ann.db"
    with claimed(path):
        assert "is in use by another copy" in refused(called(URL, "--handle", "ann"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "needs a terminal" in refused(called(URL, "--handle", "ann"))


def test_who_has_logged_in_from_here_is_known() -> None:
    """One account needs no --handle, several are named."""
    assert handles(URL) == []
    for handle in ("bob", "ann"):
        path = cache_path(URL, handle)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert handles(URL) == ["ann", "bob"]
    assert "--handle: ann, bob" in refused(called(URL))
    cache_path(URL, "bob").unlink()
    assert "needs a terminal" in refused(called(URL))


class Pty:
    """The program on a real terminal."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        command = [sys.executable, "-m", "wirechat.cli.main", "chat", *arguments]
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        self.output = ""

    def until(self, text: str) -> None:
        """Reads until this was written."""
        end = time.monotonic() + SECONDS
        while text not in self.output:
            assert time.monotonic() < end, f"{text!r} never came: {self.output[-2000:]}"
            self._read()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def status(self) -> int:
        """Waits for the end."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < end, self.output[-2000:]
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def _read(self) -> bool:
        """Reads what there is; False when nothing is."""
        if not select.select([self._master], [], [], 0.2)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is gone
            return False
        self.output += data.decode(errors="replace")
        return bool(data)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._master)


def test_a_password_once_and_no_server_the_second_time(server: ServerProcess, tmp_path: Path) -> None:
    """The first start asks for it, the second neither for it nor for a server; a wrong one is one line.

    Whoever takes the device away ends the program with a line; a signal ends it with the terminal as it was; a device
    that was revoked may log in again.
    """
    url = server.urls[0]

    async def make() -> None:
        await register(url, "zoe", password="correct horse", name="Zoë")

    trio.run(make)
    nobody = Pty(URL, "--handle", "zoe")
    assert nobody.status() == 2
    assert f"wirechat: {URL}: connection refused at 127.0.0.1:1: is the server running?" in nobody.output
    assert "Password" not in nobody.output
    nobody.close()

    wrong = Pty(url, "--handle", "zoe")
    wrong.until("Password of zoe")
    wrong.type("battery staple\n")
    assert wrong.status() == 2
    assert "Traceback" not in wrong.output
    wrong.close()

    first = Pty(url, "--handle", "zoe")
    first.until("Password of zoe")
    first.type("correct horse\n")
    first.until("connected")
    cache = cache_path(url, "zoe")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600

    async def intrude() -> None:
        async with open_client(url, cache=cache):
            assert first.status() == 2

    trio.run(intrude)
    assert "wirechat: stopped: " in first.output
    assert "Traceback" not in first.output
    first.close()

    stopped = Pty(url, "--handle", "zoe")
    stopped.until("connected")
    stopped.process.send_signal(signal.SIGTERM)
    assert stopped.status() == 0
    assert "\x1b[?1049l" in stopped.output
    stopped.close()

    async def revoke() -> None:
        async with open_client(url, handle="zoe", password="correct horse") as client:
            for device in await client.account.devices():
                if device.device != client.device:
                    assert device.name is not None
                    assert device.name.startswith("wirechat chat on ")
                    await client.account.revoke_device(device.device)

    running = Pty(url, "--handle", "zoe")
    running.until("connected")
    trio.run(revoke)
    running.until("This device has to log in again: this device was revoked")
    running.until("Password of zoe")
    assert "Traceback" not in running.output
    running.close()

    again = Pty(url, "--handle", "zoe")
    again.until("This device has to log in again")
    again.until("Password of zoe")
    again.type("correct horse\n")
    again.until("connected")
    again.type("\x11")
    assert again.status() == 0
    again.close()

    server.kill()
    second = Pty(url)
    second.until("offline")
    second.type("\x11")
    assert second.status() == 0
    assert "Password" not in second.output
    second.close()
    server.start()


def test_an_account_is_made_where_the_server_allows_it(tmp_path: Path) -> None:
    """The password is asked for twice; elsewhere one line says whom to ask."""
    places = (("--tcp", "127.0.0.1:0"),)
    with ServerProcess(tmp_path / "open", places=places) as server:
        new = Pty(server.urls[0], "--handle", "newcomer", "--register")
        new.until("New password for newcomer")
        new.type("correct horse\n")
        new.until("Repeat for confirmation")
        new.type("correct horse\n")
        new.until("connected")
        new.type("\x11")
        assert new.status() == 0
        new.close()
        again = Pty(server.urls[0], "--handle", "newcomer", "--register")
        assert again.status() == 2
        assert "leave out --register" in again.output
        again.close()


def test_a_server_that_makes_no_accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whom to ask, in one line; the real server says so to strangers from other machines only."""

    async def closed(*_: object, **__: object) -> None:
        raise LoginFailed("registration is closed", code=errors.REGISTRATION_CLOSED)

    monkeypatch.setattr(command, "register", closed)
    with pytest.raises(Stop, match="ask its operator for ann"):
        trio.run(command.Account(URL, "ann", tmp_path / "ann.db", None).register, "correct horse")


def test_the_command_is_cheap_to_load() -> None:
    """It comes without Textual: it takes a quarter of a second."""
    loaded = "import sys, wirechat.cli.chat.command; print('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout == "False\n"
