"""Queries on who waits to be read in as a vendor, and on what counts against a vendor's caps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.cases.model import ReportState, Role
from clearhold.cases.tables import case_participant, case_waiting, disclosure_case
from clearhold.kernel.ids import CaseId, PartyId, PrincipalId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class WaitingRecord:
    """A vendor to be read in once its wishes allow it, and who asked for it."""

    case: CaseId
    party: PartyId
    member: PrincipalId | None
    tier: int
    reason: str
    approved_by: str | None
    expires_at: datetime | None
    asked_by: PrincipalId
    asked_at: datetime
    held_because: str
    due_at: datetime | None


def open_as_vendor(unit: UnitOfWork, party: PartyId) -> int:
    """How many cases a party has open as a vendor: not closed by it, nor altogether."""
    return unit.connection.execute(
        select(func.count())
        .select_from(case_participant)
        .join(disclosure_case, disclosure_case.c.id == case_participant.c.case)
        .where(
            case_participant.c.party == party,
            case_participant.c.role == Role.VENDOR,
            case_participant.c.report_state != ReportState.CLOSED,
            disclosure_case.c.closed_at.is_(None),
        )
    ).scalar_one()


def begun_as_vendor(unit: UnitOfWork, party: PartyId, *, since: datetime) -> tuple[datetime, ...]:
    """When cases reached a party as a vendor, later than `since`."""
    rows = unit.connection.execute(
        select(case_participant.c.joined_at).where(
            case_participant.c.party == party,
            case_participant.c.role == Role.VENDOR,
            case_participant.c.joined_at > since,
        )
    )
    return tuple(rows.scalars())


def wait(unit: UnitOfWork, new: WaitingRecord) -> bool:
    """Note that a party is to be read in later; False when the very same is noted already.

    What was asked for last counts, and keeps the place in the queue of what was asked first.
    """
    held = [each for each in waiting_for(unit, new.party) if each.case == new.case]
    if held and replace(new, asked_at=held[0].asked_at) == held[0]:
        return False
    insert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    values = {
        "member": new.member,
        "tier": new.tier,
        "reason": new.reason,
        "approved_by": new.approved_by,
        "expires_at": new.expires_at,
        "asked_by": new.asked_by,
        "held_because": new.held_because,
        "due_at": new.due_at,
    }
    unit.connection.execute(
        insert(case_waiting)
        .values(case=new.case, party=new.party, asked_at=new.asked_at, **values)
        .on_conflict_do_update(index_elements=["case", "party"], set_=values)
    )
    return True


def hold_waiting(
    unit: UnitOfWork, case: CaseId, party: PartyId, *, held_because: str, due_at: datetime | None
) -> None:
    """Write why a party still waits."""
    unit.connection.execute(
        update(case_waiting)
        .where(case_waiting.c.case == case, case_waiting.c.party == party)
        .values(held_because=held_because, due_at=due_at)
    )


def drop_waiting(unit: UnitOfWork, case: CaseId, party: PartyId) -> bool:
    """Let a party wait no longer; False when it did not."""
    gone = unit.connection.execute(
        delete(case_waiting).where(case_waiting.c.case == case, case_waiting.c.party == party)
    )
    return bool(gone.rowcount)


def waiting_for(unit: UnitOfWork, party: PartyId) -> tuple[WaitingRecord, ...]:
    """The cases that wait to reach a party, the oldest wish first: for services alone."""
    return _waiting(unit, case_waiting.c.party == party)


def waiting_in(unit: UnitOfWork, cases: Iterable[CaseId]) -> tuple[WaitingRecord, ...]:
    """The parties some cases wait to reach, the oldest wish first."""
    return _waiting(unit, case_waiting.c.case.in_(tuple(cases)))


def waited_for(unit: UnitOfWork) -> tuple[PartyId, ...]:
    """The parties that some case waits to reach: for services alone."""
    rows = unit.connection.execute(
        select(case_waiting.c.party).distinct().order_by(case_waiting.c.party)
    )
    return tuple(PartyId(party) for party in rows.scalars())


def _waiting(unit: UnitOfWork, condition: ColumnElement[bool]) -> tuple[WaitingRecord, ...]:
    rows = unit.connection.execute(
        select(case_waiting)
        .where(condition)
        .order_by(case_waiting.c.asked_at, case_waiting.c.case, case_waiting.c.party)
    )
    return tuple(
        WaitingRecord(
            CaseId(row.case),
            PartyId(row.party),
            None if row.member is None else PrincipalId(row.member),
            row.tier,
            row.reason,
            row.approved_by,
            row.expires_at,
            PrincipalId(row.asked_by),
            row.asked_at,
            row.held_because,
            row.due_at,
        )
        for row in rows
    )
