"""`wirechat cert`: a certificate for trying TLS out. For the world see docs/operations/certificates.md.

The authority signs this one certificate and its key is thrown away: nobody can sign another with it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wirechat.cli.running import Stop, complain

NAMES = ("localhost", "127.0.0.1", "::1")
DAYS = 365
FILES = ("ca.pem", "chain.pem", "key.pem")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE)

EPILOG = """\b
wirechat cert ./certs
wirechat cert ./certs chat.example.org 192.0.2.7"""


@click.command(epilog=EPILOG)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.argument("names", nargs=-1)
@click.option("--days", type=click.IntRange(1, 825), default=DAYS, show_default=True, help="How long it is valid.")
def cert(directory: Path, names: tuple[str, ...], days: int) -> None:
    """Make a certificate authority and a server certificate for NAMES in DIRECTORY, for development.

    NAMES are host names and IP addresses; without any, those of this machine: localhost, 127.0.0.1, ::1.
    """
    try:
        wanted = [_name(name) for name in names or NAMES]
        _make(directory, wanted, timedelta(days=days))
    except Stop as error:
        complain(error)
    except OSError as error:
        complain(Stop(f"cannot write to {directory}: {error.strerror}"))
    _say_what_next(directory, (names or NAMES)[0], days)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if len(text) > 253 or not _HOST.fullmatch(text) or text.rpartition(".")[2].isdigit():
            raise Stop(f'"{text}" is neither a host name nor an IP address') from None
        return x509.DNSName(text.lower())


def _make(directory: Path, names: Iterable[x509.GeneralName], valid: timedelta) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if os.path.lexists(directory / name):
            raise Stop(f"{directory / name} is there already; choose another directory, or remove it first")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _authority(authority_key, valid)
    chain = _pem(_server(key, names, authority, authority_key, valid)) + _pem(authority)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for name, data, mode in zip(FILES, (_pem(authority), chain, private), (0o644, 0o644, 0o600), strict=True):
        with os.fdopen(os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)


def _authority(key: ec.EllipticCurvePrivateKey, valid: timedelta) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"wirechat development {os.urandom(4).hex()}")])
    return (
        _certificate(name, name, key.public_key(), valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey,
    names: Iterable[x509.GeneralName],
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    valid: timedelta,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wirechat server")])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _certificate(subject, authority.subject, key.public_key(), valid)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + valid)


def _usage(*, signs: bool) -> x509.KeyUsage:
    """An authority signs certificates, a server its handshake."""
    return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _say_what_next(directory: Path, name: str, days: int) -> None:
    host = f"[{name}]" if ":" in name else name
    listen = "127.0.0.1" if name in NAMES else "0.0.0.0"
    click.echo(f"""{directory}/ca.pem is for clients, chain.pem and key.pem are for the server, for {days} days. Now:

  wirechat serve --data ./data --tls {listen}:7668 --cert {directory}/chain.pem --key {directory}/key.pem
  wirechat chat wirechats://{host}:7668 --ca {directory}/ca.pem --handle NAME
  open_client("wirechats://{host}:7668", ca="{directory}/ca.pem", ...)

This is for development. For certificates that everybody trusts see docs/operations/certificates.md.""")
