"""What the operator decided, as far as the core of the server needs it. Addresses and certificates belong to the
listeners; the file, the environment and the flags it comes from are `wirechat.settings`.

A setting says here, and nowhere else, what it is: its default, unit, range and meaning.
"""

from __future__ import annotations

from typing import Any

import attrs

from wirechat import wire
from wirechat.server.endpoint import Peer


@attrs.frozen(kw_only=True)
class About:
    """What an operator must know of a setting."""

    meaning: str
    unit: str = ""
    least: int | None = None
    most: int | None = None
    reloads: bool = False
    """SIGHUP is enough to change it."""
    example: str = ""
    """What the generated file shows instead of the default, in TOML."""
    flag: str = ""
    """The option of `wirechat serve` that sets it."""


def setting(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    least: int | None = None,
    most: int | None = None,
    reloads: bool = False,
    example: str = "",
    flag: str = "",
) -> Any:
    """A field of a section, with what an operator must know of it."""
    about = About(meaning=meaning, unit=unit, least=least, most=most, reloads=reloads, example=example, flag=flag)
    return attrs.field(default=default, metadata={About: about})


def _limit(default: int, unit: str, meaning: str, *, least: int = 1, most: int) -> Any:
    return setting(default, meaning, unit=unit, least=least, most=most, reloads=True)


def _told(name: str, unit: str, meaning: str, *, least: int = 1) -> Any:
    """A limit of protocol/limits.json that goes out in WELCOME; it may be lowered."""
    most = getattr(wire.limits, name)
    now = attrs.Factory(lambda: getattr(wire.limits, name))
    return setting(now, meaning, unit=unit, least=least, most=most, reloads=True)


@attrs.frozen(kw_only=True)
class Limits:
    """How much one server takes on. From text_bytes on they are told to clients, so they may only be lowered, and a
    connection keeps what it was told.
    """

    connections: int = _limit(
        100_000, "connections", "Connections at once; above it newcomers are closed at once.", most=1_000_000
    )
    unknown_connections: int = _limit(
        10_000, "connections", "Of those, connections that have not logged in.", most=1_000_000
    )
    logins_at_once: int = _limit(
        1, "logins", "Passwords that are checked at a time: each takes a core for 40 ms, and 19 MiB.", most=256
    )
    logins_waiting: int = _limit(
        64, "logins", "Logins that may wait for those; above it clients are told to come back later.", most=100_000
    )
    failures_per_account: int = _limit(
        10, "tries", "Failed logins from one address on one account within failure_seconds.", most=1_000_000
    )
    failures_per_address: int = _limit(
        100,
        "tries",
        "Failed logins from one address within failure_seconds, whatever the account: a school behind one address"
        " still gets in.",
        most=1_000_000,
    )
    failure_seconds: int = _limit(900, "s", "For how long failed logins are remembered.", most=86_400)
    accounts_per_address: int = _limit(
        50,
        "accounts",
        "New accounts that one other machine may ask for within an hour, if it may make any.",
        most=1_000_000,
    )
    text_bytes: int = _told("TEXT_BYTES", "bytes", "Largest text of one message, in UTF-8.", least=256)
    inflight: int = _told("INFLIGHT", "requests", "Requests one connection may have unanswered.", least=2)
    heartbeat_ms: int = _told(
        "HEARTBEAT_MS", "ms", "Clients send something at least this often; silence of twice this time ends them.",
        least=2000,
    )  # fmt: skip
    window: int = _told("WINDOW", "pushes", "Largest window of unacknowledged pushes a client may ask for.")
    members: int = _told("MEMBERS", "users", "Largest group.", least=2)
    page: int = _told("PAGE", "records", "Largest page of history.")

    def told(self) -> wire.Limits:
        """What WELCOME says."""
        return wire.Limits(
            wire.limits.FRAME_BYTES,
            self.text_bytes,
            self.inflight,
            self.heartbeat_ms,
            self.window,
            self.members,
            self.page,
            wire.limits.DELIVERED_MEMBERS,
        )


@attrs.define
class Config:
    """Policy of one server. Rules and limits may be replaced while it runs."""

    agent: str = "wirechat"
    """Told to clients in WELCOME."""
    clear_passwords: bool = False
    """Accept passwords over unencrypted connections from other machines."""
    open_registration: bool = False
    """Let strangers from other machines make accounts."""
    grease: float = 0.0625
    """Share of connections that are sent something no client knows, so that clients learn to ignore it."""
    limits: Limits = attrs.Factory(Limits)

    def adopt(self, other: Config) -> None:
        """Take over what another one says: from now on it holds, for limits from the next connection on."""
        self.clear_passwords = other.clear_passwords
        self.open_registration = other.open_registration
        self.limits = other.limits

    def allows_password(self, peer: Peer) -> bool:
        """Whether a password may travel on this connection."""
        return peer.secure or self.clear_passwords

    def allows_registration(self, peer: Peer) -> bool:
        """Whether a stranger on this connection may make an account."""
        return peer.loopback or self.open_registration
