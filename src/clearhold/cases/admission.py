"""Letting parties into a case: what they become, what they may see, what they are asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clearhold.access import grants
from clearhold.access.grants import Grantee
from clearhold.cases import model, progress, records
from clearhold.cases.model import Fact, ReportState, ReportStep, Role
from clearhold.cases.records import CaseRecord, LinkedFinding, ParticipantRecord
from clearhold.cases.views import SEES_ALL
from clearhold.kernel.errors import ConflictError
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Admission:
    """Who is read in, as what, how soon (`tier` 0 to 3) and why."""

    who: Grantee
    role: Role
    tier: int
    reason: str


def admit(unit: UnitOfWork, case: CaseRecord, wanted: Admission, *, by: str) -> None:
    """Read a party in, or renew what it sees; `ConflictError` when it has another role."""
    everyone = records.participants(unit, case.id)
    known = next((part for part in everyone if part.party == wanted.who.party), None)
    if known is not None and known.role is not wanted.role:
        raise ConflictError(
            f"The party takes part as {known.role}.", next_step="Read it in as that."
        )
    if known is None:
        enter(unit, case, _newcomer(unit, case, wanted, everyone), by=by)
    elif known.tier != wanted.tier:
        records.change_part(unit, case.id, wanted.who.party, tier=wanted.tier)
    grants.read_in(
        unit,
        case.compartment,
        wanted.who,
        tier=wanted.tier,
        reason=wanted.reason,
        granted_by=by,
    )
    if wanted.role in SEES_ALL:
        for linked in records.linked_to(unit, case.id):
            open_finding(unit, linked, wanted.who, tier=wanted.tier, by=by)


def enter(unit: UnitOfWork, case: CaseRecord, new: ParticipantRecord, *, by: str) -> None:
    """Make a party a participant and ask it to consent to whatever embargo stands or is open."""
    records.join(unit, new)
    for state in (progress.ACTIVE, progress.PROPOSED):
        embargo = records.embargo_in(unit, case.id, state)
        if embargo is not None:
            records.invite(unit, embargo.id, new.party)
    unit.record(
        "cases:participant:enter",
        actor=by,
        subject=new.party,
        compartment=case.compartment,
        detail={"case": case.id, "role": new.role, "tier": str(new.tier)},
    )


def open_finding(
    unit: UnitOfWork, linked: LinkedFinding, who: Grantee, *, tier: int, by: str
) -> None:
    """Let a vendor or coordinator of a case see a finding it links."""
    grants.read_in(
        unit,
        linked.compartment,
        who,
        tier=tier,
        reason="takes part in the case of this finding",
        granted_by=by,
    )


def has_fix(part: ParticipantRecord) -> bool:
    """Whether a fix counts as ready for this participant."""
    return Fact.FIX_READY in part.path


def _newcomer(
    unit: UnitOfWork,
    case: CaseRecord,
    wanted: Admission,
    everyone: Iterable[ParticipantRecord],
) -> ParticipantRecord:
    # Being read in is receiving the report; a coordinator has judged it by opening the case.
    path = {}
    if wanted.role in (Role.VENDOR, Role.DEPLOYER):
        path[Fact.VENDOR_AWARE] = unit.now
    fixed = case.fix_ready_at is not None or any(map(has_fix, everyone))
    if wanted.role is Role.DEPLOYER and fixed:
        path[Fact.FIX_READY] = unit.now
    received = model.step_report(ReportState.START, ReportStep.RECEIVE)
    return ParticipantRecord(
        case=case.id,
        party=wanted.who.party,
        role=wanted.role,
        tier=wanted.tier,
        report_state=ReportState.ACCEPTED if wanted.role is Role.COORDINATOR else received,
        path=path,
        joined_at=unit.now,
    )
