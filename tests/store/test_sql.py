"""The dialect: SQL is written once for both engines, and SQLite numbers $-parameters by first appearance."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.store.talk import Talk
from wirechat import store
from wirechat.store.database import open_sqlite
from wirechat.store.features import history, receipts, sync, unread

FOLDER = Path(store.__file__).parent
FILES = sorted(path for path in FOLDER.rglob("*.py"))
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """String literals with parameters: joined ones as one, what is put into them left out."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def parameters(text: str) -> list[int]:
    """Numbers in the order of first appearance."""
    return list(dict.fromkeys(int(number) for number in re.findall(r"\$(\d+)", text)))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(FOLDER)) for path in FILES])
def test_parameters_appear_in_order(path: Path) -> None:
    """$1 before $2: SQLite counts them as they come, PostgreSQL takes them by name."""
    for line, text in texts(path):
        if STATEMENT.search(text) and "$" in text:
            found = parameters(text)
            assert found == sorted(found), f"{path.name}:{line}: {found}"


def test_statements_are_found() -> None:
    """The scan above would pass if it found none."""
    found = [text for path in FILES for _, text in texts(path) if STATEMENT.search(text) and "$" in text]
    assert len(found) > 40


def test_whole_statements_of_history_have_their_parameters_in_order() -> None:
    """They are put together from parts, so they are looked at as they are executed."""
    import asyncio

    from wirechat.store.features import forwards, mentions, pins

    asked: list[str] = []

    class Spy:
        engine = "sqlite"

        async def fetch(self, sql: str, *args: Any) -> list[Any]:
            asked.append(sql)
            assert parameters(sql) == list(range(1, len(args) + 1)), sql
            return []

        async def fetchrow(self, sql: str, *args: Any) -> Any:
            assert parameters(sql) == list(range(1, len(args) + 1)), sql
            return (1, None, True) if "FROM conv c" in sql else None if "origin_user" in sql else (1, None)

        async def fetchmany(self, sql: str, rows: Any) -> list[Any]:
            asked.append(sql)
            assert all(parameters(sql) == list(range(1, len(row) + 1)) for row in rows), sql
            return [(1, 1, 9, 0, True)] if "FROM member m JOIN conv c" in sql and "hidden" in sql else []

    async def all_of_them(tx: Any) -> None:
        await history.changes(tx, 1, 1, 0, 10, 10)
        await history.history(tx, 1, 1, None, 10, 10)
        await history.records(tx, 1, 1, [1], 10)
        await pins.pins(tx, 1, 1)
        await mentions.mentions(tx, 1, 1, None, 10)
        await forwards.copy(tx, 1, 1, 1)
        await unread.unread(tx, 1, [1], 10)
        await sync.digest(tx, 1, 0, 0, 10)
        await sync.rows(tx, [1], 0)

    asyncio.run(all_of_them(Spy()))
    assert len(asked) == 12


async def test_no_statement_is_prepared_anew_for_what_it_is_asked(tmp_path: Path) -> None:
    """SQLite does so for joins, where it could know something about the value: that costs more than the look."""
    async with open_sqlite(tmp_path) as opened:
        talk = await Talk(opened).people(9)
        convs = [await talk.group(user, user + 1) for user in range(1, 9)]
        prepared: list[str | None] = []

        def preparing(action: int, first: str | None, *_: object) -> int:
            prepared.append(first)
            return apsw.SQLITE_OK

        for db in (opened._writer, opened._reader):
            db.authorizer = preparing
        for number in (1, 2):
            prepared.clear()
            marks = [(conv, user, number, 0) for user, conv in enumerate(convs, 1)]
            await opened.write(receipts.flush, marks, 64, {})
            for user, conv in enumerate(convs, 1):
                await talk.say(conv, user)
                await opened.read(history.changes, user, conv, 0, 10, 10)
                await opened.read(sync.rows, [conv], 0)
                await opened.read(unread.unread, user, (conv,), 10)
            if number == 1:
                assert "member" in prepared
    assert not prepared
