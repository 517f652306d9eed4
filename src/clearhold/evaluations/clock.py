"""The clock of an engagement: how long access lasts, as a pure function of what happened.

Access is at most 30 days in sum, from the first authenticated call that passed the canary, and never
past the developer's planned release to others, which the developer alone may move. A pause and an
extension count only with the signatures of both sides. When the window has elapsed access ends, and
that is all: nothing else follows for the developer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LONGEST: Final = timedelta(days=30)
NOTICES: Final = (timedelta(days=7), timedelta(days=2), timedelta(0))
"""How long before the end both sides are told of it."""
_NO_TIME: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Window:
    """What was agreed: how long access lasts, the release it must not outlast, and outages.

    `credits_outages` says that time in which the developer's endpoint gave nothing is given back.
    `latest` is the end of the agreement, which no event of an engagement moves.
    """

    length: timedelta
    release_at: datetime | None = None
    credits_outages: bool = False
    latest: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a window that could outlast the programme's limit."""
        if not _NO_TIME < self.length <= LONGEST:
            raise ValueError("A window lasts more than nothing and at most 30 days.")


@dataclass(frozen=True, slots=True)
class Verified:
    """The first authenticated call that passed the canary. Later ones change nothing."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Paused:
    """No access from `at` to `until`; `both_signed` or it did not happen.

    `stops_clock` tells what was agreed about the window: whether that time counts.
    """

    at: datetime
    until: datetime
    stops_clock: bool
    both_signed: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """A pause ended before its time; `both_signed` or it did not."""

    at: datetime
    both_signed: bool


@dataclass(frozen=True, slots=True)
class Extended:
    """More time, up to the limit; `both_signed` or it did not happen."""

    at: datetime
    by: timedelta
    both_signed: bool


@dataclass(frozen=True, slots=True)
class ReleaseMoved:
    """The developer moved the planned release; None is no plan any more."""

    at: datetime
    to: datetime | None


@dataclass(frozen=True, slots=True)
class Outage:
    """The developer's endpoint gave nothing from `at` to `until`, as the gateway recorded it."""

    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """Either side ended it; there is no way back."""

    at: datetime


ClockEvent = Verified | Paused | Resumed | Extended | ReleaseMoved | Outage | Ended


@dataclass(frozen=True, slots=True)
class Clock:
    """How the clock stands at an instant.

    `ends_at` is when access ends if nothing more happens, None before it began. `spent` is the
    access that counts. `open` is whether access is given at this instant. `due` are the instants at
    which both sides are told that the end is near.
    """

    began_at: datetime | None
    ends_at: datetime | None
    length: timedelta
    spent: timedelta
    left: timedelta
    paused_until: datetime | None
    open: bool
    elapsed: bool

    @property
    def due(self) -> tuple[datetime, ...]:
        """When notices go out, the last of them at the end itself."""
        if self.ends_at is None or self.began_at is None:
            return ()
        began = self.began_at
        return tuple(
            self.ends_at - each for each in NOTICES if not each or self.ends_at - each > began
        )


@dataclass(frozen=True, slots=True)
class _Spell:
    """A time in which access is off, or does not count."""

    begins: datetime
    ends: datetime
    counts: bool
    closes: bool


def clock(window: Window, events: Iterable[ClockEvent], now: datetime) -> Clock:
    """How the clock stands at `now`; what happens after `now` is not looked at.

    The order in which events of different instants are given does not matter. Once access has
    ended no later event opens it again.
    """
    known: list[ClockEvent] = []
    for each in sorted((each for each in events if each.at <= now), key=lambda each: each.at):
        ends = _stands(window, known, each.at).ends_at
        if ends is not None and each.at >= ends:
            break
        known.append(each)
    return _stands(window, known, now)


def _stands(window: Window, known: list[ClockEvent], now: datetime) -> Clock:
    """How the clock stands at `now` after these events, which are in order."""
    began = next((each.at for each in known if isinstance(each, Verified)), None)
    release = window.release_at
    length = window.length
    ended: datetime | None = None
    for each in known:
        if isinstance(each, ReleaseMoved):
            release = each.to
        elif isinstance(each, Extended) and each.both_signed and each.by > _NO_TIME:
            length = min(LONGEST, length + each.by)
        elif isinstance(each, Ended) and ended is None:
            ended = each.at
    spells = _spells(window, known)
    paused = next((each.ends for each in spells if each.closes and _within(each, now)), None)
    if began is None:
        return Clock(None, None, length, _NO_TIME, length, paused, open=False, elapsed=False)
    ends = _end(began, length, spells)
    limits = (each for each in (release, ended, window.latest) if each is not None)
    ends = max(began, min((ends, *limits)))
    spent = _counted(began, min(now, ends), spells)
    return Clock(
        began_at=began,
        ends_at=ends,
        length=length,
        spent=spent,
        left=_counted(now, ends, spells) if now < ends else _NO_TIME,
        paused_until=paused,
        open=began <= now < ends and paused is None,
        elapsed=now >= ends,
    )


def _spells(window: Window, known: list[ClockEvent]) -> list[_Spell]:
    """The times that are off or do not count, pauses cut short where both sides resumed."""
    spells: list[_Spell] = []
    for each in known:
        if isinstance(each, Paused) and each.both_signed and each.until > each.at:
            ends = each.until
            for later in known:
                if isinstance(later, Resumed) and later.both_signed and each.at <= later.at < ends:
                    ends = later.at
            spells.append(_Spell(each.at, ends, counts=not each.stops_clock, closes=True))
        elif isinstance(each, Outage) and window.credits_outages and each.until > each.at:
            spells.append(_Spell(each.at, each.until, counts=False, closes=False))
    return spells


def _within(spell: _Spell, instant: datetime) -> bool:
    return spell.begins <= instant < spell.ends


def _stops(spells: list[_Spell]) -> list[tuple[datetime, datetime]]:
    """The times that do not count, joined where they meet, in order."""
    joined: list[tuple[datetime, datetime]] = []
    for each in sorted((s.begins, s.ends) for s in spells if not s.counts):
        if joined and each[0] <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], each[1]))
        else:
            joined.append(each)
    return joined


def _end(began: datetime, length: timedelta, spells: list[_Spell]) -> datetime:
    """When `length` of time that counts has passed since `began`."""
    ends = began + length
    for begins, until in _stops(spells):
        if begins >= ends:
            break
        ends += max(_NO_TIME, until - max(begins, began))
    return ends


def _counted(begins: datetime, ends: datetime, spells: list[_Spell]) -> timedelta:
    """The time between two instants that counts."""
    whole = max(_NO_TIME, ends - begins)
    for off, on in _stops(spells):
        whole -= max(_NO_TIME, min(on, ends) - max(off, begins))
    return max(_NO_TIME, whole)
