"""What an engagement is and what may happen in it.

No state here judges a model: an engagement says what was done under an agreement, and either side may
end it at any time without a reason.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from clearhold.kernel.errors import ConflictError


class Side(StrEnum):
    """Which of the two an agreement is between: whose model it is, and who tests it."""

    DEVELOPER = "developer"
    EVALUATOR = "evaluator"


class AccessKind(StrEnum):
    """What a named evaluator is given of a model."""

    CHAT = "chat"
    RAW_REASONING = "raw-reasoning"
    LOGPROBS = "logprobs"
    FINE_TUNING = "fine-tuning"
    MONITOR_FEED = "monitor-feed"


class Safeguards(StrEnum):
    """How a variant of a model is guarded: as it will be released, less, or not at all."""

    RELEASE = "release"
    REDUCED = "reduced"
    NONE = "none"


class AgreementState(StrEnum):
    """How an agreement between a developer and an evaluator stands."""

    OFFERED = "offered"
    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    REFUSED = "refused"
    ENDED = "ended"


class EngagementState(StrEnum):
    """How far one test of one model has come."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    PROVISIONING = "provisioning"
    ACCESS_VERIFIED = "access_verified"
    TESTING = "testing"
    PAUSED = "paused"
    ANALYSIS = "analysis"
    DRAFT_SENT = "draft_sent"
    REPLIED = "replied"
    REPLY_WAIVED = "reply_waived"
    REPLY_ELAPSED = "reply_elapsed"
    FINAL_ISSUED = "final_issued"
    FOLLOW_UP = "follow_up"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    DECLINED = "declined"
    INCIDENT_HOLD = "incident_hold"


class Act(StrEnum):
    """What moves an engagement on."""

    ACCEPT = "accept"
    PROVISION = "provision"
    VERIFY_ACCESS = "verify-access"
    BEGIN = "begin"
    PAUSE = "pause"
    RESUME = "resume"
    ANALYSE = "analyse"
    SEND_DRAFT = "send-draft"
    REPLY = "reply"
    WAIVE_REPLY = "waive-reply"
    LET_REPLY_ELAPSE = "let-reply-elapse"
    ISSUE = "issue"
    FOLLOW_UP = "follow-up"
    CLOSE = "close"
    WITHDRAW = "withdraw"
    DECLINE = "decline"
    HOLD = "hold"
    LIFT_HOLD = "lift-hold"


_S = EngagementState
OVER: Final = frozenset({_S.CLOSED, _S.WITHDRAWN, _S.DECLINED})
"""The states out of which nothing leads."""
REACHABLE: Final = frozenset({_S.PROVISIONING, _S.ACCESS_VERIFIED, _S.TESTING})
"""The states in which a call may reach the model: to be verified, or for a test."""
_HOLDABLE: Final = frozenset({_S.ACCESS_VERIFIED, _S.TESTING, _S.PAUSED})
"""Not before access is verified: a lifted hold would lead past that, and with it past the clock."""

_STEPS: Final[dict[tuple[EngagementState, Act], EngagementState]] = {
    (_S.PROPOSED, Act.ACCEPT): _S.ACCEPTED,
    (_S.ACCEPTED, Act.PROVISION): _S.PROVISIONING,
    (_S.PROVISIONING, Act.VERIFY_ACCESS): _S.ACCESS_VERIFIED,
    (_S.ACCESS_VERIFIED, Act.BEGIN): _S.TESTING,
    (_S.TESTING, Act.PAUSE): _S.PAUSED,
    (_S.PAUSED, Act.RESUME): _S.TESTING,
    (_S.TESTING, Act.ANALYSE): _S.ANALYSIS,
    (_S.PAUSED, Act.ANALYSE): _S.ANALYSIS,
    (_S.INCIDENT_HOLD, Act.ANALYSE): _S.ANALYSIS,
    (_S.ANALYSIS, Act.SEND_DRAFT): _S.DRAFT_SENT,
    (_S.TESTING, Act.SEND_DRAFT): _S.DRAFT_SENT,
    (_S.DRAFT_SENT, Act.REPLY): _S.REPLIED,
    (_S.DRAFT_SENT, Act.WAIVE_REPLY): _S.REPLY_WAIVED,
    (_S.DRAFT_SENT, Act.LET_REPLY_ELAPSE): _S.REPLY_ELAPSED,
    (_S.REPLIED, Act.ISSUE): _S.FINAL_ISSUED,
    (_S.REPLY_WAIVED, Act.ISSUE): _S.FINAL_ISSUED,
    (_S.REPLY_ELAPSED, Act.ISSUE): _S.FINAL_ISSUED,
    (_S.FINAL_ISSUED, Act.FOLLOW_UP): _S.FOLLOW_UP,
    (_S.FINAL_ISSUED, Act.CLOSE): _S.CLOSED,
    (_S.FOLLOW_UP, Act.CLOSE): _S.CLOSED,
    **{(each, Act.WITHDRAW): _S.WITHDRAWN for each in _S if each not in OVER},
    **{(each, Act.DECLINE): _S.DECLINED for each in _S if each not in OVER},
    **{(each, Act.HOLD): _S.INCIDENT_HOLD for each in _HOLDABLE},
    (_S.INCIDENT_HOLD, Act.LIFT_HOLD): _S.TESTING,
}

WHO: Final[dict[Act, frozenset[Side]]] = {
    Act.ACCEPT: frozenset({Side.DEVELOPER}),
    Act.PROVISION: frozenset({Side.DEVELOPER}),
    Act.REPLY: frozenset({Side.DEVELOPER}),
    Act.WAIVE_REPLY: frozenset({Side.DEVELOPER}),
    Act.WITHDRAW: frozenset({Side.DEVELOPER}),
    Act.BEGIN: frozenset({Side.EVALUATOR}),
    Act.ANALYSE: frozenset({Side.EVALUATOR}),
    Act.SEND_DRAFT: frozenset({Side.EVALUATOR}),
    Act.ISSUE: frozenset({Side.EVALUATOR}),
    Act.FOLLOW_UP: frozenset({Side.EVALUATOR}),
    Act.CLOSE: frozenset({Side.EVALUATOR}),
    Act.DECLINE: frozenset({Side.EVALUATOR}),
    Act.HOLD: frozenset(Side),
    Act.PAUSE: frozenset(Side),
    Act.RESUME: frozenset(Side),
    Act.LIFT_HOLD: frozenset(Side),
}
"""Who may do what. What is missing here the gateway and the clock do, and nobody by hand."""
BY_REPORT: Final = frozenset({Act.SEND_DRAFT, Act.REPLY, Act.ISSUE})
"""What happens only with something to be read: a draft, a reply, a final report."""
BOTH: Final = frozenset({Act.PAUSE, Act.RESUME, Act.LIFT_HOLD})
"""What happens only when both sides have signed it."""


def after(state: EngagementState, act: Act) -> EngagementState:
    """The state that an act leads to. Raises `ConflictError` when it leads nowhere from here."""
    reached = _STEPS.get((state, act))
    if reached is None:
        raise ConflictError(
            f"An engagement that is {state} cannot {act}.",
            next_step=f"From here it may: {', '.join(possible(state)) or 'nothing any more'}.",
        )
    return reached


def possible(state: EngagementState) -> tuple[Act, ...]:
    """What may happen next, in the order of the acts."""
    return tuple(act for act in Act if (state, act) in _STEPS)
