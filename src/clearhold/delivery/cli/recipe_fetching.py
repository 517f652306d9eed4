"""Published archives for a draft of a recipe: brought, pinned by hash, unpacked."""

from __future__ import annotations

from pathlib import Path

from clearhold.adapters.origins import KEPT, all_origins
from clearhold.adapters.sources_cache import CachedSources, file_sha256
from clearhold.ports.sources import DEFAULT_SIZE_CAP
from clearhold.settings import Settings
from clearhold.validation.archive import unpack
from clearhold.validation.drafting import Pinned
from clearhold.validation.locks import FETCHING, alone


class Fetched:
    """Archives brought once, with their hashes and trees."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self.cache = settings.cache_directory
        self.also = settings.source_networks
        self.cache.mkdir(parents=True, exist_ok=True)
        self._origins = all_origins(self.cache, also=self.also)
        self.scratch = scratch
        self._number = 0

    def archive(self, origin: str, into: str = "") -> tuple[Pinned, Path]:
        """What is pinned, and the unpacked tree."""
        self._number += 1
        file = self.scratch / f"archive-{self._number}"
        kind, _, locator = origin.partition(":")
        with alone(self.cache, FETCHING):
            self._origins[kind].fetch(locator, file, size_cap=DEFAULT_SIZE_CAP)
        return self._unpacked(origin, file, file_sha256(file), into)

    def kept(self, file: Path, name: str) -> tuple[Pinned, Path]:
        """What is pinned of an archive that nobody published, which this cache then holds."""
        digest = CachedSources(self.cache / "sources", origins={}).keep(file)
        return self._unpacked(f"{KEPT}:{name}", file, digest, "")

    def _unpacked(self, origin: str, file: Path, digest: str, into: str) -> tuple[Pinned, Path]:
        return Pinned(origin, digest, into), unpack(file, digest, self.scratch / "trees")
