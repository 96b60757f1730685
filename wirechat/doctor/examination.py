"""All checks, in the order in which one would look."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from wirechat.doctor import cluster, data, machine
from wirechat.doctor.certificate import certificate
from wirechat.doctor.finding import OK, PROBLEM, Finding
from wirechat.settings.schema import Settings


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything the settings name."""
    now = datetime.now(UTC)
    yield from _complete(settings)
    yield from machine.files(settings)
    newest = None
    directory = settings.data.directory
    if directory is not None:
        finding, newest = data.version(directory)
        yield finding
        yield from data.permissions(directory)
        yield from data.disk(directory)
    if settings.store.url is not None:
        finding, newest = cluster.database(settings.store.url)
        yield finding
    yield from cluster.bus(settings.bus, settings.store.url)
    yield from machine.clock(now, newest)
    yield from certificate(settings, now)
    yield from machine.encryption(settings)
    yield from machine.ports(settings)
    yield from machine.engine()


def _complete(settings: Settings) -> Iterator[Finding]:
    lacking = settings.lacks()
    for line in lacking:
        yield Finding("settings", PROBLEM, "not enough for a server", line)
    if not lacking:
        yield Finding("settings", OK, "enough for a server")
