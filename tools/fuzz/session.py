"""One fuzzed session: a script is played against a fresh server, and the server is judged.

Whatever strangers and members do, afterwards
* no task of the server died, and it logged no error (P10);
* it sent nothing that the protocol does not have, and answered nothing twice;
* an honest client that was there all the time writes, and another one that comes then reads it;
* the store is consistent;
* once everybody has left, no table of the server holds anything but what is declared here as a bounded cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sized
from random import Random
from typing import Any

import attrs
import trio

from tools.conformance.decoder import Frame
from tools.fuzz import names
from tools.fuzz.bodies import build, parse
from tools.fuzz.founding import HOSTILE, Town, town
from tools.fuzz.line import PREFIX, SCHEMA, Line
from tools.fuzz.script import WAIT_MS_MAX, Op, Script, Step, resolved
from tools.fuzz.stage import PATIENCE_SECONDS, Stage
from tools.simulate import tuning
from tools.simulate.clock import JumpingClock, make_repeatable
from tools.simulate.sealed import describe, logging_to
from wirechat.cli.verify import checking
from wirechat.wire import limits

SETTLE_SECONDS = 0.05
HEARD = 0.6
HEARD_SECONDS = 0.008
"""After so many of its frames a line waits so long: most answers have come then, and may be referred to."""

THOROUGH = 4
"""Of so many sessions one is followed until everybody is forgotten, and its store is verified."""

LEAVING_SECONDS = 7.0
"""In which everything that is written behind is written, and those who left are forgotten."""

WINDOWS = (None, 1, 2, 5)
"""Of pushes; `number` of a step chooses."""

WANTED = "a client presents a horizon from the future"
"""An error in the log that docs/operations/backup.md promises, and that any client can bring about."""

GREETING = {"type": 1, "data": "still here"}

CACHES = frozenset(
    {
        "Dispatcher.table", "Dispatcher.errors", "Hub._members", "Hub._offered", "Sessions.logins", "Server.accepted",
        "Throttle._failures", "Typing._apart", "Journal.refusals", "Sync.rounds",
    }
)  # fmt: skip
"""Tables that keep something when nobody is there: each is bounded, or has one entry for each of a few names."""


@attrs.define
class Played:
    """What became of a script."""

    faults: list[str]
    frames: int
    """Frames that were sent to the server, as far as they are frames."""
    answers: Counter[str]
    """What the server said, by name; ERRORs by code."""


def play(script: Script, say: Callable[[str], None] | None = None) -> Played:
    """Play a script against a server of its own. `say` gets the story, line by line."""
    chance = Random(f"session {script.seed}")
    stage = Stage(town().disk.copy(), chance)
    session = Session(stage, town(), chance, say)

    def heard(level: str, text: str) -> None:
        session.tell("log", f"{level}: {text}")
        if level in ("error", "critical", "exception") and not text.startswith(WANTED):
            stage.faults.append(f"P10 error in the log: {text}")

    make_repeatable(f"session {script.seed}")
    with logging_to(heard), tuning.draw(Random(f"limits {script.seed}")).applied():
        try:
            trio.run(session.run, script, clock=JumpingClock())
        except Exception as error:  # noqa: BLE001  whatever it is, this script shows it
            stage.faults.append(f"P10 the session broke: {describe(error)}")
        finally:
            stage.disk.close()
    for fault in stage.faults:
        session.tell("FAULT", fault)
    return Played(stage.faults, session.frames, session.answers)


class Session:
    """A script on its way."""

    def __init__(self, stage: Stage, place: Town, chance: Random, say: Callable[[str], None] | None) -> None:
        self._chance = chance
        self._stage = stage
        self._town = place
        self._say = say
        self._lines: dict[int, Line] = {}
        self._all: list[Line] = []
        self._honest: Line
        self.frames = 0
        self.answers: Counter[str] = Counter()

    def tell(self, who: object, text: str) -> None:
        """A line of the story."""
        if self._say is not None:
            self._say(f"{who!s:>12}  {text}")

    async def run(self, script: Script) -> None:
        """All steps, then the judgement."""
        stage = self._stage
        async with stage.open():
            thorough = script.seed % THOROUGH == 0
            await self._greet_honest()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_alive)
                for step in script.steps:
                    await self._step(step)
                await trio.sleep(SETTLE_SECONDS)
                if stage.stopping:
                    await stage.restart()
                    await self._greet_honest()
                await self._still_serves(thorough)
                nursery.cancel_scope.cancel()
            for line in self._all:
                self._judge(line)
                line.cut()
            self._honest.cut()
            if thorough:
                await trio.sleep(LEAVING_SECONDS)
                stage.faults += (f"P10 {text}" for text in left_over(stage.server))
                await stage.store.read(checking(lambda text: stage.faults.append(f"the store: {text}")))

    async def _greet_honest(self) -> None:
        self._honest = self._stage.connect("u4")
        if not await self._stage.login(self._honest, self._town.accounts[HOSTILE]):
            self._stage.faults.append("P10 an honest client cannot log in")

    async def _keep_alive(self) -> None:
        """The honest client says often enough that it is there."""
        while True:
            await trio.sleep(limits.HEARTBEAT_MS / 1000)
            self._honest.send_body(SCHEMA.encode("PING", {"t": 1}))

    # steps

    async def _step(self, step: Step) -> None:
        line = self._lines.get(step.line)
        if line is None or line.over:
            line = self._lines[step.line] = self._stage.connect(f"line {step.line}")
            self._all.append(line)
            if step.op is Op.BODY:
                await self._stage.login(line, self._town.accounts[step.line % HOSTILE])
        if step.op is Op.BODY:
            body = self._resolved(step.body, line)
            self.tell(line, names.told(body))
            line.send_body(body)
            if self._chance.random() < HEARD:
                await trio.sleep(HEARD_SECONDS)
        else:
            self.tell(line, f"{step.op.name} {step.number or ''} {step.body.hex(' ')}".rstrip())
            await self._do(step, line)

    async def _do(self, step: Step, line: Line) -> None:
        account = self._town.accounts[step.number % HOSTILE]
        window = WINDOWS[step.number // HOSTILE % len(WINDOWS)]
        match step.op:
            case Op.RAW:
                line.send(step.body)
            case Op.LOGIN:
                await self._stage.login(line, account, window)
            case Op.GREET:
                await self._stage.greet(line, window)
            case Op.PROVE:
                await self._stage.prove(line, account, 1)
            case Op.SYNC:
                await self._stage.sync(line, 2)
            case Op.CUT:
                line.cut()
            case Op.END:
                line.end()
            case Op.WAIT:
                await trio.sleep(step.number % WAIT_MS_MAX / 1000)
            case Op.SETTLE:
                await trio.sleep(SETTLE_SECONDS)
            case Op.STOP:
                self._stage.stop()
            case Op.PAUSE:
                line.pause()
            case Op.RESUME:
                line.resume()

    def _resolved(self, body: bytes, line: Line) -> bytes:
        try:
            tree = parse(body)
        except ValueError:
            return body
        known = names.Known(self._town, [line, *reversed(self._all)])
        found = resolved(tree, known.number, known.text)
        return body if not known.used else build(found)

    # judging

    async def _still_serves(self, thorough: bool) -> None:
        """Whether it can write, and read that; with `thorough` somebody else comes and reads it."""
        reader = honest = self._honest
        with trio.move_on_after(PATIENCE_SECONDS):
            sent = await honest.ask("SEND", 100, conv=self._town.pair, cid=b"honestly", kind=1, content=GREETING)
            if thorough:
                reader = self._stage.connect("u5")
                await self._stage.login(reader, self._town.accounts[HOSTILE + 1])
            page = await reader.ask("HISTORY", 101, conv=self._town.pair)
            if not _is_in(page, sent):
                self._stage.faults.append(f"P10 an honest client reads {page} after {sent}")
            self._blame(honest)
            self._blame(reader)
            reader.cut()
            return
        self._stage.faults.append("P10 an honest client waits in vain")

    def _judge(self, line: Line) -> None:
        self._blame(line)
        self.frames += frames_in(line.sent)
        for frame in line.frames:
            self.answers[f"ERROR {frame['code']}" if frame.name == "ERROR" else frame.name or "unknown"] += 1
            self.tell(line, f"heard {frame.name} {frame.rid or ''} {frame.fields}")

    def _blame(self, line: Line) -> None:
        self._stage.faults += (f"{line}: {text}" for text in line.faults)
        self._stage.faults += (f"{line}: request {rid} was answered too often" for rid in line.unasked())


def _is_in(page: Frame | None, sent: Frame | None) -> bool:
    """Whether what was sent is on the page."""
    if page is None or page.name != "HISTORY_OK" or sent is None or sent.name != "SEND_OK":
        return False
    return any(record["seq"] == sent["seq"] and record["content"] == GREETING for record in page["records"])


def frames_in(stream: bytearray) -> int:
    """How many frames begin in a stream of bytes."""
    count, at = 0, 0
    while at + PREFIX < len(stream):
        at += PREFIX + int.from_bytes(stream[at : at + PREFIX], "big")
        count += 1
    return count


def left_over(server: Any) -> Iterator[str]:
    """Tables of the server that are not empty although nobody is there."""
    if server.connections:
        yield f"connections that stay: {len(server.connections)}"
    for part in _parts(server):
        for name, value in _state(part):
            table = f"{type(part).__name__}.{name}"
            if isinstance(value, Sized) and not isinstance(value, str | bytes) and len(value) and table not in CACHES:
                yield f"{table} holds {len(value)} when everybody has left"
    if not server.journal.idle:
        yield "the journal is not idle"


def _parts(server: Any) -> list[Any]:
    """The server and every object of it that keeps state, found by their attributes."""
    found: dict[int, Any] = {id(server): server}
    waiting = [server]
    while waiting:
        part = waiting.pop()
        handlers = part.table.values() if type(part).__name__ == "Dispatcher" else ()
        inner = [value for _, value in _state(part)] + [getattr(handler.call, "__self__", None) for handler in handlers]
        for value in inner:
            if type(value).__module__.startswith("wirechat.server") and id(value) not in found:
                found[id(value)] = value
                waiting.append(value)
    return [part for part in found.values() if not attrs.has(type(part))]


def _state(part: Any) -> list[tuple[str, Any]]:
    return list(getattr(part, "__dict__", {}).items())
