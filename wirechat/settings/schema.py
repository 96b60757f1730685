"""Every setting: its section, name, type, default, unit, range and meaning, once.

The file, the variables, the flags, the reference page and the errors follow from here. What is secret stands in a file
that a setting names; a URL may carry a password, which is never shown.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Literal, NewType

import attrs

from wirechat.server.config import About, Config, Limits, setting
from wirechat.server.listeners import PORT_MAX, Address
from wirechat.settings.urls import BusUrl, StoreUrl

Ip = NewType("Ip", str)
"""The address of one machine, as the kernel writes it."""

WebOrigin = NewType("WebOrigin", str)
"""Scheme, host and port of web pages, as browsers write it."""

Prefix = NewType("Prefix", str)
"""The first part of a subject of NATS."""

TWO_PLACES = "data.directory (--data) and store.url (--store) are two places for the data; leave one out"

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "pretty", "json"]


@attrs.frozen(kw_only=True)
class Data:
    """Where everything is kept."""

    directory: Path | None = setting(
        None, "Directory of the embedded store; made if missing.", example='"data"', flag="--data"
    )


@attrs.frozen(kw_only=True)
class Store:
    """The database of a cluster, instead of a directory."""

    url: StoreUrl | None = setting(
        None,
        "PostgreSQL, which several servers share. A password may also stand in ~/.pgpass or PGPASSWORD.",
        unit="URL",
        example='"postgresql://wirechat@db.example.org/wirechat"',
        flag="--store",
    )


@attrs.frozen(kw_only=True)
class Bus:
    """How the servers of a cluster reach each other: it makes them fast, the database makes them right."""

    url: BusUrl | None = setting(
        None,
        "NATS: nats://host:4222, or tls://host:4222 for TLS or nothing; several with commas between them.",
        unit="URL",
        example='"nats://nats.example.org:4222"',
        flag="--bus",
    )
    prefix: Prefix = setting(
        Prefix("wirechat"), "How its subjects begin; another one for each cluster on one NATS.", unit="name",
        flag="--bus-prefix",
    )  # fmt: skip
    credentials: Path | None = setting(
        None, "File of credentials, as nsc writes it; or a user or token in bus.url.", example='"wirechat.creds"'
    )
    ca: Path | None = setting(
        None, "Who signed the certificate of NATS, in PEM; with it TLS is a must.", example='"ca.pem"'
    )
    cert: Path | None = setting(None, "Our own certificate in PEM, where NATS asks for one.", example='"node.pem"')
    key: Path | None = setting(None, "Its private key in PEM, if it is not in the same file.", example='"node-key.pem"')

    def options(self) -> dict[str, Any]:
        """How to open it, beside the URL."""
        return attrs.asdict(self, filter=attrs.filters.exclude("url"))


@attrs.frozen(kw_only=True)
class Cluster:
    """Several servers on one machine."""

    workers: int = setting(
        1,
        "Processes that share the addresses of tcp, tls, ws and wss; the first serves HTTP at the port of listen.http,"
        " the second at the next one, and so on.",
        unit="processes",
        least=1,
        most=256,
        flag="--workers",
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
    store: Store = attrs.Factory(Store)
    bus: Bus = attrs.Factory(Bus)
    cluster: Cluster = attrs.Factory(Cluster)
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
        lines = self._lacks_of_cluster()
        if not any(transport != "http" for transport, _ in self.addresses()):
            lines.append("say where to listen: listen.tcp, tls, ws or wss in the configuration, or --tcp and the like")
        if self.encrypts and None in (self.tls.cert, self.tls.key):
            lines.append("TLS needs a certificate: tls.cert and tls.key in the configuration, or --cert and --key")
        return lines + self._clashes()

    def _lacks_of_cluster(self) -> list[str]:
        directory, store, bus, workers = self.data.directory, self.store.url, self.bus.url, self.cluster.workers
        lines = []
        if directory is None and store is None:
            lines.append("say where to keep the data: data.directory in the configuration, or --data; for a cluster"
                         " store.url, or --store")  # fmt: skip
        if directory is not None and store is not None:
            lines.append(TWO_PLACES)
        if bus is not None and store is None:
            lines.append("a bus is between servers that share a database: bus.url (--bus) needs store.url, or --store")
        if workers > 1 and None in (store, bus):
            lines.append("several workers share a database and a bus: cluster.workers (--workers) needs store.url"
                         " and bus.url, or --store and --bus")  # fmt: skip
        return lines + (self._crowded() if workers > 1 else [])

    def _crowded(self) -> list[str]:
        """What several workers cannot share. For HTTP each needs an address of its own, or its metrics would be those
        of any of them.
        """
        sockets, count = {*self.listen.ws, *self.listen.wss}, self.cluster.workers
        for transport, address in self.addresses():
            if transport != "http" and not address.port:
                return [f"several workers share a port; give listen.{transport} one that is not 0"]
        for address in self.listen.http:
            if address in sockets:
                return [f"several workers cannot share {address} of listen.http with WebSocket; give HTTP another port"]
            if address.port and address.port + count - 1 > PORT_MAX:
                return [f"listen.http: {count} workers need as many ports, and behind {address} are fewer"]
        everyone = [self.of_worker(number).listen.http for number in range(count)]
        taken = [address for http in everyone for address in http]
        taken += [address for transport, address in self.addresses() if transport != "http"]
        twice = [address for address in dict.fromkeys(taken) if address.port and taken.count(address) > 1]
        return [f"listen.http: {count} workers need as many ports, and {address} is taken" for address in twice[:1]]

    def _clashes(self) -> list[str]:
        """One address for two that cannot tell whom a connection is for; HTTP can share that of a WebSocket."""
        return [
            f"listen.{one} and listen.{other} cannot share {address}; give each an address of its own"
            for (one, address), (other, same) in itertools.combinations(self.addresses(), 2)
            if address == same and address.port and not (other == "http" and one in ("ws", "wss"))
        ]

    def of_worker(self, number: int) -> Settings:
        """The same for one of several workers, counted from 0."""
        http = tuple(attrs.evolve(each, port=each.port and each.port + number) for each in self.listen.http)
        return attrs.evolve(self, listen=attrs.evolve(self.listen, http=http))

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
