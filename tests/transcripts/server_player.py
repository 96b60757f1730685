"""Plays a transcript against a server; the steps are those of protocol/README.md."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio

from tests.transcripts.lines import Line
from tests.transcripts.values import CODEC, Values, is_counted
from tools.conformance.decoder import Frame

STEP_SECONDS = 20
HELLO: dict[str, Any] = {"magic": "WC", "vmin": 1, "vmax": 1, "caps": [27, 58], "agent": "transcript"}

Step = dict[str, Any]


class Unfulfilled(AssertionError):
    """The server did something else than the transcript says."""


@attrs.define
class Connection:
    """One connection of a transcript. `passed`: counted pushes that were skipped, which an ACK must count."""

    line: Line
    passed: int = 0


class Player:
    """The clients of one transcript. `connect` makes a connection to the server under test."""

    def __init__(self, connect: Callable[[], Awaitable[Line]]) -> None:
        self.values = Values()
        self._connect = connect
        self._connections: dict[str, Connection] = {}
        self._rid = 1000

    async def play(self, transcript: dict[str, Any]) -> None:
        """All steps in order. Raises Unfulfilled, which names the step."""
        for number, step in enumerate(transcript["steps"]):
            try:
                with trio.fail_after(STEP_SECONDS):
                    await self._step(step)
            except (AssertionError, trio.TooSlowError) as error:
                raise Unfulfilled(f"step {number}, {step}: {error!r}") from error

    async def _step(self, step: Step) -> None:
        connection = self._connections.get(step.get("who", ""))
        match step:
            case {"open": who}:
                self._connections[who] = Connection(await self._connect())
            case {"online": who}:
                await self._go_online(who, step)
            case {"drop": who}:
                await self._connections.pop(who).line.drop()
            case {"flight": flight}:
                await self._fly(flight)
            case _:
                assert connection is not None, "nobody is connected by this name"
                await self._step_of(connection, step)

    async def _step_of(self, connection: Connection, step: Step) -> None:
        match step:
            case {"send": frame, "value": value}:
                await connection.line.send(self._body(connection, frame, value))
            case {"raw": data}:
                await connection.line.send_raw(bytes.fromhex(data))
            case {"recv": _}:
                await self._recv(connection, [step])
            case {"unordered": steps}:
                await self._recv(connection, list(steps))
            case {"closed": True}:
                found = await self._next(connection)
                assert found is None, f"instead of the end: {found}"
            case {"quiet_ms": milliseconds}:
                await self._quiet(connection, milliseconds)
            case _:
                raise AssertionError("no such step")

    async def _fly(self, steps: list[Step]) -> None:
        (who,) = {step["who"] for step in steps}
        connection = self._connections[who]
        await connection.line.send(*[self._body(connection, step["send"], step["value"]) for step in steps])

    def _body(self, connection: Connection, frame: str, value: dict[str, Any]) -> bytes:
        if frame == "ACK":
            value = {**value, "n": value["n"] + connection.passed}
        return self.values.body(frame, value)

    async def _recv(self, connection: Connection, expected: list[Step]) -> Frame:
        while True:
            frame = await self._next(connection, expected)
            assert frame is not None, f"the server closed instead of {expected}"
            for step in expected:
                if self.values.fits(frame, step["recv"], step["value"]):
                    expected.remove(step)
                    break
            else:
                raise AssertionError(f"instead of {expected}: {frame}")
            if not expected:
                return frame

    async def _quiet(self, connection: Connection, milliseconds: int) -> None:
        with trio.move_on_after(milliseconds / 1000):
            raise AssertionError(f"not quiet: {await self._next(connection)}")

    async def _next(self, connection: Connection, expected: list[Step] = []) -> Frame | None:  # noqa: B006
        """The next frame that may not be skipped; None when the server closed."""
        while (body := await connection.line.recv()) is not None:
            frame = CODEC.decode(body)
            if frame.name == "PING":
                await connection.line.send(self.values.body("PONG", {"t": frame["t"]}))
            elif self._skipped(frame, expected):
                connection.passed += is_counted(frame)
            else:
                return frame
        return None

    def _skipped(self, frame: Frame, expected: list[Step]) -> bool:
        """Evidence may come at any time, and twice; to a connection that must be quiet no rows come."""
        if frame.name == "RECEIPT" or (frame.name == "ROWS" and expected):
            return not any(self.values.fits(frame, step["recv"], step["value"]) for step in expected)
        return frame.name is None

    async def _go_online(self, who: str, step: Step) -> None:
        connection = self._connections[who] = Connection(await self._connect())
        user = step["user"]
        hello = {**HELLO, "caps": [*HELLO["caps"], *step.get("caps", ())], "window": step.get("window")}
        await connection.line.send(self.values.body("HELLO", hello))
        await self._recv(connection, [{"recv": "WELCOME", "value": {}}])
        account = {"method": 1, "handle": f"${user}_handle"}
        if f"${user}" not in self.values.bound:
            secret = {**account, "secret": f"${user}_password"}
            await self._ask(connection, "REGISTER", secret, {"user": f"${user}"})
        for fresh in ("device", "resume", "token"):
            self.values.bound.pop(f"${who}_{fresh}", None)
        login = {"user": f"${user}", "device": f"${who}_device", "resume": f"${who}_resume"}
        await self._ask(connection, "AUTH", {**account, "proof": f"${user}_password"}, login)
        page = await self._ask(connection, "SYNC", {}, {})
        while page["cursor"] is not None:
            page = await self._ask(connection, "SYNC", {"cursor": {"hex": page["cursor"].hex()}}, {})
        self.values.bound[f"${who}_token"] = page["token"]

    async def _ask(self, connection: Connection, frame: str, value: Step, reply: Step) -> Frame:
        self._rid += 1
        await connection.line.send(self.values.body(frame, {"rid": self._rid, **value}))
        expected = {"recv": f"{frame}_OK", "value": {"rid": self._rid, **reply}}
        return await self._recv(connection, [expected])
