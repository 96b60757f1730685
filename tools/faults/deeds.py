"""What people do while the server is hurt: mostly they talk. Every text is unlike every other."""

from __future__ import annotations

import os
from random import Random

import attrs

from wirechat import wire
from wirechat.client import Client
from wirechat.wire.registries import EntryKind

RECENT = 30
EMOJI = ("+1", "heart", "tada")
WORDS = ("who", "has", "seen", "the", "report", "it", "is", "on", "that", "shelf", "no", "not", "this", "one")
DEEDS = {"say": 70, "edit": 8, "delete": 5, "react": 8, "read": 9}
"""Deed -> how often of a hundred."""


@attrs.define
class Person:
    """One user at one device. `words`: how long texts are at most."""

    chance: Random
    words: int = 20

    async def act(self, client: Client) -> None:
        """One deed, to its end. Raises ClientError, Refused among them: messages may be gone by then."""
        known = [each for each in client.conversations.list() if not each.former]
        if not known:
            return
        conv = self.chance.choice(known).conv
        (deed,) = self.chance.choices(list(DEEDS), list(DEEDS.values()))
        records = list(client.log(conv, RECENT).records.values())
        messages = [record for record in records if record.kind == EntryKind.MSG and record.content is not None]
        mine = [record for record in messages if record.sender == client.user]
        if deed == "read" and records:
            await client.receipts.mark_read(conv, records[-1].seq)
        elif deed == "react" and messages:
            await client.messages.react(conv, self._one(messages), self.chance.choice((*EMOJI, None)))
        elif deed == "edit" and mine:
            await client.messages.edit(conv, self._one(mine), self._text())
        elif deed == "delete" and mine:
            await client.messages.delete(conv, self._one(mine))
        else:
            await client.messages.send(conv, self._text())

    def _one(self, records: list[wire.Record]) -> int:
        return self.chance.choice(records).seq

    def _text(self) -> str:
        """Not from the seed: a process that begins again must not repeat itself."""
        words = self.chance.choices(WORDS, k=self.chance.randint(1, self.words))
        return f"{os.urandom(6).hex()} {' '.join(words)}"
