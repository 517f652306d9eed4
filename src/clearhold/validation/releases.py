"""The releases that a proof is replayed over: those a registry lists, as a recipe builds them.

A release is named by its origins alone until it is asked; then its archives are fetched once and
pinned by SHA-256, so that evidence says of which bytes each answer is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.ports.releases import ReleaseLists
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side, SideSource, Source

MOST_LISTED: Final = 2000
_DEBIAN_PART: Final = re.compile(r"\.(orig(?:-[a-z0-9-]+)?|debian)\.tar\.\w+$")


@dataclass(frozen=True, slots=True)
class Listed:
    """A published release before it is pinned: its version, and each origin with its place."""

    version: str
    archives: tuple[tuple[str, str], ...]
    series: str = ""

    def pinned(self, laboratory: Laboratory) -> SideSource:
        """The release with the hashes of its archives; raises what fetching raises."""
        sources = tuple(
            Source(origin, laboratory.pin(origin), into) for origin, into in self.archives
        )
        return SideSource(self.version, sources, series=self.series)


def published_releases(
    recipe: Recipe, lists: ReleaseLists | None
) -> tuple[tuple[Listed | SideSource, ...], str]:
    """The releases to replay over, oldest first, and who listed them: `registry` or `recipe`.

    Raises `UnavailableError` when the registry could not be asked: a short list would look whole.
    """
    try:
        published = {} if lists is None else lists.releases(recipe.package)
    except NotFoundError:
        published = {}
    found = listed(recipe, published)
    return found, "registry" if len(found) > len(recipe.sides) else "recipe"


def listed(
    recipe: Recipe, published: Mapping[str, tuple[str, ...]]
) -> tuple[Listed | SideSource, ...]:
    """The releases to replay over, oldest first, the recipe's own sides among them as it pins them.

    `published` are origins by version, as a registry lists them; those that the recipe could not
    lay out like its own sides, or whose version cannot be ordered, are left out.
    """
    own = {each.version: each for each in recipe.sides.values()}
    scheme = scheme_for(Purl.parse(recipe.package).type)
    found: dict[bytes, Listed | SideSource] = {}
    for version, origins in published.items():
        release = _like(recipe, version, origins)
        try:
            key = scheme.key(version)
        except InvalidError:
            continue
        if release is not None:
            found.setdefault(key, release)
    for version, side in own.items():
        found[scheme.key(version)] = side
    ordered = [found[key] for key in sorted(found)]
    if len(ordered) <= MOST_LISTED:
        return tuple(ordered)
    known = ordered.index(recipe.side(Side.VULNERABLE))
    start = min(max(known - MOST_LISTED // 2, 0), len(ordered) - MOST_LISTED)
    return tuple(ordered[start : start + MOST_LISTED])


def _like(recipe: Recipe, version: str, origins: tuple[str, ...]) -> Listed | None:
    """A release laid out like the recipe's sides; None when it has other parts."""
    side = recipe.sides.get(Side.FIXED) or recipe.side(Side.VULNERABLE)
    kind = side.sources[0].origin.partition(":")[0]
    if kind == "debian":
        offered = {part: each for each in origins if (part := _debian_part(each))}
        archives = []
        for source in side.sources:
            part = _debian_part(source.origin)
            if part is None or part not in offered:
                return None
            archives.append((offered[part], source.into))
        return Listed(version, tuple(archives), side.series)
    mine = [each for each in side.sources if each.origin.partition(":")[0] == kind]
    if kind not in {"pypi", "npm"} or len(side.sources) != 1 or not mine or not origins:
        return None
    return Listed(version, ((origins[0], mine[0].into),), side.series)


def _debian_part(origin: str) -> str | None:
    found = _DEBIAN_PART.search(origin)
    return None if found is None else found[1]
