"""When a live system is not to be touched: weekly or dated spells in the owner's own time zone.

Written `weekly mon-fri,sun 08:00-18:00 Europe/Berlin` or
`dated 2026-12-24T18:00/2026-12-27T06:00 Europe/Berlin`. A weekly spell that ends at or before its
beginning ends on the next day; `24:00` is the end of a day. Zones are those of the IANA database.

Clocks that change never make a spell shorter: of two instants that bear the same wall time, and of
the two readings of a wall time that was left out (PEP 495), it begins at the earlier and ends at the
later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from clearhold.kernel.errors import InvalidError

MOST_BLACKOUTS: Final = 32
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ONE_DAY: Final = timedelta(days=1)
_WEEKLY: Final = re.compile(
    r"weekly ([a-z,-]{3,64}) (\d\d):(\d\d)-(\d\d):(\d\d) (\S{1,64})", re.ASCII
)
_WALL: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d"
_DATED: Final = re.compile(rf"dated ({_WALL})/({_WALL}) (\S{{1,64}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Weekly:
    """Spells on days of the week (0 is Monday) from `start` for `length`, counted from midnight."""

    text: str
    days: frozenset[int]
    start: timedelta
    length: timedelta
    zone: str

    def spells(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The spells that meet [start, end), and perhaps some beside it."""
        zone = ZoneInfo(self.zone)
        day = (start.astimezone(zone) - 3 * _ONE_DAY).replace(
            hour=0, minute=0, second=0, microsecond=0, tzinfo=None
        )
        last = (end.astimezone(zone) + 2 * _ONE_DAY).replace(tzinfo=None)
        while day <= last:
            if day.weekday() in self.days:
                begins = day + self.start
                yield _earliest(begins, zone), _latest(begins + self.length, zone)
            day += _ONE_DAY


@dataclass(frozen=True, slots=True)
class Dated:
    """One spell between two instants."""

    text: str
    start: datetime
    end: datetime

    def spells(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The spell itself."""
        del start, end
        yield self.start, self.end


Blackout = Weekly | Dated


def _earliest(wall: datetime, zone: ZoneInfo) -> datetime:
    return min(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def _latest(wall: datetime, zone: ZoneInfo) -> datetime:
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def parse_blackout(text: str) -> Blackout:
    """A blackout from its text; raises `InvalidError` with the forms there are."""
    if match := _WEEKLY.fullmatch(text):
        zone = _zone(match[6])
        start = _of_day(match[2], match[3])
        end = _of_day(match[4], match[5])
        if start >= _ONE_DAY:
            raise _malformed()
        length = end - start if end > start else end - start + _ONE_DAY
        return Weekly(text, _days(match[1]), start, length, zone)
    if match := _DATED.fullmatch(text):
        zone = _zone(match[3])
        try:
            first, last = (datetime.fromisoformat(match[n]) for n in (1, 2))
            start_at, end_at = _earliest(first, ZoneInfo(zone)), _latest(last, ZoneInfo(zone))
        except (ValueError, OverflowError) as error:
            raise _malformed() from error
        if first >= last:
            raise InvalidError("A blackout ends after it begins.")
        return Dated(text, start_at, end_at)
    raise _malformed()


def first_within(
    blackouts: Iterable[Blackout], start: datetime, end: datetime
) -> tuple[datetime, datetime] | None:
    """The earliest blacked-out instant in [start, end), and when that spell is over; or None."""
    found = [
        (max(begins, start), over)
        for each in blackouts
        for begins, over in each.spells(start, end)
        if begins < end and start < over
    ]
    return min(found, default=None)


def _zone(name: str) -> str:
    if name not in _zones():
        raise InvalidError(
            "There is no such time zone.", next_step="Write it as Europe/Berlin or UTC."
        )
    return name


def _of_day(hour: str, minute: str) -> timedelta:
    time = timedelta(hours=int(hour), minutes=int(minute))
    if int(minute) > 59 or time > _ONE_DAY:
        raise _malformed()
    return time


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for each in text.split(","):
        first, dash, last = each.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise _malformed()
        day, end = _DAYS.index(first), _DAYS.index(last if dash else first)
        found.add(day)
        while day != end:
            day = (day + 1) % 7
            found.add(day)
    return frozenset(found)


def _malformed() -> InvalidError:
    return InvalidError(
        "That is no blackout.",
        next_step="Write weekly mon-fri 08:00-18:00 Europe/Berlin, or "
        "dated 2026-12-24T18:00/2026-12-27T06:00 Europe/Berlin.",
    )
