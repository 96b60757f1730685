"""Bad input on the command line: one line that says what is wrong, status 2, no traceback. Every command is tried."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio

from tests.cli.command import refused, unprivileged, wirechat
from wirechat.cli.main import COMMANDS
from wirechat.cli.running import run
from wirechat.cli.verify import verify
from wirechat.store.sqlite import FILE, open_sqlite

PATIENCE = 20.0
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def places() -> Iterator[Path]:
    """Whatever one could point a command at by mistake. Not below the directory of pytest, which only its owner may
    enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="wirechat-"))
    folder.chmod(0o755)
    try:
        _fill(folder)
        yield folder
    finally:
        shutil.rmtree(folder)


def _fill(folder: Path) -> None:
    async def make(name: str) -> None:
        async with open_sqlite(folder / name):
            pass

    for module, _, _ in COMMANDS.values():
        importlib.import_module(module)  # who is nobody may not be able to
    for name in ("good", "newer", "changed", "older", "owned"):
        trio.run(make, name)
    _execute(folder / "newer", "INSERT INTO migration VALUES (99, 'later')")
    _execute(folder / "changed", "UPDATE migration SET checksum = 'other'")
    _execute(folder / "older", "DELETE FROM migration")
    (folder / "foreign").mkdir()
    _execute(folder / "foreign", "CREATE TABLE theirs (x)")
    (folder / "garbage").mkdir()
    (folder / "garbage" / FILE).write_bytes(b"no database " * 1000)
    (folder / "file").write_text("text\n")
    (folder / "binary").write_bytes(bytes(range(256)) * 10)
    (folder / "bad.toml").write_text("[listen]\ntcp = 5\n")
    (folder / "good.toml").write_text('[data]\ndirectory = "good"\n[listen]\ntcp = ["127.0.0.1:0"]\n')
    (folder / "closed.toml").write_text("")
    (folder / "closed.toml").chmod(0)
    (folder / "closed.raw.txt").write_text("[12:00] <a> b\n")
    (folder / "closed.raw.txt").chmod(0)
    (folder / "owned" / FILE).chmod(0o600)
    (folder / "owned" / "lock").chmod(0o600)
    (folder / "owned").chmod(0o555)
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "readonly").mkdir()
    (folder / "readonly").chmod(0o555)
    wirechat("cert", folder / "one")
    wirechat("cert", folder / "two")
    (folder / "two/key.pem").chmod(0)


def _execute(folder: Path, sql: str) -> None:
    db = apsw.Connection(str(folder / FILE))
    db.execute(sql)
    db.close()


CLOSED = ("@owned", "@closed.toml", "@closed.raw.txt", "@readonly/data", "@readonly/certs", "@two/key.pem")
TCP = ("--tcp", "127.0.0.1:0")
LOG = str(ROOT / "examples/logs/nightwatch.raw.txt")
TLS = ("serve", "--data", "@good", "--tls", "127.0.0.1:0")
SERVER = ("--url", "wirechat://127.0.0.1:1")

LOOKING = {("store", "readonly/data"), ("backup", "readonly/data")}
"""There is nothing there to look at, and they make nothing."""

