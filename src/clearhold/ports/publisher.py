"""Where public files are released so that nobody between us and a reader can alter or hide them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol


class Publisher(Protocol):
    """Releases signed files that clients can verify against a root they trust."""

    def initialise(self, now: datetime) -> int:
        """Make the repository and its keys where they are missing; its version of the file list."""
        ...

    def publish(self, targets: Mapping[str, bytes], now: datetime) -> int:
        """Release `targets` (path to content) beside what is already there; the list's version.

        Paths already released with the same content change nothing and make no new version.
        """
        ...

    def refresh(self, now: datetime) -> int:
        """Confirm that the list is still current; the version of that confirmation."""
        ...

    def trusted_root(self) -> bytes:
        """The first root of trust, as clients pin it when they enrol."""
        ...
