"""A scope in software: states of one package, files and functions in it, a technique and a depth.

It means every function named by its function globs, in every file named by its path globs, of
every state its versions name, looked at by its technique. Two scopes overlap exactly when that
holds of something in both, or when it is not known that there is nothing (`scanning.spans`).
Techniques are kept apart: a fuzzer and a reviewer find different things in one place. Depth is
recorded with what was covered and never keeps two scopes apart: a shallow look at what another
looks at deeply is the same work done twice.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

from clearhold.catalogue.model import LIVE_ONLY, Technique
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.scanning import paths as globs
from clearhold.scanning import spans
from clearhold.scanning.spans import Bounds, Versions

MOST_PATHS: Final = 16
MOST_FUNCTIONS: Final = 32


class Depth(StrEnum):
    """How far a scan goes, from a first look to all that the technique can give."""

    SHALLOW = "shallow"
    STANDARD = "standard"
    DEEP = "deep"


@dataclass(frozen=True, slots=True)
class SoftwareScope:
    """What a party means to look at in a package.

    `paths` are globs as `scanning.paths` defines them, `functions` globs of one part each; without
    functions all are meant.
    """

    KIND: ClassVar[str] = "software"

    package: Purl
    versions: Versions
    paths: tuple[str, ...]
    technique: Technique
    functions: tuple[str, ...] = ()
    depth: Depth = Depth.STANDARD

    def lane_names(self) -> tuple[str, ...]:
        """What is decided one claim after the other: all scopes of a package."""
        return (str(self.package),)

    def index_group(self) -> str:
        """Scopes of different groups never overlap."""
        return self.technique

    def index_keys(self) -> tuple[tuple[str, ...], ...]:
        """The path globs as parts; scopes no two of whose keys meet do not overlap."""
        return tuple(tuple(path.split("/")) for path in self.paths)

    def index_span(self) -> Bounds:
        """Scopes whose spans are apart do not overlap."""
        return spans.interval(self.versions, self.package.type)

    def overlap(self, other: object) -> tuple[str, ...]:
        """Those of my own path globs that the other scope also reaches; empty when they are apart.

        Exact on packages, techniques, versions, functions and globs. The answer is in the asker's
        own words so that it tells nothing of the other scope beyond the fact.
        """
        if not isinstance(other, SoftwareScope) or not self._meets_beside_paths(other):
            return ()
        return tuple(
            path for path in self.paths if any(globs.meet(path, theirs) for theirs in other.paths)
        )

    def _meets_beside_paths(self, other: SoftwareScope) -> bool:
        return (
            self.technique is other.technique
            and self.package == other.package
            and spans.meet(self.versions, other.versions, self.package.type)
            and _functions_meet(self.functions, other.functions)
        )

    @property
    def whole_package(self) -> bool:
        """Whether nothing but wildcards bounds its files and functions, in a range of versions.

        Every range counts, also one with an end: which versions there will be nobody knows, and an
        end that is far off bounds nothing. What takes all but nothing, as `**/*`, is everything.
        """
        ranged = self.versions.exact is None and not self.versions.commits
        return (
            ranged
            and any(set(path) <= set("*?/") for path in self.paths)
            and (not self.functions or any(set(each) <= set("*?") for each in self.functions))
        )

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "package": str(self.package),
            "versions": self.versions.to_plain(),
            "paths": list(self.paths),
            "functions": list(self.functions),
            "technique": str(self.technique),
            "depth": str(self.depth),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> SoftwareScope:
        """From what `to_plain` made."""
        versions = dict(plain["versions"])
        if "commits" in versions:
            versions["commits"] = tuple(versions["commits"])
        return cls(
            _read(plain["package"]),
            Versions(**versions),
            tuple(plain["paths"]),
            Technique(plain["technique"]),
            tuple(plain.get("functions", ())),
            Depth(plain.get("depth", Depth.STANDARD)),
        )

    def covers(self, package: Purl, version: str, technique: Technique | None) -> bool:
        """Whether looking at that version of a package is within this scope.

        A version is within commits only when it is one of them by name. A commit is within versions
        when they have no end: to which of them it will belong nobody knows.
        """
        if package.package != self.package or technique not in {None, self.technique}:
            return False
        if self.versions.commits:
            return version.lower() in self.versions.commits
        if spans.is_commit(version):
            unending = self.versions.exact is None and self.versions.before is None
            return unending or version == self.versions.exact
        if self.versions.everything:
            return version != ""
        scheme = scheme_for(self.package.type)
        low, high = self.versions.bounds(scheme)
        key = scheme.key(version)
        return low <= key and (high is None or key < high)


def make_scope(
    package: str,
    *,
    versions: Versions,
    paths: tuple[str, ...],
    technique: Technique,
    functions: tuple[str, ...] = (),
    depth: Depth = Depth.STANDARD,
) -> SoftwareScope:
    """A checked scope; without paths, the whole package. Raises `InvalidError` naming the fault."""
    purl = Purl.parse(package).package
    if technique in LIVE_ONLY:
        raise InvalidError(
            f"{technique} is a technique for live systems.",
            next_step="Name the live system, or choose a technique that works on software.",
        )
    meant = spans.normal(versions, purl.type)
    if len(paths) > MOST_PATHS:
        raise InvalidError(
            f"A scope has at most {MOST_PATHS} path globs.",
            next_step="Use wider globs, or claim in several leases.",
        )
    if len(functions) > MOST_FUNCTIONS:
        raise InvalidError(
            f"A scope has at most {MOST_FUNCTIONS} functions.",
            next_step="Use globs such as parse_*, or leave functions out for all of them.",
        )
    kept = tuple(dict.fromkeys(globs.normal(path) for path in paths)) or (globs.EVERYTHING,)
    named = tuple(dict.fromkeys(globs.normal_name(each) for each in functions))
    return SoftwareScope(purl, meant, kept, technique, () if "*" in named else named, depth)


def overlap(mine: SoftwareScope, other: SoftwareScope) -> tuple[str, ...]:
    """Those of my own path globs that the other scope also reaches."""
    return mine.overlap(other)


_read = functools.lru_cache(maxsize=4096)(Purl.parse)
"""Reading one name once: a lane is read back with its package in every scope."""


@functools.lru_cache(maxsize=16384)
def _functions_meet(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    if not a or not b:
        return True
    return any(globs.names_meet(one, other) for one in a for other in b)
