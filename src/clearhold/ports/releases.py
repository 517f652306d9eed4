"""Which releases of a package are published: names and origins alone, nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class ReleaseLists(Protocol):
    """Lists the published releases of a package."""

    def releases(self, package: str) -> Mapping[str, tuple[str, ...]]:
        """The origins of the source archives of each release, by version, in no order.

        `package` is a package URL without version. Releases before a release proper are left out.
        Raises `NotFoundError` when the registry knows no such package or there is no registry of
        its kind, and `UnavailableError` when it could not be asked.
        """
        ...
