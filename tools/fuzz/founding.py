"""The small town in which every fuzzed session happens: who may log in, and what there is to attack.

Made once in a process, always the same, and copied for each session. u1, u2 and u3 are in the hands of the fuzzer; u4
and u5 are honest.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import attrs
import trio

from tools.fuzz.line import Line
from tools.fuzz.stage import Stage
from tools.simulate import founding
from tools.simulate.clock import JumpingClock, make_repeatable
from tools.simulate.device import Account
from tools.simulate.memory import MemoryDisk
from tools.simulate.sealed import logging_to

DEVICES = (2, 1, 1, 1, 1)
"""Of each user."""

HOSTILE = 4
"""So many of the first accounts are in the hands of the fuzzer."""

DIRECT, GROUP = 1, 2
PASSWORD = b"correct horse"
"""Of u1."""


@attrs.frozen
class Town:
    """A store, its accounts, and the conversations in it."""

    disk: MemoryDisk
    accounts: tuple[Account, ...]
    direct: int
    """Of u1 and u2."""
    group: int
    """u1 owns it, u2 is a moderator, u3 and u4 are members."""
    closed: int
    """u2 and u4; u3 was removed, u1 never in it."""
    pair: int
    """Of u4 and u5: nobody else's business."""

    @property
    def users(self) -> list[int]:
        return list(dict.fromkeys(account.user for account in self.accounts))


@functools.cache
def town() -> Town:
    """The town of this process."""
    founded = founding.found(DEVICES)
    stage = Stage(founded.disk.copy(), Random("town"))
    make_repeatable("town")
    with logging_to(lambda level, text: None):
        direct, group, closed, pair = trio.run(_found, stage, founded.accounts, clock=JumpingClock())
    if stage.faults:
        raise AssertionError(f"the town cannot be founded: {stage.faults}")
    return Town(stage.disk, founded.accounts, direct, group, closed, pair)


async def _found(stage: Stage, accounts: tuple[Account, ...]) -> tuple[int, int, int, int]:
    users = list(dict.fromkeys(account.user for account in accounts))
    async with stage.open():
        async with _online(stage, accounts[0]) as u1, _online(stage, accounts[2]) as u2:
            direct = await _create(u1, DIRECT, [users[1]])
            group = await _create(u1, GROUP, [users[1], users[2], users[3]], "town")
            closed = await _create(u2, GROUP, [users[2], users[3]], "closed")
            await _must(u1, "MEMBER_SET", 10, conv=group, cid=bytes(7) + b"1", user=users[1], role=2)
            await _must(u2, "MEMBER_DEL", 10, conv=closed, cid=bytes(7) + b"2", user=users[2])
            for number, conv in enumerate((direct, group, group, group)):
                await _must(u1, "SEND", 20 + number, conv=conv, cid=b"founding"[:7] + bytes([number]), kind=1,
                            content={"type": 1, "data": f"message {number}"})  # fmt: skip
            await _must(u1, "SEND", 30, conv=group, cid=b"reaction", kind=4, ref=3, content={"type": 2, "data": "x"})
            await _must(u1, "SECRET_SET", 40, password=PASSWORD)
        async with _online(stage, accounts[4]) as u4:
            pair = await _create(u4, DIRECT, [users[4]])
    return direct, group, closed, pair


@asynccontextmanager
async def _online(stage: Stage, account: Account) -> AsyncIterator[Line]:
    line = stage.connect(account.name)
    if not await stage.login(line, account):
        raise AssertionError(f"{account.name} cannot log in: {line.frames}")
    yield line
    line.cut()


async def _create(line: Line, kind: int, members: list[int], title: str | None = None) -> int:
    cid = bytes(6) + bytes([kind, len(members)])
    answer = await _must(line, "CONV_NEW", 5, cid=cid, kind=kind, members=members, title=title)
    return int(answer["conv"])


async def _must(line: Line, name: str, rid: int, **fields: object) -> dict[str, Any]:
    answer = await line.ask(name, rid, **fields)
    if answer is None or answer.rid is None:
        raise AssertionError(f"{name} was answered with {answer}")
    return answer.fields
