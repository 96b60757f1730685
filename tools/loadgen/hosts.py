"""Several hosts, one load: `wirechat loadgen worker` waits on each for whoever knows its token.

It starts a process for each connection. After the greeting a connection carries what the pipes of a process here would:
orders in, reports out, lines of JSON.

    worker       {"worker": 1, "version": …, "nonce": …}
    coordinator  {"version": …, "nonce": …, "proof": …}
    worker       {"proof": …} or {"refused": why}
    coordinator  {"clock": true}, several times, each answered with {"clock": monotonic seconds of the worker}
    coordinator  the job

Each proves that he knows the token without telling it. Nothing is encrypted: what goes by are scenarios and results,
and whoever sits on the way could change them. Monotonic clocks begin anywhere, so the coordinator reads that of the
worker: the fastest answer tells it to half of the time it took.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from importlib import metadata
from typing import Any

import attrs
import trio

from tools.loadgen import machine
from tools.loadgen.machine import Watch
from tools.loadgen.measures import Measures
from wirechat.client.transport import parse_url

VERSION = metadata.version("wirechat")
GREETING_SECONDS = 10.0
GREETING_BYTES_MAX = 4096
CLOCK_READINGS = 8
CHUNK = 65_536


class NoWorker(Exception):
    """Why there is none, in one line."""


class Lines:
    """A stream as lines."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._lines: list[bytes] = []

    async def next(self, bytes_max: int | None = None) -> bytes | None:
        """None at the end, or beyond `bytes_max` without one."""
        while not self._lines:
            if bytes_max is not None and sum(map(len, self._parts)) > bytes_max:
                return None
            data = bytes(await self._stream.receive_some(CHUNK))
            if not data:
                return None
            first, *others = data.split(b"\n")
            self._parts.append(first)
            for other in others:
                self._lines.append(b"".join(self._parts))
                self._parts = [other]
            self._lines.reverse()
        return self._lines.pop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (line := await self.next()) is not None:
            yield line


async def say(stream: trio.abc.SendStream, what: dict[str, Any]) -> None:
    """One line."""
    await stream.send_all(json.dumps(what).encode() + b"\n")


def _proof(token: str, who: str, *nonces: str) -> str:
    return hmac.new(token.encode(), "|".join((who, *nonces)).encode(), hashlib.sha256).hexdigest()


# the coordinator


@attrs.define
class Remote:
    """A process on another host."""

    address: str
    stream: trio.SocketStream
    lines: Lines
    ahead: float
    """Seconds that the worker's clock is ahead of ours."""
    clock_ms: float
    """How wrong that may be."""


def parse_address(text: str) -> tuple[str, int]:
    """host:port. Raises ValueError with a line for people."""
    if ":" not in text.rpartition("]")[2]:
        raise ValueError(f"{text} is not HOST:PORT")
    _, host, port = parse_url(f"wirechat://{text}")
    return host, port


async def connect(address: str, token: str) -> Remote:
    """Raises NoWorker."""
    host, port = parse_address(address)
    try:
        with trio.fail_after(GREETING_SECONDS):
            stream = await trio.open_tcp_stream(host, port)
            try:
                return await _greeted(address, stream, token)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
    except trio.TooSlowError:
        raise NoWorker(f"worker {address}: no answer within {GREETING_SECONDS:.0f} s") from None
    except (OSError, trio.BrokenResourceError) as error:
        raise NoWorker(f"worker {address}: {reason(error)}") from None
    except (ValueError, KeyError, TypeError):
        raise NoWorker(f"worker {address}: what is there is no `wirechat loadgen worker`") from None


def reason(error: BaseException) -> str:
    """What the system says. Trio wraps it, and tries several addresses."""
    while not isinstance(error, OSError) or error.errno is None:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if inner is None:
            return str(error)
        error = inner
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)  # below: of looking up a name


