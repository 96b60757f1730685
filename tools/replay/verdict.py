"""Compares what was promised and what is held with what the server says.

lost         acknowledged, but not in the log; or in the log, but not on the device of somebody who may see it
duplicated   in the log a second time, or on a device without being in the log
gaps         a place in the log without an entry
reordered    in the log at another place than acknowledged, or against the order of its speaker, or an answer before
             what it answers
differences  anything else that does not agree, and whatever never got an answer
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

import attrs

from tools.replay.evidence import Account, Evidence, Fact, Holding, Promise, periods

JOINS = (6, 7)  # CREATE, ADD
LEAVES = (8,)  # REMOVE


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
    """All findings about one conversation."""
    verdict = Verdict()
    verdict.gaps += [f"nothing at seq {seq}" for seq in range(1, account.head + 1) if seq not in account.facts]
    verdict.differences += evidence.unfinished + account.faults
    _judge_promises(evidence.promises, account.facts, verdict)
    _judge_surplus(evidence.promises, account.facts, verdict)
    verdict.reordered += _disorder(evidence.promises)
    for holding in evidence.holdings:
        _judge_holding(holding, evidence, account, verdict)
    verdict.differences += _wrong_marks(evidence, account)
    return _named(evidence.name, verdict)


def _named(name: str, verdict: Verdict) -> Verdict:
    lists = {field: [f"{name}: {line}" for line in getattr(verdict, field)] for field in attrs.fields_dict(Verdict)}
    return Verdict(**lists)


def _what(entry: Promise | Fact) -> tuple[object, ...]:
    return entry.sender, entry.kind, entry.text, entry.ref, entry.users


def _places(entries: Iterable[Promise | Fact]) -> defaultdict[tuple[object, ...], set[int]]:
    """Where the same thing stands: people do say "lol" twice."""
    places: defaultdict[tuple[object, ...], set[int]] = defaultdict(set)
    for entry in entries:
        places[_what(entry)].add(entry.seq)
    return places


def _judge_promises(promises: list[Promise], facts: dict[int, Fact], verdict: Verdict) -> None:
    places, promised = _places(facts.values()), _places(promises)
    for promise in promises:
        fact = facts.get(promise.seq)
        elsewhere = places[_what(promise)] - promised[_what(promise)]
        if fact is not None and _what(fact) == _what(promise):
            if promise.ts not in (None, fact.ts):
                verdict.differences.append(f"seq {fact.seq} was promised for {promise.ts}, is of {fact.ts}")
        elif elsewhere:
            verdict.reordered.append(f"promised at seq {promise.seq}, stands at {min(elsewhere)}: {_shown(promise)}")
        elif fact is None:
            verdict.lost.append(f"acknowledged at seq {promise.seq} and gone: {_shown(promise)}")
        else:
            verdict.differences.append(f"seq {promise.seq} says {_shown(fact)}, promised was {_shown(promise)}")
    for seq, count in Counter(promise.seq for promise in promises).items():
        if count > 1:
            verdict.lost.append(f"seq {seq} was promised to {count} entries")


def _judge_surplus(promises: list[Promise], facts: dict[int, Fact], verdict: Verdict) -> None:
    """Entries that nobody was promised."""
    promised = {promise.seq for promise in promises}
    known = {_what(promise) for promise in promises}
    for seq in sorted(facts.keys() - promised):
        if _what(facts[seq]) in known:
            verdict.duplicated.append(f"seq {seq} repeats an entry: {_shown(facts[seq])}")
        else:
            verdict.differences.append(f"seq {seq} was promised to nobody: {_shown(facts[seq])}")


def _disorder(promises: list[Promise]) -> Iterator[str]:
    """People whose entries do not stand in the order in which they were sent; answers before what they answer."""
    newest: dict[int, int] = {}
    for promise in sorted(promises, key=lambda promise: promise.step):
        person = promise.users[0] if promise.users else promise.sender  # being added is the first thing one does
        if promise.seq <= newest.get(person, 0):
            yield f"seq {promise.seq} came after seq {newest[person]} for user {person}"
        newest[person] = max(promise.seq, newest.get(person, 0))
        if promise.ref is not None and promise.ref >= promise.seq:
            yield f"seq {promise.seq} answers seq {promise.ref}"


def _judge_holding(holding: Holding, evidence: Evidence, account: Account, verdict: Verdict) -> None:
    """A device must hold exactly what its user may see, each entry as the server has it."""
    visible = periods(evidence.promises, holding.user, joins=JOINS, leaves=LEAVES)
    expected = {seq for period in visible for seq in account.facts if seq in period}
    for seq in sorted(expected - holding.facts.keys()):
        verdict.lost.append(f"{holding.name} lacks seq {seq}: {_shown(account.facts[seq])}")
    promised = {promise.seq for promise in evidence.promises}
    for seq in sorted(holding.facts.keys() - expected):
        if seq in account.facts or not any(seq in period for period in visible):
            verdict.differences.append(f"{holding.name} holds seq {seq}, not for him: {_shown(holding.facts[seq])}")
        elif seq not in promised:
            verdict.duplicated.append(f"{holding.name} alone holds seq {seq}: {_shown(holding.facts[seq])}")
    for seq in sorted(expected & holding.facts.keys()):
        if holding.facts[seq] != account.facts[seq]:
            verdict.differences.append(f"{holding.name} holds seq {seq} as {_shown(holding.facts[seq])}")
    if visible and account.head + 1 in visible[-1]:
        verdict.differences += _other_marks(holding, account)


def _other_marks(holding: Holding, account: Account) -> Iterator[str]:
    for user, (_, read) in sorted(account.marks.items()):
        if holding.read.get(user, 0) != read:
            yield f"{holding.name} believes that user {user} read {holding.read.get(user, 0)}, it is {read}"


def _wrong_marks(evidence: Evidence, account: Account) -> Iterator[str]:
    for user, promised in sorted(evidence.marked.items()):
        delivered, read = account.marks.get(user, (0, 0))
        if read != promised:
            yield f"user {user} was promised read {promised}, it is {read}"
        if delivered and delivered < read:
            yield f"user {user} read {read}, but got only {delivered}"


def _shown(entry: Promise | Fact) -> str:
    what = f"kind {entry.kind} by {entry.sender}"
    return f"{what}: {entry.text[:40]!r}" if entry.text is not None else f"{what} of {list(entry.users)}"