SWEEP: dict[tuple[str, ...], str] = {
    # the words
    ("sevre",): "No such command 'sevre'. (Did you mean one of: 'serve'",
    ("serve", "--tpc", "x"): "No such option '--tpc'",
    ("serve", "--tcp"): "requires an argument",
    ("serve", "extra"): "unexpected extra argument",
    ("config", "shwo"): "No such command",
    ("config", "default", "x"): "unexpected extra argument",
    ("user", "add", "--data", "@good"): "Missing argument 'HANDLE'",
    ("cert",): "Missing argument 'DIRECTORY'",
    ("cluster", "status"): "say which cluster",
    ("cluster", "demo", "--nodes", "0"): "0 is not in the range",
    ("store", "move", "sqlite:@new", "postgresql://x@127.0.0.1:1/x"): "cannot find a server's data in",
    ("cert", "@new", "--days", "0"): "0 is not in the range",
    ("verify", "--dta", "x"): "No such option",
    ("loadgen", "run", "pears", *SERVER): "there is no scenario 'pears'",
    ("loadgen", "run", "pairs", "--url", "ftp://x"): "bad URL",
    ("loadgen", "run", "pairs", *SERVER, "--share", "3/2"): "must be K/N",
    ("loadgen", "run", "@closed.raw.txt", *SERVER): "closed.raw.txt: Permission denied",
    ("loadgen", "compare", "@none", "@none"): "none: No such file",
    ("replay",): "Missing argument 'FILES...'",
    ("replay", LOG): "Missing option '--url'",
    ("replay", LOG, *SERVER, "--drop", "1"): "is not in the range",
    ("replay", LOG, *SERVER, "--jobs", "x"): "is not a valid integer",
    ("plan", "--directory", "/proc"): "cannot write in /proc",
    ("demo", "--tcp", "x", "--data", "@new"): '--tcp: "x" is not host:port',
    # settings
    ("serve",): "say where to keep the data",
    ("serve", "--data", "@new"): "say where to listen",
    ("serve", "--data", "", *TCP): '--data: "" is not a path',
    ("serve", "--data", "@new", "--tcp", "70000"): '--tcp: "70000" is not host:port',
    ("serve", "--data", "@new", "--tcp", "[::1"): "is not host:port",
    ("serve", "--data", "@new", *TCP, "--trust-proxy", "nginx"): '"nginx" is not an IP address',
    ("serve", "--config", "@none.toml"): "none.toml: No such file",
    ("serve", "--config", "@good"): "good: Is a directory",
    ("serve", "--config", "@binary"): "binary: is not UTF-8 text",
    ("serve", "--config", "@file"): "file: Expected '='",
    ("serve", "--config", "@bad.toml"): "bad.toml: listen.tcp: 5 is not a list",
    ("serve", "--config", "@closed.toml"): "closed.toml: Permission denied",
    ("config", "check", "@bad.toml"): "bad.toml: listen.tcp: 5 is not a list",
    ("config", "show", "--config", "@bad.toml"): "bad.toml: listen.tcp: 5 is not a list",
    ("doctor", "--config", "@bad.toml"): "bad.toml: listen.tcp: 5 is not a list",
    ("support-bundle", "--config", "@bad.toml"): "bad.toml: listen.tcp: 5 is not a list",
    # certificates
    TLS: "TLS needs a certificate",
    (*TLS, "--cert", "@one/chain.pem"): "TLS needs a certificate",
    (*TLS, "--cert", "@one/none.pem", "--key", "@one/key.pem"): "none.pem: No such file",
    (*TLS, "--cert", "@one/chain.pem", "--key", "@two/key.pem"): "key.pem: Permission denied",
    (*TLS, "--cert", "@two/chain.pem", "--key", "@one/key.pem"): "they do not belong together",
    (*TLS, "--cert", "@file", "--key", "@one/key.pem"): "not a certificate and a key in PEM",
    (*TLS, "--cert", "@one", "--key", "@one/key.pem"): "one: Is a directory",
    ("cert", "@one"): "is there already",
    ("cert", "@file"): "is a file",
    ("cert", "@readonly/certs"): "cannot write to",
    ("cert", "@new", "a b"): "neither a host name nor an IP address",
    # ports
    ("serve", "--data", "@good", "--tcp", "192.0.2.1:7667"): "Cannot assign requested address; give an address of",
    ("serve", "--data", "@good", "--tcp", "no.such.host.invalid:1"): "cannot listen on no.such.host.invalid:1",
    ("serve", "--data", "@good", "--tcp", f"{'x' * 70}:1"): "there is no such host",
    ("serve", "--data", "@good", "--tcp", "..:1"): "cannot listen on ..:1",
    # data
    ("verify",): "give one of --data, --store, --config and --backup",
    ("verify", "--data", "@none", "--backup", "@file"): "give one of --data, --store, --config and --backup",
    ("verify", "--data", "@none"): "cannot find a server's data in",
    ("verify", "--data", "@file"): "is a file",
    ("verify", "--store", "nonsense"): "postgresql://",
    ("verify", "--store", "postgresql://127.0.0.1:1/none"): "cannot",
    ("user", "reset", "--data", "@good", "nobody", "--password", "correct horse"): "there is no account nobody",
    ("user", "add", "--data", "@good", "No Handle", "--password", "correct horse"): "a handle is 1 to 32 of",
    ("user", "add", "--data", "@good", "hamlet", "--password", "short"): "a password has at least 8 bytes",
    ("user", "add", "--data", "@good", "hamlet"): "a password has at least 8 bytes",
    ("store", "sats"): "No such command",
    ("store", "stats"): "give either --data or --store",
    ("store", "stats", "--store", "postgresql://127.0.0.1:1/none"): "cannot",
    ("store", "stats", "--data", "@none"): "cannot find a server's data in",
    ("store", "vacuum", "--data", "@none"): "cannot find a server's data in",
    ("store", "vacuum"): "Missing option '--data'",
    ("backup", "--data", "@good"): "Missing argument 'DEST'",
    ("backup", "--data", "@good", "@good"): "good",
    ("backup", "--data", "@none", "@new"): "cannot find a server's data in",
    ("backup", "--data", "@owned", "@open/copy"): "; run this as the user whose data it is",
    ("store", "stats", "--data", "@owned"): "; run this as the user whose data it is",
    ("verify", "--data", "@owned"): "; run this as the user whose data it is",
    ("serve", "--data", "@owned", *TCP): "; run this as the user whose directory it is, or give another one",
    ("serve", "--data", "@file", *TCP): "file: a file is in its place; give a directory",
    ("backup", "--data", "@good", "@new", "--max-wal", "0"): "is not in the range",
    ("restore", "@none", "--data", "@new"): "none",
    ("restore", "@binary", "--data", "@new"): "binary",
    ("restore", "@good", "--data", "@new"): "is a directory",
    # replay
    ("replay", "@none", *SERVER): "none: No such file",
    ("replay", "@good", *SERVER): "good: Is a directory",
    ("replay", "@binary", *SERVER): "binary",
    ("replay", "@closed.raw.txt", *SERVER): "closed.raw.txt: Permission denied",
    ("replay", LOG, "--url", "ftp://x"): "bad URL",
    ("replay", LOG, "--url", "ws://127.0.0.1:1,ws://127.0.0.1:2"): "give --url once for each node",
    ("replay", LOG, *SERVER, "--ca", "@none"): "does not exist",
    ("replay", LOG, "--url", "wirechats://127.0.0.1:1", "--ca", "@file"): "file has no certificates to trust",
} | {
    (*command, "--data", f"@{data}", *more): reason
    for command, more in (
        (("serve",), TCP),
        (("demo",), TCP),
        (("user", "add"), ("hamlet", "--password", "correct horse")),
        (("user", "reset"), ("hamlet", "--password", "correct horse")),
        (("verify",), ()),
        (("store", "stats"), ()),
        (("store", "vacuum"), ()),
        (("backup",), ("@never",)),
    )
    for data, reason in {
        "newer": "newer wirechat",
        "changed": "is not ours",
        "foreign": "belongs to another program",
        "garbage": "is not a database",
        "readonly/data": "cannot",
    }.items()
    if (command[0], data) not in LOOKING
}  # fmt: skip


