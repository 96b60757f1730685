"""Compares what a device has with what it should have, at any moment and at the end.

At any moment (I5): at position `pos` it holds what the fold of the log up to `pos` shows its user, except that a
record may already be newer, and that the content of what is deleted later may already be withheld. At the end:
everything, and the same watermarks as the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tools.history.checker import Entry, Periods, is_within
from tools.history.reference import CHANGES, Record, deleted, fold, head
from tools.simulate.file import DeviceFile, Position
from tools.simulate.truth import Truth


def differences(device: DeviceFile, user: int, truth: Truth) -> Iterator[str]:
    """What is wrong with the device's records right now."""
    positions = device.positions()
    account_log = positions.get(truth.account_log(user) or 0)
    if account_log is not None and account_log.low > 1:
        yield f"{truth.account_log(user)}: the account log was jumped over: {account_log}"
    vanished = truth.hidden(user, account_log.pos if account_log else 0)
    for conv, position in positions.items():
        records = device.records(conv)
        for seq in sorted(seq for where, seq in vanished if where == conv and seq in records):
            yield f"{conv}/{seq}: is hidden since {account_log}, and yet there"
        if not position.catch:
            yield from _wrong_records(
                conv, records, position, truth.log(conv), truth.periods(conv).get(user, ()),
                {seq for where, seq in truth.hidden(user) if where == conv},
            )  # fmt: skip


def _wrong_records(
    conv: int, records: dict[int, Record], position: Position, log: Sequence[Entry], times: Periods, hidden: set[int]
) -> Iterator[str]:
    gone, withheld = deleted(log), _withheld(log, times) | hidden  # a device hears of what it hides later than a page
    for seq, record in records.items():
        upto = record.rev if seq in withheld else max(position.pos, record.rev)
        reference = fold(log, upto).get(seq)
        if reference is None or not is_within(times, seq):
            yield f"{conv}/{seq}: shows {record}, there is {reference} for {times}"
        elif not _same(record, reference, seq in gone):
            yield f"{conv}/{seq} at {position}: shows {record}, not {reference}"
    for seq, reference in fold(log, position.pos).items():
        if seq >= position.low and is_within(times, seq) and seq not in records and seq not in withheld:
            yield f"{conv}/{seq} at {position}: lacks {reference}"


def _same(record: Record, reference: Record, is_deleted: bool) -> bool:
    if is_deleted and record.content is None:
        return (record.sender, record.kind, record.ts) == (reference.sender, reference.kind, reference.ts)
    return record == reference


def _withheld(log: Sequence[Entry], times: Periods) -> set[int]:
    """What was changed after a user left is not given to him any more: he keeps the state he had, or none."""
    end = times[-1][1] if times else None
    return (
        set() if end is None else {entry.ref for entry in log[end:] if entry.kind in CHANGES and entry.ref is not None}
    )


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
        if position is None or position.pos != head(times, truth.log(conv)) or position.catch:
            yield f"{conv}: at {position}, the log is at {head(times, truth.log(conv))}"
        elif conv != truth.account_log(user) and device.info(conv) != truth.described(conv, user)[0]:
            yield f"{conv}: described as {device.info(conv)}, should be {truth.described(conv, user)[0]}"
        elif times[-1][1] is None:
            yield from _unequal_marks(conv, device.marks(conv), truth.marks(conv))


def _unequal_marks(conv: int, mine: dict[int, tuple[int, int]], theirs: dict[int, tuple[int, int]]) -> Iterator[str]:
    for user, mark in theirs.items():
        if mine.get(user, (0, 0)) != mark:
            yield f"{conv}: watermarks of {user} are {mine.get(user)}, in the store {mark}"
