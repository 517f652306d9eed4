"""Queries on cases, participants, embargoes and messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    exists,
    false,
    insert,
    or_,
    select,
    true,
    update,
)

from clearhold.access.grants import Tier, compartments_of, recused, tiers_of
from clearhold.access.model import Actor
from clearhold.cases.model import (
    NOTHING,
    EmbargoState,
    Fact,
    ReportState,
    Role,
)
from clearhold.cases.tables import (
    case_finding,
    case_message,
    case_participant,
    disclosure_case,
)
from clearhold.kernel.ids import (
    CaseId,
    CompartmentId,
    FindingId,
    PartyId,
    VulnerabilityId,
)
from clearhold.store.unit_of_work import UnitOfWork

WORLD_COLUMNS: Mapping[Fact, str] = {
    Fact.PUBLIC_AWARE: "public_at",
    Fact.EXPLOIT_PUBLIC: "exploit_at",
    Fact.ATTACKS_OBSERVED: "attacks_at",
}
PATH_COLUMNS: Mapping[Fact, str] = {
    Fact.VENDOR_AWARE: "aware_at",
    Fact.FIX_READY: "fix_ready_at",
    Fact.FIX_DEPLOYED: "deployed_at",
}


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """A case as stored; `world` holds P, X and A, `fix_ready_at` when the hub proved a fix."""

    id: CaseId
    vulnerability: VulnerabilityId
    compartment: CompartmentId
    opened_by: PartyId
    opened_at: datetime
    closed_at: datetime | None
    sealed_title: bytes
    embargo_state: EmbargoState
    fix_ready_at: datetime | None
    world: Mapping[Fact, datetime]
    request: bytes


@dataclass(frozen=True, slots=True)
class ParticipantRecord:
    """One party's part in a case; `path` holds its own V, F and D with their times."""

    case: CaseId
    party: PartyId
    role: Role
    tier: int
    report_state: ReportState
    path: Mapping[Fact, datetime]
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class LinkedFinding:
    """A finding whose compartment a case links, and whose it is."""

    finding: FindingId
    compartment: CompartmentId
    party: PartyId
    case: CaseId


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A message to a case, still sealed."""

    id: str
    party: PartyId
    written_at: datetime
    sealed_body: bytes
    request: bytes


def visible_to(actor: Actor, now: datetime, *, tier: Tier = Tier.NOTICE) -> ColumnElement[bool]:
    """Cases the actor takes part in and of which it may see what `tier` shows.

    A finder sees the shared part by taking part, which is content; everyone else must be read in to
    the case's compartment too, so that reading a party out or an expired grant ends what it sees.
    """
    part = case_participant.alias("part")
    shared = and_(part.c.role == Role.FINDER, disclosure_case.c.compartment.not_in(recused(actor)))
    return exists().where(
        disclosure_case.c.expunged_at.is_(None),
        part.c.case == disclosure_case.c.id,
        part.c.party == actor.party,
        or_(
            shared if tier >= Tier.CONTENT else false(),
            disclosure_case.c.compartment.in_(compartments_of(actor, now, tier=tier)),
        ),
    )


def visible_cases(actor: Actor, now: datetime, *, tier: Tier) -> Select[tuple[str]]:
    """The ids of those cases, for what hangs on a case."""
    return select(disclosure_case.c.id).where(visible_to(actor, now, tier=tier))


def listing(
    unit: UnitOfWork, actor: Actor, *, before: CaseId | None = None, limit: int
) -> tuple[CaseRecord, ...]:
    """The cases the actor may see that are older than `before`, newest first: ids sort by birth."""
    # Begun at the actor's own part, whose index holds its cases in this order.
    own = case_participant.alias("own")
    older = true() if before is None else own.c.case < before
    rows = unit.connection.execute(
        select(disclosure_case)
        .join(own, and_(own.c.case == disclosure_case.c.id, own.c.party == actor.party))
        .where(visible_to(actor, unit.now), older)
        .order_by(own.c.case.desc())
        .limit(limit)
    )
    return tuple(_case(row) for row in rows)


def seen(unit: UnitOfWork, actor: Actor, identity: CaseId, *, tier: Tier) -> bool:
    """Whether the actor may see what `tier` shows of a case."""
    found = select(disclosure_case.c.id).where(
        visible_to(actor, unit.now, tier=tier), disclosure_case.c.id == identity
    )
    return unit.connection.execute(found).first() is not None


def tiers(
    unit: UnitOfWork, actor: Actor, cases: Iterable[CaseRecord], parts: Mapping[CaseId, Role]
) -> dict[CaseId, Tier]:
    """How much the actor sees of each of these cases, which it may see."""
    listed = tuple(cases)
    within = [case.compartment for case in listed]
    rows = unit.connection.execute(tiers_of(actor, unit.now, within))
    granted = {row.compartment: Tier(row.tier) for row in rows}
    found = {}
    for case in listed:
        shared = Tier.CONTENT if parts[case.id] is Role.FINDER else Tier.NOTICE
        found[case.id] = min(granted.get(case.compartment, shared), shared)
    return found


def held(unit: UnitOfWork, identity: CaseId) -> CaseRecord | None:
    """A case, its row locked until the transaction ends: for services, never for an answer."""
    row = unit.connection.execute(
        select(disclosure_case)
        .where(disclosure_case.c.id == identity)
        .with_for_update(key_share=True)
    ).one_or_none()
    return None if row is None else _case(row)


def expunge(unit: UnitOfWork, case: CaseRecord) -> bool:
    """Close a case and let nobody see it again; False when that was done before."""
    changed = unit.connection.execute(
        update(disclosure_case)
        .where(disclosure_case.c.id == case.id, disclosure_case.c.expunged_at.is_(None))
        .values(expunged_at=unit.now, closed_at=case.closed_at or unit.now)
    )
    return bool(changed.rowcount)


def by_key(unit: UnitOfWork, party: PartyId, key: str) -> CaseRecord | None:
    """The case a party opened with that idempotency key."""
    with unit.as_service():
        row = unit.connection.execute(
            select(disclosure_case).where(
                disclosure_case.c.opened_by == party, disclosure_case.c.key == key
            )
        ).one_or_none()
    return None if row is None else _case(row)


def of_findings(unit: UnitOfWork, findings: tuple[FindingId, ...]) -> tuple[CaseId, ...]:
    """The cases that link any of these findings, the oldest first."""
    rows = unit.connection.execute(
        select(disclosure_case.c.id)
        .join(case_finding, case_finding.c.case == disclosure_case.c.id)
        .where(case_finding.c.finding.in_(findings))
        .group_by(disclosure_case.c.id, disclosure_case.c.opened_at)
        .order_by(disclosure_case.c.opened_at, disclosure_case.c.id)
    )
    return tuple(CaseId(identity) for identity in rows.scalars())


def add(unit: UnitOfWork, new: CaseRecord, *, key: str) -> None:
    """Insert a case."""
    unit.connection.execute(
        insert(disclosure_case).values(
            id=new.id,
            vulnerability=new.vulnerability,
            compartment=new.compartment,
            opened_by=new.opened_by,
            opened_at=new.opened_at,
            sealed_title=new.sealed_title,
            embargo_state=new.embargo_state,
            key=key,
            request=new.request,
        )
    )


def change(unit: UnitOfWork, identity: CaseId, **values: Any) -> None:
    """Write columns of a case."""
    unit.connection.execute(
        update(disclosure_case).where(disclosure_case.c.id == identity).values(**values)
    )


def link(unit: UnitOfWork, case: CaseId, linked: LinkedFinding) -> None:
    """Link a finding to a case."""
    unit.connection.execute(
        insert(case_finding).values(
            case=case,
            finding=linked.finding,
            compartment=linked.compartment,
            party=linked.party,
            linked_at=unit.now,
        )
    )


def linked_to(unit: UnitOfWork, *cases: CaseId) -> tuple[LinkedFinding, ...]:
    """The findings these cases link, in the order of their ids, which is that of their birth."""
    rows = unit.connection.execute(
        select(case_finding).where(case_finding.c.case.in_(cases)).order_by(case_finding.c.finding)
    )
    return tuple(
        LinkedFinding(
            FindingId(row.finding),
            CompartmentId(row.compartment),
            PartyId(row.party),
            CaseId(row.case),
        )
        for row in rows
    )


def join(unit: UnitOfWork, new: ParticipantRecord) -> None:
    """Insert a participant."""
    unit.connection.execute(
        insert(case_participant).values(
            case=new.case,
            party=new.party,
            role=new.role,
            tier=new.tier,
            report_state=new.report_state,
            joined_at=new.joined_at,
            **{PATH_COLUMNS[fact]: at for fact, at in new.path.items()},
        )
    )


def change_part(unit: UnitOfWork, case: CaseId, party: PartyId, **values: Any) -> None:
    """Write columns of a participant."""
    unit.connection.execute(
        update(case_participant)
        .where(case_participant.c.case == case, case_participant.c.party == party)
        .values(**values)
    )


def participants(unit: UnitOfWork, *cases: CaseId) -> tuple[ParticipantRecord, ...]:
    """Who takes part in these cases, in the order they joined."""
    rows = unit.connection.execute(
        select(case_participant)
        .where(case_participant.c.case.in_(cases))
        .order_by(case_participant.c.joined_at, case_participant.c.party)
    )
    return tuple(
        ParticipantRecord(
            case=CaseId(row.case),
            party=PartyId(row.party),
            role=Role(row.role),
            tier=row.tier,
            report_state=ReportState(row.report_state),
            path=_times(row, PATH_COLUMNS),
            joined_at=row.joined_at,
        )
        for row in rows
    )


def write_message(unit: UnitOfWork, case: CaseId, new: MessageRecord, *, key: str) -> None:
    """Insert a message."""
    unit.connection.execute(
        insert(case_message).values(
            id=new.id,
            case=case,
            party=new.party,
            written_at=new.written_at,
            sealed_body=new.sealed_body,
            key=key,
            request=new.request,
        )
    )


def messages(
    unit: UnitOfWork, case: CaseId, *, party: PartyId | None = None, key: str | None = None
) -> tuple[MessageRecord, ...]:
    """The messages to a case, oldest first; of one party and key when these are given."""
    query = select(case_message).where(case_message.c.case == case)
    if party is not None:
        query = query.where(case_message.c.party == party)
    if key is not None:
        query = query.where(case_message.c.key == key)
    rows = unit.connection.execute(query.order_by(case_message.c.written_at, case_message.c.id))
    return tuple(
        MessageRecord(
            row.id,
            PartyId(row.party),
            row.written_at,
            bytes(row.sealed_body),
            bytes(row.request),
        )
        for row in rows
    )


def facts_of(case: CaseRecord, part: ParticipantRecord) -> Fact:
    """The case state as one participant's: its own V, F and D, and the world's P, X and A."""
    facts = NOTHING
    for fact in (*part.path, *case.world):
        facts |= fact
    return facts


def _times(row: Row[Any], columns: Mapping[Fact, str]) -> dict[Fact, datetime]:
    at = {fact: getattr(row, column) for fact, column in columns.items()}
    return {fact: moment for fact, moment in at.items() if moment is not None}


def _case(row: Row[Any]) -> CaseRecord:
    return CaseRecord(
        id=CaseId(row.id),
        vulnerability=VulnerabilityId(row.vulnerability),
        compartment=CompartmentId(row.compartment),
        opened_by=PartyId(row.opened_by),
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        sealed_title=bytes(row.sealed_title),
        embargo_state=EmbargoState(row.embargo_state),
        fix_ready_at=row.fix_ready_at,
        world=_times(row, WORLD_COLUMNS),
        request=bytes(row.request),
    )
