"""A content-addressed cache of published source in front of the origins it comes from."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.ports.sources import DEFAULT_SIZE_CAP, Fetcher

_SHA256 = re.compile(r"[0-9a-f]{64}")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class CachedSources:
    """`ports.sources.Sources` kept in a directory of files named by their SHA-256.

    A file is verified when it arrives and again whenever it is given out, so a damaged cache is
    noticed and refilled rather than built from. With a warm cache no origin is asked.
    """

    def __init__(self, directory: Path, *, origins: Mapping[str, Fetcher]) -> None:
        self._directory = directory
        self._origins = dict(origins)

    def fetch(self, origin: str, sha256: str, *, size_cap: int = DEFAULT_SIZE_CAP) -> Path:
        """The cached file for `sha256`, fetched from `origin` when it is not there yet."""
        if not _SHA256.fullmatch(sha256):
            raise InvalidError(
                f"{sha256!r} is no SHA-256 in lower-case hex.",
                next_step="Pin the source by its full SHA-256.",
            )
        kept = self._directory / sha256
        if kept.is_file():
            if file_sha256(kept) == sha256:
                return kept
            kept.unlink()
        arrived = self._brought(origin, size_cap=size_cap, pinned=sha256)
        return self._directory / arrived

    def pin(self, origin: str, *, size_cap: int = DEFAULT_SIZE_CAP) -> str:
        """The SHA-256 of what `origin` gave first; kept in `pins`, by the origin's own hash."""
        pin = self._directory / "pins" / hashlib.sha256(origin.encode()).hexdigest()
        if pin.is_file():
            known = pin.read_text("ascii", "replace").strip()
            if _SHA256.fullmatch(known):
                return known
        digest = self._brought(origin, size_cap=size_cap)
        pin.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=pin.parent, delete=False) as fresh:
            fresh.write(digest)
        Path(fresh.name).replace(pin)
        return digest

    def keep(self, file: Path) -> str:
        """Keep a copy of a file that no origin gives, and its SHA-256 (hex)."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self._directory) as incoming:
            arrived = Path(incoming) / "file"
            shutil.copyfile(file, arrived)
            return self._settled(arrived)

    def _brought(self, origin: str, *, size_cap: int, pinned: str = "") -> str:
        """Fetch from an origin and keep what came, which must have the hash `pinned` if one is."""
        kind, _, locator = origin.partition(":")
        fetcher = self._origins.get(kind)
        if fetcher is None or not locator:
            known = ", ".join(sorted(self._origins)) or "none"
            raise InvalidError(
                f"The origin {origin!r} is of no known kind.",
                next_step=f"Use one of: {known}.",
            )
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self._directory) as incoming:
            arrived = Path(incoming) / "file"
            fetcher.fetch(locator, arrived, size_cap=size_cap)
            actual = file_sha256(arrived)
            if pinned and actual != pinned:
                raise IntegrityError(
                    f"{origin} gave a file with SHA-256 {actual}, not the pinned {pinned}.",
                    next_step="Do not use it; find out whether the origin or the pin is wrong.",
                )
            return self._settled(arrived)

    def _settled(self, arrived: Path) -> str:
        digest = file_sha256(arrived)
        arrived.chmod(0o444)
        arrived.replace(self._directory / digest)
        return digest
