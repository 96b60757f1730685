"""The signature of a device key, against vectors made from the key of RFC 8032, section 7.1, test 1."""

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.wire.plain import octets, vectors
from wirechat.wire import auth


def signed(vector: dict[str, Any]) -> bytes:
    return auth.signed_bytes(
        octets(vector["nonce"]["hex"]), vector["device"], vector["binding"], octets(vector["bound"]["hex"])
    )


@pytest.mark.parametrize("vector", vectors("auth.json"), ids=lambda vector: vector["id"])
def test_signatures_match_the_vectors(vector: dict[str, Any]) -> None:
    """One wrong byte and no stranger logs in."""
    assert signed(vector) == octets(vector["signed"]["hex"])
    key = Ed25519PrivateKey.from_private_bytes(octets(vector["secret_key"]["hex"]))
    assert key.public_key().public_bytes_raw() == octets(vector["public_key"]["hex"])
    assert key.sign(signed(vector)) == octets(vector["signature"]["hex"])


def test_a_signature_is_worth_nothing_elsewhere() -> None:
    """Another connection, device or certificate: each must make it invalid."""
    vector = vectors("auth.json")[1]
    key = Ed25519PublicKey.from_public_bytes(octets(vector["public_key"]["hex"]))
    nonce, bound = octets(vector["nonce"]["hex"]), octets(vector["bound"]["hex"])
    others = [(nonce[::-1], 42, 1, bound), (nonce, 43, 1, bound), (nonce, 42, 1, bound[::-1]), (nonce, 42, 0, b"")]
    for other in others:
        with pytest.raises(InvalidSignature):
            key.verify(octets(vector["signature"]["hex"]), auth.signed_bytes(*other))
