"""The bytes a device key signs when it logs in with method 3.

They name the purpose, the connection (nonce), the device, and what the login is bound to, so that a signature is worth
nothing anywhere else.
"""

from typing import Final

CONTEXT: Final = b"wirechat-auth-1\0"


def signed_bytes(nonce: bytes, device: int, binding: int, bound: bytes) -> bytes:
    """What to sign or verify with Ed25519.

    nonce     the 32 bytes of WELCOME.nonce
    device    device id
    binding   registry bindings; 0 = none
    bound     empty for binding 0, else 32 bytes such as the SHA-256 of the server's certificate
    """
    return CONTEXT + nonce + device.to_bytes(8, "big") + binding.to_bytes(1, "big") + bound
