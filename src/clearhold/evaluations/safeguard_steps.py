"""Ways around a model's safeguards and the steps to their re-test: pure rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import msgspec

from clearhold.evaluations.model import Side
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError

_LONGEST: Final = 20_000


class Step(StrEnum):
    """How far a safeguard finding has come."""

    REPORTED = "reported"
    ACKNOWLEDGED = "acknowledged"
    FIX_CLAIMED = "fix_claimed"
    RETEST_RUNNING = "retest_running"
    VERIFIED = "verified"
    NOT_VERIFIED = "not_verified"
    NOT_TESTABLE = "not_testable"
    ACCEPTED_RISK = "accepted_risk"


_D, _E = Side.DEVELOPER, Side.EVALUATOR
_STEPS: Final[dict[Step, dict[Step, Side]]] = {
    Step.REPORTED: {Step.ACKNOWLEDGED: _D, Step.ACCEPTED_RISK: _D},
    Step.ACKNOWLEDGED: {Step.FIX_CLAIMED: _D, Step.ACCEPTED_RISK: _D},
    Step.FIX_CLAIMED: {Step.RETEST_RUNNING: _E, Step.NOT_TESTABLE: _E},
    Step.RETEST_RUNNING: {Step.VERIFIED: _E, Step.NOT_VERIFIED: _E, Step.NOT_TESTABLE: _E},
    Step.NOT_VERIFIED: {Step.FIX_CLAIMED: _D, Step.ACCEPTED_RISK: _D},
    Step.NOT_TESTABLE: {Step.FIX_CLAIMED: _D, Step.RETEST_RUNNING: _E, Step.ACCEPTED_RISK: _D},
    Step.VERIFIED: {},
    Step.ACCEPTED_RISK: {Step.FIX_CLAIMED: _D},
}
"""What follows what, and which side says so; a developer never verifies its own fix."""


class SafeguardFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A way around safeguards, without how it is done.

    `reach` says whether it works for whatever is asked or for something narrow; `expert_hours` how long
    a skilled person took to find it; `also_in` names models it was tried on for comparison.
    """

    also_in: tuple[str, ...]
    automated: bool
    expert_hours: float
    reach: Literal["universal", "narrow"]
    severity: Literal["low", "medium", "high", "critical"]
    title: str
    variant: str


class StepTaken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step: `configuration` is the SHA-256 of what a fix changed, or of what was tested again.

    `trials_sha256` names the trials of a re-test. `reason` is needed for what was not tested, and for a
    risk that the developer lives with.
    """

    configuration: str = ""
    reason: str = ""
    to: Step
    trials_sha256: str = ""


@dataclass(frozen=True, slots=True)
class SafeguardView:
    """A finding with its steps in order; `kit` and `effort` are the papers with its kit and log.

    Both are empty where there is none.
    """

    id: str
    finding: SafeguardFinding
    steps: tuple[StepTaken, ...]
    kit: str
    effort: str = ""

    @property
    def stands(self) -> Step:
        """How far it has come."""
        return self.steps[-1].to if self.steps else Step.REPORTED

    @property
    def claimed(self) -> str:
        """The configuration of the last fix that was claimed."""
        fixes = [each.configuration for each in self.steps if each.to is Step.FIX_CLAIMED]
        return fixes[-1] if fixes else ""


def check_step(view: SafeguardView, step: StepTaken, side: Side) -> None:
    """Raise unless this side may take this step now, saying what it has to say."""
    follows = _STEPS[view.stands]
    if step.to not in follows:
        raise ConflictError(
            f"A safeguard finding that is {view.stands} does not become {step.to}.",
            next_step=f"From here it may: {', '.join(follows) or 'nothing any more'}.",
        )
    if follows[step.to] is not side:
        raise DeniedError(f"That is for the {follows[step.to]} to say.")
    if len(step.reason) > _LONGEST or not step.reason.replace("\n", "").isprintable():
        raise InvalidError(f"A reason is text of at most {_LONGEST} characters.")
    if step.to in {Step.NOT_TESTABLE, Step.ACCEPTED_RISK} and not step.reason.strip():
        raise InvalidError(f"To say {step.to} takes a reason.")
    retested = step.to in {Step.VERIFIED, Step.NOT_VERIFIED}
    if retested != bool(step.trials_sha256) or not _digest(step.trials_sha256):
        raise InvalidError("A re-test, and nothing else, names its trials by their SHA-256.")
    configured = retested or step.to is Step.FIX_CLAIMED
    if configured != bool(step.configuration) or not _digest(step.configuration):
        raise InvalidError("A fix and its re-test, and nothing else, name a configuration.")
    if retested and step.configuration != view.claimed:
        raise InvalidError(
            "What was tested again is not the configuration the fix was claimed for."
        )


def _digest(text: str) -> bool:
    """Whether a text is a SHA-256 in hexadecimal, or empty."""
    return not text or (len(text) == 64 and set(text) <= set("0123456789abcdef"))
