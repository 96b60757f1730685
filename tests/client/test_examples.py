"""The examples run as they are, against a scripted server on this machine."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.client.stage import Stage, entry, row
from tests.client.test_transport import serving
from wirechat import wire

ROOT = Path(__file__).resolve().parents[2]
CONV = 5
SECONDS = 60
BLOCKING_USAGE = "usage: blocking_client.py HOST:PORT HANDLE PASSWORD [TO TEXT]"


def test_the_blocking_client_fits_on_a_page() -> None:
    """It shows that a client needs a socket and the wire, and little else."""
    source = (ROOT / "examples" / "blocking_client.py").read_text()
    assert len(source.splitlines()) <= 70
    imported = {line.split()[-1] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"itertools", "os", "socket", "sys", "wire"}


def program(name: str, *arguments: str) -> partial[subprocess.Popen[bytes]]:
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    return partial(trio.lowlevel.open_process, command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)


async def test_blocking_client() -> None:
    stage = Stage()
    with trio.fail_after(SECONDS):
        async with serving(stage, "wirechat", None) as url:
            address = url.removeprefix("wirechat://")
            process = await program("blocking_client.py", address, "ada", "secret-word", "bob", "Hello, Bob")()
            peer = await stage.connection()
            await peer.synced(row(CONV, 0))
            assert peer.heard(wire.Auth)[0].proof == b"secret-word"
            found = await peer.expect(wire.UserFind)
            peer.say(wire.UserFindOk(found.rid, wire.User(8, "bob")))
            made = await peer.expect(wire.ConvNew)
            peer.say(wire.ConvNewOk(made.rid, CONV, 1, 1))
            send = await peer.expect(wire.Send)
            assert send.content == wire.Content(1, "Hello, Bob")
            peer.say(wire.SendOk(send.rid, 2, 2), entry(CONV, 3, "Hello yourself"))
            assert (await peer.expect(wire.Ack)).n == 1
            peer.abort()
            output = b""
            async for chunk in process.stdout:
                output += chunk
            await process.wait()
            assert output.decode().splitlines() == [
                "stored as number 2 of conversation 5",
                "8 in 5: 'Hello yourself'",
            ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["blocking_client.py"], BLOCKING_USAGE),
        (["blocking_client.py", "127.0.0.1", "ada", "secret"], BLOCKING_USAGE),
        (["blocking_client.py", "127.0.0.1:1", "ada", "secret", "bob"], BLOCKING_USAGE),
        (
            ["blocking_client.py", "127.0.0.1:1", "ada", "secret"],
            "cannot connect to 127.0.0.1:1: Connection refused; is the server running?",
        ),
        (["ten_lines.py"], "usage: ten_lines.py URL HANDLE PASSWORD"),
    ],
)
def test_an_example_says_what_is_wrong_in_one_line(arguments: list[str], said: str) -> None:
    """No traceback is the first thing its reader sees."""
    command = [sys.executable, str(ROOT / "examples" / arguments[0]), *arguments[1:]]
    ended = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", said + "\n")


async def test_ten_lines(tmp_path: Path) -> None:
    stage = Stage()
    with trio.fail_after(SECONDS):
        async with serving(stage, "wirechat", None) as url:
            command = [sys.executable, str(ROOT / "examples" / "ten_lines.py"), url, "ada", "secret-word"]
            process = await trio.lowlevel.open_process(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
            try:
                peer = await stage.connection()
                await peer.synced(row(CONV, 0))
                await trio.sleep(0.5)
                peer.say(entry(CONV, 1, "hello"))
                send = await peer.next_of(wire.Send)
                assert (send.ref, send.content) == (1, wire.Content(1, "You said: hello"))
            finally:
                process.kill()
                await process.wait()
