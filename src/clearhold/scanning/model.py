"""The life of a lease: what it asks of others, how long it stands, how it may end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import CompartmentId, LeaseId, PartyId
from clearhold.scanning.software_scope import (
    MOST_PATHS,
    Depth,
    SoftwareScope,
    make_scope,
    overlap,
)
from clearhold.scanning.spans import Versions

__all__ = [
    "LARGEST_BUDGET_S",
    "LIVE",
    "LONGEST_WINDOW",
    "MOST_PATHS",
    "Depth",
    "Lease",
    "Mode",
    "Outcome",
    "SoftwareScope",
    "State",
    "StopReason",
    "Versions",
    "check_window",
    "collide",
    "expiry",
    "make_scope",
    "overlap",
]

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
    PREEMPTED = "pre-empted"


LIVE: Final = (State.GRANTED, State.ACTIVE)


class StopReason(StrEnum):
    """Why a coordinator, or the hub itself, ends leases."""

    OWNER_OPTED_OUT = "owner-opted-out"
    HARM = "harm"
    RULES_BROKEN = "rules-broken"
    EMERGENCY = "emergency"
    HOLDER_SUSPENDED = "holder-suspended"


class Outcome(StrEnum):
    """How a scan ended."""

    NOTHING_FOUND = "nothing-found"
    FOUND = "found"
    ABORTED = "aborted"


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
    end_reason: StopReason | None = None

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
