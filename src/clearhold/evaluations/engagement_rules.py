"""What may be asked of an engagement and how its clock is read from what happened: pure rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.clock import (
    Clock,
    ClockEvent,
    Ended,
    Extended,
    Outage,
    Paused,
    ReleaseMoved,
    Resumed,
    Verified,
    clock,
)
from clearhold.evaluations.engagement_records import StoredEngagement, StoredEvent
from clearhold.evaluations.model import OVER, REACHABLE, Act, Side, after
from clearhold.kernel.errors import ConflictError, InvalidError
from clearhold.wire.model_agreement import Change, ModelAgreement

LONGEST_NAME: Final = 200
LONGEST_NOTE: Final = 20_000
SHORTEST: Final = timedelta(hours=1)
FARTHEST_RELEASE: Final = timedelta(days=3653)
MOVE_RELEASE: Final = "move-release"
LATE_DRAFT: Final = "late-draft"
"""What both sides sign when the developer takes a draft less long before the end than was agreed."""


class Body(msgspec.Struct, frozen=True):
    """What is sealed of an engagement: the model, the variants to be tested, and why."""

    model: str
    variants: tuple[str, ...]
    purpose: str


def access_clock(
    stored: StoredEngagement,
    stands: StoredAgreement,
    happened: Sequence[StoredEvent],
    now: datetime,
) -> Clock:
    """The clock under its agreement: open only while that stands and the state lets calls through."""
    window = replace(stored.window, latest=stands.ends_at)
    found = clock(window, clock_events(happened), now)
    through = stored.state in REACHABLE and stands.stands_at(now)
    return replace(found, open=found.open and through)


def clock_events(happened: Sequence[StoredEvent]) -> Iterator[ClockEvent]:
    """What the clock has to know of what happened."""
    for each in happened:
        both = each.side == "both"
        if each.act == Act.VERIFY_ACCESS:
            yield Verified(each.at)
        elif each.act == Act.PAUSE and each.until is not None:
            yield Paused(each.at, each.until, stops_clock=bool(each.stops_clock), both_signed=both)
        elif each.act == Act.RESUME:
            yield Resumed(each.at, both_signed=both)
        elif each.act == "extend" and each.length_s is not None:
            yield Extended(each.at, timedelta(seconds=each.length_s), both_signed=both)
        elif each.act == MOVE_RELEASE and each.side == Side.DEVELOPER:
            yield ReleaseMoved(each.at, each.until)
        elif each.act == "outage" and each.until is not None:
            yield Outage(each.at, each.until)
        elif each.act in {Act.WITHDRAW, Act.DECLINE, Act.ANALYSE}:
            yield Ended(each.at)


def agreed_end(
    stored: StoredEngagement,
    stands: StoredAgreement,
    happened: Sequence[StoredEvent],
    now: datetime,
) -> datetime | None:
    """When access would end had the evaluator not ended it to analyse; None before it began."""
    window = replace(stored.window, latest=stands.ends_at)
    events = [each for each in clock_events(happened) if not isinstance(each, Ended)]
    return clock(window, events, now).ends_at


def check_body(body: Body) -> None:
    """Raise `InvalidError` for what no engagement is about."""
    if not 0 < len(body.model) <= LONGEST_NAME or not body.model.isprintable():
        raise InvalidError(f"A model's name is one line of 1 to {LONGEST_NAME} characters.")
    if len(body.purpose) > LONGEST_NOTE:
        raise InvalidError(f"A purpose has at most {LONGEST_NOTE} characters.")
    if not body.variants or len(set(body.variants)) != len(body.variants):
        raise InvalidError("An engagement names its variants, each once.")


def check_against(
    body: Body,
    terms: ModelAgreement,
    length: timedelta,
    release_at: datetime | None,
    now: datetime,
) -> None:
    """Raise `InvalidError` for what the agreement does not allow."""
    if not set(body.variants) <= {each.name for each in terms.variants}:
        raise InvalidError("A variant is not in the agreement.")
    if not timedelta(0) < length <= timedelta(days=terms.window_days):
        raise InvalidError(f"Access lasts at most {terms.window_days} days by the agreement.")
    if length < SHORTEST:
        raise InvalidError("Access lasts an hour at least.")
    if release_at is not None:
        check_release(release_at, now)
        if release_at <= now:
            raise InvalidError("The planned release lies ahead.")


def check_release(release_at: datetime, now: datetime) -> None:
    """Raise for what is no instant, or further from now than a plan reaches."""
    if release_at.tzinfo is None or abs(release_at - now) > FARTHEST_RELEASE:
        raise InvalidError("A planned release is an instant with its zone, within ten years.")


def check_change(
    change: Change, stored: StoredEngagement, stands: StoredAgreement, now: datetime
) -> None:
    """Raise unless a change could take place at this instant."""
    if change.engagement != stored.id:
        raise InvalidError("What was signed is another engagement.")
    if not 8 <= len(change.nonce) <= 64 or len(change.reason) > LONGEST_NOTE:
        raise InvalidError(f"A nonce has 8 to 64 characters, a reason at most {LONGEST_NOTE}.")
    meant = (change.act == "extend", change.act == "pause", change.act == "pause")
    given = (change.hours != 0, change.until is not None, change.stops_clock)
    if any(has and not may for has, may in zip(given, meant, strict=True)):
        raise InvalidError(f"What was signed says more than to {change.act}.")
    if not stands.stands_at(now):
        raise ConflictError("The agreement is not in force, so nothing changes under it.")
    if change.act == "extend":
        if not 0 < change.hours <= 24 * 30:
            raise InvalidError("An extension is of 1 hour to 30 days.")
        if stored.state in OVER:
            raise ConflictError(f"The engagement is {stored.state}.")
        return
    if change.act == LATE_DRAFT:
        after(stored.state, Act.SEND_DRAFT)
        return
    after(stored.state, Act(change.act))
    if change.act == "pause" and not (change.until and now < change.until <= stands.until):
        raise InvalidError("A pause ends at a time ahead, with the agreement at the latest.")
