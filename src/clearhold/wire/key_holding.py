"""What shows that a party holds the private half of a key it registers.

Without it a party could register the public key of another, be named as the signer of what the other
signed, and keep the other from registering it. The signature covers the DSSE pre-authentication
encoding of the party's id, under a type of its own, so that it serves for nothing else.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clearhold.kernel.errors import InvalidError
from clearhold.wire.dsse import pre_authentication_encoding

PAYLOAD_TYPE: Final = "application/vnd.clearhold.key-holder"


def sign(party: str, key: Ed25519PrivateKey) -> bytes:
    """The signature (64 bytes) that shows that the party with this id holds `key`."""
    return key.sign(pre_authentication_encoding(PAYLOAD_TYPE, party.encode()))


def registration(party: str, key: Ed25519PrivateKey) -> dict[str, str]:
    """What registers a key at a hub: its public half and what shows who holds it, in base64."""
    return {
        "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": base64.b64encode(sign(party, key)).decode(),
    }


def verify(party: str, public_key: bytes, signature: bytes) -> None:
    """Raise `InvalidError` unless the holder of a raw public key signed for this party."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError as error:
        raise InvalidError(
            "An Ed25519 public key is 32 bytes.", next_step="Send the raw public key."
        ) from error
    try:
        key.verify(signature, pre_authentication_encoding(PAYLOAD_TYPE, party.encode()))
    except InvalidSignature as error:
        raise InvalidError(
            "The signature does not show that your party holds this key.",
            next_step="Let `clearhold party key` or `clearhold agent key` sign your party's id.",
        ) from error
