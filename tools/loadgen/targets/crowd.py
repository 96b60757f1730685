"""People on another kind of server. What they say, when, and what is measured is the same as on our own.

No promise is known here that could be broken, so what was lost or came twice is a figure and no verdict. A connection
that breaks does not come back: what a reconnect means differs too much from one protocol to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from tools.loadgen.line import Line
from tools.loadgen.loop import Loop
from tools.loadgen.measures import Measures
from tools.loadgen.scenario import Messages, Scenario
from tools.loadgen.targets import Found
from tools.loadgen.targets.dialect import Person, Refused
from tools.loadgen.texts import TOKEN_BYTES

TOGETHER = 16
"""Logins under way at a time."""
TOKEN_BITS = 40
"""Of the number a text begins with; the others say who said it."""


@attrs.define(slots=True, eq=False)
class Said:
    """A text under way. `missing`: who does not have it yet."""

    due: float
    missing: set[Peer]
    done: Callable[[], None]
    acknowledged: bool = False


class Peer:
    """One person with one connection."""

    def __init__(self, crowd: Crowd, number: int, person: Person) -> None:
        self._crowd = crowd
        self._number = number
        self._line: Line | None = None
        self._dialect = crowd.found.target.dialect(person, crowd.found.host)
        self._tokens: dict[int, tuple[Talk, int]] = {}
        self.name = person.name
        self.is_live = False
        self.pushes = 0

    def connect(self) -> None:
        """Connect and log in."""
        self._line = Line(self._crowd.loop, self._crowd.found.place, self)

    def close(self) -> None:
        """Leave without a goodbye."""
        self.is_live = False
        if self._line is not None:
            self._line.close()

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent and received so far."""
        return (0, 0) if self._line is None else (self._line.sent_bytes, self._line.received_bytes)

    def opened(self) -> None:
        """The line stands."""
        assert self._line is not None
        self._line.write_bytes(self._dialect.begin())

    def ended(self, why: str) -> None:
        """The line is gone."""
        self.is_live = False
        self._crowd.lost(why)

    def address(self, name: str, group: bool) -> bytes:
        """For `say`."""
        return self._dialect.address(name, group)

    def say(self, talk: Talk, address: bytes, token: int, filler: bytes) -> None:
        """Send a text; its acknowledgement is told to the talk."""
        if self.is_live and self._line is not None:
            frames = self._dialect.say(address, (b"%016x%b" % (self._number << TOKEN_BITS | token, filler),))
            self._tokens[self._dialect.said] = talk, token
            self._line.write_bytes(frames)

    def received(self, bodies: list[bytes]) -> None:
        """Bytes as they came."""
        dialect, line = self._dialect, self._line
        assert line is not None
        refusals = dialect.refusals
        try:
            for data in bodies:
                line.write_bytes(dialect.receive(data))
        except Refused as refused:
            line.close()
            self.ended(str(refused))
            return
        for _ in range(dialect.refusals - refusals):
            self._crowd.measures.count("error refused", self._crowd.loop.now)
        for number in dialect.acknowledged:
            talk, token = self._tokens.pop(number, (None, 0))
            if talk is not None:
                talk.acknowledged(token)
        dialect.acknowledged.clear()
        texts = dialect.texts
        if texts:
            dialect.texts = []
            self._saw(texts)
        if dialect.is_live and not self.is_live:
            self.is_live = True
            self._crowd.live(self)

    def _saw(self, texts: Sequence[bytes]) -> None:
        for text in texts:
            self.pushes += 1
            try:
                sender, token = divmod(int(text[:TOKEN_BYTES], 16), 1 << TOKEN_BITS)
            except ValueError:
                continue
            if sender != self._number:  # else the server reflects what one says in a group
                self._crowd.saw(self, token)


