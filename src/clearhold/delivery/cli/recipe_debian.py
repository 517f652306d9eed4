"""The two sides of a draft for a Debian source package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clearhold.adapters.release_lists import RegistryReleases
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.kernel.errors import ClearholdError, NotFoundError, UnavailableError
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.validation import drafting
from clearhold.validation.drafting import Drafted, Pinned

_SERIES: Final = "debian/patches/series"
_ARCHIVE: Final = re.compile(r"\.tar\.\w+$")


@dataclass(frozen=True, slots=True)
class DebianSides:
    """Both sides, the tree of the vulnerable one, and what is between them.

    `words` is what people say of it, `changes` the text of the patches that make the difference.
    """

    sides: dict[str, Drafted]
    tree: Path
    words: str = ""
    changes: str = ""


def sides_of_debian(
    fetched: Fetched, purl: Purl, cve: str, *, vulnerable: str = "", fixed: str = ""
) -> DebianSides:
    """The sides that published source tells apart.

    One version with and without the patches that name the flaw where there are such patches,
    otherwise the two versions around the entry of the changelog that names it, or those given.
    Raises `NotFoundError` when nothing published tells the sides apart.
    """
    published = _published(fetched, purl)
    if vulnerable or fixed:
        return _of_versions(fetched, published, vulnerable, fixed, cve)
    changelogs: dict[str, str] = {}
    for version in reversed(published):
        packaging = _packaging(fetched, published[version])
        if packaging is None:
            continue
        changelogs[version] = drafting.text_of(packaging / "changelog")
        without = drafting.patches_of(packaging, cve)
        if without:
            try:
                return _of_patches(fetched, published[version], version, cve, without)
            except UnavailableError:
                continue  # listed, and in no archive any more
    pairs = drafting.around_the_entry(changelogs, cve)
    if pairs:
        return _of_versions(fetched, published, *pairs[0], cve)
    raise NotFoundError(
        f"No patch and no changelog of {purl.name} names {cve}.",
        next_step=f"Give two of its versions with --vulnerable and --fixed: {', '.join(published)}.",
    )


def release_of_debian(fetched: Fetched, purl: Purl) -> tuple[Drafted, Path]:
    """One version of a source package with all its patches, the newest when none is named, and its tree.

    Raises `NotFoundError` when no configured archive has it.
    """
    published = _published(fetched, purl)
    version = purl.version or next(reversed(published), "")
    if version not in published:
        raise _not_published(version, published, "Name one of those, or none.")
    drafted, trees = _drafted(fetched, published, version)
    return drafted, trees[""]


def _drafted(
    fetched: Fetched, published: Mapping[str, tuple[str, ...]], version: str
) -> tuple[Drafted, dict[str, Path]]:
    archives, trees = _archives(fetched, published[version])
    packaging = trees.get("debian")
    series = _SERIES if packaging and (packaging / "patches" / "series").is_file() else ""
    return Drafted(version, archives, series), trees


def _not_published(
    version: str, published: Mapping[str, tuple[str, ...]], next_step: str
) -> NotFoundError:
    return NotFoundError(
        f"No archive has version {version[:60]!a}; there are {', '.join(published)}.",
        next_step=next_step,
    )


def _published(fetched: Fetched, purl: Purl) -> dict[str, tuple[str, ...]]:
    """Origins of the archives of every version in the configured archives, oldest first."""
    found = RegistryReleases(fetched.cache, also=fetched.also).releases(str(purl))
    return {
        version: tuple(each for each in sorted(found[version]) if _ARCHIVE.search(each))
        for version in sorted(found, key=scheme_for("deb").key)
    }


def _packaging(fetched: Fetched, origins: tuple[str, ...]) -> Path | None:
    for origin in origins:
        if drafting.place_of(origin) == "debian":
            try:
                return fetched.archive(origin, "debian")[1]
            except ClearholdError:
                return None
    return None


def _archives(
    fetched: Fetched, origins: tuple[str, ...]
) -> tuple[tuple[Pinned, ...], dict[str, Path]]:
    pinned, trees = [], {}
    for origin in origins:
        into = drafting.place_of(origin)
        one, trees[into] = fetched.archive(origin, into)
        pinned.append(one)
    return tuple(pinned), trees


def _of_patches(
    fetched: Fetched, origins: tuple[str, ...], version: str, cve: str, without: tuple[str, ...]
) -> DebianSides:
    archives, trees = _archives(fetched, origins)
    packaging = trees["debian"]
    before = drafting.version_before(packaging, cve, version)
    sides = {
        "vulnerable": Drafted(before, archives, _SERIES, without),
        "fixed": Drafted(version, archives, _SERIES),
    }
    return DebianSides(
        sides,
        trees[""],
        drafting.words_of(packaging, without),
        _text_of(packaging, without),
    )


def _of_versions(
    fetched: Fetched, published: Mapping[str, tuple[str, ...]], low: str, high: str, cve: str
) -> DebianSides:
    for version in (low, high):
        if version not in published:
            raise _not_published(version, published, "Give both --vulnerable and --fixed.")
    sides, trees = {}, {}
    for side, version in (("vulnerable", low), ("fixed", high)):
        sides[side], trees[side] = _drafted(fetched, published, version)
    changed = trees["fixed"].get("debian")
    told = drafting.entries_of(changed, cve) if changed else ""
    new = _new_patches(trees["vulnerable"].get("debian"), changed)
    words = f"{told}\n{drafting.words_of(changed, new)}" if changed else ""
    changes = _text_of(changed, new) if changed else ""
    return DebianSides(sides, trees["vulnerable"][""], words, changes)


def _text_of(packaging: Path, patches: Sequence[str]) -> str:
    return "\n".join(drafting.text_of(packaging / "patches" / each) for each in patches)


def _new_patches(old: Path | None, new: Path | None) -> tuple[str, ...]:
    """The patches that only the newer packaging has."""
    names = [
        {
            path.relative_to(tree / "patches").as_posix()
            for path in (tree / "patches").rglob("*")
            if path.is_file()
        }
        if tree
        else set()
        for tree in (old, new)
    ]
    return tuple(sorted(names[1] - names[0] - {"series"}))
