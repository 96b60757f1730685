"""Every setting: its section, name, type, default, unit, range and meaning, once.

The file, the variables, the flags, the reference page and the errors follow from here. No setting holds a secret: what
is secret stands in a file that a setting names.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Literal, NewType

import attrs

from wirechat.server.config import About, Config, Limits, setting
from wirechat.server.listeners import Address

Ip = NewType("Ip", str)
"""The address of one machine, as the kernel writes it."""

WebOrigin = NewType("WebOrigin", str)
"""Scheme, host and port of web pages, as browsers write it."""

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "pretty", "json"]


@attrs.frozen(kw_only=True)
class Data:
    """Where everything is kept."""

    directory: Path | None = setting(
        None, "Directory of the embedded store; made if missing.", example='"data"', flag="--data"
    )


@attrs.frozen(kw_only=True)
class Listen:
    """Where clients connect, each a list. At least one of tcp, tls, ws and wss; the same frames go over all of them."""

    tcp: tuple[Address, ...] = setting((), "Plain TCP.", unit="host:port", example='["127.0.0.1:7667"]', flag="--tcp")
    tls: tuple[Address, ...] = setting((), "TLS.", unit="host:port", flag="--tls")
    ws: tuple[Address, ...] = setting((), "WebSocket.", unit="host:port", flag="--ws")
    wss: tuple[Address, ...] = setting((), "WebSocket over TLS.", unit="host:port", flag="--wss")
    http: tuple[Address, ...] = setting(
        (),
        "HTTP beside the protocol: /livez, /readyz, /metrics. The address of a ws or wss shares its port.",
        unit="host:port",
        flag="--http",
    )


@attrs.frozen(kw_only=True)
class Tls:
    """The certificate for listen.tls and listen.wss."""

    cert: Path | None = setting(
        None, "Certificate chain in PEM, the server's own first.", reloads=True, example='"chain.pem"', flag="--cert"
    )
    key: Path | None = setting(
        None, "Its private key in PEM, without a password.", reloads=True, example='"key.pem"', flag="--key"
    )


@attrs.frozen(kw_only=True)
class Proxy:
    """Reverse proxies in front of the server."""

    trust: tuple[Ip, ...] = setting(
        (),
        "Reverse proxies that speak for others: by PROXY protocol on TCP and TLS, by X-Forwarded-For on WebSocket.",
        unit="IP address",
        flag="--trust-proxy",
    )


@attrs.frozen(kw_only=True)
class Web:
    """Web pages that use the server by WebSocket."""

    origins: tuple[WebOrigin, ...] = setting(
        (),
        "Whose pages may connect, beside those of this machine; others are refused. Programs that are no browsers name"
        " none.",
        unit="origin",
        flag="--origin",
    )


@attrs.frozen(kw_only=True)
class Accounts:
    """What strangers and passwords may do."""

    clear_passwords: bool = setting(
        False, "Accept passwords from other machines without TLS.", reloads=True, flag="--clear-passwords"
    )
    open_registration: bool = setting(
        False, "Let strangers from other machines make accounts.", reloads=True, flag="--open-registration"
    )


@attrs.frozen(kw_only=True)
class Log:
    """What is told on standard error: never message text, never secrets."""

    level: Level = setting("info", "The least that is told; debug tells every broken connection.", reloads=True)
    format: Format = setting(
        "auto", "auto is pretty on a terminal, and one JSON object a line elsewhere.", reloads=True
    )


@attrs.frozen(kw_only=True)
class Settings:
    """All of it."""

    data: Data = attrs.Factory(Data)
    listen: Listen = attrs.Factory(Listen)
    tls: Tls = attrs.Factory(Tls)
    proxy: Proxy = attrs.Factory(Proxy)
    web: Web = attrs.Factory(Web)
    accounts: Accounts = attrs.Factory(Accounts)
    limits: Limits = attrs.Factory(Limits)
    log: Log = attrs.Factory(Log)

    def value(self, path: str) -> Any:
        """The value at "section.key"."""
        section, name = path.split(".")
        return getattr(getattr(self, section), name)

    def config(self) -> Config:
        """What the core of the server is given."""
        accounts = self.accounts
        return Config(
            clear_passwords=accounts.clear_passwords, open_registration=accounts.open_registration, limits=self.limits
        )

    def addresses(self) -> list[tuple[str, Address]]:
        """(transport, address) of every listener."""
        each = attrs.asdict(self.listen, recurse=False)
        return [(transport, address) for transport, addresses in each.items() for address in addresses]

    def lacks(self) -> list[str]:
        """What a server cannot do without, a line for each."""
        lines = []
        if self.data.directory is None:
            lines.append("say where to keep the data: data.directory in the configuration, or --data")
        if not any(transport != "http" for transport, _ in self.addresses()):
            lines.append("say where to listen: listen.tcp, tls, ws or wss in the configuration, or --tcp and the like")
        if self.encrypts and None in (self.tls.cert, self.tls.key):
            lines.append("TLS needs a certificate: tls.cert and tls.key in the configuration, or --cert and --key")
        return lines + self._clashes()

    def _clashes(self) -> list[str]:
        """One address for two that cannot tell whom a connection is for; HTTP can share that of a WebSocket."""
        return [
            f"listen.{one} and listen.{other} cannot share {address}; give each an address of its own"
            for (one, address), (other, same) in itertools.combinations(self.addresses(), 2)
            if address == same and address.port and not (other == "http" and one in ("ws", "wss"))
        ]

    @property
    def encrypts(self) -> bool:
        """Some listener needs the certificate."""
        return bool(self.listen.tls or self.listen.wss)


def sections() -> dict[str, type[attrs.AttrsInstance]]:
    """Section name -> its class, in the order of the file."""
    return {field.name: field.type for field in attrs.fields(attrs.resolve_types(Settings)) if field.type}


def _fields() -> dict[str, attrs.Attribute[Any]]:
    return {
        f"{section}.{field.name}": field
        for section, cls in sections().items()
        for field in attrs.fields(attrs.resolve_types(cls))
    }


FIELDS = _fields()
""""section.key" -> its field."""


def about(path: str) -> About:
    """What an operator must know of it."""
    found = FIELDS[path].metadata[About]
    assert isinstance(found, About)
    return found


def default(path: str) -> Any:
    """What holds when nobody says anything."""
    return Settings().value(path)


def variable(path: str) -> str:
    """Its environment variable."""
    return "WIRECHAT_" + path.replace(".", "__").upper()
