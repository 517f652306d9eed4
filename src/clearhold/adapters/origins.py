"""Every kind of origin that source may come from, by the word that an origin begins with."""

from __future__ import annotations

from pathlib import Path

from clearhold.adapters.sources_debian import DebianFetcher
from clearhold.adapters.sources_git import GitFetcher
from clearhold.adapters.sources_npm import NpmFetcher
from clearhold.adapters.sources_pypi import PypiFetcher
from clearhold.adapters.sources_web import WebFetcher
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sources import Fetcher

KEPT = "kept"
"""The origin of source that was never published: the cache of one machine alone has it."""


class _Kept:
    """Gives nothing: what was kept is in the cache, or gone."""

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Raise `UnavailableError`."""
        del target, size_cap
        raise UnavailableError(
            f"The source {locator[:60]!a} was kept on another machine, or is no longer in the cache.",
            next_step="Draft the recipe again from the source, or write its address into recipe.yaml.",
        )


def all_origins(cache: Path) -> dict[str, Fetcher]:
    """The fetchers; `cache` is a directory of ours for what they keep."""
    return {
        "pypi": PypiFetcher(),
        "debian": DebianFetcher(cache / "apt"),
        "npm": NpmFetcher(),
        "git": GitFetcher(),
        "tarball": WebFetcher(),
        KEPT: _Kept(),
    }
