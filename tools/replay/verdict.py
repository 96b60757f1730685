"""Lets the judge of histories compare what was promised and what is held with what the server says, and sorts what it
finds into five columns.

lost         acknowledged, but not in the log; or in the log, but not on the device of somebody who may see it
duplicated   in the log a second time, or on a device without being in the log
gaps         a place in the log without an entry
reordered    in the log at another place than acknowledged, or against the order of its speaker, or an answer before
             what it answers
differences  anything else that does not agree, and whatever never got an answer
"""

from collections.abc import Mapping

import attrs

from tools.history.checker import Entry, Holding, Record
from tools.history.receipts import Mark
from tools.replay.evidence import Account, Evidence

COLUMNS = {
    "lost": "lost",
    "lacks": "lost",
    "one seq for two": "lost",
    "doubled": "duplicated",
    "two answers": "duplicated",
    "shown and gone": "duplicated",
    "gap": "gaps",
    "moved": "reordered",
    "order against real time": "reordered",
    "answers what comes later": "reordered",
}
"""Of the rules of the judge; the others are differences."""


@attrs.define
class Verdict:
    """One line for each finding."""

    lost: list[str] = attrs.Factory(list)
    duplicated: list[str] = attrs.Factory(list)
    gaps: list[str] = attrs.Factory(list)
    reordered: list[str] = attrs.Factory(list)
    differences: list[str] = attrs.Factory(list)

    @property
    def clean(self) -> bool:
        return not any(attrs.astuple(self))

    def add(self, other: "Verdict") -> None:
        """Takes over the findings of another conversation."""
        for name in attrs.fields_dict(Verdict):
            getattr(self, name).extend(getattr(other, name))


def judge(evidence: Evidence, account: Account) -> Verdict:
    """All findings about one conversation. Its history is finished with that."""
    _report_log(evidence, account)
    for device in evidence.devices:
        marks = {user: (None, read) for user, read in device.read.items()}
        _report_holding(evidence, device.name, device.user, account.head, device.records, marks)
    _report_marks(evidence, account)
    verdict = Verdict(differences=[f"{evidence.name}: {line}" for line in (*evidence.unfinished, *account.faults)])
    for violation in evidence.history.finish():
        column = COLUMNS.get(violation.rule, "differences")
        getattr(verdict, column).append(f"{evidence.name}: {violation.rule}: {violation.detail}")
    return verdict


def _report_log(evidence: Evidence, account: Account) -> None:
    """Nobody edits or deletes in a replay, so each record is an entry as it was made."""
    for record in account.records.values():
        evidence.history.logged(
            Entry(
                evidence.conv, record.seq, record.ts, record.sender, record.kind, record.content, record.ref,
                record.users, role=record.role, origin=record.origin,
            )
        )  # fmt: skip
    evidence.history.headed(evidence.conv, account.head)


def _report_marks(evidence: Evidence, account: Account) -> None:
    """Zero means that the group keeps no delivered watermark."""
    marks = {user: (delivered or None, read) for user, (delivered, read) in sorted(account.marks.items())}
    for user, (delivered, read) in marks.items():
        evidence.history.receipt("the server", evidence.conv, user, delivered, read)
    _report_holding(evidence, "the server", evidence.owner, account.head, account.records, marks)


def _report_holding(
    evidence: Evidence, name: str, user: int, head: int, records: Mapping[int, Record], marks: Mapping[int, Mark]
) -> None:
    """Everybody had the time to get everything."""
    evidence.history.held(user, evidence.conv, 1, max(records, default=0))
    evidence.history.holds(Holding(name, user, evidence.conv, 1, head, records, marks, final=True))
