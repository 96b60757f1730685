"""No file descriptors left."""

from __future__ import annotations

import socket

import trio

from tools.faults.fault import Fault, untold
from tools.faults.stage import Stage
from tools.history.checker import Violation

SPARE = 20
"""Descriptors that strangers may take before there are none."""
STRANGERS = 60
NOTHING = 3
"""Below all that are open: nothing can be opened at all, as when the whole machine has no descriptor left."""


class Files(Fault):
    """Strangers take the last descriptors. Who is in stays and is served; who comes then is closed at once."""

    name = "files"
    about = "file descriptors run out (RLIMIT_NOFILE), then there are none left at all"

    async def strike(self, stage: Stage) -> None:
        server = stage.server
        usual = server.limit_files(server.open_files + SPARE)
        strangers = [socket.create_connection(_address(server.urls["wirechat"])) for _ in range(STRANGERS)]
        await trio.sleep(1)
        stage.told["turned away"] = sum(map(_ended, strangers))
        self._served = await stage.probe()
        server.limit_files(NOTHING)
        more = [socket.create_connection(_address(server.urls["wirechat"])) for _ in range(STRANGERS)]
        await trio.sleep(stage.options.seconds / 2)
        await stage.probe()
        for stranger in (*strangers, *more):
            stranger.close()
        server.limit_files(usual)

    async def after(self, stage: Stage) -> list[Violation]:
        """It said so, and who could not be served was not left waiting."""
        found = untold(stage, "a connection was refused", "newcomers have to wait")
        if stage.told["turned away"] < STRANGERS - SPARE:
            found.append(
                Violation("P10", "left waiting", f"only {stage.told['turned away']} strangers were turned away")
            )
        return found


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.partition("://")[2].rpartition(":")
    return host, int(port)


def _ended(stranger: socket.socket) -> bool:
    stranger.setblocking(False)
    try:
        return stranger.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
