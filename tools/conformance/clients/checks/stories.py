"""Section 12 as a whole: random stories, the same for everybody who has the seed. However they go, the end is known."""

from __future__ import annotations

import random
from functools import partial

from ...catalogue import CLIENT_CHECKS, Check, add
from ...fold import Fields
from ...verdict import Failed, require
from ..stage import Stage
from ..world import BOB, CAROL, CONV, DELETE, EDIT, EMOJI, MSG, OTHER, REACT, Log, text
from .fold import as_shown

SEEDS = (1, 2, 3, 4)
STEPS = 40
BREAKS_MAX = 3
RULES = ("12-13", "12-14", "12-15", "12-16", "12-18", "9-3", "11-14")
DEEDS = ("say", "say", "say", "edit", "edit", "delete", "react", "mark", "again", "tell", "write", "break", "kill")


class Story:
    """What happens, step by step. `written`: by the user of the client, in each conversation."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.world = stage.world
        self.written: dict[int, list[str]] = {CONV: [], OTHER: []}
        self._dice = random.Random(seed)
        self._breaks = 0

    def tell(self) -> None:
        """From the first message to the end, when the client must show what there is."""
        self.world.begin(OTHER, "there")
        self.stage.ready()
        for number in range(STEPS):
            getattr(self, f"_{self._dice.choice(DEEDS)}")(self._a_log(), number)
            self.stage.keep(self._dice.choice((0.0, 0.0, 0.01, 0.1)))
        self._tell(self.world.logs[CONV], STEPS)
        for conv in (CONV, OTHER):
            self._ends_well(conv)

    def _ends_well(self, conv: int) -> None:
        log, wanted = self.world.logs[conv], self.written[conv]

        def mine() -> list[str]:
            return [_words(entry) for entry in log.entries.values() if entry.get("cid")]

        self.stage.until(lambda: mine() == wanted, f"{wanted} in the log, in this order", lambda: f"{mine()}")
        self.stage.shows(as_shown(log.records.values()), conv)

    def _a_log(self) -> Log:
        return self.world.logs[self._dice.choice((CONV, OTHER))]

    def _pushed(self) -> bool:
        return self._dice.random() < 0.7

    def _a_message(self, log: Log) -> int | None:
        found = [seq for seq, record in log.records.items() if record["kind"] == MSG and record.get("content")]
        return self._dice.choice(found) if found else None

    def _say(self, log: Log, number: int) -> None:
        self.world.say(f"message {number}", log.conv, sender=self._dice.choice((BOB, CAROL)), push=self._pushed())

    def _edit(self, log: Log, number: int) -> None:
        if (seq := self._a_message(log)) is not None:
            self.world.append(log.conv, EDIT, ref=seq, content=text(f"edit {number}"), push=self._pushed())

    def _delete(self, log: Log, number: int) -> None:
        if (seq := self._a_message(log)) is not None and not log.entries[seq].get("cid"):
            self.world.append(log.conv, DELETE, ref=seq, push=self._pushed())

    def _react(self, log: Log, number: int) -> None:
        if (seq := self._a_message(log)) is not None:
            emoji = self._dice.choice(({"type": EMOJI, "data": "👍"}, {"type": EMOJI, "data": "🎉"}, None))
            self.world.append(log.conv, REACT, ref=seq, content=emoji, push=self._pushed())

    def _mark(self, log: Log, number: int) -> None:
        _, read = log.marks.get(BOB, (0, 0))
        self.world.mark(BOB, log.head, self._dice.randint(read, log.head), log.conv, push=self._pushed())

    def _again(self, log: Log, number: int) -> None:
        """What was pushed, or should have been, comes once more."""
        entry = log.entries[self._dice.randint(1, log.head)]
        for peer in self.world.live:
            peer.send("EVENT", **{name: value for name, value in entry.items() if name != "cid"})

    def _tell(self, log: Log, number: int) -> None:
        """Evidence of everything, and a token that covers it."""
        for peer in self.world.live:
            rows = [each.row() for each in self.world.logs.values() if not each.account]
            peer.send("ROWS", rows=rows, token=self.world.token())
            peer.horizon, self.world.silent = self.world.stamp, False

    def _write(self, log: Log, number: int) -> None:
        self.written[log.conv].append(f"mine {number}")
        self.stage.tell("send", conv=log.conv, text=f"mine {number}")

    def _break(self, log: Log, number: int) -> None:
        if self._breaks < BREAKS_MAX:
            self._breaks += 1
            peer = self.stage.peer
            peer.drop()
            self.stage.until_live(peer)

    def _kill(self, log: Log, number: int) -> None:
        if self._breaks < BREAKS_MAX:
            self._breaks += 1
            peer = self.stage.peer
            self.stage.restart()
            self.stage.until_live(peer)


def _words(entry: Fields) -> str:
    return str(entry["content"]["data"])


def _tell(seed: int, stage: Stage) -> None:
    try:
        Story(stage, seed).tell()
    except Failed as failure:
        raise Failed(f"story {seed}: {failure.expected}", failure.got) from None
    require(stage.peer.ended is None, "the connection lives", "the client closed it")


for _seed in SEEDS:
    _title = f"Story {_seed}: {STEPS} things in any order, told or not, with breaks and kills; in the end all is shown."
    add(Check(f"12.5/story-{_seed}", "12.5", RULES, _title, partial(_tell, _seed), level="L1"), CLIENT_CHECKS)
