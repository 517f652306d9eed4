"""The four state machines of multi-party disclosure, as facts and pure functions.

After the Vultron protocol (Householder and Spring, CMU/SEI-2021-SR-021, and the prototype that
CERT/CC publishes): report management per participant, embargo management per case, the case state
(six one-way facts about vendors and the world), and each participant's consent to each embargo.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Flag, StrEnum
from typing import Final, TypeVar

from clearhold.kernel.errors import ConflictError, InvalidError


class Role(StrEnum):
    """What a participant is to one case."""

    FINDER = "finder"
    VENDOR = "vendor"
    COORDINATOR = "coordinator"
    DEPLOYER = "deployer"
    OTHER = "other"


class ReportState(StrEnum):
    """How far a participant has come with the report (RM)."""

    START = "start"
    RECEIVED = "received"
    INVALID = "invalid"
    VALID = "valid"
    DEFERRED = "deferred"
    ACCEPTED = "accepted"
    CLOSED = "closed"


class ReportStep(StrEnum):
    """What a participant may do with the report."""

    RECEIVE = "receive"
    VALIDATE = "validate"
    INVALIDATE = "invalidate"
    ACCEPT = "accept"
    DEFER = "defer"
    CLOSE = "close"


REPORT: Final[Mapping[tuple[ReportState, ReportStep], ReportState]] = {
    (ReportState.START, ReportStep.RECEIVE): ReportState.RECEIVED,
    (ReportState.RECEIVED, ReportStep.VALIDATE): ReportState.VALID,
    (ReportState.INVALID, ReportStep.VALIDATE): ReportState.VALID,
    (ReportState.RECEIVED, ReportStep.INVALIDATE): ReportState.INVALID,
    (ReportState.VALID, ReportStep.ACCEPT): ReportState.ACCEPTED,
    (ReportState.DEFERRED, ReportStep.ACCEPT): ReportState.ACCEPTED,
    (ReportState.VALID, ReportStep.DEFER): ReportState.DEFERRED,
    (ReportState.ACCEPTED, ReportStep.DEFER): ReportState.DEFERRED,
    (ReportState.ACCEPTED, ReportStep.CLOSE): ReportState.CLOSED,
    (ReportState.DEFERRED, ReportStep.CLOSE): ReportState.CLOSED,
    (ReportState.INVALID, ReportStep.CLOSE): ReportState.CLOSED,
}
"""The eleven transitions of report management; nothing leads out of closed."""

ENGAGED: Final = frozenset({ReportState.ACCEPTED, ReportState.DEFERRED, ReportState.CLOSED})
"""Where a vendor who has a fix must stand: a fix entails that the report was prioritised."""


class EmbargoState(StrEnum):
    """Where the embargo of a case stands (EM); active and revising are in force."""

    NONE = "none"
    PROPOSED = "proposed"
    ACTIVE = "active"
    REVISING = "revising"
    EXITED = "exited"


class EmbargoStep(StrEnum):
    """What may happen to the embargo of a case."""

    PROPOSE = "propose"
    ACCEPT = "accept"
    REJECT = "reject"
    TERMINATE = "terminate"


EMBARGO: Final[Mapping[tuple[EmbargoState, EmbargoStep], EmbargoState]] = {
    (EmbargoState.NONE, EmbargoStep.PROPOSE): EmbargoState.PROPOSED,
    (EmbargoState.PROPOSED, EmbargoStep.PROPOSE): EmbargoState.PROPOSED,
    (EmbargoState.ACTIVE, EmbargoStep.PROPOSE): EmbargoState.REVISING,
    (EmbargoState.REVISING, EmbargoStep.PROPOSE): EmbargoState.REVISING,
    (EmbargoState.PROPOSED, EmbargoStep.ACCEPT): EmbargoState.ACTIVE,
    (EmbargoState.REVISING, EmbargoStep.ACCEPT): EmbargoState.ACTIVE,
    (EmbargoState.PROPOSED, EmbargoStep.REJECT): EmbargoState.NONE,
    (EmbargoState.REVISING, EmbargoStep.REJECT): EmbargoState.ACTIVE,
    (EmbargoState.ACTIVE, EmbargoStep.TERMINATE): EmbargoState.EXITED,
    (EmbargoState.REVISING, EmbargoStep.TERMINATE): EmbargoState.EXITED,
}
"""The ten transitions of embargo management; an embargo that has ended stays ended."""

IN_FORCE: Final = frozenset({EmbargoState.ACTIVE, EmbargoState.REVISING})
OPEN_TO_ANSWER: Final = frozenset({EmbargoState.PROPOSED, EmbargoState.REVISING})


class Consent(StrEnum):
    """What one participant has said to one embargo (PEC)."""

    NO_EMBARGO = "no-embargo"
    INVITED = "invited"
    SIGNATORY = "signatory"
    DECLINED = "declined"
    LAPSED = "lapsed"


class ConsentStep(StrEnum):
    """What may happen to a participant's consent."""

    INVITE = "invite"
    ACCEPT = "accept"
    DECLINE = "decline"
    REVISE = "revise"
    RESET = "reset"


