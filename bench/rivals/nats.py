"""NATS with JetStream on files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import certificate
from bench.process import running
from bench.rivals.rival import Foreign, Guarantee, first_line
from bench.rivals.seats import Seat, enter
from bench.rivals.server import Server
from tools.cluster.engine import free_port
from tools.cluster.nats import program
from tools.loadgen.targets.nats import Nats as Dialect

CONFIGURATION = """\
listen: 127.0.0.1:{port}
{transport}
jetstream {{ store_dir: "{scratch}/jetstream", max_mem: 256MB, max_file: 4GB }}
"""


class Nats(Foreign):
    """One stream for everything; what is said in pairs comes through a durable consumer of each person's own."""

    name = "nats"
    store = "JetStream, files, one stream"
    install = "pip install 'wirechat[peers]'"
    dialect = Dialect
    transports = ("tcp", "tls", "ws")
    guarantee = Guarantee(
        acknowledged="written to a file without fsync: survives the end of the process, not that of the power",
        delivery="pairs: at least once (durable consumer, acknowledged); groups: at most once (core subscription)",
        duplicates="possible after a redelivery; a text sent again is known only with Nats-Msg-Id, not used here",
        order="one order in the stream, numbered",
        offline="pairs: the consumer goes on where it was; groups: nothing",
    )

    def version(self) -> str | None:
        return first_line(program(), "-v")

    def idle(self, server: Server, first: int, count: int) -> Sequence[Seat]:
        """Reached by a plain subscription: a stream has no more than 1,000 consumers."""
        names = [f"i{number}" for number in range(first, first + count)]
        return enter([self._guest(server, number, name, (name,), False) for number, name in enumerate(names)])

    @contextmanager
    def serve(self, scratch: Path, transport: str = "tcp") -> Iterator[Server]:
        port, configuration, trust, also, place = free_port(), scratch / "nats.conf", None, "", 0
        if transport == "tls":
            trust, key = certificate.make(scratch)
            also = f'tls {{ cert_file: "{trust}", key_file: "{key}", handshake_first: true }}'
        elif transport == "ws":
            place = free_port()
            also = f'websocket {{ listen: "127.0.0.1:{place}", no_tls: true }}'
        configuration.write_text(CONFIGURATION.format(port=port, scratch=scratch, transport=also))
        with running([program(), "-c", configuration], scratch, port) as processes:
            yield Server(processes, place or port, trust, "" if transport == "ws" else None)
