"""Searching what is stored on this device.

Rules: asks nobody, so it works without a connection. There is no index: a scan takes a few milliseconds for ten
thousand records, costs nothing while messages arrive, and what was deleted cannot linger anywhere (P8).
"""

import attrs
import trio

from wirechat import wire
from wirechat.client.cache import Cache
from wirechat.wire.registries import ContentType, EntryKind

__all__ = ["Hit", "Search"]

LIMIT = 100
SLICE = 1000  # records between two checkpoints: a few milliseconds


@attrs.frozen
class Hit:
    """A message that was found."""

    conv: int
    record: wire.Record


class Search:
    """client.search"""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def __call__(self, text: str, conv: int | None = None, limit: int = LIMIT) -> list[Hit]:
        """The newest `limit` messages that contain every word of `text`, in any order and case; newest first.

        `conv`: only in this conversation. What is not in the cache is not found; history.page() brings more into it.
        """
        words = _words(text)
        found: list[Hit] = []
        place = (0, 0)
        while words:
            rows = self._cache.records_after(place, SLICE, conv)
            found += [Hit(row[0], record) for row in rows if (record := _match(row[2], words)) is not None]
            await trio.lowlevel.checkpoint()
            if len(rows) < SLICE:
                break
            place = rows[-1][:2]
        found.sort(key=lambda hit: (hit.record.ts, hit.conv, hit.record.seq), reverse=True)
        return found[:limit]


@attrs.frozen
class _Word:
    lower: str
    plain: bytes | None
    """The same as bytes, when they are ASCII: then they must stand in the packed record."""


def _words(text: str) -> list[_Word]:
    lowered = text.lower().split()
    return [_Word(word, word.encode() if word.isascii() else None) for word in lowered]


def _match(body: bytes, words: list[_Word]) -> wire.Record | None:
    lowered = body.lower()
    if any(word.plain is not None and word.plain not in lowered for word in words):
        return None
    record = wire.Record.unpack(body)
    if record.kind != EntryKind.MSG or record.content is None or record.content.type != ContentType.TEXT:
        return None
    text = str(record.content.data).lower()
    return record if all(word.lower in text for word in words) else None
