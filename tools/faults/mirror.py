"""The rows of a cluster's database in a file of the embedded store, for the judge: he reads SQL while devices converge,
and need not know two engines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw

from wirechat.store.database import open_sqlite
from wirechat.store.postgres import look
from wirechat.store.sqlite import FILE, connect
from wirechat.store.tx import Tx

TABLES = ("conv", "conv_rc", "member", "entry", "mark", "mention", "account", "hidden", "block")
"""Those that are judged. `wirechat verify` reads the database itself."""


class Mirror:
    """The copy of the database at `url`, in `folder`."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._file: apsw.Connection | None = None

    async def refresh(self) -> None:
        """Have what is in the database now. Raises DataError."""
        if self._file is None:
            async with open_sqlite(self._folder):
                pass  # makes the tables
            self._file = connect(str(self._folder / FILE), write=True)
            self._file.pragma("synchronous", "off")
        columns = {table: self._columns(table) for table in TABLES}

        async def rows(tx: Tx) -> dict[str, list[Any]]:
            return {table: await tx.fetch(f"SELECT {names} FROM {table}") for table, names in columns.items()}

        found = await look(self._url, rows)
        with self._file:
            for table, names in columns.items():
                places = ", ".join("?" * (names.count(",") + 1))
                self._file.execute(f"DELETE FROM {table}")
                self._file.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", found[table])

    def _columns(self, table: str) -> str:
        assert self._file is not None
        return ", ".join(name for (name,) in self._file.execute("SELECT name FROM pragma_table_info(?)", (table,)))

    def close(self) -> None:
        """The file is free."""
        if self._file is not None:
            self._file.close()
            self._file = None
