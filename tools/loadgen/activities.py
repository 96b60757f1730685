"""What people do under load. Each activity is told of each phase and does its part at the intended times.

An open loop acts at the times of its schedule, whatever came of what it did before. A closed one acts when something of
its own is over; it measures how much a server can do, not how long its users wait.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any, Protocol

from tools.loadgen import hour, scenario
from tools.loadgen.crowd import Crowd
from tools.loadgen.peer import Peer
from tools.loadgen.people import Conversation, People
from tools.loadgen.schedule import Schedule, Stretch
from tools.loadgen.strangers import Stranger
from tools.loadgen.talk import Talk
from wirechat import wire

Act = Callable[[float], None]


class Activity(Protocol):
    """Something that people do."""

    def begin(self, phase: str, stretch: Stretch) -> None:
        """A phase begins."""

    def stop(self) -> None:
        """Nothing new any more."""


class Paced:
    """An open loop: `act` is called with each intended time, as soon as the loop gets to it."""

    def __init__(self, crowd: People, schedule: Schedule, act: Act) -> None:
        self._crowd = crowd
        self._schedule = schedule
        self._act = act
        self._times: Iterator[float] = iter(())
        self._stopped = False

    def begin(self, phase: str, stretch: Stretch) -> None:
        self._times = self._schedule.times(stretch)
        self._next()

    def _next(self) -> None:
        times, due = self._times, next(self._times, None)
        if due is not None:
            self._crowd.loop.at(due, lambda: self._turn(times, due))

    def _turn(self, times: Iterator[float], due: float | None) -> None:
        """Everything that is due by now."""
        loop, measures = self._crowd.loop, self._crowd.measures
        while due is not None and due <= loop.now and times is self._times and not self._stopped:
            measures.latency("lag", due, loop.now)
            self._act(due)
            due = next(times, None)
        if due is not None and times is self._times and not self._stopped:
            loop.at(due, lambda: self._turn(times, due))

    def stop(self) -> None:
        self._stopped = True


class Speech:
    """Texts: an open loop over all senders in turn, or a window at each of them."""

    def __init__(self, what: scenario.Messages, crowd: People, chance: Random, tokens: Iterator[int]) -> None:
        self._crowd = crowd
        self._tokens = tokens
        self._window = what.window or 0
        self._senders = [(talk, peer) for talk in crowd.talks for peer in talk.members[: what.senders]]
        self._stopped = self._begun = False
        chance.shuffle(self._senders)
        turns = itertools.cycle(self._senders)
        random = chance if what.arrivals == "random" else None
        self._paced = what.rate and Paced(crowd, Schedule(what.rate, random), lambda due: self._say(*next(turns), due))

    def begin(self, phase: str, stretch: Stretch) -> None:
        if not self._senders:
            return
        if self._paced:
            self._paced.begin(phase, stretch)
        elif not self._begun:
            self._begun = True
            for talk, peer in self._senders:
                for _ in range(self._window):
                    self._say(talk, peer, self._crowd.loop.now)

    def _say(self, talk: Conversation, peer: Any, due: float) -> None:
        talk.say(peer, next(self._tokens), due, self._nothing if self._paced else lambda: self._another(talk, peer))

    def _another(self, talk: Conversation, peer: Any) -> None:
        if not self._stopped:
            self._say(talk, peer, self._crowd.loop.now)

    def _nothing(self) -> None:
        """An open loop does not care."""

    def stop(self) -> None:
        self._stopped = True
        if self._paced:
            self._paced.stop()


PAST_SECONDS = 1200.0
"""Threads that began so long before the load are still going on when it begins."""


class Threads:
    """Talk as in a real hour: threads begin at random, and each goes on at its own pace between its speakers."""

    def __init__(self, what: scenario.Hour, crowd: Crowd, chance: Random, tokens: Iterator[int]) -> None:
        self._crowd = crowd
        self._chance = chance
        self._tokens = tokens
        self._model = hour.model()
        self._begun = self._stopped = False
        rate = what.rate / self._model.mean_texts
        self._paced = Paced(crowd, Schedule(rate, chance), lambda due: self._open(due, self._model.thread(chance)))
        self._past = [
            (at, self._model.thread(chance)) for at in Schedule(rate, chance).times(Stretch(-PAST_SECONDS, 0.0))
        ]

    def begin(self, phase: str, stretch: Stretch) -> None:
        if not self._begun:
            self._begun = True
            for at, thread in self._past:
                if at + thread[-1].after > 0 and self._chance.random() < stretch.scale_begin:
                    self._open(stretch.begin + at, thread)
            self._past.clear()
        self._paced.begin(phase, stretch)

    def _open(self, due: float, thread: list[hour.Turn]) -> None:
        """What lies in the past was said before anybody measured."""
        loop, talk = self._crowd.loop, self._chance.choice(self._crowd.talks)
        speakers = self._chance.sample(talk.members, min(len(talk.members), 1 + max(turn.speaker for turn in thread)))
        for turn in thread:
            when, speaker = due + turn.after, speakers[turn.speaker % len(speakers)]
            if when >= loop.now:
                loop.at(when, partial(self._say, talk, speaker, when, turn.bytes))

    def _say(self, talk: Talk, peer: Peer, due: float, length: int) -> None:
        if not self._stopped:
            self._crowd.measures.latency("lag", due, self._crowd.loop.now)
            talk.say(peer, next(self._tokens), due, _nothing, length)

    def stop(self) -> None:
        self._stopped = True
        self._paced.stop()


def _nothing() -> None:
    """Nobody waits for it."""


def reading(what: scenario.Reads, crowd: Crowd, chance: Random) -> Paced:
    """Somebody marks as read what he has got."""

    def act(due: float) -> None:
        talk, peer = _somebody(crowd, chance)
        if peer.is_live and (pos := peer.positions.get(talk.conv, 0)):
            peer.ask(wire.Mark(0, talk.conv, pos), _timed(crowd, "read", due, wire.MarkOk))

    return Paced(crowd, Schedule(what.rate, chance), act)


def typing(what: scenario.Types, crowd: Crowd, chance: Random) -> Paced:
    """Somebody types."""

    def act(due: float) -> None:
        talk, peer = _somebody(crowd, chance)
        if peer.is_live:
            crowd.measures.count("typing", due)
            peer.tell(wire.Typing(talk.conv, on=True))

    return Paced(crowd, Schedule(what.rate, chance), act)


class Watching:
    """Everybody watches members of his conversation. A quarter of all are away; one comes back, then another goes.

    Who has been here or away for the longest is the next: of two changes at a time the server would tell none.
    """

    def __init__(self, what: scenario.Comes, crowd: Crowd, chance: Random) -> None:
        self._crowd = crowd
        self._watched = {
            peer: tuple(other.account.user for other in _nearest(talk.members, peer, what.watched) if other.account)
            for talk in crowd.talks
            for peer in talk.members
        }
        here = list(self._watched)
        chance.shuffle(here)
        self._here = dict.fromkeys(here)
        self._away: dict[Peer, None] = {}
        self._changed: dict[int, tuple[float, bool]] = {}
        """User -> when he was last meant to change, and whether he is there since."""
        self._paced = Paced(crowd, Schedule(what.rate, chance), self._change)
        crowd.when_live.append(self._back)
        crowd.when_told = self._told
        for peer in here:
            self._watch(peer)

    def begin(self, phase: str, stretch: Stretch) -> None:
        self._paced.begin(phase, stretch)

    def stop(self) -> None:
        self._paced.stop()

    def _watch(self, peer: Peer) -> None:
        peer.ask(wire.PresenceSub(0, self._watched[peer]), self._watches)

    def _watches(self, reply: Any) -> None:
        if isinstance(reply, wire.Error):
            self._crowd.measures.count(f"error {reply.code}", self._crowd.loop.now)

    def _back(self, peer: Peer) -> None:
        """A new connection is one that somebody looks at, and watches nobody yet."""
        if peer not in self._watched or peer.account is None:
            return
        self._away.pop(peer, None)
        self._here[peer] = None
        self._changed.pop(peer.account.user, None)
        self._watch(peer)

    def _change(self, due: float) -> None:
        comes = len(self._away) > len(self._watched) // 4
        these, those = (self._away, self._here) if comes else (self._here, self._away)
        peer = next(iter(these))
        del these[peer]
        those[peer] = None
        if not peer.is_live or peer.account is None:
            return
        self._changed[peer.account.user] = due, comes
        self._crowd.measures.count("comings and goings", due)
        peer.tell(wire.State(comes))

    def _told(self, peer: Peer, users: tuple[wire.Status, ...]) -> None:
        assert peer.account is not None
        looked_since, _ = self._changed.get(peer.account.user, (0.0, True))
        for status in users:
            due, is_there = self._changed.get(status.user, (0.0, None))
            # what happened while it was away is told when it is back
            if status.online is is_there and due > looked_since:
                self._crowd.measures.latency("presence", due, self._crowd.loop.now)


def _nearest(members: Sequence[Peer], peer: Peer, count: int) -> Iterator[Peer]:
    """So many of the others, those who follow him first: everybody is watched by as many."""
    at = members.index(peer)
    return itertools.islice(itertools.chain(members[at + 1 :], members[:at]), count)


def browsing(what: scenario.Browses, crowd: Crowd, chance: Random) -> Paced:
    """Somebody looks at a page somewhere in the past."""

    def act(due: float) -> None:
        talk, peer = _somebody(crowd, chance)
        if peer.is_live:
            hi = chance.randint(1, max(1, talk.head))
            peer.ask(wire.History(0, talk.conv, hi, what.page), _timed(crowd, "page", due, wire.HistoryOk))

    return Paced(crowd, Schedule(what.rate, chance), act)


def coming(what: scenario.Strangers, crowd: Crowd, chance: Random) -> Paced:
    """Somebody comes who means no good."""
    return Paced(crowd, Schedule(what.rate, chance), lambda due: Stranger(crowd, chance).come())


def _timed(crowd: Crowd, series: str, due: float, reply_type: type[wire.Reply]) -> Callable[[Any], None]:
    def done(reply: Any) -> None:
        if isinstance(reply, reply_type):
            crowd.measures.latency(series, due, crowd.loop.now)
        elif isinstance(reply, wire.Error):
            crowd.measures.count(f"error {reply.code}", crowd.loop.now)

    return done


def _somebody(crowd: Crowd, chance: Random) -> tuple[Talk, Peer]:
    talk = crowd.talks[chance.randrange(len(crowd.talks))]
    return talk, talk.members[chance.randrange(len(talk.members))]


class Leaving:
    """Connections are cut and come back: some now and then, or many at once."""

    def __init__(self, what: scenario.Returns, crowd: Crowd, chance: Random, first_measured: str) -> None:
        self._what = what
        self._crowd = crowd
        self._chance = chance
        self._phase = what.phase or first_measured
        self._away: dict[Peer, float] = {}
        """Who was cut off, and when he is meant to come back: what he waits for counts from there."""
        self._paced = what.rate and Paced(crowd, Schedule(what.rate, chance), self._one)
        self._rounds = 0
        crowd.when_live.append(self._back)

    def begin(self, phase: str, stretch: Stretch) -> None:
        if self._paced:
            self._paced.begin(phase, stretch)
        elif phase == self._phase and not self._rounds:
            self._rounds += 1
            here = [peer for peer in self._crowd.peers if peer.is_live]
            for peer in self._chance.sample(here, round(len(here) * (self._what.share or 0))):
                self._cut(peer)

    def _one(self, due: float) -> None:
        peer = self._crowd.peers[self._chance.randrange(len(self._crowd.peers))]
        if peer.is_live:
            self._cut(peer)

    def _cut(self, peer: Peer) -> None:
        self._crowd.measures.count("connections cut", self._crowd.loop.now)
        self._away[peer] = self._crowd.loop.now + self._what.away_seconds
        peer.disconnect()
        if not self._what.resume:
            peer.resume = None
        self._crowd.comes_back(peer, self._what.away_seconds)

    def _back(self, peer: Peer) -> None:
        due = self._away.pop(peer, None)
        if due is None:
            return
        series = "resume" if self._what.resume else "login"
        self._crowd.measures.latency(series, due, self._crowd.loop.now)
        self._look(peer, due)

    def _look(self, peer: Peer, due: float) -> None:
        """Until it lacks nothing any more."""
        if not peer.is_live:
            self._away.setdefault(peer, due)  # its connection broke meanwhile: it goes on waiting
        elif peer.is_complete:
            self._crowd.measures.latency("caught up", due, self._crowd.loop.now)
        else:
            peer.later(0.01, lambda: self._look(peer, due))

    def stop(self) -> None:
        if self._paced:
            self._paced.stop()


def activities(plan: scenario.Scenario, crowd: People, chance: Random) -> list[Activity]:
    """All of a scenario, for people who are there already. On other servers than ours they only talk."""
    tokens = itertools.count(1)
    measured = next((phase.name for phase in plan.phases if phase.measured), "")
    found: list[Activity] = []
    for number, what in enumerate(plan.activities):
        own = Random(f"{chance.random()}/{number}")
        match what:
            case scenario.Messages():
                found.append(Speech(what, crowd, own, tokens))
            case _ if not isinstance(crowd, Crowd):
                continue
            case scenario.Returns():
                found.append(Leaving(what, crowd, own, measured))
            case scenario.Strangers():
                found.append(coming(what, crowd, own))
            case _ if not crowd.talks:
                continue
            case scenario.Hour():
                found.append(Threads(what, crowd, own, tokens))
            case scenario.Reads():
                found.append(reading(what, crowd, own))
            case scenario.Types():
                found.append(typing(what, crowd, own))
            case scenario.Comes():
                found.append(Watching(what, crowd, own))
            case scenario.Browses():
                found.append(browsing(what, crowd, own))
    return found
