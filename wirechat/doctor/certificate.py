"""The certificate: dates, names, key, chain, and who may read the key."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from wirechat.doctor.finding import OK, PROBLEM, WARNING, Finding
from wirechat.doctor.machine import is_here, open_to_others
from wirechat.settings.checks import tls
from wirechat.settings.errors import BadSettings
from wirechat.settings.schema import Settings

SOON_DAYS = 14
"""Whoever renews automatically has done it by then."""


def certificate(settings: Settings, now: datetime) -> Iterator[Finding]:
    """All of it, if a listener needs one."""
    cert, key = settings.tls.cert, settings.tls.key
    if not settings.encrypts:
        yield Finding("certificate", OK, "no listener uses TLS")
        return
    if cert is None or key is None:
        return  # said by the settings already
    try:
        tls(settings)
        chain = x509.load_pem_x509_certificates(cert.read_bytes())
    except (BadSettings, OSError, ValueError) as error:
        todo = "make one with wirechat cert, or see docs/operations/certificates.md"
        yield Finding("certificate", PROBLEM, str(error), todo)
        return
    yield _dates(chain[0], now)
    yield _names(chain[0], settings)
    yield _chain(chain)
    yield _key(key)


def _dates(leaf: x509.Certificate, now: datetime) -> Finding:
    until = leaf.not_valid_after_utc
    days = (until - now).days
    if now < leaf.not_valid_before_utc:
        return Finding("certificate", PROBLEM, f"valid only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
                       "look at the clock")  # fmt: skip
    renew = "renew it and send SIGHUP: docs/operations/certificates.md"
    if until < now:
        return Finding("certificate", PROBLEM, f"expired on {until:%Y-%m-%d}", renew)
    state = WARNING if days < SOON_DAYS else OK
    return Finding("certificate", state, f"valid until {until:%Y-%m-%d}, {days} days", renew if state != OK else "")


def _names(leaf: x509.Certificate, settings: Settings) -> Finding:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        todo = "make one that has subject alternative names; clients look at nothing else"
        return Finding("names", PROBLEM, "the certificate names no host", todo)
    told = [str(name.value) for name in names]
    shown, others = ", ".join(told), open_to_others(settings, "tls", "wss")
    if others and all(map(is_here, told)):
        todo = "add the name by which others reach this machine: docs/operations/certificates.md"
        return Finding("names", WARNING, f"only {shown}: other machines do not trust {', '.join(others)}", todo)
    return Finding("names", OK, shown)


def _chain(chain: Sequence[x509.Certificate]) -> Finding:
    for number, (each, issuer) in enumerate(pairwise(chain), 1):
        if not _issued(each, issuer):
            text = f"certificate {number + 1} of the file is not the issuer of number {number}"
            return Finding("chain", PROBLEM, text, "put the server's own first, then each one's issuer")
    last = chain[-1]
    if len(chain) == 1 and not _issued(last, last):
        todo = "most authorities need their intermediate behind it in the same file (fullchain.pem)"
        return Finding("chain", WARNING, f"only the server's own, issued by {last.issuer.rfc4514_string()}", todo)
    return Finding("chain", OK, f"{len(chain)} certificates, up to {last.issuer.rfc4514_string()}")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _key(key: Path) -> Finding:
    if key.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return Finding("key", PROBLEM, f"{key} can be read by everyone on this machine", f"chmod o= {key.resolve()}")
    return Finding("key", OK, f"{key} is readable for few")
