"""The people of one process and their conversations: made, logged in, kept connected.

Accounts, logins and conversations are made many at a time, and never so many that the server would have reason to
complain: what is set up is not what is measured.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.loadgen.judge import Judge
from tools.loadgen.line import Place
from tools.loadgen.loop import Loop
from tools.loadgen.measures import Measures
from tools.loadgen.peer import Account, Peer, Seen, new_cid
from tools.loadgen.scenario import Scenario
from tools.loadgen.talk import Talk
from wirechat import wire

REGISTRARS = 4
"""Connections over which accounts are made."""
REGISTRATIONS = 16
"""Under way on each of them."""
LOGINS = 64
"""Under way at a time while everybody comes for the first time."""
RETRY_SECONDS = (0.2, 1.0)
"""Between two attempts of somebody whose connection broke."""
MEMBERS_AT_ONCE = 200
CLOSED = (
    "the server makes accounts only when asked from its own machine: run this there, or set accounts.open_registration"
    " of its configuration while it runs"
)
FOUNDING = (wire.EntryKind.CREATE, wire.EntryKind.ADD)
"""What is seen of a conversation before it is under load."""


class Unprepared(Exception):
    """What stands in the way of a load, in one line."""


class Crowd:
    """People and conversations of one process."""

    def __init__(
        self, loop: Loop, place: Place, scenario: Scenario, name: str, chance: Random, measures: Measures, judge: Judge
    ) -> None:
        self.loop = loop
        self.chance = chance
        self.measures = measures
        self.judge = judge
        self.peers: list[Peer] = []
        self.talks: list[Talk] = []
        self.talk_of: dict[int, Talk] = {}
        self.ready = False
        self.made = 0
        """Accounts, logins and conversations so far, for progress."""
        self.failure: str | None = None
        self.when_live: list[Callable[[Peer], None]] = []
        """Told of every return."""
        self.when_told: Callable[[Peer, tuple[wire.Status, ...]], None] = lambda peer, users: None
        """Told of who is there, and whom it was told to."""
        self.place = place
        self._scenario = scenario
        self._name = name
        self._accounts: list[Account] = []
        self._registrars: list[Peer] = []
        self._to_register = scenario.people
        self._handles = itertools.count()
        """A new one for each attempt: an account may have been made though its answer was lost."""
        self._to_log_in: deque[Peer] = deque()
        self._arrived = 0
        self._coming_back: set[Peer] = set()
        self._complaint = ""

    @property
    def steps(self) -> int:
        """How many `made` will be."""
        return 2 * self._scenario.people + self._scenario.conversation_count

    # accounts

    def begin(self) -> None:
        """Make everything; `ready` tells the end, `failure` that there is none."""
        if not self._to_register:
            self.ready = True
        for number in range(min(REGISTRARS, self._to_register)):
            peer = Peer(self.loop, self.place, None, self, f"{self._name} registrar {number}")
            self._registrars.append(peer)
            peer.connect()

    def _register(self, peer: Peer) -> None:
        """One more over this connection, if there is one left."""
        if not self._to_register:
            if not peer.under_way:
                peer.disconnect()
            return
        self._to_register -= 1
        handle, key = f"{self._name}-{next(self._handles)}", Ed25519PrivateKey.generate()
        request = wire.Register(0, handle, wire.AuthMethod.DEVICE_KEY, key.public_key().public_bytes_raw())
        peer.ask(request, lambda reply: self._registered(peer, key, reply))

    def _registered(self, peer: Peer, key: Ed25519PrivateKey, reply: Any) -> None:
        if isinstance(reply, wire.RegisterOk):
            self.made += 1
            self._accounts.append(Account(reply.user, reply.device or 0, key))
            self._register(peer)
            if len(self._accounts) == self._scenario.people:
                self._everybody_comes()
        elif isinstance(reply, wire.Error) and reply.code >= 5000:
            self._to_register += 1
            peer.later((reply.retry_ms or 500) / 1000, lambda: self._register(peer))
        elif isinstance(reply, wire.Error) and reply.code == wire.errors.REGISTRATION_CLOSED:
            self.failure = CLOSED
        elif isinstance(reply, wire.Error):
            self.failure = f"no account could be made: error {reply.code} {reply.message or ''}".rstrip()
        else:
            self._to_register += 1

    # logins

    def _everybody_comes(self) -> None:
        for registrar in self._registrars:
            registrar.disconnect()
        self._registrars.clear()
        for number, account in enumerate(self._accounts):
            self.peers.append(Peer(self.loop, self.place, account, self, f"{self._name} {number}"))
        self._to_log_in.extend(self.peers)
        for _ in range(LOGINS):
            self._next_comes()

    def _next_comes(self) -> None:
        if self._to_log_in:
            self._to_log_in.popleft().connect()

    def live(self, peer: Peer) -> None:
        self._coming_back.discard(peer)
        if peer.account is None:
            for _ in range(REGISTRATIONS):
                self._register(peer)
            return
        if not self.ready and self._arrived < len(self.peers):
            self._arrived += 1
            self.made += 1
            self._next_comes()
            if self._arrived == len(self.peers):
                self._converse()
            return
        for talk in self.talks_of(peer):
            talk.send_again(peer)
        for told in self.when_live:
            told(peer)

    def lost(self, peer: Peer, why: str) -> None:
        if not self.ready:
            self._complaint = why
            if peer.account is None and not self._accounts:
                self.failure = why
                return
        if peer not in self._coming_back:  # else it is one more attempt of somebody who is away already
            self.measures.count("connections lost", self.loop.now)
        self.comes_back(peer, self._pause(peer))

    def comes_back(self, peer: Peer, seconds: float) -> None:
        """It connects again, so much later."""
        self._coming_back.add(peer)
        peer.later(seconds, peer.connect)

    def _pause(self, peer: Peer) -> float:
        if peer.goaway is not None:
            return (peer.goaway.after_ms + self.chance.uniform(0, peer.goaway.jitter_ms)) / 1000
        return self.chance.uniform(*RETRY_SECONDS)

    def told_who_is_there(self, peer: Peer, users: tuple[wire.Status, ...]) -> None:
        self.when_told(peer, users)

    def refused(self, peer: Peer, error: wire.Error) -> None:
        self.measures.count(f"error {error.code}", self.loop.now)
        self._complaint = f"error {error.code} {error.message or ''}".rstrip()

    @property
    def complaint(self) -> str:
        """The last thing that went wrong while everything was made; empty if nothing did."""
        return self._complaint

    # conversations

    def _converse(self) -> None:
        size = self._scenario.size
        groups = [self.peers[at * size : (at + 1) * size] for at in range(self._scenario.conversation_count)]
        if not groups:
            self.ready = True
        for members in groups:
            self._found(members)

    def _found(self, members: list[Peer]) -> None:
        first = members[0]
        users = tuple(_user(peer) for peer in members[1 : 1 + MEMBERS_AT_ONCE])
        is_pair = len(members) == 2
        kind = wire.ConversationKind.DIRECT if is_pair else wire.ConversationKind.GROUP
        rest = members[1 + MEMBERS_AT_ONCE :]
        request = wire.ConvNew(0, new_cid(), kind, users, None if is_pair else "load")
        first.ask(request, lambda reply: self._founded(members, rest, reply))

    def _founded(self, members: list[Peer], rest: list[Peer], reply: Any) -> None:
        if not isinstance(reply, wire.ConvNewOk):
            self.failure = f"a conversation could not be made: {_why(reply)}"
            return
        members[0].own(reply.conv, 1)
        self._grow(members, rest, reply.conv, 1)

    def _grow(self, members: list[Peer], rest: list[Peer], conv: int, head: int) -> None:
        if not rest:
            self._stands(members, conv, head)
            return
        some, others = rest[:MEMBERS_AT_ONCE], rest[MEMBERS_AT_ONCE:]

        def added(reply: Any) -> None:
            if not isinstance(reply, wire.MemberAddOk):
                self.failure = f"a conversation could not be filled: {_why(reply)}"
                return
            members[0].own(conv, reply.seq)
            self._grow(members, others, conv, reply.seq)

        self.judge.adds(conv, members[0])
        members[0].ask(wire.MemberAdd(0, conv, new_cid(), tuple(map(_user, some))), added)

    def _stands(self, members: list[Peer], conv: int, head: int) -> None:
        talk = Talk(conv, head, members, self._text_bytes(), self.measures, self.judge)
        self.talks.append(talk)
        self.talk_of[conv] = talk
        self.made += 1
        if len(self.talks) == self._scenario.conversation_count:
            self.loop.after(0.0, self._settle)

    def _settle(self) -> None:
        """Ready when everybody has heard of his conversations."""
        if all(peer.positions.get(talk.conv, 0) >= talk.head for talk in self.talks for peer in talk.members):
            self.ready = True
        else:
            self.loop.after(0.05, self._settle)

    def _text_bytes(self) -> int:
        return max((getattr(each, "bytes", 16) for each in self._scenario.activities), default=16)

    def talks_of(self, peer: Peer) -> Iterable[Talk]:
        """The conversations under load that it is a member of."""
        return (talk for talk in map(self.talk_of.get, list(peer.positions)) if talk is not None)

    def saw(self, peer: Peer, entry: Seen) -> None:
        talk = self.talk_of.get(entry.conv)
        if talk is not None:
            talk.seen(peer, entry)
        elif entry.kind in FOUNDING:
            self.judge.sees(peer, entry)

    # the end

    @property
    def under_way(self) -> int:
        """Texts that somebody still waits for."""
        return sum(len(talk.under_way) for talk in self.talks)

    @property
    def is_settled(self) -> bool:
        """Everybody is here and has everything."""
        return not (self._coming_back or self.under_way or any(self.lacking()))

    def waiting(self) -> Iterable[str]:
        """What somebody still waits for, in one line for each conversation."""
        for talk in self.talks:
            if talk.under_way:
                oldest = self.loop.now - min(said.due for said in talk.under_way.values())
                yield f"P1 under way: {len(talk.under_way)} texts in {talk.conv}, the oldest for {oldest:.0f} s"

    def lacking(self) -> Iterable[str]:
        """Who does not have everything, in one line each."""
        for talk in self.talks:
            for peer in talk.members:
                pos = peer.positions.get(talk.conv, 0)
                if pos < talk.head:
                    yield f"P5 not complete: {peer.name} has {talk.conv} up to {pos} of {talk.head}"

    def close(self) -> None:
        """Everybody leaves."""
        for peer in (*self.peers, *self._registrars):
            peer.disconnect()


def _user(peer: Peer) -> int:
    assert peer.account is not None
    return peer.account.user


def _why(reply: Any) -> str:
    if isinstance(reply, wire.Error):
        return f"error {reply.code} {reply.message or ''}".rstrip()
    return "the connection broke"
