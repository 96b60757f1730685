"""Everything that must be right in the end: every log against every acknowledgement and every device, the server's own
account through a reader that shares nothing with it, and `wirechat verify`.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.conformance.decoder import Malformed
from tools.conformance.reader import Login, Refused, open_reader
from tools.faults.crowd import Member
from tools.faults.notebook import read
from tools.faults.witness import Restore, Witness
from tools.history.checker import History, Violation
from tools.history.holdings import Holding
from tools.history.reference import Record, fold
from tools.replay.evidence import record_of_fields
from tools.simulate.file import DeviceFile
from tools.simulate.truth import Truth
from tools.simulate.verdict import differences, holdings, unfinished
from wirechat.store.sqlite import FILE, connect

SHOWN_MAX = 20

T = TypeVar("T")


@attrs.define
class Case:
    """What is judged.

    data        directory of the server, which may run
    members     everybody
    notebooks   what was written down of their connections
    restore     see Witness
    until       what happened later belongs to another case
    caches      the devices' files belong to it
    """

    data: Path
    members: list[Member]
    notebooks: list[Path]
    restore: Restore | None = None
    until: float = math.inf
    caches: bool = True
    store: str | None = None
    """The database of a cluster, of which `data` is a copy."""


@attrs.define
class Findings:
    """What came out."""

    violations: list[Violation]
    witness: Witness
    entries: int


class Log:
    """The logs of a data directory as they are, to compare devices with."""

    def __init__(self, data: Path) -> None:
        self.history = History()
        self.truth = Truth(self.history)
        self._db = connect(str(data / FILE), write=False)
        self.truth.open(self._db)

    def close(self) -> None:
        self._db.close()


def heads(data: Path) -> dict[int, int]:
    """Where the logs of a data directory end."""
    log = Log(data)
    try:
        return {conv: len(log.truth.log(conv)) for conv in log.truth.conversations()}
    finally:
        log.close()


def lacking(log: Log, members: Iterable[Member]) -> list[str]:
    """What the devices lack of the logs as they are now; nothing when all have converged."""
    log.truth.look()
    return [f"device {member.device}: {line}" for member in members for line in _of(member, unfinished, log.truth)]


def _of(member: Member, ask: Callable[[DeviceFile, int, Truth], Iterator[T]], truth: Truth) -> list[T]:
    file = DeviceFile(Path(member.cache))
    try:
        return list(ask(file, member.user, truth))
    finally:
        file.close()


def _holdings(file: DeviceFile, user: int, truth: Truth) -> Iterator[Holding]:
    return holdings(f"the device of user {user}", file, user, truth)


def judge(case: Case) -> Findings:
    """The whole history. Blocks for as long as it takes; the server need not run."""
    history = History(clustered=bool(case.store))
    truth = Truth(history)
    witness = Witness(history, {member.device: member.user for member in case.members}, case.restore)
    witness.tell(note for note in read(case.notebooks) if note.at < case.until)
    db = connect(str(case.data / FILE), write=False)
    try:
        truth.open(db)
        truth.check_gone()
        truth.check_lists()
        for member in case.members if case.caches else ():
            for holding in _of(member, _holdings, truth):
                history.holds(holding)
            for line in _of(member, differences, truth):
                history.violations.append(Violation("P5", "not the fold", f"device {member.device}: {line}"))
        violations = history.finish()
        entries = sum(len(truth.log(conv)) for conv in truth.conversations())
    finally:
        db.close()
    return Findings(violations, witness, entries)


def read_independently(url: str, data: Path, member: Member) -> list[Violation]:
    """What a reader without a line of ours is told by the server of every conversation of `member`, beside its file."""
    log = Log(data)
    login = Login(member.handle, member.device, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(member.key)))
    found = []
    try:
        with open_reader(url, login) as reader:
            for conv in log.truth.conversations():
                if member.user not in log.truth.periods(conv):
                    continue
                reading = reader.read(conv)
                told = {seq: record_of_fields(fields) for seq, fields in reading.records.items()}
                entries = log.truth.log(conv)
                expected = {seq: _plain(record) for seq, record in fold(entries, len(entries)).items()}
                found += [f"{conv}: {fault}" for fault in reading.faults]
                found += [
                    f"{conv}/{seq}: told {told.get(seq)}, there is {expected.get(seq)}"
                    for seq in sorted(told.keys() | expected.keys())
                    if told.get(seq) != expected.get(seq)
                ]
    except (OSError, Refused, Malformed) as error:
        found.append(f"the reader could not read: {error}")
    finally:
        log.close()
    return [Violation("P5", "told otherwise", line) for line in found]


def _plain(record: Record) -> Record:
    """As the reader tells it: a title without its type."""
    return attrs.evolve(record, content=record.content[1]) if isinstance(record.content, tuple) else record


def verify(case: Case) -> list[Violation]:
    """`wirechat verify`, which computes everything stored again from the logs."""
    place = ("--data", str(case.data)) if case.store is None else ("--store", case.store)
    command = [sys.executable, "-m", "wirechat.cli.main", "verify", *place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    lines = (done.stdout + done.stderr).strip().splitlines()
    return [Violation("P1", "wirechat verify", " / ".join(lines[:SHOWN_MAX]))]
