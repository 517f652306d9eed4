"""Scopes, when two of them overlap, and the life of a lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import CompartmentId, LeaseId, PartyId
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import Scheme, scheme_for
from clearhold.scanning import paths as globs

MOST_PATHS: Final = 16
LONGEST_WINDOW: Final = timedelta(days=30)
IDLE_LIMIT: Final = timedelta(hours=1)
LARGEST_BUDGET_S: Final = 30 * 24 * 3600


class Mode(StrEnum):
    """What a lease asks of others.

    Exclusive leases bear no other exclusive or shared lease beside them, shared ones no exclusive
    one. Notify-only leases bear everything and hold nobody off.
    """

    EXCLUSIVE = "exclusive"
    SHARED = "shared"
    NOTIFY_ONLY = "notify-only"


def collide(a: Mode, b: Mode) -> bool:
    """Whether two leases of these modes may not overlap."""
    return Mode.NOTIFY_ONLY not in {a, b} and Mode.EXCLUSIVE in {a, b}


class State(StrEnum):
    """Where a lease stands: granted until its first heartbeat, then active, then over."""

    GRANTED = "granted"
    ACTIVE = "active"
    RELEASED = "released"
    EXPIRED = "expired"
    REVOKED = "revoked"


LIVE: Final = (State.GRANTED, State.ACTIVE)


class StopReason(StrEnum):
    """Why a coordinator ends the leases on a package."""

    OWNER_OPTED_OUT = "owner-opted-out"
    HARM = "harm"
    RULES_BROKEN = "rules-broken"


class Outcome(StrEnum):
    """How a scan ended."""

    NOTHING_FOUND = "nothing-found"
    FOUND = "found"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Versions:
    """One version (`exact`), or those from `start` ("0": the first) to before `before`.

    Without `before` the range has no end.
    """

    exact: str | None = None
    start: str = "0"
    before: str | None = None

    def bounds(self, scheme: Scheme) -> tuple[bytes, bytes | None]:
        """The half-open interval of version keys; raises `InvalidError` when it is none."""
        if self.exact is not None:
            if self.before is not None or self.start != "0":
                raise InvalidError(
                    "A scope names one version or a range, not both.",
                    next_step="Give either `exact`, or `start` and `before`.",
                )
            key = scheme.key(self.exact)
            return key, key + b"\x00"  # no key is a prefix of another: nothing lies between
        low = b"" if self.start == "0" else scheme.key(self.start)
        high = None if self.before is None else scheme.key(self.before)
        if high is not None and low >= high:
            raise InvalidError(
                "The version range is empty.", next_step="Let `start` come before `before`."
            )
        return low, high

    def to_plain(self) -> dict[str, str]:
        """For JSON."""
        if self.exact is not None:
            return {"exact": self.exact}
        plain = {"start": self.start}
        return plain if self.before is None else plain | {"before": self.before}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a party means to look at: a package, some of its versions, some of its files, and how.

    `paths` are globs as `scanning.paths` defines them.
    """

    package: Purl
    versions: Versions
    paths: tuple[str, ...]
    technique: Technique

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "package": str(self.package),
            "versions": self.versions.to_plain(),
            "paths": list(self.paths),
            "technique": str(self.technique),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Scope:
        """From what `to_plain` made."""
        return cls(
            Purl.parse(plain["package"]),
            Versions(**plain["versions"]),
            tuple(plain["paths"]),
            Technique(plain["technique"]),
        )

    def covers(self, package: Purl, version: str, technique: Technique | None) -> bool:
        """Whether looking at that version of a package is within this scope."""
        if package.package != self.package or technique not in {None, self.technique}:
            return False
        scheme = scheme_for(self.package.type)
        low, high = self.versions.bounds(scheme)
        key = scheme.key(version)
        return low <= key and (high is None or key < high)


def make_scope(
    package: str, *, versions: Versions, paths: tuple[str, ...], technique: Technique
) -> Scope:
    """A checked scope; without paths, the whole package. Raises `InvalidError` naming the fault."""
    purl = Purl.parse(package).package
    versions.bounds(scheme_for(purl.type))
    if len(paths) > MOST_PATHS:
        raise InvalidError(
            f"A scope has at most {MOST_PATHS} path globs.",
            next_step="Use wider globs, or claim in several leases.",
        )
    kept = tuple(dict.fromkeys(globs.normal(path) for path in paths)) or (globs.EVERYTHING,)
    return Scope(purl, versions, kept, technique)


def versions_meet(a: Versions, b: Versions, scheme: Scheme) -> bool:
    """Whether some version lies in both."""
    low_a, high_a = a.bounds(scheme)
    low_b, high_b = b.bounds(scheme)
    return (high_b is None or low_a < high_b) and (high_a is None or low_b < high_a)


def overlap(mine: Scope, other: Scope) -> tuple[str, ...]:
    """Those of my own path globs that the other scope also reaches; empty when the two are apart.

    Exact on packages, techniques, version ranges and globs. The answer is in the asker's own words
    so that it tells nothing of the other scope beyond the fact.
    """
    if (mine.package, mine.technique) != (other.package, other.technique):
        return ()
    if not versions_meet(mine.versions, other.versions, scheme_for(mine.package.type)):
        return ()
    return tuple(
        path for path in mine.paths if any(globs.meet(path, theirs) for theirs in other.paths)
    )


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to look at a scope for a while.

    `fence` grows with every lease on the package, so that a late holder can be told from the
    present one. The lease lapses at `expires_at` unless a heartbeat moves that on, at the latest
    at `window_ends_at`. `budget_s` is how much scanning is meant, in seconds.
    """

    id: LeaseId
    party: PartyId
    compartment: CompartmentId
    mode: Mode
    state: State
    fence: int
    granted_at: datetime
    expires_at: datetime
    window_ends_at: datetime
    budget_s: int

    def state_at(self, now: datetime) -> State:
        """Its state, with the passing of time taken into account."""
        return State.EXPIRED if self.state in LIVE and self.expires_at <= now else self.state


def expiry(now: datetime, window_ends_at: datetime) -> datetime:
    """When a lease lapses that was last heard of `now`."""
    return min(now + IDLE_LIMIT, window_ends_at)


def check_window(window: timedelta, budget_s: int) -> None:
    """Raise `InvalidError` unless a lease may be this long and its budget this large."""
    if not timedelta(0) < window <= LONGEST_WINDOW:
        raise InvalidError(
            f"A lease's window is positive and at most {LONGEST_WINDOW.days} days.",
            next_step="Choose a shorter window; it can be claimed again.",
        )
    if not 0 < budget_s <= LARGEST_BUDGET_S:
        raise InvalidError(
            f"A budget is 1 to {LARGEST_BUDGET_S} seconds of scanning.",
            next_step="Say how long you mean to scan.",
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a scan under a lease looked at and what came of it, nothing included.

    `effort` counts what the technique counts (seconds, executions, files); `result_sha256` names
    the evidence the party keeps.
    """

    id: str
    lease: LeaseId
    recorded_at: datetime
    technique: Technique
    outcome: Outcome
    effort: Mapping[str, int]
    result_sha256: str
