"""Where the keys that wrap other keys live: never in the database, its directory or its backups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key sealed under a key-encryption key, with the name of the latter."""

    kek: str
    ciphertext: bytes


class BackupState(StrEnum):
    """How a copy of a ring stands to it."""

    WHOLE = "whole"
    STALE = "stale"
    OUT_OF_REACH = "out of reach"


class KeyRing(Protocol):
    """Wraps and unwraps 256-bit data keys, and keys hashes that must not be guessable.

    A ring holds generations of key-encryption keys. One is current and wraps; those before it are
    retired and only unwrap, until they are destroyed. What one process changes, every process that
    has the ring open follows at its next call.
    """

    def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        """Seal `key`; it opens again only with the same `context`."""
        ...

    def unwrap(self, wrapped: WrappedKey, *, context: bytes) -> bytes:
        """Open a sealed key. Raises `IntegrityError` when the key, context or bytes are wrong."""
        ...

    def keyed_hash(self, purpose: str, value: bytes) -> bytes:
        """HMAC-SHA-256 of `value` under the key of `purpose`, 32 bytes."""
        ...

    def generations(self) -> tuple[str, ...]:
        """The names of the key-encryption keys held, oldest first; the last one is current."""
        ...

    def rotate(self, name: str) -> None:
        """Make a new current key-encryption key of that name; when it is that already, nothing.

        It lasts before this returns. Raises `ConflictError` when an older key has the name.
        """
        ...

    def destroy(self, name: str) -> None:
        """End a retired key-encryption key here and in every backup this ring knows of.

        Destroying it again changes nothing. Raises `ConflictError` for the current one, and
        `UnavailableError`, with nothing destroyed, when a backup is out of reach.
        """
        ...

    def back_up(self, to: Path) -> None:
        """Copy the ring to a new file and remember the place.

        Raises `InvalidError` when the ring's keys cannot leave it, or the place does not suit.
        """
        ...

    def backups(self) -> Mapping[str, BackupState]:
        """The copies this ring knows of, and how each stands."""
        ...

    def forget(self, backup: str) -> None:
        """Stop counting on a copy that no longer exists anywhere. Raises `NotFoundError`."""
        ...