class Talk:
    """A conversation: a pair, or a group."""

    def __init__(self, crowd: Crowd, name: str, members: Sequence[Peer], length: int) -> None:
        self._crowd = crowd
        self._name = name
        self._addresses: dict[Peer, bytes] = {}
        self._filler = b"t" * (length - TOKEN_BYTES)
        self.members = members
        self.head = 0
        self.under_way: dict[int, Said] = {}

    def _address(self, sender: Peer) -> bytes:
        if sender not in self._addresses:
            is_pair = len(self.members) == 2
            other = next(each for each in self.members if each is not sender)
            self._addresses[sender] = sender.address(other.name if is_pair else self._name, not is_pair)
        return self._addresses[sender]

    def say(self, sender: Peer, token: int, due: float, done: Callable[[], None]) -> None:
        """`sender` says the text of this token; `done` is called when everybody has it."""
        self.under_way[token] = Said(due, {each for each in self.members if each is not sender}, done)
        self._crowd.talk_of[token] = self
        self._crowd.measures.count("texts", due)
        sender.say(self, self._address(sender), token, self._filler)

    def acknowledged(self, token: int) -> None:
        """The server has taken it over."""
        said = self.under_way.get(token)
        self.head += 1
        if said is not None:
            said.acknowledged = True
            self._crowd.measures.latency("durable", said.due, self._crowd.loop.now)
            self._look_whether_done(token, said)

    def seen(self, peer: Peer, token: int) -> None:
        """A member got it."""
        said = self.under_way[token]
        if peer not in said.missing:
            self._crowd.measures.count("doubled", self._crowd.loop.now)
            return
        said.missing.discard(peer)
        self._crowd.measures.latency("delivered", said.due, self._crowd.loop.now)
        self._look_whether_done(token, said)

    def _look_whether_done(self, token: int, said: Said) -> None:
        if said.acknowledged and not said.missing:
            del self.under_way[token]
            del self._crowd.talk_of[token]
            said.done()


class Crowd:
    """People and conversations of one process."""

    def __init__(self, loop: Loop, found: Found, scenario: Scenario, name: str, measures: Measures) -> None:
        self.loop = loop
        self.found = found
        self.measures = measures
        self.ready = False
        self.made = 0
        self.failure: str | None = None
        self.peers: list[Peer] = []
        self.talks: list[Talk] = []
        self.talk_of: dict[int, Talk] = {}
        """Where a text under way was said."""
        self._scenario = scenario
        self._name = name
        self._logins: Iterator[Peer] = iter(())
        self._others: list[Peer] = []
        self._firsts = 0

    @property
    def steps(self) -> int:
        """How many `made` will be."""
        return self._scenario.people

    @property
    def complaint(self) -> str:
        """Nothing is tried twice, so the first thing that goes wrong is the failure."""
        return ""

    def begin(self) -> None:
        """Everybody logs in. Who is the first of a group comes before the others, because some servers let him make
        it.
        """
        size, count = self._scenario.size, self._scenario.conversation_count
        length = max((each.bytes for each in self._scenario.activities if isinstance(each, Messages)), default=16)
        for number in range(self._scenario.people):
            group = f"{self._name}-g{number // size}" if size > 2 and number < size * count else None
            user, password = self.found.user, self.found.password
            person = Person(f"{self._name}-{number}", user, password, (group,) if group else (), inbox=size == 2)
            self.peers.append(Peer(self, number, person))
        for number in range(count):
            members = self.peers[number * size : (number + 1) * size]
            self.talks.append(Talk(self, f"{self._name}-g{number}", members, length))
        firsts = [talk.members[0] for talk in self.talks if size > 2]
        self._firsts = len(firsts)
        self._others = [peer for peer in self.peers if peer not in set(firsts)]
        self._come(firsts or self._others)

    def _come(self, peers: Iterable[Peer]) -> None:
        self._logins = iter(peers)
        for _ in range(TOGETHER):
            self._next_comes()

    def _next_comes(self) -> None:
        peer = next(self._logins, None)
        if peer is not None:
            peer.connect()

    def live(self, peer: Peer) -> None:
        """Somebody has logged in."""
        self.made += 1
        self.ready = self.made == len(self.peers)
        if self.made == self._firsts:
            self._come(self._others)
        else:
            self._next_comes()

    def saw(self, peer: Peer, token: int) -> None:
        """A text of somebody else arrived; one that is not under way any more had arrived before."""
        talk = self.talk_of.get(token)
        if talk is not None:
            talk.seen(peer, token)
        else:
            self.measures.count("doubled", self.loop.now)

    def lost(self, why: str) -> None:
        """A connection ended, not by our will."""
        if not self.ready:
            self.failure = why
        self.measures.count("connections lost", self.loop.now)

    @property
    def under_way(self) -> int:
        """Texts that somebody still waits for."""
        return sum(len(talk.under_way) for talk in self.talks)

    @property
    def is_settled(self) -> bool:
        """Nobody waits for a text; whose connection broke does not come back."""
        return not self.under_way

    def waiting(self) -> Iterable[str]:
        """Nobody has promised anything."""
        return ()

    def lacking(self) -> Iterable[str]:
        """See `waiting`."""
        return ()

    def close(self) -> None:
        """Everybody leaves."""
        for peer in self.peers:
            peer.close()
