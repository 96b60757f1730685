"""What the operator decided."""

from __future__ import annotations

import attrs

from wirechat.server.endpoint import Peer


@attrs.frozen
class Config:
    """Policy of one server; addresses and certificates belong to the listeners."""

    agent: str = "wirechat"
    """Told to clients in WELCOME."""
    clear_passwords: bool = False
    """Accept passwords over unencrypted connections from other machines."""
    open_registration: bool = False
    """Let strangers from other machines make accounts."""
    grease: float = 0.0625
    """Share of connections that are sent something no client knows, so that clients learn to ignore it."""

    def allows_password(self, peer: Peer) -> bool:
        """Whether a password may travel on this connection."""
        return peer.secure or self.clear_passwords

    def allows_registration(self, peer: Peer) -> bool:
        """Whether a stranger on this connection may make an account."""
        return peer.loopback or self.open_registration
