"""wirechat: a self-hosted chat server, its protocol and its client.

`wirechat.open_client` and `wirechat.register` are the client's front door. They load Trio only when used, so that
`wirechat.wire` stays what it is: bytes in, messages out.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wirechat.client import open_client, register

__all__ = ["open_client", "register"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from wirechat import client

        return getattr(client, name)
    raise AttributeError(f"module 'wirechat' has no attribute {name!r}")
