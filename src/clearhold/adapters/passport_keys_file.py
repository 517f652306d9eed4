"""The keys of scan passports in files: one signs, and all are published.

A new key is published before it signs, and the old one after it stopped, so that readers who fetch
the keys now and then, or verify without a network, never meet a passport whose key they lack.
"""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.adapters.signer_file import read_key, signing_key
from clearhold.kernel.errors import ConflictError
from clearhold.ports.clock import Clock

PURPOSE: Final = "scan-passport"
_NEXT: Final = f"{PURPOSE}-next"
_RETIRED: Final = f"{PURPOSE}-retired-"


class PassportKeys:
    """Which keys there are; every process on this machine sees a change at its next question."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    def __call__(self) -> tuple[Ed25519PrivateKey, ...]:
        """The key that signs, then those that are only published, each once.

        Raises `UnavailableError` when one can be read by others or is damaged.
        """
        keys = [signing_key(self._directory, PURPOSE)]
        # One that vanishes meanwhile was switched to or dropped by another process.
        keys += [key for path in (self._next, *self._retired) if (key := read_key(path, PURPOSE))]
        return tuple({key.public_key().public_bytes_raw(): key for key in keys}.values())

    def prepare(self) -> None:
        """Make the next key and publish it; again changes nothing."""
        signing_key(self._directory, _NEXT)

    def switch(self, *, published_for: timedelta) -> None:
        """Sign with the next key from now on; the old one stays published.

        Raises `ConflictError` unless a next key has been published for so long. Broken off at any
        moment, doing it again finishes it.
        """
        if not self._next.exists():
            raise ConflictError(
                "No next key is published.", next_step="Run: clearhold admin passport-keys prepare"
            )
        published = self._clock.now().timestamp() - self._next.stat().st_mtime
        if published < published_for.total_seconds():
            raise ConflictError(
                f"The next key has been published for {max(published, 0) / 3600:.1f} hours; "
                f"readers need {published_for.total_seconds() / 3600:g} to fetch it.",
                next_step="Wait, or give fewer --hours if every reader has it.",
            )
        current = self._directory / f"{PURPOSE}.ed25519"
        if current.exists() and current.read_bytes() not in {
            path.read_bytes() for path in (self._next, *self._retired)
        }:
            os.link(current, self._directory / f"{_RETIRED}{secrets.token_hex(8)}.ed25519")
        self._next.replace(current)

    def drop(self) -> int:
        """Publish retired keys no more: what they signed is refused. Returns how many."""
        retired = self._retired
        for path in retired:
            path.unlink(missing_ok=True)
        return len(retired)

    @property
    def _next(self) -> Path:
        return self._directory / f"{_NEXT}.ed25519"

    @property
    def _retired(self) -> list[Path]:
        return sorted(self._directory.glob(f"{_RETIRED}*.ed25519"))
