"""Whether a server can begin with the settings: complete, a certificate that fits its key, a place to write.

The same checks serve the server itself, a reload, `wirechat config check` and `wirechat doctor`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wirechat.server.listeners import Tls, tls_context
from wirechat.settings.errors import BadSettings
from wirechat.settings.schema import Settings


def complete(settings: Settings) -> Settings:
    """The same settings, if they are enough for a server. Raises BadSettings."""
    if missing := settings.lacks():
        raise BadSettings(*missing)
    return settings


def tls(settings: Settings) -> Tls | None:
    """The certificate the settings name, if a listener needs one. Raises BadSettings."""
    return named_tls(settings) if settings.encrypts else None


def named_tls(settings: Settings) -> Tls | None:
    """The same, whether or not a listener needs it; of one file alone only that it can be read."""
    cert, key = settings.tls.cert, settings.tls.key
    unreadable = [*_unreadable("tls.cert", cert), *_unreadable("tls.key", key)]
    if unreadable:
        raise BadSettings(*unreadable)
    if cert is None or key is None:
        return None
    try:
        if b"ENCRYPTED" in key.read_bytes():
            raise BadSettings(f"tls.key: {key} has a password; a server needs one without")
        return tls_context(cert, key)
    except (OSError, ValueError) as error:
        raise BadSettings(f"cannot use tls.cert {cert} with tls.key {key}: {_reason(error)}") from None


def _unreadable(name: str, file: Path | None) -> Iterator[str]:
    try:
        if file is not None:
            file.open().close()
    except OSError as error:
        yield f"cannot use {name}: {_reason(error)}"


_REASONS = {
    "KEY_VALUES_MISMATCH": "they do not belong together",
    "PEM lib": "they are not a certificate and a key in PEM",
    "NO_CERTIFICATE_ASSIGNED": "there is no certificate in it",
    "NO_START_LINE": "they are not a certificate and a key in PEM",
    "codec can't decode": "the certificate is not in PEM",
}


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return next((text for mark, text in _REASONS.items() if mark in str(error)), str(error))


def place(directory: Path) -> Path:
    """The directory, or the nearest above it that is there."""
    whole = directory.absolute()
    return next(each for each in (whole, *whole.parents) if os.path.lexists(each))


def unwritable(directory: Path) -> str | None:
    """Why nothing can be written there, or None. A file is really made: permissions alone do not tell."""
    where = place(directory)
    try:
        tempfile.TemporaryFile(dir=where).close()
    except OSError as error:
        return f"{where}: {error.strerror}"
    return None
