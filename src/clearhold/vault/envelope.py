"""A sealed field: AES-256-GCM (NIST SP 800-38D) bound to its place and compartment.

One version byte, a 12-byte nonce and the cipher's output; its additional data names table, column,
row and compartment, so a value moved elsewhere does not open.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clearhold.kernel.errors import IntegrityError
from clearhold.kernel.ids import CompartmentId

Place = tuple[str, str, str]
"""Table, column and row."""

_VERSION: Final = b"\x01"
_NONCE: Final = 12


def close(key: bytes, within: CompartmentId, *, place: Place, content: bytes) -> bytes:
    """Encrypt `content` for `place`."""
    nonce = secrets.token_bytes(_NONCE)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, content, _binding(within, place))


def known(sealed: bytes) -> None:
    """Raise `IntegrityError` unless this version knows the form."""
    if sealed[:1] != _VERSION:
        raise IntegrityError("A sealed field has a form this version does not know.")


def reopen(key: bytes, within: CompartmentId, *, place: Place, sealed: bytes) -> bytes:
    """Decrypt what stands at `place`. Raises `IntegrityError` when it was changed or moved."""
    known(sealed)
    nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
    try:
        return AESGCM(key).decrypt(nonce, body, _binding(within, place))
    except (InvalidTag, ValueError) as error:  # ValueError: cut off within the nonce
        raise IntegrityError("A sealed field does not open: it was changed or moved.") from error


def _binding(within: CompartmentId, place: Place) -> bytes:
    # Lengths come first so that no two different places give the same bytes.
    return b"".join(
        len(part).to_bytes(4) + part for part in (text.encode() for text in (*place, within))
    )
