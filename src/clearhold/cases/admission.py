"""Letting parties into a case: what they become, what they may see, what they are asked.

Who sees the content of a case as a vendor or coordinator sees the findings it links too, by a grant
of the same tier and end on each; whose finding it is keeps its own. Who sees everything also sees
what they came in, unless that holds findings of other cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from clearhold.access import grants
from clearhold.access.grants import Grantee, Tier
from clearhold.cases import embargo_records, model, progress, records
from clearhold.cases.model import Fact, ReportState, ReportStep, Role
from clearhold.cases.records import CaseRecord, LinkedFinding, ParticipantRecord
from clearhold.cases.views import SEES_ALL
from clearhold.findings import records as findings
from clearhold.kernel.errors import ConflictError
from clearhold.kernel.ids import PersonId
from clearhold.store.unit_of_work import UnitOfWork

_LINKED = "takes part in the case of this finding"


@dataclass(frozen=True, slots=True)
class Admission:
    """Who is read in, as what, how much they see (`tier`), why, with whom, and until when.

    `emergency` says that glass was broken for it.
    """

    who: Grantee
    role: Role
    tier: Tier
    reason: str
    approved_by: str | None = None
    expires_at: datetime | None = None
    emergency: bool = False


def admit(unit: UnitOfWork, case: CaseRecord, wanted: Admission, *, by: str) -> None:
    """Read a party in, or change what it sees; `ConflictError` when it has another role."""
    everyone = records.participants(unit, case.id)
    known = next((part for part in everyone if part.party == wanted.who.party), None)
    if known is not None and known.role is not wanted.role:
        raise ConflictError(
            f"The party takes part as {known.role}.", next_step="Read it in as that."
        )
    if known is None:
        enter(unit, case, _newcomer(unit, case, wanted, everyone), by=by)
    grants.read_in(
        unit,
        case.compartment,
        wanted.who,
        tier=wanted.tier,
        reason=wanted.reason,
        granted_by=by,
        approved_by=wanted.approved_by,
        expires_at=wanted.expires_at,
        emergency=wanted.emergency,
    )
    now_in = [
        each.tier
        for each in grants.grants_in(unit, case.compartment)
        if each.who.party == wanted.who.party
    ]
    records.change_part(unit, case.id, wanted.who.party, tier=int(min(now_in)))
    for linked in records.linked_to(unit, case.id):
        open_finding(unit, linked, wanted, by=by)


def enter(unit: UnitOfWork, case: CaseRecord, new: ParticipantRecord, *, by: str) -> None:
    """Make a party a participant and ask it to consent to whatever embargo stands or is open."""
    records.join(unit, new)
    for state in (progress.ACTIVE, progress.PROPOSED):
        embargo = embargo_records.embargo_in(unit, case.id, state)
        if embargo is not None:
            embargo_records.invite(unit, embargo.id, new.party)
    unit.record(
        "cases:participant:enter",
        actor=by,
        subject=new.party,
        compartment=case.compartment,
        detail={"case": case.id, "role": new.role, "tier": str(int(new.tier))},
    )


def open_finding(unit: UnitOfWork, linked: LinkedFinding, wanted: Admission, *, by: str) -> None:
    """Let a vendor or coordinator of a case see a finding it links, or no longer see it."""
    if wanted.role not in SEES_ALL or linked.party == wanted.who.party:
        return
    raw = findings.raw_compartment(unit, linked.finding)
    whole = wanted.tier is Tier.EVERYTHING and _all_linked(unit, linked)
    for within, shown in ((linked.compartment, wanted.tier <= Tier.CONTENT), (raw, whole)):
        if not shown:
            grants.read_out(unit, within, wanted.who, by=by)
            continue
        grants.read_in(
            unit,
            within,
            wanted.who,
            tier=wanted.tier,
            reason=_LINKED,
            granted_by=by,
            approved_by=wanted.approved_by,
            expires_at=wanted.expires_at,
            emergency=wanted.emergency,
        )


def _all_linked(unit: UnitOfWork, linked: LinkedFinding) -> bool:
    """Whether what a finding came in holds nothing but this case's findings."""
    of_case = {each.finding for each in records.linked_to(unit, linked.case)}
    return findings.brought_along(unit, linked.finding) <= of_case


def open_to_readers(unit: UnitOfWork, case: CaseRecord, linked: LinkedFinding, *, by: str) -> None:
    """Let those who see the content of a case see a finding that joins it; who is barred, is."""
    roles = {part.party: part.role for part in records.participants(unit, case.id)}
    for each in grants.grants_in(unit, case.compartment):
        if each.tier <= Tier.CONTENT:
            as_they_are = Admission(
                who=each.who,
                role=roles[each.who.party],
                tier=each.tier,
                reason=each.reason,
                approved_by=each.approved_by,
                expires_at=each.expires_at,
                emergency=each.emergency,
            )
            open_finding(unit, linked, as_they_are, by=by)
    for barred in grants.recusals_in(unit, case.compartment):
        bar_from(unit, linked, barred.person, reason=barred.reason, by=by)


def close_to(unit: UnitOfWork, case: CaseRecord, who: Grantee, *, by: str) -> None:
    """End what `who` may see of a case and the findings it links, but for its own findings."""
    grants.read_out(unit, case.compartment, who, by=by)
    for linked in records.linked_to(unit, case.id):
        if linked.party != who.party:
            raw = findings.raw_compartment(unit, linked.finding)
            for within in (linked.compartment, raw):
                grants.read_out(unit, within, who, by=by)


def bar_from(
    unit: UnitOfWork, linked: LinkedFinding, person: PersonId, *, reason: str, by: str
) -> None:
    """Bar a person from a finding and from what it came in, also in the party that sent it."""
    for within in (linked.compartment, findings.raw_compartment(unit, linked.finding)):
        grants.recuse(unit, within, person, reason=reason, by=by)


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
        tier=int(wanted.tier),
        report_state=ReportState.ACCEPTED if wanted.role is Role.COORDINATOR else received,
        path=path,
        joined_at=unit.now,
    )
