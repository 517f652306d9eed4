"""The two sides of a draft for a Debian source package."""

from __future__ import annotations

from pathlib import Path

from clearhold.adapters.release_lists import of_debian
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.purl import Purl
from clearhold.validation import drafting
from clearhold.validation.drafting import Drafted


def sides_of_debian(fetched: Fetched, purl: Purl, cve: str) -> tuple[dict[str, Drafted], Path, str]:
    """Both sides, the vulnerable tree, and what the patches between them say in words.

    Raises `NotFoundError` when nothing published tells the sides apart.
    """
    version, origins = of_debian(purl.name, fetched.cache)
    pinned, trees = [], {}
    for origin in origins:
        into = "debian" if ".debian.tar." in origin else ""
        one, trees[into] = fetched.archive(origin, into)
        pinned.append(one)
    packaging = trees.get("debian")
    without = drafting.patches_of(packaging, cve) if packaging else ()
    if packaging is None or not without:
        raise NotFoundError(
            f"No patch of {purl.name} {version} names {cve}.",
            next_step="Write the recipe by hand from two versions of the source.",
        )
    series = "debian/patches/series"
    archives = tuple(pinned)
    sides = {
        "vulnerable": Drafted(
            drafting.version_before(packaging, cve, version), archives, series, without
        ),
        "fixed": Drafted(version, archives, series),
    }
    return sides, trees[""], drafting.words_of(packaging, without)
