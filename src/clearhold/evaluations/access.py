"""Whether a call may reach a model, decided from what was agreed and nothing else; pure.

The developer's switch, the clock, the grant's own window and its tokens all stand between an evaluator
and a model. Each refusal has one reason in a word, so that records can be counted.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from clearhold.evaluations.clock import Clock
from clearhold.evaluations.model import REACHABLE, AccessKind, EngagementState
from clearhold.wire.model_calls import Asked


class Refused(StrEnum):
    """Why a call was not passed on."""

    ENDED = "ended"
    SWITCHED_OFF = "switched-off"
    NOT_OPEN = "not-open"
    NOT_YET = "not-yet"
    EXPIRED = "expired"
    WITHDRAWN = "grant-withdrawn"
    OTHER_VARIANT = "other-variant"
    OTHER_KIND = "other-kind"
    NO_TOKENS = "no-tokens"
    TOO_MANY = "too-many-at-once"
    NO_ENDPOINT = "no-endpoint"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a named evaluator may do: variants, kinds of access, a window of time, and tokens.

    `spent` counts tokens of calls that came back, `held` those that calls under way may yet use.
    """

    evaluator: str
    variants: frozenset[str]
    kinds: frozenset[AccessKind]
    begins_at: datetime
    ends_at: datetime
    tokens: int
    spent: int = 0
    held: int = 0
    withdrawn_at: datetime | None = None

    @property
    def left(self) -> int:
        """Tokens that a further call may count on."""
        return max(0, self.tokens - self.spent - self.held)


@dataclass(frozen=True, slots=True)
class Standing:
    """How an engagement stands at the instant of a call.

    `agreed` says that its agreement is in force, `off` that the developer switched all access off,
    `served` which variants its endpoint serves.
    """

    state: EngagementState
    clock: Clock
    agreed: bool
    served: AbstractSet[str]
    off: bool = False


def shut(grant: Grant, standing: Standing, now: datetime) -> Refused | None:
    """Why no call at all is passed on by a grant; None when some may be.

    Before the clock has begun, only the calls that verify access go through, and those are the
    gateway's own; so an evaluator's call needs a running clock.
    """
    return _first(
        (not standing.agreed or standing.state not in REACHABLE, Refused.ENDED),
        (standing.off, Refused.SWITCHED_OFF),
        (not standing.clock.open, Refused.NOT_OPEN),
        (grant.withdrawn_at is not None and grant.withdrawn_at <= now, Refused.WITHDRAWN),
        (now < grant.begins_at, Refused.NOT_YET),
        (now >= grant.ends_at, Refused.EXPIRED),
    )


def decide(grant: Grant, standing: Standing, asked: Asked, now: datetime) -> Refused | None:
    """Why a call is not passed on; None when it is."""
    return shut(grant, standing, now) or _first(
        (asked.variant not in grant.variants, Refused.OTHER_VARIANT),
        (not _kinds(asked) <= grant.kinds, Refused.OTHER_KIND),
        (asked.variant not in standing.served, Refused.NO_ENDPOINT),
        (grant.left < asked.most_in_all, Refused.NO_TOKENS),
    )


def _first(*reasons: tuple[bool, Refused]) -> Refused | None:
    return next((reason for stands, reason in reasons if stands), None)


def _kinds(asked: Asked) -> set[AccessKind]:
    wanted = {AccessKind.CHAT}
    if asked.logprobs:
        wanted.add(AccessKind.LOGPROBS)
    if asked.reasoning:
        wanted.add(AccessKind.RAW_REASONING)
    return wanted