_UNDECIDED: Final = (Consent.NO_EMBARGO, Consent.INVITED, Consent.LAPSED)

CONSENT: Final[Mapping[tuple[Consent, ConsentStep], Consent]] = {
    **{
        (state, ConsentStep.INVITE): Consent.INVITED
        for state in (Consent.NO_EMBARGO, Consent.LAPSED, Consent.DECLINED)
    },
    **{(state, ConsentStep.ACCEPT): Consent.SIGNATORY for state in _UNDECIDED},
    **{(state, ConsentStep.DECLINE): Consent.DECLINED for state in _UNDECIDED},
    (Consent.SIGNATORY, ConsentStep.REVISE): Consent.LAPSED,
    **{(state, ConsentStep.RESET): Consent.NO_EMBARGO for state in Consent},
}
"""The eleven rules of consent, of which the last, reset, holds in every state."""


class Fact(Flag):
    """One of the six facts of a case (CS): each becomes true once and never untrue again."""

    VENDOR_AWARE = 1
    FIX_READY = 2
    FIX_DEPLOYED = 4
    PUBLIC_AWARE = 8
    EXPLOIT_PUBLIC = 16
    ATTACKS_OBSERVED = 32

    @property
    def letter(self) -> str:
        """The protocol's letter for a single fact."""
        return LETTERS[self]


LETTERS: Final[Mapping[Fact, str]] = dict(zip(Fact, "VFDPXA", strict=True))
NOTHING: Final = Fact(0)
VENDOR_PATH: Final = (Fact.VENDOR_AWARE, Fact.FIX_READY, Fact.FIX_DEPLOYED)
WORLD: Final = (Fact.PUBLIC_AWARE, Fact.EXPLOIT_PUBLIC, Fact.ATTACKS_OBSERVED)
_ENDS_EMBARGO: Final = Fact.PUBLIC_AWARE | Fact.EXPLOIT_PUBLIC

LONGEST_EMBARGO: Final = timedelta(days=366)

_State = TypeVar("_State", ReportState, EmbargoState, Consent)
_Step = TypeVar("_Step", ReportStep, EmbargoStep, ConsentStep)


def step_report(state: ReportState, step: ReportStep) -> ReportState:
    """Where a participant stands after `step`; `ConflictError` says why it is blocked."""
    return _step(REPORT, state, step, what="report")


def step_embargo(state: EmbargoState, step: EmbargoStep) -> EmbargoState:
    """Where the embargo stands after `step`; `ConflictError` says why it is blocked."""
    return _step(EMBARGO, state, step, what="embargo")


def step_consent(state: Consent, step: ConsentStep) -> Consent:
    """What a participant's consent is after `step`; `ConflictError` says why it is blocked."""
    return _step(CONSENT, state, step, what="consent")


def _step(
    table: Mapping[tuple[_State, _Step], _State], state: _State, step: _Step, *, what: str
) -> _State:
    following = table.get((state, step))
    if following is not None:
        return following
    possible = [str(each) for origin, each in table if origin == state]
    offered = f"From here the {what} can only: {', '.join(possible)}."
    raise ConflictError(
        f"The {what} is {state} and cannot take the step {step}.",
        next_step=offered if possible else f"Nothing follows: the {what} has ended.",
        facts={"state": str(state), "possible": possible},
    )


def parse_fact(letter: str) -> Fact:
    """The fact of one of the letters V F D P X A. Raises `InvalidError`."""
    for fact, known in LETTERS.items():
        if letter == known:
            return fact
    raise InvalidError(
        "A case status is one of the letters V, F, D, P, X and A.",
        next_step="Send one of them: vendor aware, fix ready, fix deployed, public aware, "
        "exploit public, attacks observed.",
    )


def exists(facts: Fact) -> bool:
    """Whether the facts are one of the 32 case states: no fix without awareness of the flaw."""
    fix_unheard_of = Fact.FIX_READY in facts and Fact.VENDOR_AWARE not in facts
    deployed_unready = Fact.FIX_DEPLOYED in facts and Fact.FIX_READY not in facts
    return not (fix_unheard_of or deployed_unready)


