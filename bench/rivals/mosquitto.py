"""mosquitto at QoS 1 with durable sessions."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import certificate
from bench.process import running
from bench.rivals.rival import Foreign, Guarantee, first_line
from bench.rivals.server import Server
from tools.cluster.engine import free_port
from tools.loadgen.targets.mqtt import Mqtt

CONFIGURATION = """\
listener {port} 127.0.0.1
{transport}
allow_anonymous true
persistence true
persistence_location {scratch}/
autosave_interval 1800
max_queued_messages 10000
max_inflight_messages 100
set_tcp_nodelay true
user {user}
log_type error
"""


class Mosquitto(Foreign):
    """A broker that is also found in small devices."""

    name = "mosquitto"
    store = "memory; written to a file every 30 minutes and at its end"
    install = "apt-get install mosquitto"
    dialect = Mqtt
    transports = ("tcp", "tls", "ws")
    guarantee = Guarantee(
        acknowledged="in memory: no fsync, so the power may take what was acknowledged",
        delivery="at least once to each subscriber (QoS 1, acknowledged)",
        duplicates="possible after a reconnect, and not marked with an id",
        order="of one publisher on one topic",
        offline="up to 10,000 texts are queued for a durable session",
    )

    def version(self) -> str | None:
        return first_line(_program(), "-h")

    @contextmanager
    def serve(self, scratch: Path, transport: str = "tcp") -> Iterator[Server]:
        port, configuration, trust, listener = free_port(), scratch / "mosquitto.conf", None, "protocol mqtt"
        if transport == "tls":
            trust, key = certificate.make(scratch)
            listener = f"certfile {trust}\nkeyfile {key}"
        elif transport == "ws":
            also = f"listener {free_port()} 127.0.0.1\nprotocol mqtt"  # 2.0.11 does not start without one
            listener = f"protocol websockets\n{also}"
        configuration.write_text(
            CONFIGURATION.format(port=port, scratch=scratch, user=getpass.getuser(), transport=listener)
        )
        with running([_program(), "-c", configuration], scratch, port) as processes:
            yield Server(processes, port, trust, "mqtt" if transport == "ws" else None)


def _program() -> str:
    """Debian keeps it where only root looks."""
    return shutil.which("mosquitto") or "/usr/sbin/mosquitto"
