"""What a scan covered, and what of it others may learn.

A record is its party's own. If the party shares it, an *entry* goes into the package's coverage
map: version or commit, technique, a coarse area of the source, depth, and the week, never the
party, the functions, the effort or what came of it. A scan that found something and one that found
nothing make the same entry; otherwise every entry that does not say "nothing" would say "something"
while it is under embargo. The map shows only weeks that have ended, so that nobody can watch an
entry come in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import LeaseId
from clearhold.scanning import paths as globs
from clearhold.scanning.model import Depth, Outcome

MOST_EFFORTS: Final = 16
MOST_FUNCTIONS: Final = 256
MOST_ENTRIES: Final = 2048
MOST_OF_ONE: Final = 128
"""Entries of one party in one package's map; its own oldest make room."""
_SOME_PART: Final = "?"
_MONDAY: Final = date(1970, 1, 5)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_EFFORT: Final = re.compile(r"[a-z_]{1,40}")
_SHOWABLE: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+:~_-]{0,63}")


DEPTHS: Final = tuple(Depth)


class Sharing(StrEnum):
    """Who learns that something was scanned: nobody, or everybody without the name."""

    PRIVATE = "private"
    SHARED = "shared"


class Result(StrEnum):
    """What the map says of how scans ended: `scanned` whatever was found, or only `aborted`."""

    SCANNED = "scanned"
    ABORTED = "aborted"


class Many(StrEnum):
    """How many scans, coarsely."""

    FEW = "1-2"
    SOME = "3-9"
    MANY = "10+"


@dataclass(frozen=True, slots=True)
class NewCoverage:
    """What a scan covered, as it is told.

    Without a version or commit it is that of the lease if the lease is of one; without paths or
    depth, those of the lease. `functions` names functions reached, if the technique can tell. `effort` counts
    what the technique counts (seconds, executions, files). `sharing` None follows the party's
    standing choice. With `measured`, the paths are all that was seen to be looked at: without any,
    it is not known which part that was, and with no effort but time nothing was.
    """

    outcome: Outcome
    effort: Mapping[str, int]
    result_sha256: str
    version: str = ""
    commit: str = ""
    paths: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    depth: Depth | None = None
    sharing: Sharing | None = None
    measured: bool = False

    @property
    def nothing(self) -> bool:
        """Whether nothing at all was looked at."""
        return self.measured and not self.paths and not set(self.effort) - {"seconds"}


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a scan under a lease looked at and what came of it, nothing included.

    `result_sha256` names the evidence the party keeps; `package` is empty for what is no software
    and in records that are older than the field. `shown_from` is the day from which the coverage
    map shows it, None when it is private.
    """

    id: str
    lease: LeaseId
    recorded_at: datetime
    technique: Technique
    outcome: Outcome
    effort: Mapping[str, int]
    result_sha256: str
    package: str = ""
    version: str = ""
    commit: str = ""
    paths: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    depth: Depth = Depth.STANDARD
    sharing: Sharing = Sharing.PRIVATE
    shown_from: date | None = None

    @property
    def state(self) -> str:
        """The version or commit that was looked at; empty when that was not told."""
        return self.version or self.commit


@dataclass(frozen=True, slots=True)
class Entry:
    """One shared scan of a package.

    `token` names it to its own record, `who` is a keyed value that tells parties apart and names
    none. Neither leaves the hub. `week` counts weeks since Monday 1970-01-05.
    """

    token: str
    who: str
    state: str
    technique: Technique
    areas: tuple[str, ...]
    depth: Depth
    week: int
    completed: bool


@dataclass(frozen=True, slots=True)
class MapRow:
    """What has been scanned of one version or commit, by one technique, in one area.

    `last_week` is the Monday of the last week in which it was. `outdated` says that the catalogue
    lists a newer version.
    """

    version: str
    technique: Technique
    area: str
    last_week: date
    depth: Depth
    scans: Many
    result: Result
    outdated: bool


def check(new: NewCoverage) -> None:
    """Raise `InvalidError` unless a scan can have covered this."""
    wrong = len(new.effort) > MOST_EFFORTS or any(
        not _EFFORT.fullmatch(name) or not 0 <= count < 1 << 63
        for name, count in new.effort.items()
    )
    if wrong:
        raise InvalidError(
            f"Effort is at most {MOST_EFFORTS} counts with short lower-case names.",
            next_step='Write it as {"seconds": 60, "executions": 100000}.',
        )
    if not _SHA256.fullmatch(new.result_sha256):
        raise InvalidError(
            "A result is named by its SHA-256 in lower-case hexadecimal.",
            next_step="Send the digest of the log you keep.",
        )
    if new.commit and not _COMMIT.fullmatch(new.commit):
        raise InvalidError(
            "A commit is named by its whole id, 40 or 64 lower-case hexadecimal digits.",
            next_step="Take it from `git rev-parse HEAD`.",
        )
    if new.version and not showable(new.version):
        raise InvalidError(
            "That is not a version.", next_step="Write it as the package's releases do."
        )
    if len(new.functions) > MOST_FUNCTIONS or any(
        not 0 < len(each) <= 256 or not each.isprintable() for each in new.functions
    ):
        raise InvalidError(
            f"At most {MOST_FUNCTIONS} functions can be named, each in 256 printable characters.",
            next_step="Name those that matter, or leave them out.",
        )


def showable(state: str) -> bool:
    """Whether a version or commit may stand in the map, where everybody reads it."""
    return _SHOWABLE.fullmatch(state) is not None


def week_of(moment: datetime) -> int:
    """The number of the week, in UTC, beginning on Monday."""
    return (moment.astimezone(UTC).date() - _MONDAY).days // 7


def monday_of(week: int) -> date:
    """The first day of a week."""
    return _MONDAY + timedelta(weeks=week)


def area_of(glob: str) -> str:
    """The coarse area of a path glob, in its normal spelling.

    `**` is the whole package, `lib/` something below that directory, `./` files at the root, and
    `?` some part of it. File names and deeper directories say what somebody has in mind, so the map
    does not have them.
    """
    first, *rest = glob.split("/")
    if glob == globs.EVERYTHING:
        return glob
    if {"*", "?"} & {*first} or not showable(first.lstrip(".") or "."):
        return _SOME_PART
    return f"{first}/" if rest else "./"


def areas_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The coarse areas of some path globs; the whole package takes in all others.

    Without any it is some part of the package.
    """
    found = sorted({area_of(path) for path in paths}) or [_SOME_PART]
    return (globs.EVERYTHING,) if globs.EVERYTHING in found else tuple(found)


