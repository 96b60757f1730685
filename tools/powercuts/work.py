"""What several users do with a store: entries of all kinds in batches, receipts, devices, accounts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

import attrs

from tools.powercuts.acknowledged import Book
from tools.powercuts.worlds import Transaction
from wirechat.store.features import accounts, devices, journal, receipts
from wirechat.store.records import ADMIN, DIRECT, GROUP, MEMBER, MODERATOR, OWNER, SELF, Append, Kind

BEGAN_MS = 1_800_000_000_000
DAY_MS = 86_400_000
KINDS = {
    Kind.MSG: 12,
    Kind.EDIT: 4,
    Kind.DELETE: 3,
    Kind.REACT: 3,
    Kind.CREATE: 2,
    Kind.ADD: 2,
    Kind.REMOVE: 2,
    Kind.PIN: 2,
    Kind.UNPIN: 1,
    Kind.ROLE: 2,
    Kind.META: 1,
}
"""What is written, and how often."""
DESCRIPTIONS = (b"\x92\x0a\xa5title", b"\x92\x0b\xa5about")
"""Packed contents of META entries."""
LARGE_GROUP = 4
"""Delivery is not kept above this."""


class Crowd:
    """Draws one transaction after the other. Much of it is refused, as in life."""

    def __init__(self, users: int, book: Book, chance: Random) -> None:
        self._users = list(range(1, users + 1))
        self._book = book
        self._chance = chance
        self._missing = list(self._users)
        self._now_ms = BEGAN_MS
        self._devices: list[int] = []
        self._tokens: list[bytes] = []

    def founding(self) -> Transaction | None:
        """The next account that is still missing; nothing else makes sense before."""
        if not self._missing:
            return None
        return Transaction(accounts.create, (self._missing[0], f"user{self._missing[0]}", None, None, self._now_ms))

    def act(self) -> Transaction:
        """Whatever comes to somebody's mind."""
        deeds: dict[Callable[[], Transaction], int] = {
            self._talk: 10,
            self._read: 3,
            self._new_device: 1,
            self._account: 1,
            self._password: 1,
        }
        if self._devices:
            deeds |= {self._key: 1, self._issue: 1, self._resume: 1}
        return self._chance.choices(list(deeds), weights=list(deeds.values()))[0]()

    def heard(self, transaction: Transaction, result: object) -> None:
        """It was answered."""
        if transaction.feature is accounts.create and transaction.args[0] in self._missing:
            self._missing.remove(transaction.args[0])
        if transaction.feature is devices.create and result is None:
            self._devices.append(transaction.args[0])

    def append(self, *batch: Append) -> Transaction:
        """A batch. Clocks go on, or stand, or are set back."""
        self._now_ms += self._chance.choice((0, 1, 1000, -5000, 7000))
        return Transaction(journal.append, (batch, self._now_ms, {}), batch)

    def _user(self) -> int:
        return self._chance.choice(self._users)

    # entries

    def _talk(self) -> Transaction:
        return self.append(*(self._entry() for _ in range(self._chance.choice((1, 1, 2, 5)))))

    def _entry(self) -> Append:
        known = self._chance.random()
        if known < 0.08 and self._book.entries:
            return self._again(known < 0.04)
        kind = self._chance.choices(list(KINDS), weights=list(KINDS.values()))[0]
        convs = sorted({conv for conv, _ in self._book.entries})
        if kind == Kind.CREATE or not convs:
            return self._create(self._chance.choice((DIRECT, GROUP, GROUP, SELF)))
        conv = self._chance.choice(convs)
        if kind in (Kind.ADD, Kind.REMOVE, Kind.ROLE):
            role = self._chance.choice((MEMBER, MODERATOR, ADMIN, OWNER)) if kind == Kind.ROLE else None
            return attrs.evolve(self._new(conv, self._user(), kind, users=(self._user(),)), role=role)
        if kind == Kind.META:
            return self._new(conv, self._user(), kind, self._chance.choice(DESCRIPTIONS))
        if kind == Kind.MSG:
            mentioned = self._chance.choice(((), (), (self._user(),)))
            return self._new(conv, self._user(), kind, self._text(), self._message(conv)[1], mentioned)
        return self._change(conv, kind)

    def _change(self, conv: int, kind: Kind) -> Append:
        """Of a message, mostly by its sender."""
        sender, seq = self._message(conv)
        if kind == Kind.REACT or self._chance.random() < 0.2:
            sender = self._user()
        content = self._text() if kind == Kind.EDIT else None
        if kind == Kind.REACT:
            content = self._chance.choice((None, self._chance.randbytes(4)))
        return self._new(conv, sender, kind, content, seq or 1)

    def _again(self, same: bool) -> Append:
        """A cid that was used: for the same, or for something else."""
        item = self._chance.choice(list(self._book.entries.values())).item
        return item if same else self._new(item.conv, item.sender, Kind.MSG, self._text(), cid=item.cid)

    def _message(self, conv: int) -> tuple[int, int | None]:
        """(sender, seq) of one that was acknowledged."""
        done = [each for (where, _), each in self._book.entries.items() if where == conv]
        messages = [(each.item.sender, each.seq) for each in done if each.item.kind == Kind.MSG]
        return self._chance.choice(messages) if messages else (self._user(), None)

    def _create(self, kind: int) -> Append:
        creator = self._user()
        others = [user for user in self._users if user != creator]
        count = self._chance.randint(1, len(others)) if kind == GROUP else 1 if kind == DIRECT else 0
        users = tuple(self._chance.sample(others, count))
        return self._new(self._chance.randrange(1 << 48), creator, Kind.CREATE, None, None, users, kind)

    def _new(
        self, conv: int, sender: int, kind: Kind, content: bytes | None = None, ref: int | None = None,
        users: tuple[int, ...] = (), conv_kind: int = 0, cid: bytes | None = None,
    ) -> Append:  # fmt: skip
        said = repr((kind, content, ref, users, conv_kind)).encode()
        digest = hashlib.blake2b(said, digest_size=16).digest()
        return Append(
            conv, sender, cid or self._chance.randbytes(8), kind, content, ref, users, digest, conv_kind=conv_kind
        )

    def _text(self) -> bytes:
        """Mostly short; some fill pages of their own."""
        return self._chance.randbytes(self._chance.choice((5, 30, 30, 60, 300, 6_000)))

    # everything else

    def _read(self) -> Transaction:
        places = list(self._book.entries) or [(1, 1)]
        marks = []
        for conv, seq in self._chance.choices(places, k=self._chance.randint(1, 4)):
            marks.append((conv, self._user(), seq, self._chance.choice((0, seq))))
        return Transaction(receipts.flush, (tuple(marks), LARGE_GROUP))

    def _new_device(self) -> Transaction:
        device = self._chance.randrange(1 << 40)
        return Transaction(devices.create, (device, self._user(), None, "phone", self._now_ms))

    def _key(self) -> Transaction:
        return Transaction(devices.set_key, (self._chance.choice(self._devices), self._chance.randbytes(32)))

    def _issue(self) -> Transaction:
        self._tokens.append(self._chance.randbytes(16))
        return Transaction(
            devices.issue_resume, (self._chance.choice(self._devices), self._tokens[-1], self._now_ms + DAY_MS)
        )

    def _resume(self) -> Transaction:
        used = self._chance.choice(self._tokens) if self._tokens else bytes(16)
        self._tokens.append(self._chance.randbytes(16))
        return Transaction(devices.use_resume, (used, self._tokens[-1], self._now_ms, self._now_ms + DAY_MS))

    def _account(self) -> Transaction:
        user = self._chance.randrange(100, 1 << 40)
        return Transaction(accounts.create, (user, f"guest{user % 50}", "A Name", None, self._now_ms))

    def _password(self) -> Transaction:
        return Transaction(accounts.set_password, (f"user{self._user()}", self._chance.randbytes(20).hex()))
