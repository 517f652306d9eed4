"""Which notices are due in an engagement: pure, from its clock and what was given before.

Both sides are told seven days before access ends, two days before and at its end, and when the draft
of the report must be with the developer. A notice is given again when the instant it speaks of has
moved by a day or more, not for every hour that an outage is given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from clearhold.evaluations.clock import NOTICES, Clock

AGAIN_AFTER: Final = timedelta(days=1)


class Notice(StrEnum):
    """What both sides are told."""

    SEVEN_DAYS = "access-ends-in-7-days"
    TWO_DAYS = "access-ends-in-2-days"
    ENDED = "access-ended"
    DRAFT_SOON = "draft-due-in-2-days"
    DRAFT = "draft-due"


_BEFORE_END: Final = dict(
    zip((Notice.SEVEN_DAYS, Notice.TWO_DAYS, Notice.ENDED), NOTICES, strict=True)
)


@dataclass(frozen=True, slots=True)
class Due:
    """A notice and the instant from which it is due."""

    kind: Notice
    at: datetime


def due(clock: Clock, draft_days: int, *, draft_sent: bool) -> Iterator[Due]:
    """The notices of an engagement and when they are due, as its clock stands.

    None before access has begun. `draft_days` is how long before the end the developer has the
    draft by the agreement.
    """
    if clock.began_at is None or clock.ends_at is None:
        return
    before = dict(_BEFORE_END)
    if not draft_sent:
        before[Notice.DRAFT] = timedelta(days=draft_days)
        before[Notice.DRAFT_SOON] = timedelta(days=draft_days + 2)
    for kind, span in before.items():
        at = clock.ends_at - span
        if not span or at > clock.began_at:
            yield Due(kind, at)


def to_give(all_due: Iterable[Due], given: Iterable[Due], now: datetime) -> tuple[Due, ...]:
    """Those that are to be given now: due, and not given before for about the same instant."""
    known = tuple(given)
    return tuple(
        each
        for each in all_due
        if each.at <= now
        and not any(old.kind == each.kind and abs(old.at - each.at) < AGAIN_AFTER for old in known)
    )
