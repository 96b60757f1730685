"""Other servers under the same load: which there are, how their URLs are read, what a scenario may ask of them."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import attrs

from tools.loadgen.line import Place
from tools.loadgen.place import BadPlace, look_up, trusted
from tools.loadgen.scenario import KINDS, BadScenario, Messages, Scenario
from tools.loadgen.targets.dialect import Dialect
from tools.loadgen.targets.mqtt import Mqtt
from tools.loadgen.targets.nats import Nats
from tools.loadgen.targets.socketio import SocketIo
from tools.loadgen.targets.xmpp import Xmpp

OWN = "wirechat"


@attrs.frozen
class Target:
    """A kind of server.

    ports       of its URL schemes, where the URL has none
    secure      those of them that mean TLS
    """

    dialect: type[Dialect]
    ports: dict[str, int]
    secure: tuple[str, ...] = ()


TARGETS = {
    "mqtt": Target(Mqtt, {"mqtt": 1883, "mqtts": 8883}, ("mqtts",)),
    "nats": Target(Nats, {"nats": 4222}),
    "socketio": Target(SocketIo, {"http": 80, "https": 443}, ("https",)),
    "xmpp": Target(Xmpp, {"xmpp": 5222, "xmpps": 5223}, ("xmpps",)),
}
NAMES = (OWN, *TARGETS)


def hint(url: str) -> str:
    """What to say of a URL that is none of our own server; empty if no other kind has such ones."""
    scheme = url.partition("://")[0].lower()
    names = [name for name, each in TARGETS.items() if scheme in each.ports]
    return f"; another kind of server needs --target {names[0]}" if names else ""


@attrs.frozen
class Found:
    """Where to connect and as whom."""

    target: Target
    place: Place
    host: str
    """What the server calls itself: the path of the URL, or else its host."""
    user: str
    password: str


def find(name: str, url: str, ca: str | None) -> Found:
    """Read a URL such as mqtt://user:password@host:port. Raises BadPlace."""
    target = TARGETS[name]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadPlace(f"bad URL: {error}") from None
    if parts.scheme not in target.ports or not host:
        wanted = " or ".join(f"{scheme}://HOST" for scheme in target.ports)
        raise BadPlace(f"bad URL: {url!r} is none for the target {name}, which needs {wanted}")
    tls: ssl.SSLContext | None = trusted(ca) if parts.scheme in target.secure else None
    family, address = look_up(host, port or target.ports[parts.scheme])
    place = Place(address, family, host, tls, framed=False)
    return Found(target, place, parts.path.strip("/") or host, parts.username or "", parts.password or "")


def check(name: str, plan: Scenario) -> None:
    """Raises BadScenario when this scenario asks for what only our own server is asked for."""
    for what in plan.activities:
        if name != OWN and not isinstance(what, Messages):
            kind = next(kind for kind, each in KINDS.items() if type(what) is each)
            raise BadScenario(f"activities of kind {kind!r} exist for {OWN} only: --target {name} has messages")
