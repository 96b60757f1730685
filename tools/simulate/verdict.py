"""What is to be said of a device's file, at any moment and at the end.

At any moment (I5): what it holds goes to the history, which compares it with the fold of the log; nothing that its
user hides is there. At the end: everything, and the same watermarks as the store.
"""

from __future__ import annotations

from collections.abc import Iterator

from tools.history.entries import ADD, CREATE, REMOVE, Periods, visible_head
from tools.history.holdings import Holding
from tools.simulate.file import DeviceFile
from tools.simulate.truth import Truth
from wirechat import wire


def holdings(name: str, device: DeviceFile, user: int, truth: Truth) -> Iterator[Holding]:
    """What the device has right now of each conversation that it is not just catching up with."""
    for conv, position in device.positions().items():
        if not position.catch:
            hidden = frozenset(seq for where, seq in truth.hidden(user) if where == conv)
            yield Holding(name, user, conv, position.low, position.pos, device.records(conv), hidden=hidden)


def differences(device: DeviceFile, user: int, truth: Truth) -> Iterator[str]:
    """What is wrong with the account log of its user, and with what that says."""
    positions = device.positions()
    account_log = positions.get(truth.account_log(user) or 0)
    if account_log is not None and account_log.low > 1:
        yield f"{truth.account_log(user)}: the account log was jumped over: {account_log}"
    for conv, position in positions.items():
        times = truth.periods(conv).get(user, ())
        if position.want == position.pos and position.former != _is_out(times, _evidence(device, user, conv)):
            yield f"{conv}: at {position}, a member in {times}"
    vanished = truth.hidden(user, account_log.pos if account_log else 0)
    for conv in positions:
        records = device.records(conv)
        for seq in sorted(seq for where, seq in vanished if where == conv and seq in records):
            yield f"{conv}/{seq}: is hidden since {account_log}, and yet there"


def _evidence(device: DeviceFile, user: int, conv: int) -> int:
    """Up to where the device knows whether its user is a member: a page of history may show it more than its position
    (12.5: the newest evidence decides, in whatever order it comes).
    """
    of_him = [
        seq
        for seq, record in device.records(conv).items()
        if record.kind in (CREATE, ADD, REMOVE) and user in record.users
    ]
    return max([device.positions()[conv].pos, *of_him])


def _is_out(times: Periods, pos: int) -> bool:
    """Whether somebody had left and was not back when the log ended there."""
    ended = [end is not None and end <= pos for start, end in times if start <= pos]
    return bool(ended) and ended[-1]


def unfinished(device: DeviceFile, user: int, truth: Truth) -> Iterator[str]:
    """Why a device has not converged yet."""
    if device.waiting():
        yield f"{device.waiting()} entries in the outbox"
    positions = device.positions()
    for conv in truth.conversations():
        times = truth.periods(conv).get(user, ())
        if not times:
            continue
        position = positions.get(conv)
        head = visible_head(times, len(truth.log(conv)))
        if position is None or position.pos != head or position.catch:
            yield f"{conv}: at {position}, the log is at {head}"
        elif bool(position.former) != (times[-1][1] is not None):
            yield f"{conv}: at {position}, a member in {times}"
        elif conv != truth.account_log(user) and device.info(conv) != truth.described(conv, user)[0]:
            yield f"{conv}: described as {device.info(conv)}, should be {truth.described(conv, user)[0]}"
        elif times[-1][1] is None:
            yield from _unequal_marks(conv, device.marks(conv), truth.marks(conv))
            if position.low == 1 and len(truth.periods(conv)) <= wire.limits.DELIVERED_MEMBERS:
                yield from _undelivered(conv, user, times[-1][0], truth)


def _undelivered(conv: int, user: int, since: int, truth: Truth) -> Iterator[str]:
    """13-2: what a device holds is reported as delivered, sooner or later. Own entries need not be."""
    delivered, _ = truth.marks(conv).get(user, (0, 0))
    last = max((entry.seq for entry in truth.log(conv)[since - 1 :] if entry.sender != user), default=0)
    if delivered < last and conv != truth.account_log(user):
        yield f"{conv}: up to {last} is held, delivered {delivered}"


def _unequal_marks(conv: int, mine: dict[int, tuple[int, int]], theirs: dict[int, tuple[int, int]]) -> Iterator[str]:
    for user, mark in theirs.items():
        if mine.get(user, (0, 0)) != mark:
            yield f"{conv}: watermarks of {user} are {mine.get(user)}, in the store {mark}"
