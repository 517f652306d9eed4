"""Where published source comes from: bytes with a known hash, and nothing is executed to get them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

DEFAULT_SIZE_CAP = 64 * 1024 * 1024
"""Bytes one archive may have unless its caller says otherwise."""


class Fetcher(Protocol):
    """Brings bytes from one kind of origin, unverified."""

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Write what `locator` names to the new file `target`, at most `size_cap` bytes.

        The caller verifies what came. Raises `UnavailableError` when the origin cannot give it,
        `TooLargeError` above the cap, `InvalidError` for a locator that makes no sense.
        """
        ...


class Sources(Protocol):
    """Gives published files by origin and hash."""

    def fetch(self, origin: str, sha256: str, *, size_cap: int = DEFAULT_SIZE_CAP) -> Path:
        """A local read-only file whose SHA-256 (hex) is `sha256`, brought from `origin` if need be.

        An origin is `pypi:NAME==VERSION:FILENAME`, `debian:SOURCE=VERSION:FILENAME`,
        `npm:NAME@VERSION`, `git:https://HOST/PATH@COMMIT` or `tarball:https://HOST/PATH`. Raises
        `UnavailableError` naming what could not be fetched, `IntegrityError` when the origin gave
        other bytes, `TooLargeError` above `size_cap` bytes, `InvalidError` for a bad origin.
        """
        ...

    def pin(self, origin: str, *, size_cap: int = DEFAULT_SIZE_CAP) -> str:
        """The SHA-256 (hex) of what `origin` gave when it was first asked; raises as `fetch` does.

        The bytes are kept, so that `fetch` gives them out; the origin is not asked again.
        """
        ...
