"""Every kind of origin that source may come from, by the word that an origin begins with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clearhold.adapters.guarded_address import Network
from clearhold.adapters.sources_debian import DebianFetcher
from clearhold.adapters.sources_git import GitFetcher
from clearhold.adapters.sources_npm import NpmFetcher
from clearhold.adapters.sources_pypi import PypiFetcher
from clearhold.adapters.sources_web import WebFetcher
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sources import Fetcher

KEPT: Final = "kept"
"""The origin of source that was never published: the cache of one machine alone has it."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,199}")


class _Kept:
    """Gives nothing: what was kept is in the cache, or gone."""

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Raise `UnavailableError`, and `InvalidError` for what is no name."""
        del target, size_cap
        if not _NAME.fullmatch(locator):
            raise InvalidError(
                f"{locator[:60]!a} names no source that could have been kept.",
                next_step="Write the source's address into recipe.yaml.",
            )
        raise UnavailableError(
            f"The source {locator[:60]!a} was kept on another machine, or is no longer in the cache.",
            next_step="Draft the recipe again from the source, or write its address into recipe.yaml.",
        )


def all_origins(cache: Path, *, also: Sequence[Network] = ()) -> dict[str, Fetcher]:
    """The fetchers; `cache` is a directory of ours for what they keep.

    Repositories, archives and what registries link to may lie in the networks `also`, too.
    """
    return {
        "pypi": PypiFetcher(also=also),
        "debian": DebianFetcher(cache / "apt"),
        "npm": NpmFetcher(also=also),
        "git": GitFetcher(also),
        "tarball": WebFetcher(also),
        KEPT: _Kept(),
    }
