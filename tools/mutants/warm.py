"""Starts a driver of the client again and again without the cost of its imports: a process that has made them forks.

Each fork is as fresh as a process of its own; when its stub (stub.py) is killed, so is the fork.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

STUB = Path(__file__).with_name("stub.py")
ENVIRONMENT_BYTES_MAX = 1 << 20


class Cold(Exception):
    """The packages cannot be imported; the message is one line."""


@contextlib.contextmanager
def warm(tree: Path, program: Path) -> Iterator[list[str]]:
    """The command that starts `program` with the packages of this source tree. Raises Cold."""
    with tempfile.TemporaryDirectory(prefix="wirechat-warm-") as directory:
        path = str(Path(directory) / "socket")
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.mutants.warm", path, str(program)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise Cold("the client cannot be imported")
            yield [sys.executable, "-I", "-S", str(STUB), path]
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


@attrs.define
class Fork:
    """One of them, and the connection of its stub."""

    pid: int
    stub: socket.socket
    ended: bool = False


class Warm:
    """The process that forks."""

    def __init__(self, path: str, program: str) -> None:
        self._program = program
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen(64)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ, None)
        self._selector.register(0, selectors.EVENT_READ, None)
        self._forks: list[Fork] = []

    def run(self) -> None:
        """Until whoever started it closes its standard input, or ends; no fork outlives it."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(reading, selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    return self._end()
                if key.fileobj is self._listening:
                    self._fork()
                elif key.fileobj == reading:
                    os.read(reading, 4096)
                    self._bury()
                else:
                    self._kill(key.data)

    def _fork(self) -> None:
        stub, _ = self._listening.accept()
        _, told, _, _ = stub.recvmsg(1, socket.CMSG_SPACE(3 * array.array("i").itemsize))
        streams = array.array("i")
        streams.frombytes(told[0][2])
        with stub.makefile("rb") as lines:
            environment = json.loads(lines.readline(ENVIRONMENT_BYTES_MAX))
        pid = os.fork()
        if pid == 0:
            self._become(streams, environment)
        for stream in streams:
            os.close(stream)
        fork = Fork(pid, stub)
        self._forks.append(fork)
        self._selector.register(stub, selectors.EVENT_READ, fork)

    def _become(self, streams: array.array[int], environment: dict[str, str]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._listening.close()
        for fork in self._forks:
            fork.stub.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [self._program]
        status = 1
        try:
            runpy.run_path(self._program, run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            print(end.code if isinstance(end.code, str) else "", end="", file=sys.stderr)
        finally:
            sys.stdout.flush()
            os._exit(status)

    def _end(self) -> None:
        for fork in list(self._forks):
            self._kill(fork)

    def _kill(self, fork: Fork) -> None:
        """Its stub has gone."""
        if not fork.ended:
            os.kill(fork.pid, signal.SIGKILL)
        self._selector.unregister(fork.stub)
        fork.stub.close()
        self._forks.remove(fork)

    def _bury(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                for fork in self._forks:
                    if fork.pid == found[0]:
                        fork.ended = True
                        with contextlib.suppress(OSError):
                            fork.stub.sendall(bytes([min(255, abs(os.waitstatus_to_exitcode(found[1])))]))


if __name__ == "__main__":
    import wirechat.client  # noqa: F401  what the forks will need

    server = Warm(*sys.argv[1:])
    print("warm", flush=True)
    server.run()
