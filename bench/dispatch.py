"""The way of a request through reader, codec, table and outbox of a real server, without the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench import people
from bench.benchmark import Benchmark, Row, Run
from bench.client import Client
from bench.process import Process, serve
from wirechat import wire

CLIENTS = 50
TOGETHER = 64
ROWS = {
    "ping": "50 connections, a PING of each in turn: a read and a write for each",
    "pings": f"the same, {TOGETHER} PINGs in one piece: what is left is the frame itself",
    "refusals": f"{TOGETHER} SENDs without text in one piece: a request, its checks, and the ERROR that answers it",
}


def measure(run: Run) -> Iterator[Row]:
    """Each kind of request."""
    with serve(run.root, "--tcp", "127.0.0.1:0") as process:
        connect = people.connector(process.port)
        clients = people.log_in(connect, people.register(connect, run.size(CLIENTS, 5)))
        refused = wire.Send(0, 1, bytes(8), 1, None)
        ways: dict[str, tuple[int, Callable[[Client], None]]] = {
            "ping": (1, lambda client: _ping(client, 1)),
            "pings": (TOGETHER, lambda client: _ping(client, TOGETHER)),
            "refusals": (TOGETHER, lambda client: _be_refused(client, refused)),
        }
        for row in filter(run.wants, ways):
            count, ask = ways[row]
            rounds = run.size(6_000 // CLIENTS // count + 1, 1)
            yield Row(row, {"us_per_request": _cost(process, clients, ask, rounds) / count})
        for client in clients:
            client.close()


def _cost(process: Process, clients: list[Client], ask: Callable[[Client], None], rounds: int) -> float:
    """Microseconds for each time somebody asks; the first round is not counted."""
    for client in clients:
        ask(client)
    before = process.cpu_ns()
    for _ in range(rounds):
        for client in clients:
            ask(client)
    return (process.cpu_ns() - before) / 1000 / rounds / len(clients)


def _ping(client: Client, count: int) -> None:
    client.send(*[wire.Ping(at) for at in range(count)])
    for _ in range(count):
        client.expect(wire.Pong)


def _be_refused(client: Client, request: wire.Send) -> None:
    client.send(*[request] * TOGETHER)
    for _ in range(TOGETHER):
        client.expect(wire.Error)


BENCHMARK = Benchmark("dispatch", "What does a request cost that touches no store?", ROWS, measure)
