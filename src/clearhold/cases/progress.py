"""How a case moves: facts and what follows from them, the clock, and what modules to the right ask.

Every function works on one case inside the caller's transaction. The case's row is locked first,
so that two participants who answer at once see each other's answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from clearhold.cases import embargo_records, model, records
from clearhold.cases.embargo_records import EmbargoRecord
from clearhold.cases.model import (
    EmbargoState,
    EmbargoStep,
    Fact,
    Role,
    embargo_after,
    step_embargo,
)
from clearhold.cases.records import CaseRecord, ParticipantRecord
from clearhold.findings.danger import Danger
from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.kernel.ids import CaseId
from clearhold.store.unit_of_work import UnitOfWork

PROPOSED = "proposed"
ACTIVE = "active"
REJECTED = "rejected"
SUPERSEDED = "superseded"
ENDED = "ended"

CLOCK = "service:clock"


def absent() -> NotFoundError:
    """The one answer for a case that is not there or not the caller's."""
    return NotFoundError("There is no such case.", next_step="See `clearhold case list`.")


def current(unit: UnitOfWork, identity: CaseId) -> CaseRecord:
    """The case as it stands now, locked; an embargo whose time has passed has ended.

    For services, not for an answer to a caller. Raises `NotFoundError`.
    """
    case = records.held(unit, identity)
    if case is None:
        raise absent()
    if case.embargo_state in model.OPEN_TO_ANSWER:
        proposal = _known(embargo_records.embargo_in(unit, identity, PROPOSED))
        if proposal.until <= unit.now:
            case = _reject(unit, case, proposal, by=CLOCK)
    if case.embargo_state in model.IN_FORCE:
        active = _known(embargo_records.embargo_in(unit, identity, ACTIVE))
        if active.until <= unit.now:
            case = end_embargo(unit, case, at=active.until, by=CLOCK)
    return case


@dataclass(frozen=True, slots=True)
class EmbargoTerm:
    """The embargo that binds a case, or did: until when, and whether it still does.

    `until` is the agreed end, or the instant it was ended before. `operators_early_notice` says
    whether operators may be told before publication that something urgent is coming.
    """

    until: datetime
    in_force: bool
    operators_early_notice: bool


def embargo_of(unit: UnitOfWork, identity: CaseId) -> EmbargoTerm | None:
    """The embargo in force, else the one that ended last; None when none was ever agreed."""
    current(unit, identity)
    active = embargo_records.embargo_in(unit, identity, ACTIVE)
    if active is not None:
        return EmbargoTerm(active.until, True, active.operators_early_notice)
    ended = embargo_records.embargo_in(unit, identity, ENDED)
    if ended is None or ended.ended_at is None:
        return None
    return EmbargoTerm(ended.ended_at, False, ended.operators_early_notice)


def mark(unit: UnitOfWork, identity: CaseId, letter: str, *, by: str) -> CaseRecord:
    """Record a fact that the hub itself established; once or many times alike.

    F says that a fix was proved, and P, X or A what the world knows; V and D are for participants
    to report. Raises `InvalidError` for those and `NotFoundError` for an unknown case.
    """
    fact = model.parse_fact(letter)
    case = current(unit, identity)
    if fact in model.WORLD:
        return learn(unit, case, fact, by=by)
    if fact is not Fact.FIX_READY:
        raise InvalidError(
            f"The hub cannot know {letter} of itself.",
            next_step="Let the vendor or deployer report it.",
        )
    if case.fix_ready_at is not None:
        return case
    records.change(unit, identity, fix_ready_at=unit.now)
    _tell(unit, case, fact, by=by)
    for part in records.participants(unit, identity):
        if part.role is Role.DEPLOYER or part.role is Role.VENDOR:
            share_fix(unit, part)
    return replace(case, fix_ready_at=unit.now)


def share_fix(unit: UnitOfWork, part: ParticipantRecord) -> None:
    """Let a proved fix count as this participant's, unless a vendor has yet to accept the report.

    A fix entails that the vendor prioritised the report, so its F waits for that step.
    """
    ready = part.role is Role.DEPLOYER or part.report_state in model.ENGAGED
    if ready and Fact.FIX_READY not in part.path:
        records.change_part(
            unit,
            part.case,
            part.party,
            fix_ready_at=unit.now,
            aware_at=part.path.get(Fact.VENDOR_AWARE, unit.now),
        )