@pytest.mark.parametrize("words", SWEEP, ids=lambda words: " ".join(words).replace(LOG, "LOG") or "nothing")
def test_one_line_and_status_2(words: tuple[str, ...], places: Path) -> None:
    """Words, settings, certificates, ports and data that cannot be used; @ is a place with all of them."""
    arguments = [str(places / word[1:]) if word.startswith("@") else word for word in words]
    closed = any(word in CLOSED for word in words)
    with unprivileged() if closed else nullcontext():
        line = refused(*arguments)
    assert line.startswith("wirechat")
    assert SWEEP[words] in line


def test_every_command_is_tried() -> None:
    """A new one has its mistakes, too."""
    assert {words[0] for words in SWEEP} >= set(COMMANDS) - NOT_MINE
    assert not NOT_MINE - set(COMMANDS)


NOT_MINE = {"chat", "conform"}
"""Commands whose bad input is tried elsewhere."""


@pytest.mark.parametrize("command", ["serve", "demo", "user", "doctor"])
def test_data_that_is_in_use(command: str, places: Path) -> None:
    """One process at a time; who only looks may look, and the doctor is none of those who stop."""
    arguments: dict[str, tuple[str, ...]] = {
        "serve": ("serve", "--data", str(places / "good"), *TCP),
        "demo": ("demo", "--data", str(places / "good"), *TCP),
        "user": ("user", "add", "--data", str(places / "good"), "hamlet", "--password", "correct horse"),
        "doctor": ("doctor", "--data", str(places / "good"), *TCP),
    }
    server = subprocess.Popen([sys.executable, "-c", HOLD, str(places / "good")], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"held\n"
        if command == "doctor":
            assert wirechat(*arguments[command]).status == 0
        else:
            assert f"in use by process {server.pid}; stop it first" in refused(*arguments[command])
    finally:
        server.kill()
        server.communicate()


HOLD = """
import pathlib, sys, time
from wirechat.store import directory
with directory.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("command", ["doctor", "support-bundle"])
def test_data_that_only_someone_else_may_enter(command: str, places: Path) -> None:
    """The doctor finds it, the bundle has it; neither fails of it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    more = ("-o", folder / "bundle") if command == "support-bundle" else ()
    try:
        (places / "good").chmod(0o700 if os.geteuid() == 0 else 0)
        with unprivileged():
            ended = wirechat(command, "--data", places / "good", *TCP, *more)
    finally:
        (places / "good").chmod(0o700)
        shutil.rmtree(folder)
    assert ended.err == ""
    if command == "doctor":
        assert ended.status == 1
        assert "cannot use" in ended.out
    else:
        assert ended.status == 0


@pytest.mark.parametrize("data", ["good", "new"])
@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize("flag", ["--tcp", "--ws"])
def test_a_port_that_is_in_use(command: str, flag: str, data: str, places: Path) -> None:
    """Named, with the reason and the way out; nothing is made for a server that cannot be."""
    others = {"--tcp": "127.0.0.1:0", "--ws": "127.0.0.1:0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = [word for pair in (others | {flag: address}).items() for word in pair]
        line = refused(command, "--data", places / data, *flags)
    assert line == (
        f"wirechat: cannot listen on {address}: Address already in use; stop the server that runs there, or choose"
        f" another port with wirechat {command} {flag}"
    )
    assert not (places / "new").exists()


ENVIRONMENT = {
    "WIRECHAT_LISTEN__TCP": ("70000", 'WIRECHAT_LISTEN__TCP: "70000" is not host:port'),
    "WIRECHAT_LOG__LEVEL": ("loud", 'WIRECHAT_LOG__LEVEL: "loud" is none of'),
    "WIRECHAT_LOG__LEVLE": ("info", "did you mean WIRECHAT_LOG__LEVEL?"),
    "WIRECHAT_CONFIG": ("/no/such/file.toml", "cannot read /no/such/file.toml"),
}


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("command", [("serve",), ("config", "check"), ("config", "show"), ("doctor",)], ids=" ".join)
def test_a_bad_environment(name: str, command: tuple[str, ...], places: Path) -> None:
    """The variable is named."""
    value, reason = ENVIRONMENT[name]
    assert reason in refused(*command, "--data", places / "good", "--ws", "127.0.0.1:0", env={name: value})


def test_a_password_that_is_no_text(places: Path) -> None:
    """From a file in another encoding, say."""
    line = refused("user", "add", "--data", places / "good", "hamlet", stdin=b"caf\xe9 correct horse\n")
    assert "UTF-8" in line


@pytest.mark.parametrize("words", [(), ("user",), ("config",), ("store",)], ids=str)
def test_no_subcommand_is_help(words: tuple[str, ...]) -> None:
    """The help alone, which needs no hint where to find it, and status 2."""
    ended = wirechat(*words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(" ".join(("Usage: wirechat", *words)))
    assert "(see" not in ended.err


# Ctrl-C


WAITING: dict[str, Callable[[str, Path], tuple[str, ...]]] = {
    "replay": lambda place, folder: ("replay", LOG, "--url", f"wirechat://{place}", "--jobs", "1"),
    "support-bundle": lambda place, folder: (
        "support-bundle",
        "-o",
        str(folder / "bundle"),
        "--url",
        f"http://{place}",
    ),
}


@pytest.mark.parametrize("command", WAITING)
def test_ctrl_c_while_a_command_waits(command: str, tmp_path: Path) -> None:
    """Status 130, nothing more, and no file that is half done."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(PATIENCE)
        place = f"127.0.0.1:{mute.getsockname()[1]}"
        words = [sys.executable, "-m", "wirechat.cli.main", *WAITING[command](place, tmp_path)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        held, _ = mute.accept()
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        held.close()
    assert (process.returncode, b"Traceback" in err) == (130, False), err
    assert out == b""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("two", [KeyboardInterrupt()])])
def test_ctrl_c_inside_of_trio(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trio wraps it when tasks run beside each other."""

    async def interrupted() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error

    def command(**_: Any) -> None:
        run(interrupted)

    monkeypatch.setattr(verify, "callback", command)
    ended = wirechat("verify")
    assert (ended.status, ended.err.strip()) == (130, "")


def test_ctrl_c_while_it_is_loaded(tmp_path: Path) -> None:
    """By the console script, in the middle of the first import that takes its time."""
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    words = [sys.executable, "-c", "from wirechat.cli.entry import main; main()"]
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    ended = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")
    assert "\n    wirechat = wirechat.cli.entry:main\n" in (ROOT / "setup.cfg").read_text()


def test_a_reader_that_has_seen_enough() -> None:
    """`wirechat config default | head -1`."""
    words = [sys.executable, "-m", "wirechat.cli.main", "config", "default"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(PATIENCE) == 1
