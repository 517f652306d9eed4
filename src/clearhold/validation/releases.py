"""The releases that a proof is replayed over: those a registry lists, as a recipe builds them.

A release is named by its origins alone until it is asked; then its archives are fetched once and
pinned by SHA-256, so that evidence says of which bytes each answer is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from clearhold.kernel.errors import IntegrityError, InvalidError, NotFoundError
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.ports.releases import ReleaseLists
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side, SideSource, Source
from clearhold.wire import pypi_index

MOST_LISTED: Final = 2000
_LONGEST_SHOWN: Final = 80
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


def release_of(
    laboratory: Laboratory, recipe: Recipe, version: str, lists: ReleaseLists | None
) -> SideSource | None:
    """What a report's version is built from: None for the recipe's own sides, else its release.

    An empty version is the recipe's own. Raises `NotFoundError` when no such release is published,
    and what the registry and fetching raise.
    """
    if not version:
        return None
    scheme = scheme_for(Purl.parse(recipe.package).type)
    try:
        key = scheme.key(version)
        if any(scheme.key(each.version) == key for each in recipe.sides.values()):
            return None
        releases, _ = published_releases(recipe, lists)
        found = next((each for each in releases if scheme.key(each.version) == key), None)
    except InvalidError:
        found = None
    if found is None:
        own = ", ".join(sorted({each.version for each in recipe.sides.values()}))
        raise NotFoundError(
            f"No release {ascii(version[:_LONGEST_SHOWN])[1:-1]} is published that the recipe could "
            f"build; it covers {own} itself.",
            next_step="Name a released version, or leave the version out.",
        )
    return found.pinned(laboratory) if isinstance(found, Listed) else found


def at_release(recipe: Recipe, release: SideSource | None) -> Recipe:
    """The recipe with a release in place of its vulnerable side; None leaves it as it is.

    The fixed side stays beside what is older than it: a release that has the fix already is examined
    as every new flaw is, without one.
    """
    if release is None:
        return recipe
    fixed = recipe.sides.get(Side.FIXED)
    sides = {Side.VULNERABLE: release}
    scheme = scheme_for(Purl.parse(recipe.package).type)
    if fixed is not None and scheme.compare(release.version, fixed.version) < 0:
        sides[Side.FIXED] = fixed
    return replace(recipe, sides=sides)


def release_said(laboratory: Laboratory, recipe: Recipe, said: object) -> SideSource | None:
    """The release that evidence names, None for none: one of the recipe's sides, or laid out like them.

    Raises `InvalidError` for what is none, `IntegrityError` for archives of anything else than that
    version of the recipe's project or of other bytes than the origin gives, and what fetching raises.
    """
    if said is None:
        return None
    try:
        release = msgspec.convert(said, SideSource)
    except msgspec.ValidationError as error:
        raise InvalidError(f"The evidence names no release: {error}.") from error
    if release in recipe.sides.values():
        return release
    origins = tuple(each.origin for each in release.sources)
    laid = _like(recipe, release.version, tuple(filter(_of_version(release.version), origins)))
    if laid is None or origins != tuple(each.origin for each in laid.sources):
        raise _foreign()
    # The cache knows archives by hash alone: what a hash is of must be said by the origin.
    if laid.pinned(laboratory) != release:
        raise _foreign()
    return release


def _foreign() -> IntegrityError:
    return IntegrityError("The evidence names other archives than the recipe's at that version.")


def _of_version(version: str) -> Callable[[str], bool]:
    """Whether an origin is of a version, by its name and by that of the file it gives."""

    def fits(origin: str) -> bool:
        kind, _, locator = origin.partition(":")
        if kind == "npm":
            return locator.rpartition("@")[2] == version
        stated, _, file = locator.partition("=")[2].lstrip("=").rpartition(":")
        return stated == version and (kind != "pypi" or pypi_index.version_of(file) == version)

    return fits


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
