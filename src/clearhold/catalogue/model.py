"""Packages that may be scanned, and vulnerabilities of them that the public knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from clearhold.catalogue.likeness import NOTHING, Terms, terms_of
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Affected, Judgement, judge
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.wire.public_flaw import PublicFlaw

MOST_ENTRIES: Final = 256
MOST_SUMMARY: Final = 300
_PATH: Final = re.compile(r"[^\x00-\x1f\x7f*?\[\]{}!\\]{1,128}")
_ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*-[A-Za-z0-9_.:-]{1,60}")


class Technique(StrEnum):
    """How a target is examined."""

    STATIC = "static"
    FUZZING = "fuzzing"
    SYMBOLIC = "symbolic"
    MODEL_REVIEW = "model-review"
    DYNAMIC = "dynamic"
    CREDENTIALED = "credentialed"
    LIVE_PROBING = "live-probing"


LIVE_ONLY: Final = frozenset({Technique.CREDENTIALED, Technique.LIVE_PROBING})
"""Techniques that only make sense on systems that run: with an account there, or from outside."""


@dataclass(frozen=True, slots=True)
class Target:
    """A package worth scanning: its versions, fitting techniques, and source paths of interest."""

    package: Purl
    versions: tuple[str, ...]
    techniques: tuple[Technique, ...]
    paths: tuple[str, ...]
    added_at: datetime


@dataclass(frozen=True, slots=True)
class KnownVulnerability:
    """A vulnerability the public knows, under `id` and `aliases`, and whom it affects.

    `source` is the format of the record it was read from, empty when a coordinator recorded it.
    `terms` are what its public text is compared by, empty when it was recorded without one.
    """

    id: str
    package: Purl
    aliases: tuple[str, ...]
    affected: Affected
    recorded_at: datetime
    source: str = ""
    summary: str = ""
    terms: Terms = NOTHING

    @property
    def names(self) -> frozenset[str]:
        """Every identifier it is known by, in capitals."""
        return frozenset(name.upper() for name in (self.id, *self.aliases))

    def affects(self, version: str) -> Judgement:
        """Whether one version is affected."""
        return judge(version, self.affected)


def bare(package: str) -> Purl:
    """A package URL reduced to its package; raises `InvalidError` when it cannot be read."""
    return Purl.parse(package).package


def make_target(
    package: str,
    *,
    versions: tuple[str, ...],
    techniques: tuple[Technique, ...],
    paths: tuple[str, ...],
    now: datetime,
) -> Target:
    """A checked target; raises `InvalidError` naming what is wrong.

    Versions must be readable in the package's own scheme; paths are plain, relative file paths.
    """
    purl = bare(package)
    if not versions or not techniques or max(len(versions), len(paths)) > MOST_ENTRIES:
        raise InvalidError(
            f"A target has 1 to {MOST_ENTRIES} versions, at most {MOST_ENTRIES} paths, "
            "and a technique.",
            next_step="Name at least one version and one technique.",
        )
    if not LIVE_ONLY.isdisjoint(techniques):
        raise InvalidError(
            "A package is not scanned as a live system.",
            next_step="Leave out: " + ", ".join(sorted(LIVE_ONLY)) + ".",
        )
    scheme = scheme_for(purl.type)
    ordered = sorted(set(versions), key=scheme.key)
    for path in paths:
        plain = _PATH.fullmatch(path) and path.isprintable()
        if not plain or not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise InvalidError(
                f"{path[:80]!a} is not a relative path without wildcards.",
                next_step="Write it from the root of the source tree, as lib/parser.c.",
            )
    return Target(
        purl, tuple(ordered), tuple(sorted(set(techniques))), tuple(dict.fromkeys(paths)), now
    )


def make_known(
    package: str, identity: str, *, aliases: tuple[str, ...], affected: Affected, now: datetime
) -> KnownVulnerability:
    """A checked public vulnerability; raises `InvalidError` naming what is wrong.

    Only what can be judged is taken: every stated version must be readable in its scheme.
    """
    purl = bare(package)
    for name in (identity, *aliases):
        if not _ALIAS.fullmatch(name):
            raise InvalidError(
                f"{name[:80]!a} is not a vulnerability identifier.",
                next_step="Write it as CVE-2021-45958 or GHSA-xxxx-xxxx-xxxx.",
            )
    scheme = scheme_for(purl.type)
    if not affected.ranges and not affected.versions:
        raise InvalidError(
            "Neither ranges nor versions are stated.",
            next_step="State which versions are affected.",
        )
    stated = [*affected.versions]
    for each in affected.ranges:
        bounds = (each.introduced, each.fixed, each.last_affected)
        stated += [version for version in bounds if version not in (None, "0")]
    for version in stated:
        scheme.key(version)
    return KnownVulnerability(identity, purl, tuple(dict.fromkeys(aliases)), affected, now)


def known_from(flaw: PublicFlaw, now: datetime) -> tuple[KnownVulnerability, ...]:
    """What a published record says, a vulnerability for each package it names.

    Versions are taken as published: what cannot be read of them counts as undetermined.
    """
    if flaw.claims is None:
        return ()
    terms = terms_of(f"{flaw.title}\n{flaw.text}", names=flaw.symbols, weaknesses=flaw.weaknesses)
    words = " ".join((flaw.title or flaw.text[:MOST_SUMMARY]).split())
    summary = "".join(each for each in words if each.isprintable())[:MOST_SUMMARY]
    return tuple(
        KnownVulnerability(
            id=flaw.id,
            package=Purl.parse(package),
            aliases=tuple(each for each in flaw.names if each != flaw.id)[:MOST_ENTRIES],
            affected=affected,
            recorded_at=now,
            source=flaw.source,
            summary=summary,
            terms=terms,
        )
        for package, affected in flaw.claims.affected.items()
    )
