"""The plan of a test, registered by its digest before the first call, and kept to.

What is asked, of which sealed suites, with which arms, budgets and epochs, by which estimates, and when
it stops: all of it is fixed beforehand. Nothing is estimated before the planned trials are done, so
that nobody stops when the figures please; what ends early for another reason says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import msgspec

from clearhold.kernel.errors import ConflictError, InvalidError

LARGEST: Final = 256 * 1024
MOST_TRIALS: Final = 1_000_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 4000
_LONGEST_NAME: Final = 200
_MOST_FIGURES: Final = 50
"""The most budgets of an arm, and k of pass@k: each is estimated anew by whoever checks a report."""


class PlannedSuite(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A suite by its commitment: the root in hexadecimal, how many tasks and templates it has."""

    commitment: str
    name: str
    tasks: int
    templates: int


class Arm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A way in which a model is led to its best: bare, coached, or by the developer's own tools.

    `budgets` are tokens a trial may spend, rising; the last is the limit of each trial.
    """

    budgets: tuple[int, ...]
    epochs: int
    name: str
    variant: str


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A plan.

    `detectable` is the smallest difference it can show, as `statistics.power` simulated it.
    `attempts` are the k of pass@k and pass^k. `thresholds` are given by a named authority, or
    withheld by it; the desk sets none.
    """

    arms: tuple[Arm, ...]
    attempts: tuple[int, ...]
    compared_with: tuple[str, ...]
    confidence: float
    detectable: float
    engagement: str
    hypotheses: tuple[str, ...]
    nonce: str
    seed: int
    stopping: Literal["when-all-trials-are-done"]
    suites: tuple[PlannedSuite, ...]
    thresholds: Mapping[str, str]


class Completeness(StrEnum):
    """Whether results are of all that was planned, or of what was done until it was ended."""

    AS_PLANNED = "as-planned"
    ENDED_EARLY = "ended-early"


@dataclass(frozen=True, slots=True)
class Registered:
    """A plan with its canonical bytes and their SHA-256, which goes to the log."""

    plan: Plan
    content: bytes
    sha256: str

    @property
    def trials(self) -> int:
        """How many trials there are in all."""
        tasks = sum(each.tasks for each in self.plan.suites)
        return tasks * sum(each.epochs for each in self.plan.arms)


def register(plan: Plan) -> Registered:
    """Check a plan and fix its bytes. Raises `InvalidError`, naming everything, for one that cannot be."""
    faults = [said for stands, said in (*_of_whole(plan), *_of_parts(plan)) if not stands]
    if faults:
        raise InvalidError(f"The plan cannot be kept to: {'; '.join(faults)}.")
    content = msgspec.json.encode(plan, order="deterministic")
    if len(content) > LARGEST:
        raise InvalidError(f"A plan has at most {LARGEST} bytes.")
    return Registered(plan, content, hashlib.sha256(content).hexdigest())


def read(content: bytes) -> Registered:
    """A plan from its canonical bytes. Raises `InvalidError` for any others."""
    try:
        found = register(msgspec.json.decode(content[: LARGEST + 1], type=Plan))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"This is no plan: {error}.") from error
    if found.content != content:
        raise InvalidError("The plan is not in its canonical form.")
    return found


def may_estimate(known: Registered, *, done: int, ended: bool) -> Completeness:
    """Whether results may be looked at, and what they are results of.

    `done` counts trials that came to an end of whatever kind; `ended` says that the engagement is
    over. Raises `ConflictError` before either.
    """
    if done >= known.trials:
        return Completeness.AS_PLANNED
    if ended:
        return Completeness.ENDED_EARLY
    raise ConflictError(
        f"{done} of {known.trials} planned trials are done, and nothing is estimated before all are.",
        next_step="Go on with the plan, or end the engagement; results then say how many were done.",
    )


def _of_whole(plan: Plan) -> Iterator[tuple[bool, str]]:
    trials = sum(each.tasks for each in plan.suites) * sum(each.epochs for each in plan.arms)
    yield bool(plan.hypotheses), "it asks nothing"
    yield (
        all(_is_line(each) for each in plan.hypotheses),
        "a hypothesis is no line of text, or long",
    )
    yield 0.5 < plan.confidence < 1, "its confidence is not between 0.5 and 1"
    yield 0 < plan.detectable <= 1, "it does not state the difference it can detect"
    yield 0 < trials <= MOST_TRIALS, f"it has 1 to {MOST_TRIALS} trials"
    yield 8 <= len(plan.nonce) <= 64, "its nonce has 8 to 64 characters"
    yield (
        any(each.name == "bare" for each in plan.arms),
        "it has no bare arm to compare others with",
    )
    for name, authority in plan.thresholds.items():
        yield 0 < len(authority) <= _LONGEST, f"threshold {name!r} names no authority"


def _is_line(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()


def _of_parts(plan: Plan) -> Iterator[tuple[bool, str]]:
    for what, names in (
        ("arm", [(each.name, each.variant) for each in plan.arms]),
        ("suite", [each.name for each in plan.suites]),
    ):
        yield len(set(names)) == len(names), f"an {what} is named twice"
    for suite in plan.suites:
        right = _SHA256.fullmatch(suite.commitment) and 1 <= suite.templates <= suite.tasks
        yield bool(right), f"suite {suite.name!r} has no commitment, or more templates than tasks"
    of_arms = {name for arm in plan.arms for name in (arm.name, arm.variant)}
    for name in sorted(of_arms | {each.name for each in plan.suites} | {*plan.compared_with}):
        yield 0 < len(name) <= _LONGEST_NAME and name.isprintable(), f"{name[:60]!a} is no name"
    once = len(set(plan.attempts)) == len(plan.attempts) <= _MOST_FIGURES
    yield once, f"it asks for a pass@k twice, or for more than {_MOST_FIGURES}"
    fewest = min((each.epochs for each in plan.arms), default=0)
    for k in plan.attempts:
        yield 1 <= k < fewest or k == 1, f"pass@{k} wants more than {k} epochs in each arm"
    for arm in plan.arms:
        rising = arm.budgets and arm.budgets[0] > 0 and sorted(set(arm.budgets)) == [*arm.budgets]
        yield bool(rising), f"the budgets of arm {arm.name!r} do not rise from above nought"
        yield len(arm.budgets) <= _MOST_FIGURES, f"arm {arm.name!r} has too many budgets"
        yield arm.epochs >= 1, f"arm {arm.name!r} has no epoch"
