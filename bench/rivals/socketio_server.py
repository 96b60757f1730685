"""What a Python developer would write for durable chat: python-socketio on uvicorn, a commit for each text.

Run as a process: `python -m bench.rivals.socketio_server PORT DATABASE`. The lock is no ornament: without it the
commits of one task fall into the statements of another on the shared connection, and texts are lost.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
import socketio
import uvicorn

TABLE = """\
CREATE TABLE IF NOT EXISTS texts(
    conversation TEXT, seq INTEGER, sender TEXT, text TEXT, at REAL, PRIMARY KEY (conversation, seq)
) WITHOUT ROWID"""
INSERT = """\
INSERT INTO texts
VALUES (?1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM texts WHERE conversation = ?1), ?2, ?3, ?4) RETURNING seq"""

server = socketio.AsyncServer(async_mode="asgi", logger=False, engineio_logger=False)
users: dict[str, str] = {}
lock = asyncio.Lock()
database: aiosqlite.Connection


@asynccontextmanager
async def opened(path: str) -> AsyncIterator[None]:
    """The database while the server runs."""
    global database
    async with aiosqlite.connect(path) as database:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", TABLE):
            await database.execute(statement)
        await database.commit()
        yield


async def store(conversation: str, sender: str, text: str) -> int:
    """Returns its number once it is on disk."""
    async with lock:
        async with database.execute(INSERT, (conversation, sender, text, time.time())) as cursor:
            row = await cursor.fetchone()
        await database.commit()
    assert row is not None
    return int(row[0])


@server.event  # type: ignore[misc, untyped-decorator, unused-ignore]
async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str]) -> None:
    """Somebody comes; a real application would look at a token."""
    users[sid] = auth["user"]
    await server.enter_room(sid, f"user:{auth['user']}")


@server.event  # type: ignore[misc, untyped-decorator, unused-ignore]
async def disconnect(sid: str, reason: str) -> None:
    """Somebody goes."""
    users.pop(sid, None)


@server.event  # type: ignore[misc, untyped-decorator, unused-ignore]
async def join(sid: str, group: str) -> str:
    """Into a group."""
    await server.enter_room(sid, f"group:{group}")
    return "ok"


@server.event  # type: ignore[misc, untyped-decorator, unused-ignore]
async def message(sid: str, content: dict[str, str]) -> dict[str, int]:
    """Store, deliver, acknowledge."""
    me = users[sid]
    if "group" in content:
        room = conversation = f"group:{content['group']}"
    else:
        room, conversation = f"user:{content['to']}", ":".join(sorted((me, content["to"])))
    seq = await store(conversation, me, content["text"])
    told = {"from": me, "conversation": conversation, "seq": seq, "text": content["text"]}
    await server.emit("message", told, room=room, skip_sid=sid)
    return {"seq": seq}


async def serve(port: int, path: str) -> None:
    """Until it is stopped."""
    async with opened(path):
        config = uvicorn.Config(
            socketio.ASGIApp(server), host="127.0.0.1", port=port, log_level="warning", backlog=1024
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2]))
