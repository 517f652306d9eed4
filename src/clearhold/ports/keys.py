"""Where the keys that wrap other keys live: never in the database, its directory or its backups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key sealed under a key-encryption key, with the name of the latter."""

    kek: str
    ciphertext: bytes


class KeyRing(Protocol):
    """Wraps and unwraps 256-bit data keys, and keys hashes that must not be guessable."""

    def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        """Seal `key`; it opens again only with the same `context`."""
        ...

    def unwrap(self, wrapped: WrappedKey, *, context: bytes) -> bytes:
        """Open a sealed key. Raises `IntegrityError` when the key, context or bytes are wrong."""
        ...

    def keyed_hash(self, purpose: str, value: bytes) -> bytes:
        """HMAC-SHA-256 of `value` under the key of `purpose`, 32 bytes."""
        ...