def forced(facts: Fact) -> Fact | None:
    """The one fact that becomes true next, in the two cases where a state does not last.

    A public exploit makes the flaw public; a public flaw makes the vendor aware.
    """
    if Fact.EXPLOIT_PUBLIC in facts and Fact.PUBLIC_AWARE not in facts:
        return Fact.PUBLIC_AWARE
    if Fact.PUBLIC_AWARE in facts and Fact.VENDOR_AWARE not in facts:
        return Fact.VENDOR_AWARE
    return None


def following(facts: Fact) -> tuple[Fact, ...]:
    """Which single facts may become true next in a case state."""
    only = forced(facts)
    if only is not None:
        return (only,)
    return tuple(fact for fact in Fact if fact not in facts and exists(facts | fact))


def entailed(facts: Fact, reported: Fact) -> tuple[Fact, ...]:
    """The facts that become true, in order, when `reported` is; none when it already was.

    What is forced follows at once, so no state that does not last is ever stored. Raises
    `ConflictError` when an earlier fact is still missing.
    """
    if reported in facts:
        return ()
    if reported not in following(facts):
        missing = next(fact for fact in Fact if fact not in facts)
        raise ConflictError(
            f"{reported.letter} cannot become true before {missing.letter}.",
            next_step=f"Report {missing.letter} first.",
        )
    path = [reported]
    while (then := forced(facts | _union(path))) is not None:
        path.append(then)
    return tuple(path)


def word(facts: Fact) -> str:
    """A case state as the protocol writes it: VFdpxa is known and fixed, not deployed, not public."""
    return "".join(fact.letter if fact in facts else fact.letter.lower() for fact in LETTERS)


@dataclass(frozen=True, slots=True)
class Viability:
    """Whether an embargo may begin or be extended: `caution` is a question to answer first."""

    may_start: bool
    reason: str
    caution: str = ""


def viability(facts: Fact) -> Viability:
    """Whether the facts still leave anything to keep quiet."""
    known = [fact.letter for fact in WORLD if fact in facts]
    if known:
        told = "the flaw, an exploit or attacks are already known"
        return Viability(may_start=False, reason=f"{told} ({', '.join(known)})")
    if Fact.FIX_DEPLOYED in facts:
        return Viability(may_start=False, reason="the fix is already deployed (D)")
    if Fact.FIX_READY in facts:
        return Viability(
            may_start=True,
            reason="nothing is public",
            caution="A fix is ready: why keep it quiet any longer?",
        )
    return Viability(may_start=True, reason="nothing is public")


def embargo_after(state: EmbargoState, fact: Fact) -> EmbargoState:
    """Where the embargo stands once `fact` is true.

    A public flaw or exploit ends it. Observed attacks end what is only proposed; one in force
    stays, because its parties decide, and is flagged (`embargo_questioned`).
    """
    if state is EmbargoState.PROPOSED and fact in WORLD:
        return step_embargo(state, EmbargoStep.REJECT)
    if state in IN_FORCE and fact in _ENDS_EMBARGO:
        return step_embargo(state, EmbargoStep.TERMINATE)
    return state


def embargo_questioned(state: EmbargoState, facts: Fact) -> bool:
    """Whether the parties should now end an embargo in force, because attacks are observed."""
    return state in IN_FORCE and Fact.ATTACKS_OBSERVED in facts


def agreed(consents: Iterable[tuple[Role, Consent]]) -> bool:
    """Whether an embargo becomes active: every vendor and one coordinator at least have signed.

    The vendor must fix and the coordinator must publish, so nothing holds without them. Finders
    and deployers sign or decline for themselves; their answer is recorded and stops nobody else.
    """
    given = list(consents)
    vendors = [consent for role, consent in given if role is Role.VENDOR]
    coordinators = [consent for role, consent in given if role is Role.COORDINATOR]
    return (
        bool(vendors)
        and all(consent is Consent.SIGNATORY for consent in vendors)
        and Consent.SIGNATORY in coordinators
    )


def decisive(role: Role) -> bool:
    """Whether a refusal by this role rejects a proposal for everybody."""
    return role in (Role.VENDOR, Role.COORDINATOR)


def check_term(until: datetime, now: datetime) -> None:
    """Raise `InvalidError` unless an embargo may end at `until`, an instant with a zone."""
    if until.tzinfo is None:
        raise InvalidError(
            "The end of the embargo has no time zone.",
            next_step="Write it in UTC, for example 2026-09-01T12:00:00Z.",
        )
    if not now < until <= now + LONGEST_EMBARGO:
        raise InvalidError(
            "An embargo ends in the future and within 366 days.", next_step="Choose another end."
        )


def _union(facts: Iterable[Fact]) -> Fact:
    union = NOTHING
    for fact in facts:
        union |= fact
    return union
