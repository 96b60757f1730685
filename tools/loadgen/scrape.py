"""What the server says of itself: its /metrics, read once a second.

For what no client can see, such as how many entries share a commit, and for CPU and memory of a server that runs
elsewhere.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import attrs
from prometheus_client.parser import text_string_to_metric_families

SECONDS = 2.0
"""For one answer."""
BYTES_MAX = 4 << 20
PREFIX = "wirechat_"
HISTOGRAMS = ("batch_entries", "commit_seconds", "loop_lag_seconds")


class BadMetrics(Exception):
    """Why there are none, in one line."""


@attrs.frozen
class Counted:
    """A histogram: its upper bounds with how many were at most that large, and the sum of all."""

    at_most: Mapping[float, float]
    total: float

    @property
    def count(self) -> float:
        """Of all."""
        return max(self.at_most.values(), default=0.0)

    @property
    def mean(self) -> float | None:
        """None of nothing."""
        return self.total / self.count if self.count else None

    def __sub__(self, before: Counted) -> Counted:
        at_most = {bound: count - before.at_most.get(bound, 0.0) for bound, count in self.at_most.items()}
        return Counted(at_most, self.total - before.total)

    def __add__(self, other: Counted) -> Counted:
        bounds = {**self.at_most, **other.at_most}
        at_most = {bound: self.at_most.get(bound, 0.0) + other.at_most.get(bound, 0.0) for bound in bounds}
        return Counted(at_most, self.total + other.total)

    def as_plain(self) -> dict[str, Any]:
        """For JSON; `from_plain` reads it."""
        return {"at_most": {str(bound): count for bound, count in self.at_most.items()}, "total": self.total}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Counted:
        """Raises KeyError, TypeError or ValueError for anything else."""
        at_most = {float(bound): float(count) for bound, count in plain["at_most"].items()}
        return cls(at_most, float(plain["total"]))

    def bound_of(self, share: float) -> float | None:
        """The bound that this share of all is at most; None if it is above all of them, or of nothing."""
        reached = [bound for bound, count in sorted(self.at_most.items()) if self.count and count >= share * self.count]
        return reached[0] if reached and reached[0] < float("inf") else None


NOTHING = Counted({}, 0.0)


@attrs.frozen
class Reading:
    """The counters of one moment."""

    build: str
    cpu_seconds: float | None
    mib: float | None
    waiting: float
    """Entries that wait for the next commit."""
    histograms: Mapping[str, Counted]


class Scraper:
    """Reads one URL. A name and a password in it are those of HTTP."""

    def __init__(self, url: str, ca: str | None) -> None:
        parts = urlsplit(url)
        login, _, place = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=place).geturl()
        """Without name and password."""
        tls = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )
        if login:
            proof = base64.b64encode(unquote(login).encode()).decode()
            self._opener.addheaders.append(("Authorization", f"Basic {proof}"))

    def read(self) -> Reading:
        """Blocks for up to SECONDS. Raises BadMetrics."""
        try:
            with self._opener.open(self.url, timeout=SECONDS) as answer:
                text = answer.read(BYTES_MAX).decode()
            return _reading(text)
        except urllib.error.HTTPError as error:
            raise BadMetrics(f"no metrics at {self.url}: HTTP status {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise BadMetrics(f"no metrics at {self.url}: {getattr(reason, 'strerror', None) or reason}") from None
        except ValueError:
            raise BadMetrics(f"no metrics at {self.url}: this is not what a wirechat server tells") from None


def open_metrics(url: str | None, server: str, ca: str | None) -> Scraper | None:
    """Where a server tells its metrics, read once to be sure. Raises BadMetrics.

    Without `url` they are looked for at the port that WebSocket may share with them; it is no mistake if they are not.
    """
    try:
        parts = urlsplit(url or server)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if url is None and parts.scheme not in ("ws", "wss"):
        return None
    if url is not None and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise BadMetrics(f"bad URL of metrics {url}: must be such as http://127.0.0.1:7670/metrics")
    scraper = Scraper(url or f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}/metrics", ca)
    try:
        scraper.read()
    except BadMetrics:
        if url is not None:
            raise
        return None
    return scraper


def _reading(text: str) -> Reading:
    """Raises ValueError for what is no exposition of a wirechat server."""
    values: dict[str, float] = {}
    bounds: dict[str, dict[float, float]] = {name: {} for name in HISTOGRAMS}
    build = ""
    for family in text_string_to_metric_families(text):
        name = family.name.removeprefix(PREFIX)
        for sample in family.samples:
            if name in bounds and "le" in sample.labels:
                bounds[name][float(sample.labels["le"])] = sample.value
            elif name == "build_info":
                build = "wirechat {version}, Python {python}, {engine}".format_map(sample.labels)
            elif not sample.labels:
                values[sample.name.removeprefix(PREFIX)] = sample.value
    if not build:
        raise ValueError("another server")
    resident = values.get("process_resident_memory_bytes")
    return Reading(
        build,
        values.get("process_cpu_seconds_total"),
        None if resident is None else resident / 2**20,
        values.get("journal_waiting_entries", 0.0),
        {name: Counted(found, values.get(f"{name}_sum", 0.0)) for name, found in bounds.items()},
    )
