"""Numbered SQL files, applied in order, each with its checksum remembered: a database that was changed elsewhere
is refused.
"""

from __future__ import annotations

import hashlib
from importlib import resources

import attrs

from wirechat.store.errors import DataError, Newer


@attrs.frozen
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Of its text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def alone(self) -> bool:
        """Servers of the version before cannot go on beside it."""
        return self.sql.startswith("-- Alone:")


def migrations(engine: str) -> list[Migration]:
    """All migrations of an engine, in order."""
    found = []
    for file in resources.files("wirechat.store").joinpath("migrations").iterdir():
        parts = file.name.split(".")
        if parts[-1] == "sql" and parts[-2] == engine:
            number, _, name = parts[0].partition("_")
            found.append(Migration(int(number), name, file.read_text()))
    return sorted(found, key=lambda migration: migration.number)


def pending(engine: str, applied: list[tuple[int, str]]) -> list[Migration]:
    """What is still to be applied, given (number, checksum) of what was. Raises DataError."""
    known = migrations(engine)
    if len(applied) > len(known):
        raise Newer("the data was written by a newer wirechat; install that one")
    for (number, checksum), migration in zip(applied, known, strict=False):
        if (number, checksum) != (migration.number, migration.checksum):
            raise DataError(f"migration {number} of this data is not ours; it belongs to another program or version")
    return known[len(applied) :]
