"""Failed logins, counted per address and per account as seen from one address: guessing slows down, honest people
elsewhere get in. A resume token names no account and cannot be guessed, so it counts for its address alone.

New accounts are counted per address too: while anybody may make them, nobody shall take every handle.

All addresses of an IPv6 network of 64 bits count as one: a household has as many.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

import trio

from wirechat import wire
from wirechat.server.config import Config
from wirechat.server.errors import RequestError
from wirechat.server.limits import NEWCOMERS_SECONDS

FAILURES_KEPT = 100_000
"""Addresses and accounts remembered; the oldest go first."""

NETWORK_BITS = 64
"""Of an IPv6 address: the rest is chosen by whoever has it."""


Counts = OrderedDict[tuple[str, str], tuple[float, int]]
"""(address, account) -> since when, and how many."""


class Throttle:
    """Bounded memory of failures and of new accounts; the oldest are forgotten first."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._failures: Counts = OrderedDict()
        self._newcomers: Counts = OrderedDict()

    def check(self, address: str, account: str) -> None:
        """Raises RequestError 2006 when there were too many failures lately."""
        limits = self._config.limits
        for key in _keys(address, account):
            most = limits.failures_per_account if key[1] else limits.failures_per_address
            since, count = self._failures.get(key, (0.0, 0))
            left = since + limits.failure_seconds - trio.current_time()
            if count >= most and left > 0:
                raise RequestError(wire.errors.LOCKED, too_many(int(left * 1000)), retry_ms=int(left * 1000))

    def failed(self, address: str, account: str) -> None:
        """One more failure."""
        for key in _keys(address, account):
            _count(self._failures, key, self._config.limits.failure_seconds)

    def newcomer(self, address: str) -> None:
        """One more account is asked for. Raises RequestError 5001 when there were too many lately."""
        (key,) = _keys(address, "")
        since, count = _count(self._newcomers, key, NEWCOMERS_SECONDS)
        if count > self._config.limits.accounts_per_address:
            left = int((since + NEWCOMERS_SECONDS - trio.current_time()) * 1000)
            raise RequestError(wire.errors.RATE_LIMIT, "too many accounts were asked for from there", retry_ms=left)


def _count(counts: Counts, key: tuple[str, str], seconds: float) -> tuple[float, int]:
    """One more within so many seconds of the first; since when, and how many it makes."""
    now = trio.current_time()
    since, count = counts.pop(key, (now, 0))
    if now - since > seconds:
        since, count = now, 0
    counts[key] = since, count + 1
    if len(counts) > FAILURES_KEPT:
        counts.popitem(last=False)
    return counts[key]


def too_many(retry_ms: int) -> str:
    """What is said to who has to wait."""
    seconds = -(-retry_ms // 1000)
    number, unit = (seconds, "second") if seconds < 120 else (-(-seconds // 60), "minute")
    return f"too many failed logins; try again in {number} {unit}{'' if number == 1 else 's'}"


def _keys(address: str, account: str) -> list[tuple[str, str]]:
    place = _place(address)
    return [(place, ""), (place, account)] if account else [(place, "")]


def _place(address: str) -> str:
    """The address as it is counted; what a proxy says may be none."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, NETWORK_BITS), strict=False))
