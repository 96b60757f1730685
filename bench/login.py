"""What it costs the server to let somebody in again.

By a token HELLO, AUTH and SYNC go out in one flight. The CPU time counts from accepting the connection to the end of
SYNC, and with it what the server does when the connection before is closed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import attrs

from bench import people
from bench.benchmark import BenchError, Benchmark, Row, Run
from bench.client import Account
from bench.people import Connect
from bench.process import Process, serve
from wirechat import wire

PASSWORD = b"correct horse battery"
TOGETHER = 100

ROWS = {
    "token_login": "by resume token, one device after the other",
    "token_logins": "the same, 100 devices at once: their writes share commits",
    "key_login": "by the key of the device, which takes a round trip more",
    "password_login": "by password, Argon2id included",
    "idle_resume": "by resume token, with 1,000 conversations in which nothing happened; bytes of SYNC and its answer",
}


@attrs.define
class Device:
    """One that was here before."""

    account: Account
    resume: bytes
    horizon: bytes | None = None


def measure(run: Run) -> Iterator[Row]:
    """Every row once."""
    with serve(run.root, "--tcp", "127.0.0.1:0") as process:
        connect = people.connector(process.port)
        accounts = people.register(connect, run.size(200, 10))
        devices = [Device(account, b"") for account in accounts]
        by_key(connect, devices)
        ways: dict[str, Callable[[], object]] = {
            "token_login": lambda: [_return(connect, [device]) for device in devices],
            "token_logins": lambda: _return_together(connect, devices),
            "key_login": lambda: by_key(connect, devices),
        }
        for row in filter(run.wants, ways):
            yield Row(row, {"ms_per_login": _cost(process, ways[row], len(devices))})
        if run.wants("password_login"):
            yield Row("password_login", {"ms_per_login": _by_password(process, connect, run.size(20, 1))})
        if run.wants("idle_resume"):
            yield Row("idle_resume", _idle_resume(run, process, connect))


def _cost(process: Process, log_in: Callable[[], object], count: int) -> float:
    """CPU milliseconds for each; the first time is not counted."""
    log_in()
    before = process.cpu_ns()
    log_in()
    return (process.cpu_ns() - before) / 1e6 / count


def _return(connect: Connect, devices: Sequence[Device]) -> int:
    """All at once; returns how many conversations had changed."""
    clients = [connect() for _ in devices]
    for client, device in zip(clients, devices, strict=True):
        client.come_back(device.account, device.resume, device.horizon)
    changed = 0
    for client, device in zip(clients, devices, strict=True):
        device.resume = client.expect(wire.AuthOk).resume
        rows, device.horizon = people.synced(client)
        changed += rows
        client.close()
    return changed


def _return_together(connect: Connect, devices: Sequence[Device]) -> None:
    for at in range(0, len(devices), TOGETHER):
        _return(connect, devices[at : at + TOGETHER])


def by_key(connect: Connect, devices: Sequence[Device]) -> None:
    """Log in, sync and leave again, each with its key; they know everything then."""
    for device in devices:
        client = connect()
        client.greet()
        client.welcomed()
        client.log_in(device.account)
        device.resume = client.expect(wire.AuthOk).resume
        _, device.horizon = people.sync(client, device.horizon)
        client.close()


def _by_password(process: Process, connect: Connect, count: int) -> float:
    client = connect()
    client.greet()
    client.welcomed()
    handle = f"b{os.urandom(8).hex()}"
    client.send(wire.Register(0, handle, 1, PASSWORD))
    client.expect(wire.RegisterOk)
    client.close()
    before = process.cpu_ns()
    for _ in range(count):
        client = connect()
        client.greet()
        client.welcomed()
        client.send(wire.Auth(0, 1, handle, proof=PASSWORD))
        client.expect(wire.AuthOk)
        client.close()
    return (process.cpu_ns() - before) / 1e6 / count


def _idle_resume(run: Run, process: Process, connect: Connect) -> dict[str, float]:
    mine, other = people.register(connect, 2)
    device = Device(mine, b"")
    by_key(connect, [device])
    (client,) = people.log_in(connect, [mine])
    people.make_groups(client, [other.user], run.size(1_000, 50))
    client.close()
    by_key(connect, [device])  # it has heard of all
    count, changed = run.size(50, 3), 0

    def log_in() -> None:
        nonlocal changed
        for _ in range(count):
            changed += _return(connect, [device])

    cost = _cost(process, log_in, count)
    if changed:
        raise BenchError(f"nothing happened, but {changed} conversations had changed")
    return {"ms_per_login": cost, "bytes": _sync_bytes(connect, device)}


def _sync_bytes(connect: Connect, device: Device) -> int:
    """Of SYNC and its answer."""
    client = connect()
    client.come_back(device.account, device.resume, device.horizon)
    asked = wire.Sync(client.rid, device.horizon).encode()
    size = len(asked) + len(client.expect_frame(wire.SyncOk))
    client.close()
    return size


BENCHMARK = Benchmark("login", "What does it cost to let somebody in again?", ROWS, measure)
