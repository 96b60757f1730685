"""Our own server, and the floor: what the sockets and the loop alone cost at this moment, for pairs."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import certificate, people
from bench.benchmark import ROOT
from bench.process import Process
from bench.rivals.loop import Flow
from bench.rivals.rival import Guarantee, Rival
from bench.rivals.seats import Own, Seat
from bench.rivals.server import Server
from bench.suite import revision


class Wirechat(Rival):
    """Us."""

    name = "wirechat"
    store = "SQLite, WAL, synchronous=FULL"
    guarantee = Guarantee(
        acknowledged="on disk: fsync before the acknowledgement",
        delivery="every member, in the end, without a hole",
        duplicates="none: a text that is sent again is known by its id",
        order="one order for all, numbered without gaps",
        offline="the log is kept; who comes back asks for what he lacks",
    )

    def version(self) -> str | None:
        return revision(ROOT)

    transports = ("tcp", "tls", "ws")

    @contextmanager
    def serve(self, scratch: Path, transport: str = "tcp") -> Iterator[Server]:
        arguments, trust = ["serve", "--data", str(scratch / "data"), f"--{transport}", "127.0.0.1:0"], None
        if transport == "tls":
            trust, key = certificate.make(scratch)
            arguments += ["--cert", str(trust), "--key", str(key)]
        with Process("wirechat.cli.main", *arguments, root=ROOT, scratch=scratch) as process:
            yield Server(process, process.port, trust, "" if transport == "ws" else None)

    def pairs(self, server: Server, count: int) -> list[Flow]:
        return _flows(people.scene(people.connector(server.port), count, 0).pairs)

    def group(self, server: Server, size: int) -> list[Flow]:
        group = people.scene(people.connector(server.port), 0, size).group
        assert group is not None
        return _flows([group])

    def idle(self, server: Server, first: int, count: int) -> Sequence[Seat]:
        tls = None if server.trust is None else ssl.create_default_context(cafile=str(server.trust))
        connect = people.connector(server.port, tls, web=server.subprotocol is not None)
        return [Own(client) for client in people.log_in(connect, people.register(connect, count))]


def _flows(conversations: Sequence[people.Conversation]) -> list[Flow]:
    """The first member of each speaks."""
    return [
        Flow(Own(each.members[0], each.conv), [Own(member) for member in each.members[1:]]) for each in conversations
    ]


class Floor(Rival):
    """The relay."""

    name = "floor"
    store = "none: `bench/relay.py`, Trio and sockets alone"
    kinds = ("pairs",)
    forgets_nobody = True

    def version(self) -> str | None:
        return revision(ROOT)

    @contextmanager
    def serve(self, scratch: Path, transport: str = "tcp") -> Iterator[Server]:
        with Process("bench.relay", root=ROOT, scratch=scratch) as process:
            yield Server(process, process.port)

    def pairs(self, server: Server, count: int) -> list[Flow]:
        return _flows(people.relayed(people.connector(server.port), count).pairs)

    def group(self, server: Server, size: int) -> list[Flow]:
        raise NotImplementedError

    def idle(self, server: Server, first: int, count: int) -> Sequence[Seat]:
        raise NotImplementedError