def learn(unit: UnitOfWork, case: CaseRecord, fact: Fact, *, by: str) -> CaseRecord:
    """Record what the world knows now (P, X or A) with everything that follows from it.

    A public exploit makes the flaw public and its vendors aware; a public flaw or exploit ends the
    embargo at once; any of the three rejects an open proposal of a first embargo.
    """
    vendors = [part for part in records.participants(unit, case.id) if part.role is Role.VENDOR]
    facts = model.NOTHING
    for each in case.world:
        facts |= each
    if all(Fact.VENDOR_AWARE in part.path for part in vendors):
        facts |= Fact.VENDOR_AWARE
    for each in model.entailed(facts, fact):
        if each is Fact.VENDOR_AWARE:
            _make_aware(unit, vendors)
            continue
        records.change(unit, case.id, **{records.WORLD_COLUMNS[each]: unit.now})
        _tell(unit, case, each, by=by)
        case = replace(case, world={**case.world, each: unit.now})
        case = _embargo_follows(unit, case, each, by=by)
    return case


def end_embargo(unit: UnitOfWork, case: CaseRecord, *, at: datetime, by: str) -> CaseRecord:
    """End the embargo in force at the instant `at`, with any revision of it still open."""
    revision = embargo_records.embargo_in(unit, case.id, PROPOSED)
    if revision is not None:
        embargo_records.change_embargo(unit, revision.id, state=REJECTED, decided_at=unit.now)
    active = _known(embargo_records.embargo_in(unit, case.id, ACTIVE))
    embargo_records.change_embargo(unit, active.id, state=ENDED, ended_at=at)
    return move_embargo(unit, case, EmbargoStep.TERMINATE, embargo=active, by=by)


def reject_proposal(unit: UnitOfWork, case: CaseRecord, *, by: str) -> CaseRecord:
    """Reject what is proposed; an embargo in force stands as it was."""
    return _reject(unit, case, _known(embargo_records.embargo_in(unit, case.id, PROPOSED)), by=by)


def move_embargo(
    unit: UnitOfWork,
    case: CaseRecord,
    step: EmbargoStep,
    *,
    embargo: EmbargoRecord,
    by: str,
    collision: Danger | None = None,
) -> CaseRecord:
    """Write where the embargo of a case stands after `step` taken on one of its embargoes.

    `collision` is the class that its length was judged by, where it was.
    """
    state = step_embargo(case.embargo_state, step)
    records.change(unit, case.id, embargo_state=state)
    unit.record(
        f"cases:embargo:{step}",
        actor=by,
        subject=embargo.id,
        compartment=case.compartment,
        detail={
            "case": case.id,
            "state": state,
            "until": embargo.until.isoformat(),
            **({} if collision is None else {"collision": collision}),
        },
    )
    return replace(case, embargo_state=state)


def _reject(unit: UnitOfWork, case: CaseRecord, proposal: EmbargoRecord, *, by: str) -> CaseRecord:
    embargo_records.change_embargo(unit, proposal.id, state=REJECTED, decided_at=unit.now)
    return move_embargo(unit, case, EmbargoStep.REJECT, embargo=proposal, by=by)


def _embargo_follows(unit: UnitOfWork, case: CaseRecord, fact: Fact, *, by: str) -> CaseRecord:
    state = embargo_after(case.embargo_state, fact)
    if state is case.embargo_state:
        return case
    if state is EmbargoState.EXITED:
        return end_embargo(unit, case, at=unit.now, by=by)
    return reject_proposal(unit, case, by=by)


def _make_aware(unit: UnitOfWork, vendors: list[ParticipantRecord]) -> None:
    for part in vendors:
        if Fact.VENDOR_AWARE not in part.path:
            records.change_part(unit, part.case, part.party, aware_at=unit.now)


def _tell(unit: UnitOfWork, case: CaseRecord, fact: Fact, *, by: str) -> None:
    unit.record(
        "cases:fact:learn",
        actor=by,
        subject=case.id,
        compartment=case.compartment,
        detail={"fact": fact.letter},
    )


def _known(embargo: EmbargoRecord | None) -> EmbargoRecord:
    if embargo is None:
        message = "the state of an embargo and its rows are written together"
        raise AssertionError(message)
    return embargo
