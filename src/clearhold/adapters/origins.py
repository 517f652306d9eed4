"""Every kind of origin that source may come from, by the word that an origin begins with."""

from __future__ import annotations

from pathlib import Path

from clearhold.adapters.sources_debian import DebianFetcher
from clearhold.adapters.sources_git import GitFetcher
from clearhold.adapters.sources_npm import NpmFetcher
from clearhold.adapters.sources_pypi import PypiFetcher
from clearhold.adapters.sources_web import WebFetcher
from clearhold.ports.sources import Fetcher


def all_origins(cache: Path) -> dict[str, Fetcher]:
    """The fetchers; `cache` is a directory of ours for what they keep."""
    return {
        "pypi": PypiFetcher(),
        "debian": DebianFetcher(cache / "apt"),
        "npm": NpmFetcher(),
        "git": GitFetcher(),
        "tarball": WebFetcher(),
    }
