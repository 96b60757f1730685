"""Where a device keeps its cache, and that one program uses it at a time.

Rules: one file for each server and handle, in the directory the platform keeps for state, readable by its owner alone.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import platformdirs

from wirechat.client.transport import parse_url

__all__ = ["InUse", "cache_path", "claimed", "handles"]

SUFFIX = ".db"


class InUse(Exception):
    """Another program uses this cache."""


def cache_path(url: str, handle: str) -> Path:
    """The cache of this handle at this server. Raises ValueError for a bad URL."""
    return _directory(url) / f"{quote(handle, safe='')}{SUFFIX}"


def handles(url: str) -> list[str]:
    """Who has logged in to this server from here before."""
    return sorted(unquote(path.stem) for path in _directory(url).glob(f"*{SUFFIX}"))


def _directory(url: str) -> Path:
    _, host, port = parse_url(url)
    return platformdirs.user_state_path("wirechat") / f"{quote(host, safe='')}_{port}"


@contextmanager
def claimed(cache: Path) -> Iterator[None]:
    """Makes the directory of the cache and keeps other copies of this program away. Raises InUse, OSError."""
    cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(f"{cache}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InUse(f"{cache} is in use by another copy of this program") from None
    finally:
        os.close(lock)
