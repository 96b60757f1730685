"""What a process of clients is told, and what it answers: lines of JSON on standard input and output."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import trio


async def orders() -> AsyncIterator[dict[str, Any]]:
    """What the harness asks for, until it says stop or is gone."""
    rest = b""
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
        async for data in stdin:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if order["do"] == "stop":
                    return
                yield order


def say(event: str, **fields: Any) -> None:
    """Answer."""
    print(json.dumps({"event": event, **fields}), flush=True)
