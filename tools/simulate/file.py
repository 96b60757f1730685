"""A device's file as a power cut would leave it, read beside the product: positions, records, watermarks, outbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import attrs

from tools.history.reference import Record
from tools.history.standing import Described
from tools.simulate.wording import record_of
from wirechat import wire

POSITIONS = "SELECT conv, pos, want, low, rpos, rwant, catch, former FROM log ORDER BY conv"


@attrs.frozen
class Position:
    """What a device has durably of one conversation; see the client's Log."""

    pos: int
    want: int
    low: int
    rpos: int
    rwant: int
    catch: int
    former: int


class DeviceFile:
    """Read access to the cache of one device, for as long as it lives there."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)

    def positions(self) -> dict[int, Position]:
        return {row[0]: Position(*row[1:]) for row in self._rows(POSITIONS)}

    def token(self) -> bytes | None:
        rows = list(self._rows("SELECT value FROM meta WHERE key = 'token'"))
        return rows[0][0] if rows else None

    def records(self, conv: int) -> dict[int, Record]:
        bodies = self._rows("SELECT body FROM record WHERE conv = ? ORDER BY seq", conv)
        return {record.seq: record for (body,) in bodies for record in [record_of(wire.Record.unpack(body))]}

    def marks(self, conv: int) -> dict[int, tuple[int, int]]:
        rows = self._rows("SELECT user, delivered, read FROM mark WHERE conv = ? ORDER BY user", conv)
        return {user: (delivered, read) for user, delivered, read in rows}

    def info(self, conv: int) -> Described | None:
        """The description of a conversation."""
        bodies = [body for (body,) in self._rows("SELECT body FROM conversation WHERE conv = ?", conv)]
        if not bodies:
            return None
        info = wire.Info.unpack(bodies[0])
        return Described(info.kind, info.role, info.members, info.title, info.about)

    def secrets(self) -> list[str]:
        """What it could log in with."""
        return [key for (key,) in self._rows("SELECT key FROM meta WHERE key IN ('resume', 'key') AND value NOTNULL")]

    def disordered(self) -> Iterator[str]:
        """Records whose reactions are not in the order of the users."""
        for conv, body in self._rows("SELECT conv, body FROM record"):
            record = wire.Record.unpack(body)
            users = [reaction.user for reaction in record.reactions or ()]
            if users != sorted(users):
                yield f"{conv}/{record.seq} has reactions of {users}"

    def waiting(self) -> int:
        """Entries in the outbox."""
        return int(next(self._rows("SELECT count(*) FROM outbox"))[0])

    def close(self) -> None:
        self._connection.close()

    def _rows(self, sql: str, *values: int) -> Iterator[tuple]:  # type: ignore[type-arg]
        return iter(self._connection.execute(sql, values).fetchall())
