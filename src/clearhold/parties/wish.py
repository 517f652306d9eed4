"""What a maintainer or owner wishes of everybody, and which wish counts when several do: pure.

The strictest wins: what one wish forbids is forbidden, the lowest cap counts, it is quiet whenever
one says so. Which comes first makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clearhold.kernel.errors import InvalidError

WEEK: Final = timedelta(days=7)
LONGEST_EMBARGO_DAYS: Final = 366
LARGEST_CAP: Final = 10_000
_MINUTE: Final = timedelta(minutes=1)
_AHEAD: Final = 15 * 24 * 60
"""How many minutes the end of quiet hours is looked for; two wishes may leave no hour at all."""


class Channel(StrEnum):
    """How somebody prefers to be reached."""

    HUB = "hub"
    EMAIL = "email"
    SECURITY_TXT = "security-txt"
    REPOSITORY = "repository"


@dataclass(frozen=True, slots=True, order=True)
class QuietHours:
    """From `start` to `end` of the day, over midnight if need be, and all of some weekdays.

    `zone` is a name of the IANA time zone database; `days` counts Monday as 0.
    """

    zone: str
    start: time
    end: time
    days: tuple[int, ...] = ()

    def covers(self, at: datetime) -> bool:
        """Whether it is quiet at an instant, by the clock on the wall there."""
        local = at.astimezone(ZoneInfo(self.zone))
        clock = local.time()
        if local.weekday() in self.days:
            return True
        if self.start <= self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass(frozen=True, slots=True)
class EmbargoPolicy:
    """For how many days somebody wants a case kept quiet.

    `firm` refuses what lies outside; otherwise it is only pointed out.
    """

    shortest: int | None = None
    longest: int | None = None
    default: int | None = None
    firm: bool = False

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most days. When two policies do not meet, the shorter embargo counts."""
        longest = LONGEST_EMBARGO_DAYS if self.longest is None else self.longest
        return min(self.shortest or 0, longest), longest

    @property
    def usual(self) -> int | None:
        """The days to propose when nobody says how many."""
        if self.default is None:
            return None
        fewest, most = self.bounds
        return max(fewest, min(self.default, most))

    def outside(self, length: timedelta) -> str:
        """Why an embargo of this length is not what is wished; empty when it is."""
        fewest, most = self.bounds
        if length > timedelta(days=most):
            return f"The vendor keeps a case quiet for at most {most} days."
        if length < timedelta(days=fewest):
            return f"The vendor asks for at least {fewest} days."
        return ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wished, by one or by several taken together."""

    do_not_scan: bool = False
    do_not_contact: bool = False
    most_open: int | None = None
    most_weekly: int | None = None
    quiet: tuple[QuietHours, ...] = ()
    channels: tuple[Channel, ...] = ()
    embargo: EmbargoPolicy = EmbargoPolicy()

    def with_(self, other: Wishes) -> Wishes:
        """Both taken together: of each wish the stricter."""
        one, two = self.embargo, other.embargo
        return Wishes(
            do_not_scan=self.do_not_scan or other.do_not_scan,
            do_not_contact=self.do_not_contact or other.do_not_contact,
            most_open=_least(self.most_open, other.most_open),
            most_weekly=_least(self.most_weekly, other.most_weekly),
            quiet=tuple(sorted({*self.quiet, *other.quiet})),
            channels=tuple(sorted({*self.channels, *other.channels})),
            embargo=EmbargoPolicy(
                shortest=max(
                    (each for each in (one.shortest, two.shortest) if each is not None),
                    default=None,
                ),
                longest=_least(one.longest, two.longest),
                default=_least(one.default, two.default),
                firm=one.firm or two.firm,
            ),
        )


NOTHING: Final = Wishes()


QUIET: Final = "it does not want to be contacted at this hour"
FULL: Final = "it takes no further case for now"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Nothing stands against writing to them now."""


@dataclass(frozen=True, slots=True)
class Refused:
    """They do not want to be written to."""

    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """Not now: at `due_at` if that is known, else when a case of theirs is closed.

    How full they are and since when would tell of other cases: `told` is what may be said of it.
    """

    reason: str
    due_at: datetime | None

    @property
    def told(self) -> datetime | None:
        """When it is over, as far as whoever asks may know."""
        return tellable(self.reason, self.due_at)


def tellable(reason: str, due_at: datetime | None) -> datetime | None:
    """When a reason to wait is over, as far as whoever waits may know."""
    return due_at if reason == QUIET else None


