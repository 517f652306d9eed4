"""The log of what it took to get around a safeguard, over several turns: who tried what, and how long.

What was said is not in it, but its digests: an effort log may be published, a jailbreak may not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

import msgspec

from clearhold.kernel.errors import InvalidError
from clearhold.wire import json_bounds

LARGEST: Final = 16 * 1024 * 1024
MOST_ATTEMPTS: Final = 100_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 1000


class Technique(StrEnum):
    """The kind of way round that was tried."""

    ROLE_PLAY = "role-play"
    SMALL_STEPS = "small-steps"
    DISGUISED_WORDS = "disguised-words"
    OTHER_LANGUAGE = "other-language"
    FALSE_AUTHORITY = "false-authority"
    LONG_CONTEXT = "long-context"
    PREFILLED_ANSWER = "prefilled-answer"
    AUTOMATED_SEARCH = "automated-search"
    OTHER = "other"


class Attempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One conversation: its turns, minutes of a person's work, what came of it, and its digest.

    `reached` says how far it got: nothing, part of what was asked, or all. `scope` is of a bypass:
    whether it works for one request or for any. `by` is a role, not a name.
    """

    at: datetime
    automated: bool
    by: str
    minutes: float
    reached: Literal["nothing", "part", "all"]
    scope: Literal["none", "narrow", "universal"]
    technique: Technique
    tokens: int
    transcript_sha256: str
    turns: int


class EffortLog(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The attempts on one safeguard of one variant, in order; also those that came to nothing."""

    attempts: tuple[Attempt, ...]
    format: Literal["clearhold-effort/1"]
    goal: str
    safeguards_sha256: str
    variant: str


@dataclass(frozen=True, slots=True)
class Effort:
    """What the log comes to; minutes, turns and attempts until the first that reached all, None if none."""

    attempts: int
    minutes: float
    turns: int
    first_minutes: float | None
    first_attempts: int | None
    universal: bool
    automated: bool


def read(data: bytes) -> EffortLog:
    """A log from its bytes. Raises `InvalidError` for what is none, or cannot be."""
    limits = json_bounds.Limits(size=LARGEST)
    log = json_bounds.decode(data, EffortLog, limits=limits, what="effort log")
    words = (log.goal, log.variant, *(each.by for each in log.attempts))
    if not all(0 < len(each) <= _LONGEST for each in words):
        raise InvalidError("A goal, a variant or a role is missing or too long.")
    digests = (log.safeguards_sha256, *(each.transcript_sha256 for each in log.attempts))
    if not all(_SHA256.fullmatch(each) for each in digests):
        raise InvalidError("A digest is not a SHA-256 in hexadecimal.")
    if len(log.attempts) > MOST_ATTEMPTS:
        raise InvalidError(f"A log has at most {MOST_ATTEMPTS} attempts.")
    before = None
    for number, each in enumerate(log.attempts, 1):
        if each.at.utcoffset() is None or (before is not None and each.at < before):
            raise InvalidError(
                f"Attempt {number} has no time in a zone, or is before the last one."
            )
        if not (0 <= each.minutes < 1e6 and each.turns >= 1 and each.tokens >= 0):
            raise InvalidError(f"Attempt {number} has numbers that cannot be.")
        if (each.reached == "nothing") != (each.scope == "none"):
            raise InvalidError(f"Attempt {number} has a scope without a bypass, or none with one.")
        before = each.at
    return log


def effort(log: EffortLog) -> Effort:
    """What it took in all, and until the first attempt that reached everything."""
    minutes = first_minutes = 0.0
    first_attempts = None
    for number, each in enumerate(log.attempts, 1):
        minutes += each.minutes
        if each.reached == "all" and first_attempts is None:
            first_attempts, first_minutes = number, minutes
    through = [each for each in log.attempts if each.reached == "all"]
    return Effort(
        attempts=len(log.attempts),
        minutes=minutes,
        turns=sum(each.turns for each in log.attempts),
        first_minutes=None if first_attempts is None else first_minutes,
        first_attempts=first_attempts,
        universal=any(each.scope == "universal" for each in through),
        automated=any(each.automated for each in through),
    )