def with_entry(entries: Sequence[Entry], new: Entry) -> tuple[Entry, ...]:
    """The entries of a package with one more, within their bounds: the oldest make room.

    A party with many makes room for itself first, so that nobody pushes others out of the map.
    """
    kept = [*entries, new]
    own = [each for each in kept if each.who == new.who]
    dropped = {each.token for each in sorted(own, key=_age)[:-MOST_OF_ONE]}
    kept = [each for each in kept if each.token not in dropped]
    dropped = {each.token for each in sorted(kept, key=_age)[:-MOST_ENTRIES]}
    return tuple(sorted((each for each in kept if each.token not in dropped), key=_age))


def shown(entries: Iterable[Entry], *, this_week: int) -> tuple[Entry, ...]:
    """The entries that others may know of: those of weeks that have ended."""
    return tuple(each for each in entries if each.week < this_week)


def map_of(
    entries: Iterable[Entry], *, this_week: int, older: Iterable[str] = ()
) -> tuple[MapRow, ...]:
    """The coverage map that entries make, whatever their order.

    `older` are the versions that a newer one in the catalogue has replaced.
    """
    replaced = frozenset(older)
    together: dict[tuple[str, Technique, str], list[Entry]] = {}
    for each in shown(entries, this_week=this_week):
        for area in each.areas:
            together.setdefault((each.state, each.technique, area), []).append(each)
    return tuple(
        MapRow(
            state,
            technique,
            area,
            last_week=monday_of(max(each.week for each in found)),
            depth=max((each.depth for each in found), key=DEPTHS.index),
            scans=_many(len({(each.who, each.week) for each in found})),
            result=Result.SCANNED if any(each.completed for each in found) else Result.ABORTED,
            outdated=state in replaced,
        )
        for (state, technique, area), found in sorted(together.items())
    )


def _many(count: int) -> Many:
    if count < 3:
        return Many.FEW
    return Many.SOME if count < 10 else Many.MANY


def _age(entry: Entry) -> tuple[int, str]:
    return entry.week, entry.token
