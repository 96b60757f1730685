"""A real server as a process of its own, that can be killed without warning and started again at the same place."""

import json
import subprocess
import sys
from pathlib import Path

import attrs


@attrs.define
class ServerProcess:
    """`wirechat serve` on loopback. Use as a context manager; `urls` are known once it listens."""

    data: Path
    places: tuple[tuple[str, str], ...] = (("--tcp", "127.0.0.1:0"), ("--ws", "127.0.0.1:0"))
    options: tuple[str, ...] = ()
    urls: list[str] = attrs.Factory(list)
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it and waits until it listens: at the same ports as before, if there was a before."""
        places = [word for place in self.places for word in place]
        serve = [sys.executable, "-m", "wirechat.cli.main", "serve", "--data", str(self.data)]
        command = [*serve, *places, *self.options]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        self.urls = []
        for line in self._process.stderr:
            told = json.loads(line)
            if told["event"] == "listening":
                self.urls.append(told["url"])
            if len(self.urls) == len(self.places):
                break
        assert self.urls, "the server did not start"
        addresses = [url.partition("://")[2] for url in self.urls]
        self.places = tuple((option, address) for (option, _), address in zip(self.places, addresses, strict=True))

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
