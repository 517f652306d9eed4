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
    """A published release: its version and its archives, those without a hash still to be pinned."""

    version: str
    sources: tuple[Source, ...]
    series: str = ""

    def pinned(self, laboratory: Laboratory) -> SideSource:
        """The release with the hashes of its archives; raises what fetching raises."""
        sources = tuple(
            each if each.sha256 else Source(each.origin, laboratory.pin(each.origin), each.into)
            for each in self.sources
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
    except (NotFoundError, InvalidError):
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
    """A release laid out like the recipe's sides; None when it has not the same parts.

    What a side holds beside the package's own archives, such as what it needs at run time, stays.
    """
    side = recipe.sides.get(Side.FIXED) or recipe.side(Side.VULNERABLE)
    offered = {_part(each): each for each in reversed(origins)}
    project = project_of(origins[0]) if origins else ""
    replaced, sources = 0, []
    for source in side.sources:
        if project_of(source.origin) != project:
            sources.append(source)
            continue
        if _part(source.origin) not in offered:
            return None
        replaced += 1
        sources.append(Source(offered[_part(source.origin)], "", source.into))
    return Listed(version, tuple(sources), side.series) if replaced else None


def project_of(origin: str) -> str:
    """The registry and project that an origin names, without the version."""
    kind, _, locator = origin.partition(":")
    mark = {"pypi": "==", "npm": "@", "debian": "="}.get(kind)
    if mark is None:
        return ""
    name = locator.rpartition(mark)[0] if kind == "npm" else locator.partition(mark)[0]
    return f"{kind}:{name.lower()}"


def _part(origin: str) -> str:
    """Which part of a release an archive is: Debian's parts, a wheel, or the source."""
    found = _DEBIAN_PART.search(origin)
    if found is not None and origin.startswith("debian:"):
        return found[1]
    return "wheel" if origin.endswith(".whl") else "source"