async def _greeted(address: str, stream: trio.SocketStream, token: str) -> Remote:
    lines = Lines(stream)
    hello = _object(await lines.next(GREETING_BYTES_MAX))
    if hello["worker"] != 1 or hello["version"] != VERSION:
        raise NoWorker(f"worker {address}: it has version {hello['version']}, this is {VERSION}")
    nonce = secrets.token_hex(16)
    mine = _proof(token, "coordinator", hello["nonce"], nonce)
    await say(stream, {"version": VERSION, "nonce": nonce, "proof": mine})
    answer = _object(await lines.next(GREETING_BYTES_MAX))
    if "refused" in answer:
        raise NoWorker(f"worker {address}: {answer['refused']}")
    if not hmac.compare_digest(answer["proof"], _proof(token, "worker", nonce, hello["nonce"])):
        raise NoWorker(f"worker {address}: it does not know the token")
    readings = []
    for _ in range(CLOCK_READINGS):
        before = time.monotonic()
        await say(stream, {"clock": True})
        clock = _object(await lines.next(GREETING_BYTES_MAX))["clock"]
        took = time.monotonic() - before
        readings.append((took, clock - (before + took / 2)))
    took, ahead = min(readings)
    return Remote(address, stream, lines, ahead, round(took / 2 * 1000, 3))


def _object(line: bytes | None) -> dict[str, Any]:
    """Raises ValueError."""
    plain = json.loads(line or b"")
    if not isinstance(plain, dict):
        raise ValueError("no object")
    return plain


# the worker

Told = Callable[[str], None]


async def serve(listeners: list[trio.SocketListener], token: str, tell: Told) -> None:
    """Until cancelled. `tell` gets a line for each load and each who was turned away."""

    async def handle(stream: trio.SocketStream) -> None:
        peer = str(stream.socket.getpeername()[0])
        try:
            await _serve_one(stream, token, peer, tell)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            tell(f"{peer} is gone")
        except* (ValueError, KeyError, TypeError):
            tell(f"{peer} was turned away: it does not speak as it should")

    await trio.serve_listeners(handle, listeners)


async def _serve_one(stream: trio.SocketStream, token: str, peer: str, tell: Told) -> None:
    lines, nonce = Lines(stream), secrets.token_hex(16)
    with trio.move_on_after(GREETING_SECONDS) as greeting:
        await say(stream, {"worker": 1, "version": VERSION, "nonce": nonce})
        hello = _object(await lines.next(GREETING_BYTES_MAX))
        if not hmac.compare_digest(hello["proof"], _proof(token, "coordinator", nonce, hello["nonce"])):
            await say(stream, {"refused": "the token is wrong"})
            tell(f"{peer} was turned away: the token is wrong")
            return
        await say(stream, {"proof": _proof(token, "worker", hello["nonce"], nonce)})
    if greeting.cancelled_caught:
        raise ValueError("too slow")
    line = await lines.next()
    while line is not None and "clock" in (order := _object(line)):
        await say(stream, {"clock": time.monotonic()})
        line = await lines.next()
    if line is not None:
        tell(f"{peer} puts a load on {order['url']}: {order['scenario']['people']:,} people")
        await _load(stream, lines, line)
        tell(f"the load of {peer} is over")


async def _load(stream: trio.SocketStream, lines: Lines, job: bytes) -> None:
    """One process, its pipes joined to the connection; beside it a canary of this machine."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tools.loadgen.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    pipe, measures = process.stdin, Measures()
    await pipe.send_all(job + b"\n")

    async def orders() -> None:
        async for line in lines:
            order = _object(line)
            if order.get("measured"):
                measures.measure(order["begin"], order["end"])
            await pipe.send_all(line + b"\n")
        nursery.cancel_scope.cancel()  # nobody waits for the result any more

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(orders)
            nursery.start_soon(Watch(None, None, measures).canary)
            async for line in Lines(process.stdout):
                if line.startswith(b'{"result"'):
                    told = {"measures": measures.as_plain(), "machine": machine.about()}
                    await say(stream, {"host": told})
                await stream.send_all(line + b"\n")
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await trio.aclose_forcefully(pipe)
            await trio.aclose_forcefully(process.stdout)
