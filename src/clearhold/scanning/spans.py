"""Which states of a package a scope means: versions by their order, or commits by name.

Versions are ordered by their package's scheme and compared exactly. Commits are compared by their
full names: two SHA-1 names, or two SHA-256 names, are one commit only when they are equal. What no
name decides counts as overlapping, never as free: a commit against any version, a SHA-1 name
against a SHA-256 name, and every state of a package whose version order is not known here.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.versions import Scheme, scheme_for

MOST_COMMITS: Final = 64
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

Bounds = tuple[bytes, bytes | None]
"""A half-open interval of version keys; without an end when the second is None."""


@dataclass(frozen=True, slots=True)
class Versions:
    """One version (`exact`), or those from `start` ("0": the first) to before `before`.

    Without `before` the range has no end. `commits`, full hexadecimal names, stand in place of
    versions.
    """

    exact: str | None = None
    start: str = "0"
    before: str | None = None
    commits: tuple[str, ...] = ()

    def bounds(self, scheme: Scheme) -> Bounds:
        """The half-open interval of version keys, everything for commits.

        Raises `InvalidError` when it is none.
        """
        if self.commits:
            return b"", None
        if self.exact is not None:
            key = scheme.key(self.exact)
            return key, key + b"\x00"  # no key is a prefix of another: nothing lies between
        low = b"" if self.start == "0" else scheme.key(self.start)
        high = None if self.before is None else scheme.key(self.before)
        if high is not None and low >= high:
            raise InvalidError(
                "The version range is empty.", next_step="Let `start` come before `before`."
            )
        return low, high

    @property
    def everything(self) -> bool:
        """Whether every state of the package is meant."""
        return self == Versions()

    def to_plain(self) -> dict[str, object]:
        """For JSON."""
        if self.commits:
            return {"commits": list(self.commits)}
        if self.exact is not None:
            return {"exact": self.exact}
        plain: dict[str, object] = {"start": self.start}
        return plain if self.before is None else plain | {"before": self.before}


def normal(versions: Versions, purl_type: str) -> Versions:
    """The versions in their one spelling; raises `InvalidError` naming what is wrong."""
    ranged = versions.start != "0" or versions.before is not None
    if sum((bool(versions.commits), versions.exact is not None, ranged)) > 1:
        raise InvalidError(
            "A scope names one version, a range, or commits, and only one of them.",
            next_step="Give either `exact`, or `start` and `before`, or `commits`.",
        )
    if versions.commits:
        if len(versions.commits) > MOST_COMMITS:
            raise InvalidError(
                f"A scope has at most {MOST_COMMITS} commits.",
                next_step="Claim in several leases, or name a version range.",
            )
        lowered = tuple(sorted({each.lower() for each in versions.commits}))
        for each in lowered:
            if not _COMMIT.fullmatch(each):
                raise InvalidError(
                    f"{each[:80]!a} is not the full name of a commit.",
                    next_step="Write all 40 or 64 hexadecimal digits; `git rev-parse` prints them.",
                )
        return Versions(commits=lowered)
    if not versions.everything:
        versions.bounds(scheme_for(purl_type))
    return versions


def is_commit(state: str) -> bool:
    """Whether the name of a state of a package is that of a commit, in full."""
    return _COMMIT.fullmatch(state) is not None


def meet(a: Versions, b: Versions, purl_type: str) -> bool:
    """Whether some state lies in both, or it is not known that none does."""
    if a.commits and b.commits:
        lengths = {len(each) for each in (*a.commits, *b.commits)}
        return len(lengths) > 1 or not set(a.commits).isdisjoint(b.commits)
    if a.commits or b.commits or a.everything or b.everything:
        return True
    low_a, high_a = interval(a, purl_type)
    low_b, high_b = interval(b, purl_type)
    return (high_b is None or low_a < high_b) and (high_a is None or low_b < high_a)


@functools.lru_cache(maxsize=65536)
def interval(versions: Versions, purl_type: str) -> Bounds:
    """The interval of version keys that is meant; everything where no key decides."""
    if versions.commits or versions.everything:
        return b"", None
    return versions.bounds(scheme_for(purl_type))