def strictest(wishes: Iterable[Wishes]) -> Wishes:
    """All of them taken together."""
    together = NOTHING
    for each in wishes:
        together = together.with_(each)
    return together


def may_contact(
    wishes: Wishes, now: datetime, *, open_cases: int, begun: Sequence[datetime]
) -> Allowed | Refused | Held:
    """Whether a new case may reach them now.

    `open_cases` is how many they have open, `begun` when those of late reached them.
    """
    if wishes.do_not_contact:
        return Refused("Its owner does not want to be contacted.")
    if wishes.most_open is not None and open_cases >= wishes.most_open:
        return Held(FULL, None)
    held: list[Held] = []
    if wishes.most_weekly is not None:
        recent = sorted(each for each in begun if each > now - WEEK)
        if len(recent) >= wishes.most_weekly:
            # It is free when all but one fewer than the cap have become older than a week.
            held.append(Held(FULL, recent[len(recent) - wishes.most_weekly] + WEEK))
    ends = quiet_until(wishes.quiet, now)
    if ends is not None:
        held.append(Held(QUIET, ends))
    if not held:
        return Allowed()
    return next((each for each in held if each.due_at is None), None) or max(
        held, key=lambda each: each.due_at or now
    )


def quiet_until(quiet: Sequence[QuietHours], now: datetime) -> datetime | None:
    """When all quiet hours that cover `now` are over, to the minute; None when it is not quiet."""
    if not any(each.covers(now) for each in quiet):
        return None
    at = now.astimezone(UTC).replace(second=0, microsecond=0)
    for _ in range(_AHEAD):
        at += _MINUTE
        if not any(each.covers(at) for each in quiet):
            break
    return at


def check(wishes: Wishes) -> None:
    """Raise `InvalidError` unless somebody can wish this."""
    for cap in (wishes.most_open, wishes.most_weekly):
        if cap is not None and not 1 <= cap <= LARGEST_CAP:
            raise InvalidError(
                "A cap is at least 1.",
                next_step="To have no cases at all, wish not to be contacted.",
            )
    for each in wishes.quiet:
        try:
            ZoneInfo(each.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise InvalidError(
                "The time zone is not known.", next_step="Write it as Europe/Berlin."
            ) from error
        exact = all(not (at.second or at.microsecond or at.tzinfo) for at in (each.start, each.end))
        if each.start == each.end or not exact:
            raise InvalidError(
                "Quiet hours begin and end at different minutes of the day.",
                next_step="Write them as 22:00 and 08:00.",
            )
        if not set(each.days) < set(range(7)):
            raise InvalidError("Quiet days are some of the seven weekdays, not all of them.")
    policy = wishes.embargo
    days = [each for each in (policy.shortest, policy.default, policy.longest) if each is not None]
    if days != sorted(days) or not all(0 <= each <= LONGEST_EMBARGO_DAYS for each in days):
        raise InvalidError(
            f"Embargoes have 0 to {LONGEST_EMBARGO_DAYS} days: the shortest, then the usual, then "
            "the longest.",
            next_step="Put the three in that order.",
        )
    if wishes == NOTHING:
        raise InvalidError("That wishes for nothing.", next_step="Say what you wish.")


def to_plain(wishes: Wishes) -> dict[str, Any]:
    """For JSON."""
    policy = wishes.embargo
    return {
        "do_not_scan": wishes.do_not_scan,
        "do_not_contact": wishes.do_not_contact,
        "most_open": wishes.most_open,
        "most_weekly": wishes.most_weekly,
        "quiet": [
            {
                "zone": each.zone,
                "start": f"{each.start:%H:%M}",
                "end": f"{each.end:%H:%M}",
                "days": list(each.days),
            }
            for each in wishes.quiet
        ],
        "channels": list(wishes.channels),
        "embargo": {
            "shortest": policy.shortest,
            "longest": policy.longest,
            "default": policy.default,
            "firm": policy.firm,
        },
    }


def from_plain(plain: dict[str, Any]) -> Wishes:
    """From what `to_plain` made."""
    return Wishes(
        do_not_scan=plain["do_not_scan"],
        do_not_contact=plain["do_not_contact"],
        most_open=plain["most_open"],
        most_weekly=plain["most_weekly"],
        quiet=tuple(
            QuietHours(
                each["zone"],
                time.fromisoformat(each["start"]),
                time.fromisoformat(each["end"]),
                tuple(sorted(set(each["days"]))),
            )
            for each in plain["quiet"]
        ),
        channels=tuple(map(Channel, plain["channels"])),
        embargo=EmbargoPolicy(**plain["embargo"]),
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)
